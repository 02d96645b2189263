"""The engine on a real tiny model: forwards are counted, and requests that share them answer as they do alone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from coda_model.engine import Engine
from coda_model.engine_request import Failed, Finished, Progress, Request, Started
from coda_model.errors import InputError
from coda_model.infill import Infiller
from coda_model.request import Hole, InfillOptions, Segment


@pytest.fixture(params=["tiny_checkpoint", "grid_checkpoint"])
def infiller(request: pytest.FixtureRequest) -> Infiller:
    checkpoint: Path = request.getfixturevalue(request.param)
    return Infiller.from_pretrained(str(checkpoint))


@pytest.fixture
def engine(infiller: Infiller) -> Iterator[Engine]:
    engine = Engine(lambda: infiller)
    engine.start()
    engine.loaded.result(60)
    yield engine
    engine.stop()
    assert engine.join(60)


async def finish(request: Request) -> Finished:
    async with asyncio.timeout(60):
        last = [event async for event in request.events()][-1]
    assert isinstance(last, Finished), last
    return last


async def test_sharing_forwards_does_not_change_the_answers(engine: Engine, infiller: Infiller) -> None:
    requests: list[tuple[list[Segment], InfillOptions]] = [
        (["def add(a, b):\n    return ", Hole(max_tokens=12)], InfillOptions()),
        (["x = ", Hole(single_line=True), "\ny = ", Hole(length=3)], InfillOptions(candidates=3, seed=5)),
        ([Hole(length=9), "tail\n"], InfillOptions(algorithm="origin", temperature=1.0, alg_temp=0.5, seed=9)),
        (["a", Hole(hint="return b"), "z"], InfillOptions(steps=2, top_p=0.9, temperature=0.7)),
        (["🙂 = ", Hole(max_tokens=40)], InfillOptions(deadline_ms=0.0)),
    ]
    # The first round also measures what is measured once for all requests.
    _, alone = ([infiller.fill(segments, **vars(options)) for segments, options in requests] for _ in range(2))
    rows: list[int] = []
    infiller.model.model.register_forward_pre_hook(lambda _, arguments: rows.append(arguments[0].shape[1]))
    together = await asyncio.gather(*[finish(engine.submit(*request)) for request in requests])
    for expected, finished in zip(alone, together, strict=True):
        # A forward of more rows may sum in another order: the last digits of a probability are its own.
        for one, other in zip(finished.result.candidates, expected.candidates, strict=True):
            assert one.fills == other.fills
            assert one.confidence == pytest.approx(other.confidence, rel=1e-4)
        assert (finished.result.steps, finished.result.length_policy) == (expected.steps, expected.length_policy)
    assert len(rows) < sum(result.steps for result in alone), "steps of different requests share forwards"
    assert engine.info() == infiller.info() | {"steps_total": sum(result.steps for result in alone)}


async def test_a_cancelled_request_runs_the_model_no_more(engine: Engine, infiller: Infiller) -> None:
    forwards: list[None] = []
    infiller.model.model.register_forward_pre_hook(lambda *_: forwards.append(None))
    request = engine.submit(["x = ", Hole(length=400, max_tokens=400)], InfillOptions())
    seen = in_time = 0
    async for event in request.events():
        if isinstance(event, Progress):
            seen = event.step
            if seen == 3:
                request.cancel()
                in_time = len(forwards)
    assert isinstance(event, Failed)
    at_the_end = len(forwards)
    assert at_the_end <= in_time + 1 < 400
    assert seen <= at_the_end
    short = await finish(engine.submit(["y = ", Hole(length=5)], InfillOptions()))
    assert len(forwards) == at_the_end + short.result.steps == at_the_end + 5
    assert engine.info()["steps_total"] == len(forwards)


async def test_what_does_not_fit_is_the_requests_own_error(engine: Engine, infiller: Infiller) -> None:
    segments: list[Segment] = [Hole(length=512), "\n", Hole(length=512), "\n", Hole(length=512)]
    with pytest.raises(InputError) as caught:
        infiller.run(segments, InfillOptions())
    request = engine.submit(segments, InfillOptions())
    events = [event async for event in request.events()]
    assert isinstance(events[0], Started)
    assert events[1:] == [Failed(str(caught.value))]
    await finish(engine.submit([Hole(length=1)], InfillOptions()))
