"""Denoising steps with a model that knows the answer, so that growing, shrinking and committing can be checked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from torch import Tensor

from coda_model.config import ModelConfig
from coda_model.denoise import Denoiser, forbid_unlikely_growth, trailing_deletes
from coda_model.draft import MASK, Draft
from coda_model.filling import _distinct
from coda_model.forward import Rows, Work
from coda_model.infill import Infiller
from coda_model.request import Hole, InfillOptions, InfillResult, Segment
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer
from coda_model.windowed import WindowedForward

from .conftest import drive
from .drafts import PREFIX, SUFFIX, draft_of, open_hole


class Oracle(Infiller):
    """Row i - 1 says what token i of the sequence should be: `answer(ids)` gives the id wanted at each position.

    It is asked for exact steps, in which the rows are whole sequences.
    """

    def __init__(self, config: ModelConfig, coder: CodeTokenizer, answer: Callable[[list[int]], list[int]]) -> None:
        model = CodaTransformer(config)
        model.logits = lambda rows_NxD: rows_NxD.clone()  # type: ignore[method-assign]
        super().__init__(model, coder, "oracle", "")
        self.answer = answer
        self.forwards = 0

    def fill(self, segments: Sequence[Segment], **options: Any) -> InfillResult:
        return super().fill(segments, heal=False, **options)  # its tokens spell nothing that could go on

    def compute(self, works: Sequence[Work]) -> list[list[Tensor]]:
        self.forwards += 1
        return [[self._hidden(rows) for rows in work.rows] for work in works]

    def _hidden(self, rows: Rows) -> Tensor:
        ids = [token for _, token in sorted(zip(rows.positions, rows.ids, strict=True))]
        hidden = torch.zeros(len(ids), self.model.config.vocab_size)
        hidden[:, 60] = 1.0  # what is drawn where the wanted token is forbidden
        for position, wanted in enumerate(self.answer(ids)):
            # The further right, the less sure, so that the order of commits is known.
            hidden[max(position - 1, 0), wanted] = 12.0 - position / len(ids)
        return hidden[[rows.positions[row] for row in rows.wanted]]


def knows(middle: list[int], config: ModelConfig) -> Callable[[list[int]], list[int]]:
    """Wants `middle` between PREFIX and SUFFIX: expands the last mask while slots lack, deletes those too many."""
    assert config.expand_token_id is not None
    assert config.delete_token_id is not None
    grow, shrink = config.expand_token_id, config.delete_token_id

    def answer(ids: list[int]) -> list[int]:
        slots = len(ids) - len(PREFIX) - len(SUFFIX)
        wanted = [*middle[:slots], *[shrink] * (slots - len(middle))]
        if slots < len(middle):
            masks = [i for i, token in enumerate(ids[len(PREFIX) :][:slots]) if token == config.mask_token_id]
            if masks:
                wanted[masks[-1]] = grow
        return [*PREFIX, *wanted, *SUFFIX]

    return answer


class Spelling(CodeTokenizer):
    """Encodes P and S as PREFIX and SUFFIX, and of any other text only the number of characters."""

    def encode(self, text: str) -> list[int]:
        return {"P": PREFIX, "S": SUFFIX}.get(text, [20] * len(text))


@pytest.fixture(scope="module")
def coder(tokenizer: Tokenizer, tiny_config: ModelConfig) -> CodeTokenizer:
    return Spelling(tokenizer, tiny_config.vocab_size)


PLAIN = st.integers(30, 99)  # ids of printable characters


@given(st.lists(PLAIN, max_size=40), st.integers(1, 50), st.booleans())
def test_the_length_is_found_from_any_first_guess(
    tiny_config: ModelConfig, coder: CodeTokenizer, middle: list[int], guess: int, single_line: bool
) -> None:
    oracle = Oracle(tiny_config, coder, knows(middle, tiny_config))
    hole = Hole(hint="x" * guess, single_line=single_line, max_tokens=50)
    result = oracle.fill(["P", hole, "S"], starts=1, refresh=1)
    assert result.candidates[0].fills == (coder.decode(middle),)
    assert result.length_policy == "expand-delete"
    assert result.steps == oracle.forwards
    # One step a token, one for each growth, and one for all the deletes at the end.
    assert result.steps <= len(middle) + max(len(middle) - guess, 0) + 1


def test_growth_ends_at_max_tokens(tiny_config: ModelConfig, coder: CodeTokenizer) -> None:
    oracle = Oracle(tiny_config, coder, knows(list(range(40, 80)), tiny_config))
    result = oracle.fill(["P", Hole(hint="x", max_tokens=7), "S"], starts=1, refresh=1)
    assert len(result.candidates[0].token_confidences[0]) == 7


@pytest.mark.parametrize("wanted", ["expand", "delete", "mask", "eos"])
def test_a_model_that_only_edits_comes_to_an_end(tiny_config: ModelConfig, coder: CodeTokenizer, wanted: str) -> None:
    token = getattr(tiny_config, f"{wanted}_token_id")
    oracle = Oracle(tiny_config, coder, lambda ids: [token] * len(ids))
    result = oracle.fill(["P", Hole(max_tokens=9, single_line=True), "S"], starts=1, refresh=1)
    (fill,), probabilities = result.candidates[0].fills, result.candidates[0].token_confidences[0]
    assert len(probabilities) == (0 if wanted == "delete" else 9)
    assert not any(special in fill for special in ("<|", "\ufffd", "\n"))
    assert result.steps <= 18
    assert 0 < result.candidates[0].confidence <= 1


def test_a_hole_that_grows_and_shrinks_in_turn_stops_growing(tiny_config: ModelConfig, coder: CodeTokenizer) -> None:
    grow, shrink = tiny_config.expand_token_id, tiny_config.delete_token_id
    assert grow is not None
    assert shrink is not None

    def answer(ids: list[int]) -> list[int]:
        slots = len(ids) - len(PREFIX) - len(SUFFIX)
        return [*PREFIX, 50, 51, *([grow] if slots == 3 else [shrink, 59]), *SUFFIX]

    oracle = Oracle(tiny_config, coder, answer)
    result = oracle.fill(["P", Hole(hint="xxx", max_tokens=50), "S"], algorithm="entropy", starts=1, refresh=1)
    assert result.candidates[0].fills == (coder.decode([50, 51, 60]),)  # 60: the oracle's second choice
    # Two tokens, growth and deletion twice, the token that growth would else have been.
    assert result.steps == 7


def spelled(text: str, coder: CodeTokenizer) -> list[int]:
    """One token a character."""
    return [next(token for token in range(6, 350) if coder.decode([token]) == character) for character in text]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (" y)", "python", " y"),
        (" f(y))) + z", "python", " f(y)"),
        (" y)", None, " y)"),  # what is not parsed is left as it is
        (" y)", "klingon", " y)"),
        (" y", "python", " y"),
    ],
)
def test_a_fill_that_breaks_the_syntax_ends_earlier(
    tiny_config: ModelConfig, coder: CodeTokenizer, text: str, language: str | None, expected: str
) -> None:
    oracle = Oracle(tiny_config, coder, knows(spelled(text, coder), tiny_config))
    result = oracle.fill(["x =", Hole(single_line=True), "\n\n"], language=language, starts=1, refresh=1)
    best = result.candidates[0]
    assert best.fills == (expected,)
    assert len(best.token_confidences[0]) == len(expected)
    assert best.confidence == pytest.approx(math.exp(sum(map(math.log, best.token_confidences[0])) / len(expected)))
    given = oracle.fill(["x =", Hole(length=len(text)), "\n\n"], language=language, refresh=1)
    assert given.candidates[0].fills == (text,)  # a length that was asked for is kept


def test_a_hole_starts_from_several_lengths_and_the_best_fill_is_taken(
    tiny_config: ModelConfig, coder: CodeTokenizer
) -> None:
    """From most lengths this model writes an open bracket; from one of three masks what parses."""

    def answer(ids: list[int]) -> list[int]:
        slots = len(ids) - len(PREFIX) - len(SUFFIX)
        middle = spelled(" yz" if slots == 3 else "(" * slots, coder)
        return [*PREFIX, *middle, *SUFFIX]

    document: list[Segment] = ["x =", Hole(single_line=True), "\n\n"]
    several = Oracle(tiny_config, coder, answer).fill(document, language="python", candidates=4, refresh=1)
    assert several.candidates[0].fills == (" yz",)
    assert len({candidate.fills for candidate in several.candidates}) == len(several.candidates) == 4
    alone = Oracle(tiny_config, coder, answer).fill(document, language="python", starts=1, refresh=1)
    assert alone.candidates[0].fills == ("(" * 12,)


def test_a_start_may_keep_its_length_and_nothing_is_the_last_choice(
    tiny_config: ModelConfig, coder: CodeTokenizer
) -> None:
    """This model would delete every mask; where it may not, it writes what it is less sure of."""
    shrink = tiny_config.delete_token_id
    assert shrink is not None
    oracle = Oracle(tiny_config, coder, lambda ids: [shrink] * len(ids))
    document: list[Segment] = ["x =", Hole(single_line=True), "\n\n"]
    result = oracle.fill(document, candidates=8, refresh=1)
    lengths = [len(candidate.token_confidences[0]) for candidate in result.candidates]
    assert len(lengths) == 8 and len(set(lengths)) > 2
    assert 0 not in lengths, "there are more than eight that write something"
    assert oracle.fill(document, starts=1, refresh=1).candidates[0].fills == ("",)


def test_drafts_that_come_to_the_same_go_on_as_one() -> None:
    def draft(slots: list[int | None], temperature: float = 0.0, **changes: object) -> Draft:
        return replace(draft_of(open_hole(slots, **changes)), temperature=temperature)

    first = draft([50, MASK])
    others = [draft([MASK, 50]), draft([50, MASK], fixed=True), draft([50, MASK], given=[50, 51])]
    others.append(draft([50, MASK], single_line=True))
    warm = [draft([50, MASK], temperature=0.5)] * 2
    assert _distinct([first, draft([50, MASK]), *others, *warm]) == [first, *others, *warm]


@pytest.mark.parametrize("steps", [1, 2, 5, 11, 12, 40])
def test_steps_are_kept(tiny_config: ModelConfig, coder: CodeTokenizer, steps: int) -> None:
    middle = list(range(50, 62))
    oracle = Oracle(tiny_config, coder, knows(middle, tiny_config))
    result = oracle.fill(["P", Hole(length=12), "S"], steps=steps, algorithm="entropy", refresh=1)
    assert oracle.forwards == result.steps == min(steps, 12)
    assert result.candidates[0].fills == (coder.decode(middle),)
    assert result.length_policy == "fixed"


@pytest.mark.parametrize(
    ("algorithm", "bound", "steps"),
    [
        ("threshold", None, 1),
        ("threshold", 1.0, 12),
        ("factor", None, 1),
        ("factor", 0.0, 12),
        ("entropy_bound", 1.0, 1),
        ("entropy_bound", 0.0, 12),
    ],
)
def test_an_adaptive_rule_commits_all_it_is_sure_of(
    tiny_config: ModelConfig, coder: CodeTokenizer, algorithm: str, bound: float | None, steps: int
) -> None:
    """The oracle is sure of every token: one step is enough, unless the bound asks for more than it has."""
    middle = list(range(50, 62))
    oracle = Oracle(tiny_config, coder, knows(middle, tiny_config))
    result = oracle.fill(["P", Hole(length=12), "S"], algorithm=algorithm, bound=bound, apart=0, refresh=1)
    assert oracle.forwards == result.steps == steps
    assert result.candidates[0].fills == (coder.decode(middle),)


def test_the_grid_takes_the_length_the_model_is_surest_of(tiny_config: ModelConfig, coder: CodeTokenizer) -> None:
    """Without expand and delete ids: only at the right number of masks does the model know all of the middle."""
    config = replace(tiny_config, expand_token_id=None, delete_token_id=None)
    middle = list(range(50, 56))

    def answer(ids: list[int]) -> list[int]:
        slots = len(ids) - len(PREFIX) - len(SUFFIX)
        return [*PREFIX, *middle, *SUFFIX] if slots == len(middle) else []

    oracle = Oracle(config, coder, answer)
    result = oracle.fill(["P", Hole(max_tokens=30), "S"], refresh=1)
    assert result.candidates[0].fills == (coder.decode(middle),)
    assert result.length_policy == "grid"
    assert result.steps == oracle.forwards
    assert len(result.candidates) == 1


@pytest.mark.parametrize(
    ("algorithm", "apart", "steps"),
    [
        ("entropy_bound", 8, 8),
        ("entropy_bound", 4, 4),
        ("entropy_bound", 1, 1),
        ("threshold", 8, 32),
        ("entropy", 8, 32),
    ],
)
def test_unsure_tokens_far_apart_are_committed_together(
    tiny_config: ModelConfig, coder: CodeTokenizer, algorithm: str, apart: int, steps: int
) -> None:
    """The oracle is surest at the left: with 32 masks, one of every `apart` neighbours is committed in each step."""
    middle = list(range(40, 72))
    oracle = Oracle(tiny_config, coder, knows(middle, tiny_config))
    bound = 1.0 if algorithm == "threshold" else 0.0
    result = oracle.fill(["P", Hole(length=32), "S"], algorithm=algorithm, bound=bound, apart=apart, refresh=1)
    assert result.steps == steps
    assert result.candidates[0].fills == (coder.decode(middle),)


@pytest.mark.parametrize(
    ("slots", "drawn", "runs"),
    [
        ([MASK, MASK, MASK], [9, 5, 5], [{1, 2}]),
        ([MASK, MASK, MASK], [5, 9, 5], [{2}]),
        ([MASK, MASK, MASK], [5, 5, 9], [set()]),
        ([MASK, 40, MASK], [5, 5], [{1}]),
        ([MASK, MASK, 40], [5, 5], [set()]),
        ([MASK], [5], [{0}]),
    ],
)
def test_trailing_deletes(slots: list[int | None], drawn: list[int], runs: list[set[int]]) -> None:
    draft = draft_of(open_hole(slots))
    assert trailing_deletes(draft, draft.assemble(3)[1], drawn, delete_id=5) == runs


def test_a_hole_grows_only_where_that_is_likelier_than_not() -> None:
    chances_NxV = torch.tensor(
        [[0.2, 0.4, 0.2, 0.2], [0.1, 0.6, 0.2, 0.1], [0.0, 0.5, 0.5, 0.0], [0.3, 0.0, 0.3, 0.4], [0.0, 1.0, 0.0, 0.0]]
    )
    logits_NxV = chances_NxV.log()
    forbid_unlikely_growth(logits_NxV, expand_id=1)
    grows = [False, True, False, False, True]
    assert (logits_NxV[:, 1] > -torch.inf).tolist() == grows
    assert (logits_NxV.argmax(-1) == 1).tolist() == grows
    others = [0, 2, 3]
    torch.testing.assert_close(logits_NxV[:, others], chances_NxV.log()[:, others])


def test_a_hole_in_a_loop_grows_no_more(tiny_config: ModelConfig, coder: CodeTokenizer) -> None:
    def answer(ids: list[int]) -> list[int]:
        slots = len(ids) - len(PREFIX) - len(SUFFIX)
        return [*PREFIX, *([50, 51] * slots)[: slots - 1], tiny_config.expand_token_id or 0, *SUFFIX]

    oracle = Oracle(tiny_config, coder, answer)
    result = oracle.fill(["P", Hole(hint="xxx", max_tokens=50), "S"], algorithm="entropy", refresh=1)
    assert result.candidates[0].fills == (coder.decode([50, 51, 50, 51, 50, 51, 60]),)


def test_drafts_in_one_batch_do_not_touch_each_other(tiny_model: CodaTransformer, tiny_checkpoint: Path) -> None:
    coder = CodeTokenizer.from_folder(tiny_checkpoint, tiny_model.config.vocab_size)

    def drafts() -> list[Draft]:
        return [draft_of(open_hole([MASK] * n)) for n in (2, 7, 4)]

    together, apart = drafts(), drafts()

    def finish(drafts: list[Draft]) -> None:
        forward = WindowedForward(tiny_model, drafts[0].texts, refresh=1)
        denoiser = Denoiser(tiny_model, coder, InfillOptions(), allow_carriage_return=False, forward=forward)
        while any(draft.masked for draft in drafts):
            drive(tiny_model, denoiser.step(drafts, None))

    finish(together)
    for draft in apart:
        finish([draft])
    assert [draft.holes[0].slots for draft in together] == [draft.holes[0].slots for draft in apart]


@pytest.mark.parametrize(("remask", "steps"), [(0.0, 4), (1.0, 8), (1e-9, 4)])
def test_remasking_asks_once_more(tiny_checkpoint: Path, remask: float, steps: int) -> None:
    infiller = Infiller.from_pretrained(str(tiny_checkpoint))
    result = infiller.fill(["a", Hole(length=4), "b"], algorithm="entropy", remask=remask)
    assert result.steps == steps
    assert len(result.candidates[0].token_confidences[0]) == 4
    assert infiller.fill(["a", Hole(length=4), "b"], remask=1.0, steps=1).steps == 1
