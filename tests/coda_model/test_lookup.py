"""Fills that stand elsewhere in the document, after the same words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.length import unbalanced_brackets
from coda_model.lookup import Continuation, continuations, proposals, renamed_continuations


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("x = load(a)\ny = load(", "\n", [("a)", 6)]),
        ("x = load(a)\ny = load(", ")\n", [("a", 7)]),  # up to what stands behind the hole
        ("x = f(g(a), b)\ny = f(", ")\n", [("g(a), b", 4)]),  # brackets of its own stay whole
        ("x = f(a\ny = f(", ")\n", []),
        ("y = load(", "\nx = load(b)\n", [("b)", 6)]),  # behind the hole too
        ("self.aa = 1\nself.ab = 2\nself.", "\n", [("ab = 2", 5), ("aa = 1", 5)]),  # the nearer first
        ("if go:\n    return 1\nif no:\n    pass\nif go:\n    ", "\n", [("return 1", 5), ("pass", 2)]),
        ("ab\nab\nab", "\n", []),  # nothing follows
        ("xy", "\n", []),
        ("", "", []),
        ("    ", "\n    a\n", []),
    ],
)
def test_continuations(before: str, after: str, expected: list) -> None:
    assert continuations(before, after) == [Continuation(*each) for each in expected]


def test_what_follows_counts_too() -> None:
    head = "a = load(1)\nstop()\nb = load(2)\nrun()\nc = load(3)\n"
    after = "\nrun()\n"
    assert continuations(head + "d = load(", after) == [
        Continuation("3)", 6),
        Continuation("2)", 11),
        Continuation("1)", 6),
    ]
    assert [each.text for each in proposals(head + "d = load(", after, 3)] == ["2)", "3)", "1)"]


def test_a_place_counts_where_it_has_most_in_common() -> None:
    before = "if a:\n    go(1)\n    stop()\nif b:\n    go(1)\n    run()\nif c:\n    go("
    assert continuations(before, "\n    run()\n") == [Continuation("1)", 9)]
    assert continuations(before, "\n    stop()\n") == [Continuation("1)", 10)]


@pytest.mark.parametrize(
    ("before", "others"),
    [
        ("x = load(a)\nx = load(", [0]),
        ("x = load(a)\nx = load(a)\nx = load(", [0]),
        ("x = load(a)\nstop()\nx = load(b)\nif y:\nx = load(", [1, 1]),
        ("x = load(a)\nstop()\nx = load(b)\nif y:\nx = load(c)\nelse:\nx = load(", [2, 2, 2]),
        ("first = load(a)\nx = load(b)\nfirst = load(", [0, 1]),  # the second has 6 in common, the first 11
    ],
)
def test_how_many_other_texts_stand_there(before: str, others: list[int]) -> None:
    assert [each.others for each in proposals(before, "\n", 3)] == others


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("self.low = low\nself.high =", "\n", [(" high", 4)]),
        ("self.low = low\nself.high = ", "\n", [("high", 4)]),
        ("self.low = low\nself.high = hi", "\n", [("gh", 6)]),  # within a word
        ("self.low = low\nself.high = no", "\n", []),
        ("self.high = ", "\nself.low = low\n", [("high", 4)]),  # behind the hole too
        ("add(low, min_low)\nadd(high, ", ")\n", [("min_high", 3)]),  # names in names; up to what stands behind
        ("a = load(a, b)\nc = load(c, ", "\n", [("b)", 5)]),
        ("list.a(b, b)\nlist.c(d, ", ")\n", [("d", 3)]),
        ("a = f(a, b)\nc = f(c, ", "\n", []),  # too little in common
        ("if go:\n    low = 1\n    stop(low)\nif go:\n    high = 1\n    stop(", "\n", [("high)", 10)]),
        ("low(low)\nhigh(other, ", "\n", []),  # one name cannot become two
        ("return low\nimport high", "\n", []),  # words of the language are no names
        ("x = load(a)\nx = load(", "\n", []),  # nothing is renamed
        ("", "", []),
    ],
)
def test_renamed_continuations(before: str, after: str, expected: list) -> None:
    assert renamed_continuations(before, after) == [Continuation(*each, renamed=True) for each in expected]


def test_proposals_are_those_of_both_the_most_in_common_first() -> None:
    before = "self.low = load(low)\nself.middle = 1\nself.high = load("
    assert proposals(before, "\n", 3) == [Continuation("high)", 9, renamed=True), Continuation("low)", 6, others=1)]
    assert len(proposals(before, "\n", 1)) == 1
    assert proposals(before, "\n", 0) == []


def places_of(fill: str, text: str) -> list[tuple[str, str]]:
    """What stands before and behind the fill, wherever it stands in a text."""
    starts = [at for at in range(len(text)) if text.startswith(fill, at)]
    return [(text[:at], text[at + len(fill) :]) for at in starts]


def characters_in_common(place: tuple[str, str], before: str, fill: str, after: str) -> int:
    """The reference: what a place has in common with the hole, sixty characters on each side at most."""
    left = right = 0
    while left < min(len(place[0]), len(before), 60) and place[0][-left - 1] == before[-left - 1]:
        left += 1
    while right < min(len(place[1]), len(after), 60) and place[1][right] == after[right]:
        right += 1
    return len("".join((before[len(before) - left :] + " " + after[:right]).split()))


LINES = st.lists(st.sampled_from(["x = f(a, b)", "    return x", "y = [f(1)]", "", "for x in y:"]), max_size=12)


@given(LINES, LINES, st.integers(0, 40), st.integers(0, 8))
def test_a_continuation_stands_where_it_says(head: list[str], tail: list[str], cut: int, most: int) -> None:
    text = "\n".join((*head, *tail))
    before, after = text[:cut], text[cut:]
    proposed = proposals(before, after, most)
    assert len(proposed) <= most
    assert {each.text for each in proposed} <= {
        each.text for each in (*continuations(before, after), *renamed_continuations(before, after))
    }
    assert all(each.text.strip() and "\n" not in each.text for each in proposed)
    assert [each.same for each in proposed] == sorted((each.same for each in proposed), reverse=True)
    found = continuations(before, after)
    assert len({each.text for each in found}) == len(found)
    for each in found:
        assert each.text.strip() and "\n" not in each.text
        assert each.same in {
            characters_in_common(place, before, each.text, after)
            for place in (*places_of(each.text, before), *places_of(each.text, after))
        }
        if after.partition("\n")[0].strip():
            assert not unbalanced_brackets(each.text)


def test_a_large_document_is_looked_at_near_the_hole() -> None:
    before = "needle = 1\n" + "x = 2\n" * 10_000 + "needle"
    assert continuations(before, "\n" * 100_000) == []
