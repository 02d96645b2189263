"""Typing along a suggestion, and what must not count as that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_lsp.suggestions import Answered, Shown, Suggestion, SuggestionCache

AROUND = 40


def answered(marked: str, *fills: str, candidates: int = 1, invoked: bool = False) -> Answered:
    """An answer for a text in which ▮ marks the cursor and ⟦ ⟧ the hole (▮ alone: an empty one)."""
    if "⟦" not in marked:
        marked = marked.replace("▮", "⟦▮⟧")
    start = marked.index("⟦")
    hole = marked[start + 1 : marked.index("⟧")]
    before, after = marked[:start], marked[marked.index("⟧") + 1 :]
    return Answered(
        start=start,
        end=start + len(hole) - 1,
        cursor=start + hole.index("▮"),
        before=before[-AROUND:],
        hole=hole.replace("▮", ""),
        after=after[:AROUND],
        to_end=len(after) <= AROUND,
        candidates=candidates,
        invoked=invoked,
        suggestions=tuple(Suggestion(fill, 0.5) for fill in fills),
    )


@pytest.mark.parametrize(
    ("asked", "fills", "now", "expected"),
    [
        ("x = ▮\n", ["a + b"], "x = ▮\n", "x = ⟦a + b⟧\n"),
        ("x = ▮\n", ["a + b"], "x = a ▮\n", "x = a ⟦+ b⟧\n"),
        ("x = ▮\n", ["a + b", "a - c"], "x = a -▮\n", "x = a -⟦ c⟧\n"),
        ("x = ▮\n", ["a + b"], "x = a + b▮\n", None),  # all of it is typed: time for another
        ("x = ▮\n", ["a + b"], "x = c▮\n", None),
        ("x = ▮\n", ["a + b"], "y = ▮\n", None),
        ("x = ▮\n", ["a + b"], "x = ▮\nz\n", None),
        ("x = ▮", ["a + b"], "x = ▮\nz\n", None),  # there was nothing behind it, and now there is
        ("x = ▮", ["a + b"], "x = a▮", "x = a⟦ + b⟧"),
        ("x = ▮\n", [], "x = ▮\n", "x = ⟦⟧\n"),  # known: nothing to suggest
        ("x = ▮\n", [], "x = a▮\n", None),
        ("x = ▮\n", ["f(a, b)"], "x = f(▮)\n", "x = f(⟦a, b)⟧\n"),  # the editor has closed the bracket
        ("x = ▮\n", ["f([a])"], "x = f([▮])\n", "x = f([⟦a])⟧\n"),
        ("x = ▮\n", ["f(a, b"], "x = f(▮)\n", None),  # the suggestion does not hold what would be replaced
        ("x = ▮\n", ["f(a)"], "x = f(a▮;\n", None),
        ("x = ▮", ["f(a)"], "x = f(▮)", "x = f(⟦a)⟧"),
        ("f(⟦▮  ⟧\n", ["a)"], "f(a▮  \n", "f(a⟦)⟧\n"),  # white space behind the cursor belongs to the hole
        ("  ⟦  ▮⟧\n", ["pass"], "    ▮\n", "  ⟦pass⟧\n"),  # the hole begins before the cursor
        ("  ⟦  ▮⟧\n", ["  pass"], "    ▮\n", "    ⟦pass⟧\n"),
        ("a\n  ▮\n", ["b = 1\n  c"], "a\n    b = 1▮\n", "a\n    b = 1⟦\n  c⟧\n"),  # taken in part at a deeper place
        ("a\n  ▮\n", ["b = 1"], "a\n    ▮\n", None),  # nothing of it is taken there: another may suit better
        ("x =▮\n", ["a + b"], "x = a▮\n", None),
    ],
)
def test_what_an_answer_says_later(asked: str, fills: list[str], now: str, expected: str | None) -> None:
    cursor = now.index("▮")
    text = now.replace("▮", "")
    shown = answered(asked, *fills).at(text, cursor, 0.5)
    if expected is None:
        assert shown is None
        return
    assert shown is not None
    first = shown.suggestions[0].text if shown.suggestions else ""
    assert text[: shown.start] + f"⟦{first}⟧" + text[shown.end :] == expected


@pytest.mark.parametrize(
    ("asked", "fill", "now", "expected"),
    [
        ("x = ▮\n", "sum(values)", "x = m▮\n", "um(values)"),  # another word, of which one character is there
        ("x = ▮\n", "sum(values)", "x = maximum▮\n", "(values)"),
        ("x = ▮\n", "sum(values)", "x = sum(w▮\n", "alues)"),
        ("x = ▮\n", "a + bc", "x = a -▮\n", "+ bc"),
        ("x = ▮\n", "a + bcd", "x = a.▮\n", " + bcd"),
        ("x = ▮\n", "f(a)", "x = g(▮)\n", "f(a)"),  # the editor has closed the bracket
        ("x = ▮\n", "a + b", "x = a -▮\n", None),  # too little is left to guide anything
        ("x = ▮\n", "[[[[]]]]", "x = [x▮\n", None),
        ("x = ▮\n", "a + b", "x = a +▮\n", None),  # along it
        ("x = ▮\n", "a + b", "x = a + c▮\n", None),  # nothing is left
        ("x = ▮\n", "a + b", "x = a\n▮\n", None),
        ("▮\n", "a = 1\nb = f(c)", "a = 1\nd▮\n", " = f(c)"),  # in the second line of a block
        ("x = ▮\n", "a + b", "x = something_else_entirely▮\n", None),
        ("x = ▮\n", "a + b", "y = m▮\n", None),
        ("x = ▮\n", "a + b", "x = m▮\nz\n", None),
    ],
)
def test_what_may_still_fit_when_something_else_is_typed(asked: str, fill: str, now: str, expected: str | None) -> None:
    cache = SuggestionCache()
    cache.add("u", answered(asked, fill))
    assert cache.remainder("u", now.replace("▮", ""), now.index("▮")) == expected
    assert cache.remainder("v", now.replace("▮", ""), now.index("▮")) is None


@pytest.mark.parametrize(
    ("now", "sure", "invoked", "expected"),
    [
        ("x = ▮\n", 0.5, False, "a + b"),
        ("x = ▮\n", 0.6, False, "a + b"),  # hidden, and asked again the model would say the same
        ("x = a ▮\n", 0.5, False, "+ b"),
        ("x = a ▮\n", 0.6, False, None),  # hidden, and by now it may be surer
        ("x = a ▮\n", 0.6, True, "+ b"),  # the user wanted to see it
    ],
)
def test_typing_along_what_was_hidden(now: str, sure: float, invoked: bool, expected: str | None) -> None:
    shown = answered("x = ▮\n", "a + b", invoked=invoked).at(now.replace("▮", ""), now.index("▮"), sure)
    assert (shown.suggestions[0].text if shown else None) == expected
    assert (shown is not None and shown.asked_for) == invoked


@pytest.mark.parametrize(
    ("asked", "fills", "now", "suggestion", "expected"),
    [
        ("x = ▮\n", ["a + b"], "x = a ▮\n", "+ b", 0.5),
        ("x = ▮\n", ["a + b"], "x = a ▮\n", "- b", 0.31),
        ("x = ▮\n", ["a + b"], "x = c▮\n", " + b", 0.31),
        ("x = ▮\n", ["a + b", "c"], "x = c▮\n", " + b", 0.31),  # the best one is what it said
        ("x = ▮\n", ["a + b"], "x = a + b▮\n", " + c", 0.5),  # all of it is typed or taken
        ("x = ▮\n", ["a + b"], "x = ▮\n", "c", 0.5),
        ("x = ▮\n", [], "x = a▮\n", "b", 0.5),
        ("x = ▮\n", ["f(a)"], "x = f(▮)\n", "a", 0.5),  # the editor has closed the bracket
        ("x = ▮\n", ["f(a)"], "x = f(▮)\n", "b", 0.31),
        ("x = ▮\n", ["a\nb"], "x = a\n▮\n", "c", 0.5),  # another line
        ("x = ▮\n", ["a + b"], "y = a ▮\n", "- b", 0.5),
    ],
)
def test_a_model_that_changes_its_mind_is_less_sure(
    asked: str, fills: list[str], now: str, suggestion: str, expected: float
) -> None:
    cache = SuggestionCache()
    cache.add("u", answered(asked, *fills))
    text, cursor = now.replace("▮", ""), now.index("▮")
    assert cache.sure("u", text, cursor, suggestion, 0.5) == pytest.approx(expected, abs=0.001)
    assert cache.sure("u", text, cursor, suggestion, 1.0) == 1.0
    assert cache.sure("v", text, cursor, suggestion, 0.5) == 0.5


@given(st.text(max_size=8), st.text(min_size=1, max_size=8), st.text(max_size=8), st.data())
def test_typing_along_and_accepting_is_accepting_at_once(
    before: str, fill: str, after: str, data: st.DataObject
) -> None:
    typed = data.draw(st.integers(0, len(fill) - 1))
    answer = Answered(
        start=len(before),
        end=len(before),
        cursor=len(before),
        before=before,
        hole="",
        after=after,
        to_end=True,
        candidates=1,
        invoked=False,
        suggestions=(Suggestion(fill, 1.0),),
    )
    text = before + fill[:typed] + after
    shown = answer.at(text, len(before) + typed, 1.0)
    assert shown is not None
    assert text[: shown.start] + shown.suggestions[0].text + text[shown.end :] == before + fill + after


def test_the_newest_answer_with_enough_candidates_wins() -> None:
    cache = SuggestionCache()
    cache.add("u", answered("x = ▮\n", "old", "older", candidates=2))
    cache.add("u", answered("x = ▮\n", "new"))
    assert cache.find("u", "x = \n", 4, 1, 0.0) == Shown(4, 4, (Suggestion("new", 0.5),))
    both = cache.find("u", "x = \n", 4, 2, 0.0)
    assert both is not None
    assert [each.text for each in both.suggestions] == ["old", "older"]
    assert cache.find("u", "x = \n", 4, 3, 0.0) is None
    assert cache.find("v", "x = \n", 4, 1, 0.0) is None


@pytest.mark.parametrize("forget", [lambda cache: cache.forget("u"), lambda cache: cache.clear()])
def test_what_is_forgotten_is_not_found(forget: object) -> None:
    cache = SuggestionCache()
    cache.add("u", answered("x = ▮\n", "new"))
    assert callable(forget)
    forget(cache)
    assert cache.find("u", "x = \n", 4, 1, 0.0) is None


def test_it_does_not_grow_without_bound() -> None:
    cache = SuggestionCache()
    for number in range(100):
        cache.add(f"document {number}", answered("x = ▮\n", "fill"))
        cache.add("busy", answered(f"x{number} = ▮\n", "fill"))
    assert cache.find("document 0", "x = \n", 4, 1, 0.0) is None
    assert cache.find("document 99", "x = \n", 4, 1, 0.0) is not None
    assert cache.find("busy", "x0 = \n", 5, 1, 0.0) is None
    assert cache.find("busy", "x99 = \n", 6, 1, 0.0) is not None
