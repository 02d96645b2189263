"""Holes for selections, and properties of holes everywhere; golden/holes.txt has the cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp.holes import HoleSpan, hole_at_cursor, hole_for_selection

ONE, SEVERAL = "one line", "several lines"


@pytest.mark.parametrize(
    ("marked", "hole", "lines"),
    [
        # the selection stands between ▮ and ▮
        ("x = ▮foo(1)▮ + 2\n", "foo(1)", ONE),
        ("x =▮ foo(1) ▮+ 2\n", "foo(1)", ONE),
        ("def f():\n▮    return 1\n▮\n", "return 1", SEVERAL),
        ("def f():\n    ▮return 1▮\n", "return 1", SEVERAL),
        ("def f():\n▮    x = 1\n    return x\n▮\nprint(1)\n", "x = 1\n    return x", SEVERAL),
        ("def f():▮\n    x = 1\n    return x▮\n", "x = 1\n    return x", SEVERAL),
        ("def f():\n    ▮x = 1\n  ▮  return x\n", "x = 1", SEVERAL),
        ("x = ▮f(\n    1)▮ + 2\n", "f(\n    1)", ONE + " not"),
        ("▮a\r\nb\r\n▮c", "a\r\nb", SEVERAL),
        ("▮import os▮", "import os", SEVERAL),
        ("def f():\n▮    \n▮x = 1\n", "", SEVERAL),
        ("a\n▮\n\n▮b\n", "\n", SEVERAL),
        ("x = ▮  ▮1\n", "", ONE),
        ("print('▮日本 🎉▮')\n", "日本 🎉", ONE),
    ],
)
def test_hole_for_selection(marked, hole, lines):
    before, selected, after = marked.split("▮")
    text = before + selected + after
    span = hole_for_selection(text, len(before), len(before) + len(selected), "python")
    assert text[span.start : span.end] == hole
    assert len(before) <= span.start <= span.end <= len(before) + len(selected)
    assert span.kind == "selection"
    assert span.single_line == (lines == ONE)


def test_an_empty_selection_is_a_cursor():
    text = "def f():\n    \n"
    assert hole_for_selection(text, 13, 13, "python") == hole_at_cursor(text, 13, "python", invoked=True)
    assert hole_for_selection("value = 1234567890", 3, 3, "python") == HoleSpan(3, 3, True, "line-middle")


TEXTS = st.text(alphabet="ab(){}[]:;=,'\"`# \n\r\té🎉\u2028\f", max_size=60)
LANGUAGE_IDS = st.sampled_from(["python", "javascript", "rust", "ruby", "html", "plaintext", ""])


@given(text=TEXTS, language_id=LANGUAGE_IDS, invoked=st.booleans(), data=st.data())
def test_a_cursor_s_hole_begins_there_and_ends_on_its_line(text, language_id, invoked, data):
    offset = data.draw(st.integers(0, len(text)))
    span = hole_at_cursor(text, offset, language_id, invoked=invoked)
    assert span is not None or not invoked
    if span is not None:
        assert span.start == offset
        assert offset <= span.end <= len(text)
        assert not set(text[span.start : span.end]) & {"\n", "\r"}
        assert span.single_line == (span.kind != "block-body")


@given(text=TEXTS, language_id=LANGUAGE_IDS, data=st.data())
def test_a_selection_s_hole_is_in_the_selection_and_begins_and_ends_with_code(text, language_id, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    span = hole_for_selection(text, start, end, language_id)
    selected, hole = text[start:end], text[span.start : span.end]
    if selected:
        assert start <= span.start <= span.end <= end
    if selected.strip():
        assert hole == selected.strip()
