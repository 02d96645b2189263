"""The measures of a fill, the typist and the calibration: tables of cases and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.evaluate.filling import cut_at, longest_snippet
from coda_model.evaluate.measures import edit_similarity, exact_match, floor_fill, needs_fill, parses
from coda_model.evaluate.problems import Problem
from coda_model.evaluate.reliability import MIN_SHOWN, calibrate
from coda_model.evaluate.typist import Keystroke, Saving, requests, saved


def hole(prefix: str, suffix: str, reference: str = "", language: str = "python") -> Problem:
    return Problem("a", "a", prefix, suffix, reference, prefix, suffix, language=language)


@pytest.mark.parametrize(
    ("fill", "reference", "single_line", "exact"),
    [
        ("x + 1", "  x + 1 ", True, True),
        ("x + 1\nmore", "x + 1", True, True),
        ("x + 1\nmore", "x + 1", False, False),
        ("a  \n    b", "a\n    b\n", False, True),
        ("a\n  b", "a\n    b", False, False),
        ("", "", True, True),
        ("x+1", "x + 1", True, False),
    ],
)
def test_exact_match(fill: str, reference: str, single_line: bool, exact: bool) -> None:
    assert exact_match(fill, reference, single_line) is exact


@pytest.mark.parametrize(
    ("fill", "reference", "similarity"), [("abc", " abc ", 1.0), ("", "abc", 0.0), ("abcd", "abce", 0.75)]
)
def test_edit_similarity_is_of_stripped_texts(fill: str, reference: str, similarity: float) -> None:
    assert edit_similarity(fill, reference) == similarity


@pytest.mark.parametrize(
    ("prefix", "suffix", "fill", "language", "needed", "valid"),
    [
        ("x = (", ")\n", "1", "python", False, True),
        ("x = ", "\n", "1", "python", True, True),
        ("x = ", "\n", "1 +", "python", True, False),
        ("x = ", "\n", "\x00", "python", True, False),
        ("let x = ", ";\n", "f(1)", "javascript", True, True),
        ("let x = ", ";\n", "f(", "javascript", True, False),
    ],
)
def test_syntax_validity(prefix: str, suffix: str, fill: str, language: str, needed: bool, valid: bool) -> None:
    problem = hole(prefix, suffix, "1", language)
    assert needs_fill(problem) is needed
    assert parses(problem, fill) is valid


def test_a_fill_may_add_no_error_to_a_text_that_has_some() -> None:
    problem = hole("let = ;\nlet x = ", ";\n", "1", "javascript")
    assert parses(problem, "2")
    assert not parses(problem, "2 +")


@pytest.mark.parametrize(
    ("prefix", "copied"),
    [("    a = 1\n\n", "    a = 1"), ("    a = 1  \n    b = ", "a = 1"), ("", ""), ("x = ", "")],
)
def test_the_floor_copies_the_line_before(prefix: str, copied: str) -> None:
    assert floor_fill(prefix, "copy") == copied
    assert floor_fill(prefix, "empty") == ""


def test_a_typist_accepts_what_follows_and_nothing_else() -> None:
    """`abc` is offered after `x`, right: 3 of 6 characters by one key, so 2 are saved."""
    answers = {"": ("nope", 0.9), "x": ("abc", 0.8), "xabc\n": ("yz", 0.4)}
    keystrokes = list(requests("xabc\ny", lambda typed: answers.get(typed, ("", 0.99))))
    assert saved(keystrokes, threshold=0.5) == Saving(saved=2, characters=6, asked=4, shown=2, offered=2, right=1)
    assert saved(keystrokes, threshold=0.0).shown == 3
    assert saved(keystrokes, threshold=0.85).saved == 0


def test_what_is_shown_stays_while_it_is_typed_along_and_what_is_hidden_is_asked_anew() -> None:
    """`abx` is shown at once and up to the `c`; at a higher threshold `bcd`, of which the model is surer by then."""
    answers = {"": ("abx", 0.5), "a": ("bcd", 0.8), "ab": ("cd", 0.1), "abc": ("no", 0.9)}
    keystrokes = list(requests("abcd", lambda typed: answers[typed]))
    assert saved(keystrokes, threshold=0.5) == Saving(saved=0, characters=4, asked=4, shown=4, offered=2, right=0)
    assert saved(keystrokes, threshold=0.6) == Saving(saved=2, characters=4, asked=2, shown=1, offered=1, right=1)


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        ("ab", True),  # foreseen
        ("ax", False),  # foreseen was something else
        ("x", False),
        ("a", True),  # all of it is typed
        ("", True),  # nothing was said
    ],
)
def test_what_was_not_foreseen_has_to_be_surer(first: str, shown: bool) -> None:
    """Odds of 1 become 0.45, a confidence of 0.31."""
    answers = {"": (first, 0.1), "a": ("b", 0.5)}
    saving = saved(list(requests("ab", lambda typed: answers[typed])), threshold=0.4)
    assert saving.shown == shown
    assert saved(list(requests("ab", lambda typed: answers[typed])), threshold=0.31).shown == 1


@given(st.text("ab \n", max_size=30), st.integers(0, 5), st.floats(0, 1))
def test_a_typist_types_the_reference(reference: str, reach: int, threshold: float) -> None:
    """A walk replayed by hand with the same suggestions ends in the reference, by as many keys."""

    def ask(typed: str) -> tuple[str, float]:
        rest = reference[len(typed) :].partition("\n")[0]
        return rest[:-1] if len(rest) > reach else rest, (len(typed) % 4) / 4

    saving = saved(list(requests(reference, ask)), threshold)
    # `line`: all that is typed once what is shown is accepted; `said`: once the latest answer is, whether shown or not.
    typed, keys, line, said, asked_at = "", 0, "", "", 0
    while typed != reference:
        if not (line.startswith(typed) and len(line) > len(typed)):
            text, confidence = ask(typed)
            changed = said not in ("", typed, typed + text) and "\n" not in typed[asked_at:]
            sure = 0.45 * confidence / (0.45 * confidence + 1 - confidence) if changed else confidence
            line = typed + text if text.strip() and sure >= threshold else ""
            said, asked_at = typed + text if text else "", len(typed)
        rest = reference[len(typed) :].partition("\n")[0]
        typed = line if line and line == typed + rest else typed + reference[len(typed)]
        keys += 1
    assert saving.saved == len(reference) - keys
    assert saving.asked == keys
    assert saving.right <= saving.offered <= saving.shown <= saving.asked


def test_an_exact_walk_of_no_characters_saves_nothing() -> None:
    assert saved([], 0.0).saved == 0
    assert Keystroke("abc", 0.5, "abc").right
    assert not Keystroke(" ", 0.5, " ").something
    assert list(requests("", lambda typed: ("x", 1.0))) == []


def test_confidences_that_come_true_have_no_calibration_error() -> None:
    """In each tenth as many are right as the confidence says; turned round, they are far off at both ends."""
    confidences = [0.1 * bin_number + 0.05 for bin_number in range(10) for _ in range(20)]
    right = [number < 2 * bin_number + 1 for bin_number in range(10) for number in range(20)]
    names = [str(number) for number in range(200)]
    facts = calibrate(confidences, [True] * 200, right, names)
    assert facts.error == pytest.approx(0.0, abs=1e-9)
    assert [each.count for each in facts.bins] == [20] * 10
    turned = calibrate(confidences, [True] * 200, right[::-1], names)
    assert turned.error == pytest.approx(0.5)


def test_the_threshold_is_the_lowest_that_is_right_often_enough() -> None:
    confidences = [0.2] * 50 + [0.6] * 50 + [0.9] * 50
    right = [False] * 50 + [n < 25 for n in range(50)] + [True] * 50
    shown = [True] * 150
    facts = calibrate(confidences, shown, right, [str(n) for n in range(150)])
    assert facts.recommended is not None
    # At 0 half of all are right already: 75 of 150.
    assert (facts.recommended.threshold, facts.recommended.precision) == (0.0, 0.5)
    strict = calibrate(confidences, shown, right, [str(n) for n in range(150)], wanted_precision=0.7)
    assert strict.recommended is not None
    assert strict.recommended.threshold == 0.21
    assert strict.recommended.precision == 0.75
    assert strict.recommended.coverage == pytest.approx(100 / 150)
    assert strict.checked is not None
    assert 0.6 < strict.checked.precision < 0.95


def test_nothing_is_recommended_from_few_suggestions_or_wrong_ones() -> None:
    few = MIN_SHOWN - 1
    names = [str(n) for n in range(100)]
    assert calibrate([0.9] * few, [True] * few, [True] * few, names[:few]).recommended is None
    assert calibrate([0.9] * 100, [True] * 100, [False] * 100, names).recommended is None
    silent = calibrate([0.9] * 100, [False] * 100, [False] * 100, names)
    assert (silent.bins, silent.curve, silent.recommended) == ((), (), None)


@pytest.mark.parametrize(
    ("text", "ends", "kept"),
    [
        ("a\ndef b", ("\ndef ",), "a"),
        ("a```b\ndef c", ("\ndef ", "```"), "a"),
        ("abc", ("x",), "abc"),
        ("", ("x",), ""),
    ],
)
def test_answers_end_at_the_first_of_their_ends(text: str, ends: tuple[str, ...], kept: str) -> None:
    assert cut_at(text, ends) == kept


@pytest.mark.parametrize(
    ("text", "snippet"),
    [
        ("x = 1\ny  =  2\nand then", "x = 1\ny = 2"),
        ("Here it is:\ndef f( ):\n  return 1\nDone, I think.", "def f():\n    return 1"),
        ("no code here at all", ""),
        ("x = 1\n" * 120, "\n".join(["x = 1"] * 100)),
    ],
)
def test_the_released_post_processing(text: str, snippet: str) -> None:
    assert longest_snippet(text) == snippet
