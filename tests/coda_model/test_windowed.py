"""Windowed forwards against the one that computes whole sequences."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coda_model.denoise import Denoiser
from coda_model.draft import MASK, Draft, OpenHole
from coda_model.forward import Steps, Work, compute
from coda_model.infill import Hole, Infiller, Segment
from coda_model.kv_cache import ContextCache
from coda_model.request import InfillOptions
from coda_model.reuse import Known
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer
from coda_model.windowed import WindowedForward

from .conftest import drive

MASK_ID = 3
PLAIN = st.integers(20, 300)


def draft_of(texts: list[list[int]], holes: Sequence[Sequence[int | None]]) -> Draft:
    opened = [OpenHole(list(slots), 40, fixed=False, single_line=False, expansions_left=40) for slots in holes]
    return Draft(texts, opened, 0.0, torch.Generator().manual_seed(0))


def whole(model: CodaTransformer, drafts: list[Draft]) -> list[Tensor]:
    """The reference: every sequence by itself, all of it in one plain forward."""
    states = []
    for draft in drafts:
        ids, sites = draft.assemble(MASK_ID)
        states.append(model.hidden_states(torch.tensor([ids]))[0, [site.row for site in sites]])
    return states


def both(model: CodaTransformer, windowed: WindowedForward, drafts: list[Draft]) -> tuple[list[Tensor], list[Tensor]]:
    assembled = [draft.assemble(MASK_ID) for draft in drafts]
    return drive(model, windowed(drafts, assembled)), whole(model, drafts)


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[list[int]], list[list[list[int | None]]]]:
    """Texts around one to three holes, and for one to three drafts the slots of each hole."""
    count = draw(st.integers(1, 3))
    texts = draw(st.lists(st.lists(PLAIN, max_size=12), min_size=count + 1, max_size=count + 1))
    slots = st.lists(st.one_of(st.none(), PLAIN), min_size=1, max_size=6).map(lambda slots: [MASK, *slots])
    return texts, draw(st.lists(st.lists(slots, min_size=count, max_size=count), min_size=1, max_size=3))


@settings(max_examples=60, deadline=None)
@given(documents(), st.booleans())
def test_without_stale_context_a_window_equals_the_whole_sequence(
    tiny_model: CodaTransformer, document: tuple[list[list[int]], list[list[list[int | None]]]], equal: bool
) -> None:
    """The second forward on the same tokens finds nothing stale; with different drafts the first already windows."""
    texts, holes = document
    drafts = [draft_of(texts, holes[0 if equal else i]) for i in range(len(holes))]
    if equal:
        windowed = WindowedForward(tiny_model, texts)
        assert_equal(*both(tiny_model, windowed, drafts))
        assert_equal(*both(tiny_model, windowed, drafts))
        assert_equal(*both(tiny_model, windowed, drafts[-1:]))
    else:
        # The third forward is each draft's own full pass: from then on the caches differ from draft to draft.
        windowed = WindowedForward(tiny_model, texts, refresh=3)
        both(tiny_model, windowed, drafts)
        both(tiny_model, windowed, drafts)
        assert_equal(*both(tiny_model, windowed, drafts))
        assert_equal(*both(tiny_model, windowed, drafts))
        assert_equal(*both(tiny_model, windowed, drafts[::-1][:2]))


@settings(max_examples=30, deadline=None)
@given(documents(), st.integers(0, 3))
def test_a_full_pass_at_every_step_is_exact_however_the_holes_change(
    tiny_model: CodaTransformer, document: tuple[list[list[int]], list[list[list[int | None]]]], edits: int
) -> None:
    texts, holes = document
    drafts = [draft_of(texts, slots) for slots in holes]
    windowed = WindowedForward(tiny_model, texts, refresh=1)
    both(tiny_model, windowed, drafts)
    for _ in range(edits):
        drafts[0].holes[0].expand(0)
        drafts[-1].holes[-1].commit(0, 77, -0.5)
        drafts[-1].holes[-1].slots.append(MASK)
        assert_equal(*both(tiny_model, windowed, drafts))


def test_a_context_that_attends_to_nothing_but_itself_moves_exactly(tiny_model: CodaTransformer) -> None:
    """The first layer's keys depend on no other token: after a hole has grown they must be those of a full pass."""
    texts = [[30, 31, 32, 33], [40, 41, 42], [50, 51]]
    kept: list[ContextCache] = []
    memories = []
    grown = draft_of(texts, [[MASK] * 5, [MASK]])
    for start in ([[MASK], [MASK, MASK]], [[MASK] * 5, [MASK]]):
        draft = draft_of(texts, start)
        windowed = WindowedForward(tiny_model, texts, keep=kept.append)
        drive(tiny_model, windowed([draft], [draft.assemble(MASK_ID)]))
        draft.holes = grown.holes
        steps = windowed([draft], [draft.assemble(MASK_ID)])
        memories.append(next(steps).rows[0].memory)
    # Keys are kept without rotation, so the layout does not show in them.
    torch.testing.assert_close(kept[0].keys[0], kept[1].keys[0])
    torch.testing.assert_close(kept[0].values[0], kept[1].values[0])
    torch.testing.assert_close(memories[0].keys[0, :9], memories[1].keys[0, :9])


def test_refresh_counts_forwards(tiny_model: CodaTransformer) -> None:
    texts = [list(range(20, 40)), list(range(60, 70))]
    for refresh, full in [(0, [0]), (1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 3, 6])]:
        windowed = WindowedForward(tiny_model, texts, refresh)
        draft = draft_of(texts, [[MASK] * 4])
        rows: list[int] = []
        with counting(tiny_model, rows):
            for _ in range(7):
                drive(tiny_model, windowed([draft], [draft.assemble(MASK_ID)]))
        assert [i for i, count in enumerate(rows) if count == 34] == full
        assert set(rows) <= {34, 5}


