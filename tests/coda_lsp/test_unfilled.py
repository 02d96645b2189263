"""Which holes a file shows: marked with ⟦ ⟧ in the text, and what must not be taken for one."""

import pytest

from coda_lsp.unfilled import unfilled_holes

ONE, SEVERAL = True, False


@pytest.mark.parametrize(
    ("language_id", "marked", "single_line"),
    [
        ("python", "def f():\n    ⟦...⟧\n", SEVERAL),
        ("python", 'def f():\n    """Docs."""\n    ⟦...⟧\n\n\ndef g():\n    return 1\n', SEVERAL),
        ("python", "def f(): ⟦...⟧\n", ONE),
        ("python", "if x:\n    ⟦...⟧\nelse:\n    y = 1\n", SEVERAL),
        ("python", "def f():\n    ⟦pass  # TODO⟧\n", SEVERAL),
        ("python", "def f():\n    ⟦pass  # TODO: the mean⟧\n", SEVERAL),
        ("python", "def f():\n    ⟦# TODO: the mean⟧\n\nx = 1\n", SEVERAL),
        ("python", "def f():\n    ⟦raise NotImplementedError⟧\n", SEVERAL),
        ("python", "def f():\n    ⟦raise NotImplementedError()⟧\n", SEVERAL),
        ("python", 'def f():\n    ⟦raise NotImplementedError("later")⟧\n', SEVERAL),
        ("python", "class A:\n    def f(self):\n        ⟦...⟧\n\n    def g(self):\n        ⟦...⟧\n", SEVERAL),
        ("python", "def f():\r\n    ⟦...⟧\r\n", SEVERAL),
        ("python", "x = ⟦__FILL__⟧ + 1\n", ONE),
        ("python", "def f():\n    a = 1\n    ⟦__FILL__⟧\n    return a\n", SEVERAL),
        ("python", "def f():\n    a = 1\n    ⟦# __FILL__⟧\n    return a\n", SEVERAL),
        ("javascript", "function f() {\n  ⟦// TODO: sort⟧\n}\n", SEVERAL),
        ("javascript", 'function f() {\n  ⟦throw new Error("Not implemented");⟧\n}\n', SEVERAL),
        ("typescript", "function f(a: number): number {\n  ⟦throw new Error('not implemented yet')⟧\n}\n", SEVERAL),
        ("typescript", "const x = ⟦__FILL__;⟧\n", ONE),
        ("rust", "fn f() -> i32 {\n    ⟦todo!()⟧\n}\n", SEVERAL),
        ("rust", 'fn f() -> i32 {\n    ⟦unimplemented!("later")⟧\n}\n', SEVERAL),
        ("rust", "fn f() -> i32 { ⟦todo!()⟧ }\n", ONE),
        ("go", 'func f() int {\n\t⟦panic("not implemented")⟧\n}\n', SEVERAL),
        ("go", "func f() int {\n\t⟦// TODO: count⟧\n}\n", SEVERAL),
        ("java", "class A {\n  int f() {\n    ⟦throw new UnsupportedOperationException();⟧\n  }\n}\n", SEVERAL),
        ("csharp", "class A {\n  int F() {\n    ⟦throw new NotImplementedException();⟧\n  }\n}\n", SEVERAL),
        ("cpp", 'int f() {\n  ⟦throw std::logic_error("not implemented");⟧\n}\n', SEVERAL),
        ("c", "int f(void) {\n  ⟦/* TODO: count */⟧\n}\n", SEVERAL),
        ("ruby", "def f\n  ⟦raise NotImplementedError⟧\nend\n", SEVERAL),
        ("php", "<?php\nfunction f() {\n  ⟦// TODO⟧\n}\n", SEVERAL),
        ("plaintext", "dear ⟦__FILL__⟧,\n", ONE),
    ],
)
def test_a_hole(language_id: str, marked: str, single_line: bool) -> None:
    text, spans = marked, []
    while "⟦" in text:
        start = text.index("⟦")
        end = text.index("⟧") - 1
        text = text.replace("⟦", "", 1).replace("⟧", "", 1)
        spans.append((start, end))
    holes = unfilled_holes(text, language_id, "file:///a", "__FILL__")
    assert [(hole.start, hole.end) for hole in holes] == spans
    assert {hole.single_line for hole in holes} == {single_line}


@pytest.mark.parametrize(
    ("language_id", "text"),
    [
        ("python", "x[...]\n"),
        ("python", "def f(x=...):\n    return x\n"),
        ("python", "from typing import Callable\nF = Callable[..., int]\n"),
        ("python", 's = """\ndef f():\n    ...\n"""\n'),
        ("python", "class E(Exception):\n    ...\n"),
        ("python", "class E(Exception): ...\n"),
        ("python", 'class E(Exception):\n    """An error."""\n    ...\n'),
        ("python", "class A(ABC):\n    @abstractmethod\n    def f(self):\n        ...\n"),
        ("python", "class A(ABC):\n    @property\n    @abc.abstractmethod\n    def f(self): ...\n"),
        ("python", "@overload\ndef f(x: int) -> int: ...\n"),
        ("python", "class P(Protocol):\n    def f(self) -> int: ...\n\n    def g(self) -> int:\n        ...\n"),
        ("python", "def f():\n    pass\n"),
        ("python", "def f():\n    # TODO: faster\n    return 1\n"),
        ("python", "def f(x):\n    if x:\n        raise ValueError\n    raise NotImplementedError\n"),
        ("python", "# TODO: all of it\n"),
        ("python", "x__FILL__y = 1\n"),
        ("javascript", "// TODO: later\nfunction f() { return 1; }\n"),
        ("javascript", "f(...args);\nconst a = [...b];\n"),
        ("rust", "fn f() -> i32 {\n    let x = 1;\n    todo!()\n}\n"),
        ("json", '{"a": 1}\n'),
        ("plaintext", "...\nTODO\n"),
        ("python", ""),
    ],
)
def test_no_hole(language_id: str, text: str) -> None:
    assert unfilled_holes(text, language_id, "file:///a", "__FILL__") == ()


def test_stub_files_have_no_bodies() -> None:
    assert unfilled_holes("def f():\n    ...\n", "python", "file:///a.pyi", "__FILL__") == ()


def test_the_comment_that_a_hole_replaces_is_its_instruction() -> None:
    text = "def f(xs):\n    pass  # TODO: the mean\n\n\ndef g(xs):\n    # TODO: the median\n"
    assert [hole.instruction for hole in unfilled_holes(text, "python", "file:///a", "__FILL__")] == [
        "# TODO: the mean",
        "# TODO: the median",
    ]


def test_another_marker() -> None:
    [hole] = unfilled_holes("x = <?>\n", "python", "file:///a", "<?>")
    assert (hole.start, hole.end) == (4, 7)
