"""A fill that breaks the syntax ends where it does less harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.shorten import shortened
from coda_model.syntax import DocumentSyntax


def errors_in(before: str, after: str, language: str | None):
    syntax = DocumentSyntax([before, after], language)
    return lambda fill: syntax.errors([fill])


@pytest.mark.parametrize(
    ("before", "after", "fills", "expected"),
    [
        ("x = image.get(", "\n", ["ta, image))"], (0, "ta, image)")),
        ("for bits in ", ":\n    pass\n", ["row:)"], (0, "row")),
        ("def f(a=", ", b=2):\n    pass\n", ["None, None"], (0, "None")),
        ("def f():\n    ", "\n", ["return None,\n        )\n    x"], (0, "return None,")),
        ("x = f(", ")\n", ["a)) + (b", "a, b("], (0, "a")),
        ("x = f(", ")\n", ["((", "a, b("], (1, "a, b")),
        ("x = ", "\n", ["a.b"], None),  # nothing is wrong
        ("x = ", "\n", ["("], None),  # no start is better
        ("y = (\nx = ", "\n", ["a"], None),  # the document's own error stays
        ("x = ", "\n", [""], None),
    ],
)
def test_shortened(before: str, after: str, fills: list[str], expected: tuple[int, str] | None) -> None:
    errors = errors_in(before, after, "python")
    assert shortened(fills, errors, min(map(errors, fills))) == expected


@given(st.lists(st.text("ab (),.:\n", max_size=12), min_size=1, max_size=5), st.integers(0, 4))
def test_what_is_left_is_a_start_with_fewer_errors(fills: list[str], least: int) -> None:
    errors = errors_in("x = f(", ")\n", None)
    found = shortened(fills, errors, least)
    if found is not None:
        number, text = found
        assert fills[number].startswith(text) and len(text) < len(fills[number])
        assert text.strip() and not text[-1].isspace()
        assert errors(text) < least


def test_the_number_of_tries_is_bounded() -> None:
    tried = []
    assert shortened(["a " * 500] * 20, lambda fill: tried.append(fill) or 3, 3) is None
    assert len(tried) <= 100
