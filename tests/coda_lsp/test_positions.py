"""Characters in code units to indices into a line and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp.positions import character_of_index, index_of_character, without_lone_surrogates

LINE = "aé日🎉b"


@pytest.mark.parametrize(
    ("encoding", "index_by_character"),
    [
        ("utf-8", [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 5, 5]),
        ("utf-16", [0, 1, 2, 3, 3, 4, 5, 5]),
        ("utf-32", [0, 1, 2, 3, 4, 5, 5]),
    ],
)
def test_index_of_character(encoding, index_by_character):
    found = [index_of_character(LINE, character, encoding) for character in range(len(index_by_character))]
    assert found == index_by_character


@pytest.mark.parametrize(
    ("encoding", "characters"),
    [("utf-8", [0, 1, 3, 6, 10, 11]), ("utf-16", [0, 1, 2, 3, 5, 6]), ("utf-32", [0, 1, 2, 3, 4, 5])],
)
def test_character_of_index(encoding, characters):
    assert [character_of_index(LINE, index, encoding) for index in range(len(LINE) + 1)] == characters


@given(line=st.text(st.characters(exclude_categories=["Cs"])), encoding=st.sampled_from(["utf-8", "utf-16", "utf-32"]))
def test_one_undoes_the_other(line, encoding):
    for index in range(len(line) + 1):
        assert index_of_character(line, character_of_index(line, index, encoding), encoding) == index


@given(text=st.text(st.characters(categories=["Cs", "Ll", "So"])))
def test_lone_surrogates_are_replaced_by_something_as_long(text):
    cleaned = without_lone_surrogates(text)
    assert len(cleaned) == len(text)
    for codec in ("utf-8", "utf-16-le"):
        assert len(cleaned.encode(codec)) == len(text.encode(codec, "surrogatepass"))
