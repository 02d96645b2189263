"""The filters, one table each: the fill stands in ⟦…⟧ in its text; on the right what is kept of it, None if nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp.filters import apply_filters
from coda_lsp.filters.blank import blank
from coda_lsp.filters.candidate import Candidate
from coda_lsp.filters.echo_of_line_above import echo_of_line_above
from coda_lsp.filters.repeated_lines import repeated_lines
from coda_lsp.filters.repeats_suffix import repeats_suffix
from coda_lsp.filters.unbalanced_closers import unbalanced_closers
from coda_lsp.filters.wrong_indentation import wrong_indentation

SAME = object()


def candidate_of(marked: str, language_id: str = "python") -> Candidate:
    prefix, _, rest = marked.partition("⟦")
    fill, _, suffix = rest.partition("⟧")
    return Candidate(fill, prefix, suffix, language_id)


def check(filter_function, marked: str, kept: object, language_id: str = "python") -> None:
    candidate = candidate_of(marked, language_id)
    assert filter_function(candidate) == (candidate.fill if kept is SAME else kept)


@pytest.mark.parametrize(
    ("marked", "kept"),
    [
        ("x = ⟦⟧\n", None),
        ("x = ⟦  \t⟧\n", None),
        ("def f():\n    ⟦\n\n  ⟧\n", None),
        ("x = ⟦1  ⟧\ny = 2\n", "1"),
        ("x = ⟦1 ⟧", "1"),
        ("x = ⟦1 ⟧+ y", SAME),
        ("def f():\n    ⟦return 1\n⟧\n\nx = 1\n", "return 1"),
        ("x = ⟦1⟧\n", SAME),
    ],
)
def test_blank(marked, kept):
    check(blank, marked, kept)


@pytest.mark.parametrize(
    ("marked", "kept"),
    [
        ("total = 0\n⟦total = 0⟧\n", None),
        ("total = 0\ntotal = ⟦0⟧\n", None),
        ("total = 0\n\n\n⟦total = 0⟧\n", None),
        ("if x:\n    total = 0\n⟦total = 0⟧\n", None),
        ("total = 0\n⟦total = 1⟧\n", SAME),
        ("    }\n⟦}⟧\n", SAME),
        ("⟦import os⟧\n", SAME),
        ("total = 0\n⟦total = 0\nprint(total)⟧\n", None),
    ],
)
def test_echo_of_line_above(marked, kept):
    check(echo_of_line_above, marked, kept)


@pytest.mark.parametrize(
    ("marked", "kept"),
    [
        ("def f():\n    ⟦print(x)\n    print(x)\n    print(x)⟧\n", "print(x)"),
        ("def f():\n    ⟦a = 1\n    print(x)\n    print(x)\n    print(x)\n    b⟧\n", "a = 1\n    print(x)"),
        ("⟦count += 1\ncount += 1⟧\n", SAME),
        ("⟦count += 1\nprint(count)\ncount += 1\nprint(count)⟧\n", "count += 1\nprint(count)"),
        ("⟦}\n}\n}⟧\n", SAME),
        ("⟦a = 1\n\n\n\nb = 2⟧\n", SAME),
        ("x = ⟦self.self.self.self.self.a⟧\n", None),
        ("x = ⟦foo(bar, bar, bar, bar, bar, bar⟧)\n", None),
        ("x = ⟦[0, 0, 0, 0, 0, 0, 0]⟧\n", SAME),
        ("x = ⟦'%s %s %s %s %s %s' % rows⟧\n", SAME),
        ("# ⟦=================⟧\n", SAME),
    ],
)
def test_repeated_lines(marked, kept):
    check(repeated_lines, marked, kept)


@pytest.mark.parametrize(
    ("marked", "kept"),
    [
        ("def f():\n    ⟦return x⟧\n    return x\n", None),
        ("def f():\n    ⟦y = 1\n    return x⟧\n    return x\n", "y = 1"),
        ("def f():\n    ⟦y = 1\n    return x⟧\n\n\n    return x\n", "y = 1"),
        ("def f():\n    ret⟦urn x⟧\n    return x\n", None),
        ("def f():\n    ⟦y = 1\n    return x⟧\n    return y\n", SAME),
        ("area = ⟦width * height⟧ * height\n", "width"),
        ("area = ⟦x + value + value⟧ + value + value\n", "x"),
        ("f(⟦a,⟧, b)\n", "a"),
        ("x = ⟦1;⟧;\n", "1"),
        ("if ⟦x > 1:⟧:\n", "x > 1"),
        ('print("⟦hello"⟧")\n', "hello"),
        ('print("⟦hello")⟧")\n', "hello"),
        ("print(⟦'hello'⟧)\n", SAME),
        ("print(⟦len(x)⟧)\n", SAME),
        ("x = ⟦a⟧ + b\n", SAME),
        ("x = f(⟦a, b⟧b)\n", SAME),
        ("if x:\n    ⟦y = 1\n}⟧\n}\n", SAME),
        ("x = ⟦1⟧", SAME),
        ("⟦import os⟧\n\n\n" + "\n" * 15 + "import os\n", None),
    ],
)
def test_repeats_suffix(marked, kept):
    check(repeats_suffix, marked, kept)


@pytest.mark.parametrize(
    ("language_id", "marked", "kept"),
    [
        ("python", "print(⟦x)⟧)\n", "x"),
        ("python", "print(⟦len(x))⟧)\n", "len(x)"),
        ("python", "print(⟦len(x)⟧)\n", SAME),
        ("python", "print(⟦x)⟧\n", SAME),
        ("python", "print(⟦x))⟧\n", "x)"),
        ("python", "x = [⟦1, 2]⟧]\n", "1, 2"),
        ("python", "x = ⟦foo) + bar⟧\n", None),
        ("python", 'x = ⟦")"⟧\n', SAME),
        ("python", "x = f(⟦a  # :)⟧\n)\n", SAME),
        ("javascript", "function f() {\n  ⟦return 1;\n}⟧\n}\n", "return 1;"),
        ("javascript", "function f() {\n  ⟦return 1;\n}⟧\n", SAME),
        ("javascript", "if (x) {\n  a();\n⟦} else {⟧\n  b();\n}\n", SAME),
        ("javascript", "f(⟦x);⟧);\n", "x"),
        ("javascript", "f(() => {\n  ⟦x();\n});⟧\n});\n", "x();"),
        ("rust", "fn f() { ⟦}⟧ }\n", None),
        ("cpp", "void f(\n    const X *a,\n    ⟦const X *b);⟧\n", SAME),
        ("cpp", "⟦}⟧\n}  // namespace whose brace is out of sight\n", SAME),
        ("bash", 'case "$1" in\n  a) one ;;\n  ⟦b) two ;;⟧\n  *) three ;;\nesac\n', SAME),
        ("bash", "x=$(ls ⟦a)⟧)\n", "a"),
        ("plaintext", "foo(⟦x)⟧)\n", "x"),
        ("plaintext", "foo(⟦x⟧)\n", SAME),
    ],
)
def test_unbalanced_closers(language_id, marked, kept):
    check(unbalanced_closers, marked, kept, language_id)


@pytest.mark.parametrize(
    ("marked", "kept"),
    [
        ("def f():\n    ⟦    return 1⟧\n", "return 1"),
        ("def f():\n    x = 1\n    ⟦    return x⟧\n", "return x"),
        ("def f():\n    x = 1\n⟦    return x⟧\n", SAME),
        ("def f():\n⟦    return 1⟧\n", SAME),
        ("if a:\n    if b:\n    ⟦    return 1⟧\n", SAME),
        ("def f():\n    ⟦return 1\n\n\ndef g():\n    return 2⟧\n", "return 1"),
        ("def f():\n    ⟦if x:\n        return 1\n    return 2⟧\n", SAME),
        ("if x:\n    ⟦a()\nelse:\n    b()⟧\n", "a()"),
        ("function f() {\n  ⟦return 1;\n}⟧\n", SAME),
        ("function f() {\n  ⟦return 1;\n}\nf();⟧\n", "return 1;\n}"),
        ("class A {\n\tvoid f() {\n\t\t⟦if (x) {\n            y();\n        }⟧\n", "if (x) {\n\t\t\ty();\n\t\t}"),
        ("class A {\n    void f() {\n        ⟦if (x) {\n\t\t\ty();\n\t\t}⟧\n", "if (x) {\n            y();\n        }"),
        ("if (x) {\n  a();\n  ⟦if (y) {\n\t\tb();\n\t}⟧\n", "if (y) {\n    b();\n  }"),
        ("/*\n * A\n */\nf() {\n\t⟦if (y) {\n        b();\n    }⟧\n", "if (y) {\n\t\tb();\n\t}"),
        ("    a;\n\tb;\n    ⟦if (y) {\n\tb();\n    }⟧\n", SAME),
        ("x = ⟦ 1⟧\n", SAME),
        ("def f():\n    return (⟦1 +\n        2)⟧\n", SAME),
    ],
)
def test_wrong_indentation(marked, kept):
    check(wrong_indentation, marked, kept)


@pytest.mark.parametrize(
    ("replaced", "kept"),
    [
        ("x = 1", "a()"),
        ("x = 1\n        y = 2", "a()"),
        ("x = 1\nelse:\n    y = 2", "a()\n    else:\n        b()"),
    ],
)
def test_a_fill_may_leave_the_block_if_what_it_replaces_did(replaced, kept):
    candidate = Candidate("a()\n    else:\n        b()", "def f():\n    if x:\n        ", "\n", "python", replaced)
    assert wrong_indentation(candidate) == kept


@pytest.mark.parametrize(
    ("language_id", "marked", "kept", "fired"),
    [
        ("python", "x = ⟦foo(bar)⟧\n", "foo(bar)", ()),
        ("python", "x = ⟦ ⟧\n", None, ("blank",)),
        ("python", "def f():\n    ⟦    return 1)⟧\n", "return 1", ("wrong_indentation", "unbalanced_closers")),
        ("python", "x = 1\n⟦x = 1⟧\n", "x = 1", ()),
        ("python", "value = 1\n⟦value = 1  ⟧\n", None, ("blank", "echo_of_line_above")),
        ("javascript", "f(⟦));⟧);\n", None, ("unbalanced_closers",)),
        ("javascript", "f(⟦x);⟧);\n", "x", ("unbalanced_closers",)),
    ],
)
def test_all_filters_in_a_row(language_id, marked, kept, fired):
    candidate = candidate_of(marked)
    outcome = apply_filters(candidate.fill, candidate.prefix, candidate.suffix, language_id)
    assert (outcome.text, outcome.fired) == (kept, fired)


CODE = st.text(alphabet="ab(){}[]:;,\"' \n\té🎉", max_size=40)


@given(fill=CODE, prefix=CODE, suffix=CODE, language_id=st.sampled_from(["python", "javascript", "plaintext"]))
def test_what_is_kept_is_never_blank_and_filters_agree_with_themselves(fill, prefix, suffix, language_id):
    outcome = apply_filters(fill, prefix, suffix, language_id)
    assert outcome.text is None or outcome.text.strip()
    assert bool(outcome.fired) == (outcome.text != fill)
    if outcome.text is not None:
        again = apply_filters(outcome.text, prefix, suffix, language_id).text
        assert again is None or len(again) <= len(outcome.text)
