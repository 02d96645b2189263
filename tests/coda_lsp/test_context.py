"""The window around a hole, and line ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp.context import line_end_of, window_around, with_line_ends_of, with_unix_line_ends


@given(st.text("ab\n", max_size=200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 100))
def test_a_window_holds_the_hole_and_no_more_than_it_may(text: str, start: int, end: int, characters: int) -> None:
    start, end = sorted((min(start, len(text)), min(end, len(text))))
    window = window_around(text, start, end, characters)
    assert window.text == text[window.start : window.end]
    assert window.start <= start <= end <= window.end
    assert (start - window.start) + (window.end - end) <= characters
    if len(text) <= characters:
        assert window.text == text


@pytest.mark.parametrize(
    ("marked", "characters", "expected"),
    [
        ("0123456789▮0123456789", 9, "456789▮012"),  # two thirds before
        ("01▮0123456789", 9, "01▮0123456"),  # what is not needed before goes behind
        ("0123456789▮01", 9, "3456789▮01"),
        ("aaa\nbbb\nccc▮ddd\neee\nfff", 15, "bbb\nccc▮ddd\n"),  # whole lines, where the cut would split one
        ("aaa\nbbb\nccc▮ddd\neee", 100, "aaa\nbbb\nccc▮ddd\neee"),
    ],
)
def test_where_it_is_cut(marked: str, characters: int, expected: str) -> None:
    cursor = marked.index("▮")
    window = window_around(marked.replace("▮", ""), cursor, cursor, characters)
    cursor -= window.start
    assert f"{window.text[:cursor]}▮{window.text[cursor:]}" == expected


@pytest.mark.parametrize(
    ("text", "line_end"),
    [("", "\n"), ("a", "\n"), ("a\nb\r\n", "\n"), ("a\r\nb\n", "\r\n"), ("a\rb\n", "\r"), ("a\n\rb", "\n")],
)
def test_line_ends(text: str, line_end: str) -> None:
    assert line_end_of(text) == line_end
    assert with_line_ends_of("x\ny", text) == f"x{line_end}y"


def test_the_model_sees_newlines_only() -> None:
    assert with_unix_line_ends("a\r\nb\rc\nd") == "a\nb\nc\nd"
