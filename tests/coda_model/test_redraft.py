"""An earlier answer tried again: what is likely of it stays, the rest is found anew."""

from pathlib import Path

import pytest
import torch

from coda_model import redraft
from coda_model.errors import InputError
from coda_model.infill import Hole, Infiller

BEFORE, AFTER = "def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n"


@pytest.fixture(scope="module", params=["expand-delete", "grid"])
def infiller(request: pytest.FixtureRequest, tiny_checkpoint: Path, grid_checkpoint: Path) -> Infiller:
    return Infiller.from_pretrained(str(tiny_checkpoint if request.param == "expand-delete" else grid_checkpoint))


def fill(infiller: Infiller, draft: str | None, before: str = BEFORE, **options: object) -> tuple[str, int]:
    hole = Hole(single_line=True, max_tokens=12, draft=draft)
    result = infiller.fill([before, hole, AFTER], **options)
    return result.candidates[0].fills[0], result.steps


@pytest.mark.parametrize("before", [BEFORE, "def add(a, b):\n    ret", "x = (a +"])
def test_a_draft_that_is_likely_throughout_is_the_answer(
    infiller: Infiller, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redraft, "_LIKELY", 1e-30)
    monkeypatch.setattr(infiller.tokenizer, "starting_with", lambda text: torch.arange(10_000))
    monkeypatch.setattr(infiller.tokenizer, "ending_with", lambda text: torch.arange(10_000))
    assert fill(infiller, "a + b", before) == ("a + b", 1)


def test_a_draft_that_is_not_likely_costs_a_step_and_is_replaced(
    infiller: Infiller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redraft, "_LIKELY", 1.0 + 1e-9)
    text, steps = fill(infiller, "a + b", algorithm="entropy")
    assert text != "a + b"
    assert steps > 1


def test_what_is_kept_of_a_draft_is_likely(infiller: Infiller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the tokens: the bound lies between the probabilities of the first round."""
    monkeypatch.setattr(redraft, "ROUNDS", 1)
    seen: list[tuple[float, ...]] = []
    keep = redraft.keep_likely

    def spying(denoiser, draft, drafted):  # type: ignore[no-untyped-def]
        kept = yield from keep(denoiser, draft, drafted)
        seen.append(tuple(draft.holes[0].log_probabilities))
        return kept

    monkeypatch.setattr("coda_model.filling.keep_likely", spying)
    monkeypatch.setattr(redraft, "_LIKELY", 1e-30)
    fill(infiller, "a + b + a", heal=False)
    values = sorted(seen[-1])
    bound = 2.718281828 ** ((values[0] + values[-1]) / 2)
    monkeypatch.setattr(redraft, "_LIKELY", bound)
    fill(infiller, "a + b + a", heal=False)
    kept = [value for value in seen[-1] if value != 0.0]
    assert 0 < len(kept) < len(values)
    assert min(kept) >= (values[0] + values[-1]) / 2 - 1e-6


def test_a_draft_longer_than_the_hole_is_cut(infiller: Infiller) -> None:
    text, _ = fill(infiller, "a + b" * 50)
    assert len(infiller.tokenizer.encode(text)) <= 24


def test_without_a_draft_nothing_changes(infiller: Infiller) -> None:
    assert fill(infiller, None)[0] == fill(infiller, "")[0]


def test_a_draft_is_a_text() -> None:
    with pytest.raises(InputError, match="draft must be a text"):
        Hole(draft=7)  # type: ignore[arg-type]
