"""Steps of static shape against those without: on a CPU the same buffers are computed anew instead of replayed."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coda_model.draft import MASK, Draft, OpenHole
from coda_model.forward import Work, compute
from coda_model.graphs import ROW_BUCKET, StepGraphs
from coda_model.transformer import CodaTransformer
from coda_model.windowed import WindowedForward

MASK_ID = 3
captured: list[Callable[[], Tensor]] = []


def recompute(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    captured.append(run)
    return run


def steps_of(model: CodaTransformer, texts: list[list[int]], slots: int, graphs: StepGraphs | None) -> list[Tensor]:
    """The hidden states of three steps; with graphs all but the first run through them."""
    hole = OpenHole([MASK] * slots, 80, fixed=False, single_line=False, expansions_left=80)
    draft = Draft(texts, [hole], 0.0, torch.Generator())
    windowed = WindowedForward(model, texts)
    found = []
    for step in range(3):
        forward = windowed([draft], [draft.assemble(MASK_ID)])
        (rows,) = next(forward).rows
        if graphs is not None and step:
            assert graphs.fits(rows)
            found.append(graphs(rows))
        else:
            found.append(compute(model, [Work([rows])])[0][0])
        with pytest.raises(StopIteration):
            forward.send([found[-1]])
        hole.commit(step % slots, 90 + step, -0.1)
        if step == 1:
            hole.expand(slots - 1)
    return found


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(20, 300), max_size=40), min_size=2, max_size=2), st.integers(2, 20))
def test_padded_steps_are_the_steps(tiny_model: CodaTransformer, texts: list[list[int]], slots: int) -> None:
    graphs = StepGraphs(tiny_model, capture=recompute)
    plain, padded = steps_of(tiny_model, texts, slots, None), steps_of(tiny_model, texts, slots, graphs)
    for one, other in zip(plain, padded, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)


def test_a_graph_is_captured_once_for_each_bucket(tiny_model: CodaTransformer) -> None:
    graphs = StepGraphs(tiny_model, capture=recompute)
    captured.clear()
    texts = [list(range(20, 40)), [50, 51]]
    for slots in (4, 6, 9):
        steps_of(tiny_model, texts, slots, graphs)
    assert len(captured) == 1
    steps_of(tiny_model, texts, ROW_BUCKET + 4, graphs)
    assert len(captured) == 2


def test_long_passes_and_those_that_are_kept_run_without(tiny_model: CodaTransformer) -> None:
    graphs = StepGraphs(tiny_model, capture=recompute)
    for slots in (4, 70):
        hole = OpenHole([MASK] * slots, 80, fixed=False, single_line=False, expansions_left=80)
        draft = Draft([[20, 21], [22]], [hole], 0.0, torch.Generator())
        windowed = WindowedForward(tiny_model, draft.texts)
        forward = windowed([draft], [draft.assemble(MASK_ID)])
        work = next(forward)
        assert not graphs.fits(work.rows[0])
        if slots == 70:
            with pytest.raises(StopIteration):
                forward.send(compute(tiny_model, [work])[0])
            assert not graphs.fits(next(windowed([draft], [draft.assemble(MASK_ID)])).rows[0])


def test_without_graphs_steps_go_on(tiny_model: CodaTransformer, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("no graphs here")

    graphs = StepGraphs(tiny_model, capture=refuse)
    hole = OpenHole([MASK] * 3, 80, fixed=False, single_line=False, expansions_left=80)
    draft = Draft([[20, 21], [22]], [hole], 0.0, torch.Generator())
    windowed = WindowedForward(tiny_model, draft.texts)
    forward = windowed([draft], [draft.assemble(MASK_ID)])
    with pytest.raises(StopIteration):
        forward.send(compute(tiny_model, [next(forward)])[0])
    (rows,) = next(windowed([draft], [draft.assemble(MASK_ID)])).rows
    assert not graphs.fits(rows)
    assert not graphs.fits(rows)
    assert [record.message for record in caplog.records] == [
        "Steps run without CUDA graphs, which could not be captured."
    ]
