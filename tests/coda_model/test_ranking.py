"""Which of several fills is the best: errors in the syntax, what follows, how sure the model is."""

import math
from pathlib import Path

import pytest
import torch

from coda_model.infill import Hole, Infiller
from coda_model.lookup import Continuation
from coda_model.ranking import (
    AGREEMENT_WEIGHT,
    BLANK_COST,
    ERROR_COST,
    LENGTH_WEIGHT,
    MISSING_COST,
    OTHERS_COST,
    SAME_WORTH,
    score,
)
from coda_model.syntax import DocumentSyntax, count_errors


@pytest.mark.parametrize(
    ("text", "language", "errors"),
    [
        ("x = 1\n", "python", False),
        ("x = (1\n", "python", True),
        ("def f(:\n    pass\n", "python", True),
        ("let x = [1, 2];\n", "javascript", False),
        ("let x = [1, 2;\n", "javascript", True),
        ("fn main() {}\n", "rust", False),
        ("é = '🙂'\n", "python", False),
    ],
)
def test_count_errors(text: str, language: str, errors: bool) -> None:
    assert bool(count_errors(text, language)) is errors


def test_an_unknown_language_has_no_count() -> None:
    assert count_errors("x", "klingon") is None


@pytest.mark.parametrize(
    ("texts", "fills", "language", "errors"),
    [
        (("f(", ")\n"), ("1",), "python", 0),
        (("f(", ")\n"), ("(1",), "python", 2),  # tree-sitter's and Python's
        (("x = ", "\n"), ("",), "python", 2),
        (("def f():\n", "    return 1\n"), ("    try:\n",), "python", 1),  # Python's alone
        (("def f():\n", "    return 1\n\ny = (\n"), ("    try:\n",), "python", 2),
        (("def f():\n", "    return 1\n\ny = (\n"), ("    x = 1\n",), "python", 1),
        (("f(", ")\ny = (\n"), ("1",), "python", 1),  # the document's own
        (("f(", ", [", "])"), ("1", "2"), "python", 0),
        (("f(", ", [", "])"), ("1]", "2"), None, 1),
        (("f(", ""), ("1)",), "klingon", 0),
        (("f(", ")"), (")",), "klingon", 1),
        (("# padding\n" * 2000 + "f(", ")\n" + "y = 1\n" * 2000), ("1",), "python", 0),
        (('"""\n' + "word " * 9000 + '\n"""\nf(', ")\n"), ("1",), "python", 0),
        (("if x:\n" + "    y = 1\n" * 2000 + "    f(", ")\n"), ("1",), "python", 0),
    ],
)
def test_errors_of_a_document(texts: tuple, fills: tuple, language: str | None, errors: int) -> None:
    assert DocumentSyntax(texts, language).errors(fills) == errors


@pytest.mark.parametrize(
    ("texts", "fills", "language", "missing"),
    [
        (("x = ", "\n"), ("y",), "python", 1),
        (("y = 1\nx = ", "\n"), ("y",), "python", 0),
        (("x = ", "\n"), ("(y",), "python", 0),  # does not parse
        (("x = ", "\n"), ("y",), "javascript", 0),
        (("x = ", "\n"), ("y",), None, 0),
        (("def f():\n", "\n    return a, b\n"), ("    b = 1",), "python", 1),
    ],
)
def test_missing_names(texts: tuple, fills: tuple, language: str | None, missing: int) -> None:
    assert DocumentSyntax(texts, language).missing_names(fills) == missing


def test_what_is_far_away_costs_nothing() -> None:
    """Only what is near a hole is parsed: an error further off is not seen."""
    assert DocumentSyntax(["y = (\n" + "x = 1\n" * 5000, "x = 1\n" * 5000 + "y = ("], "python").errors(["z = 2\n"]) == 0


def test_the_score_is_in_nats() -> None:
    assert score(-0.5, 0, -0.25, 0, 0, False) == -0.5 - 0.25 * AGREEMENT_WEIGHT
    assert score(-0.5, -2, -0.25, 0, 0, False) == score(-0.5, 0, -0.25, 0, 0, False) - 2 * LENGTH_WEIGHT
    assert score(-0.5, 0, -0.25, 2, 0, False) == score(-0.5, 0, -0.25, 0, 0, False) - 2 * ERROR_COST
    assert score(-0.5, 0, -0.25, 0, 2, False) == score(-0.5, 0, -0.25, 0, 0, False) - 2 * MISSING_COST
    assert score(-0.5, 0, 0, 0, 0, True) == -0.5 - BLANK_COST
    assert score(-0.5, 0, 0, 0, 0, False, Continuation("x", 3)) == score(-0.5, 0, 0, 0, 0, False)
    found = score(-0.5, 0, 0, 0, 0, False, Continuation("x", 12))
    assert found == pytest.approx(-0.5 + SAME_WORTH * math.log(10))
    others = score(-0.5, 0, 0, 0, 0, False, Continuation("x", 12, others=4))
    assert others == pytest.approx(found - OTHERS_COST * math.log(5))


@pytest.mark.parametrize("refresh", [0, 1])
def test_what_follows_is_asked_in_one_forward_given_the_fills(tiny_checkpoint: Path, refresh: int) -> None:
    """The agreement of each candidate is that of the whole sequence with its next three tokens masked."""
    infiller = Infiller.from_pretrained(str(tiny_checkpoint))
    seen: list[tuple[float, float, int, int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coda_model.filling.score", lambda *values: seen.append(values) or score(*values))
        prefix, suffix = "def add(a, b):\n", "\n\nprint(add(1, 2))\n"
        result = infiller.fill([prefix, Hole(length=5), suffix], candidates=3, refresh=refresh, seed=3)
    assert len(seen) == len(result.candidates) > 1
    coder, mask = infiller.tokenizer, infiller.model.config.mask_token_id
    found = {}
    for candidate in result.candidates:
        # The tokens of a fill are those that were committed; encoding it anew could give others.
        assert len(candidate.token_confidences[0]) == 5
        found[round(math.log(candidate.confidence), 5)] = candidate.fills[0]
    for mean, _, agreement, *_ in seen:
        fill = coder.encode(found[round(mean, 5)])
        if len(fill) != 5:
            continue
        before, after = coder.encode(prefix), coder.encode(suffix)
        ids = [*before, *fill, *[mask] * 3, *after[3:]]
        start = len(before) + 5
        logits = infiller.model(torch.tensor([ids]))[0, start - 1 : start + 2].log_softmax(-1)
        expected = logits.gather(-1, torch.tensor(after[:3])[:, None]).mean().item()
        # With stale context it is close, exact steps are exact.
        assert agreement == pytest.approx(expected, abs=1e-3 if refresh else 1.0)


def test_best_comes_first(tiny_checkpoint: Path) -> None:
    infiller = Infiller.from_pretrained(str(tiny_checkpoint))
    scores: list[float] = []

    def noted(*values: float) -> float:
        scores.append(-len(scores))  # the later a draft, the worse
        return scores[-1]

    document = ["def add(a, b):\n    return ", Hole(length=4), "\n"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coda_model.filling.score", noted)
        first = [candidate.fills for candidate in infiller.fill(document, candidates=4).candidates]
        patch.setattr("coda_model.filling.score", lambda *_: -noted())
        second = [candidate.fills for candidate in infiller.fill(document, candidates=4).candidates]
    assert first == second[::-1]
    assert len(first) > 1
