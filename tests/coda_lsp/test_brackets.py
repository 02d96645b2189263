"""Open brackets and closers that match nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp.brackets import open_brackets, unmatched_closers


@pytest.mark.parametrize(
    ("code", "opened"),
    [
        ("", ""),
        ("f(a, [b", "(["),
        ("f(a, [b]", "("),
        ("f(a)", ""),
        ("f(a))", ""),
        ("f(a, [b)", ""),  # the inner one was left open, the outer one is closed
        ("f([b}", "(["),
        ("if (x) {", "{"),
        ("f({", "({"),
        ("x = (\ndef g():\n    y = [", "["),  # an unfinished statement above
        ("x = foo(\ny = 2;\nz[", "["),
        ("for (i = 0; i", "("),
        ("f(() => {\n  a;\n  b(", "({("),
        ("f(\n    returned", "("),
    ],
)
def test_open_brackets(code, opened):
    assert "".join(code[offset] for offset in open_brackets(code)) == opened


@pytest.mark.parametrize(
    ("code", "opened", "unmatched"),
    [
        ("", "", 0),
        ("a)", "", 1),
        ("a)", "(", 0),
        ("(a)]", "[", 0),
        ("a])", "([", 0),
        ("a)]", "([", 1),
        ("}}}", "{", 2),
        ("} else {", "{", 0),
    ],
)
def test_unmatched_closers(code, opened, unmatched):
    assert unmatched_closers(code, opened) == unmatched


balanced = st.recursive(
    st.just(""),
    lambda inner: st.builds(
        lambda first, pair, second: first + pair[0] + second + pair[1],
        inner,
        st.sampled_from(["()", "[]", "{}"]),
        inner,
    ),
    max_leaves=12,
)


@given(code=balanced)
def test_balanced_code_leaves_nothing(code):
    assert open_brackets(code) == []
    assert unmatched_closers(code) == 0


@given(code=balanced, data=st.data())
def test_what_is_open_in_the_first_part_is_closed_by_the_second(code, data):
    cut = data.draw(st.integers(0, len(code)))
    opened = [code[offset] for offset in open_brackets(code[:cut])]
    assert unmatched_closers(code[cut:], opened) == 0
    assert unmatched_closers(code[cut:]) == len(opened)
