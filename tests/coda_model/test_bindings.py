"""Names that nothing binds, and the lines that would."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.bindings import Binding, needed_binding
from coda_model.names import unbound_names

ASSIGN, LOOP, DEFINE = (1, 2, 4, 6), (2, 3, 4, 6), (2, 4, 6)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("x = 1\nprint(x)\n", []),
        ("print(x)\nx = 1\n", ["x"]),
        ("total += 1\n", ["total"]),
        ("x = x + 1\n", ["x"]),
        ("x: int = x\ny: int\nprint(y)\nfor z in z:\n    x[z], w = w\n", ["x", "z", "w"]),
        ("def f(a, *b, c=1, **d):\n    return a, b, c, d\n", []),
        ("f = lambda a: a + b\n", ["b"]),
        ("y = [q for q in range(3)], {p: r for p, r in z}\n", ["z"]),
        ("import os.path as p, sys\nfrom a import b as c\nprint(p, sys, c, b)\n", ["b"]),
        ("import os.path\nprint(os)\n", []),
        ("with open('x') as f:\n    f.read()\nfor a, (b, *c) in f:\n    print(a, b, c)\n", []),
        ("try:\n    x()\nexcept OSError as e:\n    print(e)\n", ["x"]),
        ("match v:\n    case {'a': a, **rest} | [a, *rest] as w:\n        print(a, rest, w)\n", ["v"]),
        ("def f():\n    global g\n    return g\n", []),
        ("if (n := 3) > 2:\n    print(n, __file__, len)\n", []),
        ("class A(B):\n    def f(self):\n        return A, self.x\n", ["B"]),
        ("b = 1\nprint(c, a, b, a)\n", ["c", "a"]),
        ("é = 1\nprint(é, ü)\n", ["ü"]),
    ],
)
def test_unbound_names(code: str, names: list[str]) -> None:
    assert [*unbound_names(ast.parse(code))] == names


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("def f(a):\n", "\n    for x in a:\n        s += x\n    return s\n", Binding("    s =", ASSIGN)),
        ("def f(a):\n    s = 0\n", "\n        s += x\n    return s\n", Binding("    for x in", LOOP)),
        ("def f(a):\n    ", "\n    for x in a:\n        s += x\n", Binding("s =", ASSIGN)),
        ("def f(a):\n    ", "\n        print(x)\n", Binding("for x in", LOOP)),
        ("def f(a):\n\tif a:\n", "\n\t\t\tprint(x)\n", Binding("\t\tfor x in", LOOP)),
        ("def f(a):\n    if a < 2:\n        return 1\n", "\n        a += x\n", Binding("    for x in", LOOP)),
        ("def f(a):\n", "\n        return a * k\n    return g(a)\n", Binding("    def g(", DEFINE)),
        ("def f(a):\n", "\n    return math.sqrt(a)\n", Binding("    import math", (0,))),
        ("def f(a):\n", "\n    return math + a\n", Binding("    math =", ASSIGN)),
        ("def f(a):\n", "  \r\n    return b\r\n", Binding("    b =", ASSIGN)),
        ("x = (\n\ndef f(a):\n", "\n    return b\n\ny = (\n", Binding("    b =", ASSIGN)),  # errors far away
        # Nothing is missing, or it stands elsewhere, or before the hole, or is no line's own.
        ("", "\nprint(x)\n", None),  # each statement of a module is a block
        ("def f(a):\n", "\n    return a\n", None),
        ("from m import b\n\ndef f(a):\n", "\n    return b\n", None),
        ("def f(a):\n", "\n    return b\n\n\ndef b():\n    pass\n", None),
        ("def f(a):\n    c = b\n", "\n    return c\n", None),
        ("def f(a):\n    b = ", "\n    return c\n", None),
        ("def f(a):\n", "a = 1\n    return c\n", None),
        ("def f(a):\n    x = (\n", "\n    return c\n", None),
        ("", "", None),
    ],
)
def test_needed_binding(before: str, after: str, expected: Binding | None) -> None:
    assert needed_binding(before, after, "python") == expected
    assert needed_binding(before, after, "javascript") is None


NAMES = st.sampled_from(["a", "b", "total", "item"])


@given(NAMES, NAMES, st.sampled_from(["", "    "]))
def test_what_is_proposed_leaves_that_name_bound(read: str, loop: str, written: str) -> None:
    before, after = f"def f(data):\n{written}", f"\n    for {loop} in data:\n        print({read})\n"
    binding = needed_binding(before, after, "python")
    assert (binding is None) == (read == loop)
    if binding is not None:
        assert read not in unbound_names(ast.parse(f"{before}{binding.head} data{after}"))