def test_a_step_computes_masks_what_predicts_them_and_what_was_just_committed(tiny_model: CodaTransformer) -> None:
    texts = [list(range(20, 40)), list(range(60, 70))]
    draft = draft_of(texts, [[MASK] * 6])
    windowed = WindowedForward(tiny_model, texts)

    def slots() -> list[int]:
        steps = windowed([draft], [draft.assemble(MASK_ID)])
        work = next(steps)
        with pytest.raises(StopIteration):
            steps.send(compute(tiny_model, [work])[0])
        return [slot - 30 for slot in work.rows[0].slots if slot >= 30]

    assert slots() == [0, 1, 2, 3, 4, 5]
    draft.holes[0].commit(0, 90, -0.1)
    draft.holes[0].commit(1, 91, -0.1)
    assert slots() == [0, 1, 2, 3, 4, 5]
    assert slots() == [1, 2, 3, 4, 5]
    draft.holes[0].commit(5, 92, -0.1)
    assert slots() == [1, 2, 3, 4, 5]
    assert slots() == [1, 2, 3, 4]
    draft.holes[0].expand(2)
    assert slots() == [0, 1, 2, 3, 4, 5, 6]


class counting:
    """Notes the number of rows of every forward."""

    def __init__(self, model: CodaTransformer, rows: list[int]) -> None:
        self.model, self.rows = model, rows

    def __enter__(self) -> None:
        self.hook = self.model.model.register_forward_pre_hook(lambda _, args: self.rows.append(args[0].shape[1]))

    def __exit__(self, *_: object) -> None:
        self.hook.remove()


@settings(max_examples=40, deadline=None)
@given(documents(), st.data())
def test_what_is_known_of_the_same_document_need_not_be_computed(
    tiny_model: CodaTransformer, document: tuple[list[list[int]], list[list[list[int | None]]]], data: st.DataObject
) -> None:
    texts, holes = document
    draft = draft_of(texts, holes[0])
    kept: list[ContextCache] = []
    both(tiny_model, WindowedForward(tiny_model, texts, keep=kept.append), [draft])
    total = sum(map(len, texts))
    target = sorted(data.draw(st.sets(st.integers(0, total - 1)))) if total else []
    # The cache of a longer document, of which only the target's tokens are known to be the same.
    padded = ContextCache(
        torch.cat([kept[0].keys[:, :1] + 9, kept[0].keys], 1),
        torch.cat([kept[0].values[:, :1], kept[0].values], 1),
    )
    known = Known(padded, [index + 1 for index in target], target)
    again: list[ContextCache] = []
    windowed = WindowedForward(tiny_model, texts, known=known if total else None, keep=again.append)
    assert_equal(*both(tiny_model, windowed, [draft]))
    torch.testing.assert_close(again[0].keys, kept[0].keys, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(again[0].values, kept[0].values, atol=2e-4, rtol=1e-4)
    assert_equal(*both(tiny_model, windowed, [draft]))


def test_refresh_1_gives_the_answers_of_the_exact_denoiser(tiny_model: CodaTransformer, tiny_checkpoint: Path) -> None:
    coder = CodeTokenizer.from_folder(tiny_checkpoint, tiny_model.config.vocab_size)
    texts = [list(range(20, 40)), list(range(60, 70)), [80]]

    def drafts() -> list[Draft]:
        return [draft_of(texts, [[MASK] * n, [MASK] * 3]) for n in (2, 7, 4)]

    exact, refreshed = drafts(), drafts()

    def plainly(drafts: Sequence[Draft], _: object) -> Steps[list[Tensor]]:
        nothing: list[Work] = []
        yield from nothing  # type: ignore[misc]
        return whole(tiny_model, [*drafts])

    for some, forward in [(exact, plainly), (refreshed, WindowedForward(tiny_model, texts, refresh=1))]:
        denoiser = Denoiser(tiny_model, coder, InfillOptions(), allow_carriage_return=False, forward=forward)
        while any(draft.masked for draft in some):
            drive(tiny_model, denoiser.step(some, None))
    for one, other in zip(exact, refreshed, strict=True):
        assert [hole.slots for hole in one.holes] == [hole.slots for hole in other.holes]


DOCUMENT: list[Segment] = [
    "import os\n\n\ndef add(a, b):\n    total = a + b\n    return ",
    Hole(single_line=True, max_tokens=10),
    "\n\n\ndef main():\n    print(add(1, 2))\n    print(os.getcwd())\n",
]


@pytest.mark.parametrize("checkpoint", ["tiny_checkpoint", "grid_checkpoint"])
def test_a_keystroke_costs_a_window_and_no_full_pass(checkpoint: str, request: pytest.FixtureRequest) -> None:
    infiller = Infiller.from_pretrained(str(request.getfixturevalue(checkpoint)), kept_documents=2)
    rows: list[int] = []
    with counting(infiller.model, rows):
        prefix, hole, suffix = DOCUMENT
        first = infiller.run(DOCUMENT, InfillOptions(starts=1))
        next(first)
        first.close()  # type: ignore[attr-defined]  # cancelled by the next keystroke
        total = rows.pop()
        assert total > 50
        for typed in ("t", "to", "tot", "tota"):
            infiller.fill([f"{prefix}{typed}", hole, suffix], starts=1)
            assert rows[0] < total // 4
            rows.clear()
        infiller.fill([f"{prefix}tota", hole, suffix], refresh=1)
        assert max(rows) >= total
        rows.clear()
        infiller.fill(["x = ", hole, "\n"])
        assert rows[0] >= 4
