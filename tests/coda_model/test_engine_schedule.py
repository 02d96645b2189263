"""The scheduler on a scripted model: whose turn it is, what a cancel stops, what an error costs."""

import asyncio
import itertools
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.confidence import Evidence
from coda_model.engine import Engine, EngineBusyError
from coda_model.engine_request import Event, Failed, Finished, Request, Started
from coda_model.errors import CodaError, InputError
from coda_model.request import Candidate, InfillOptions, InfillResult, Priority, Progress, Segment, Timings

T: Priority = "typed"
B: Priority = "background"
RESULT = InfillResult(
    (Candidate(("x",), 1.0, ((1.0,),), Evidence(0.0, 1.0, 0, False, 0, 1)),), 1, "fixed", Timings(0.0, 0.0, 0.0)
)


@dataclass(frozen=True)
class ScriptedWork:
    name: str
    bucket: int


class ScriptedModel:
    """Plans the request `["name", "3", "6"]` as three forwards of the bucket 6, and writes down what it computes.

    `batches` has the names of each forward, `trace` those of all of them in a row.
    """

    def __init__(self) -> None:
        self.batches: list[str] = []
        self.closed: list[str] = []
        self.deadlines_ms: list[float | None] = []
        self.permits: threading.Semaphore | None = None
        self.error: Exception | None = None

    @property
    def trace(self) -> list[str]:
        return [name for batch in self.batches for name in batch.split()]

    def plan(self, segments: Sequence[Segment], options: InfillOptions) -> Generator[Any, Any, None]:
        name, steps, bucket = str(segments[0]), int(str(segments[1])), int(str(segments[2]))
        if name == "bad plan" and self.error is not None:
            raise self.error
        return self._steps(name, steps, bucket, options)

    def _steps(self, name: str, steps: int, bucket: int, options: InfillOptions) -> Generator[Any, Any, None]:
        self.deadlines_ms.append(options.deadline_ms)
        try:
            if name == "bad" and self.error is not None:
                raise self.error
            for step in range(1, steps + 1):
                answer = yield ScriptedWork(name, bucket)
                assert answer == f"to {name}"
                yield Progress(step, steps, steps - step)
            yield RESULT
        finally:
            self.closed.append(name)

    def compute(self, works: Sequence[ScriptedWork]) -> list[str]:
        if self.permits is not None:
            assert self.permits.acquire(timeout=10)
        if self.error is not None and any(work.name == "bad forward" for work in works):
            raise self.error
        self.batches.append(" ".join(work.name for work in works))
        return [f"to {work.name}" for work in works]

    def info(self) -> dict[str, object]:
        return {"model": "scripted"}


@contextmanager
def running(model: ScriptedModel, held: bool = False, **limits: int) -> Iterator[tuple[Engine, threading.Event]]:
    """An engine on the model; with `held` its load waits for the returned event, so that requests line up first."""
    release = threading.Event()

    def load() -> ScriptedModel:
        assert release.wait(10)
        return model

    engine = Engine(load, **limits)
    engine.start()
    if not held:
        release.set()
        engine.loaded.result(10)
    try:
        yield engine, release
    finally:
        release.set()
        engine.stop()
        assert engine.join(10)


async def read(request: Request) -> list[Event]:
    async with asyncio.timeout(10):
        return [event async for event in request.events()]


def submit(engine: Engine, name: str, steps: int, priority: Priority = T, bucket: int = 6, **options: float) -> Request:
    segments = (name, str(steps), str(bucket))
    return engine.submit(segments, InfillOptions(**options), priority)  # pyrefly: ignore[bad-argument-type]


@pytest.mark.parametrize(
    ("max_active", "requests", "batches"),
    [
        pytest.param(4, [("a", 3, T)], "a, a, a", id="alone"),
        pytest.param(4, [("a", 3, T), ("b", 1, T), ("c", 2, T)], "a b c, a c, a", id="together"),
        pytest.param(4, [("a", 3, T, 6), ("b", 1, T, 7), ("c", 2, T, 6)], "a c, b, a c, a", id="by size"),
        pytest.param(4, [("a", 2, T, 6), ("b", 3, T, 9), ("c", 1, T, 8)], "a, b, c, a, b, b", id="turns"),
        pytest.param(1, [("a", 2, T), ("b", 1, T)], "a, a, b", id="one at a time"),
        pytest.param(2, [("a", 2, T), ("b", 3, T), ("c", 1, T)], "a b, a b, b c", id="third waits for a place"),
        pytest.param(4, [("a", 2, B), ("b", 2, T)], "b, b, a, a", id="typed before background"),
        pytest.param(1, [("a", 1, B), ("b", 1, B), ("c", 1, T)], "c, a, b", id="background keeps its order"),
    ],
)
async def test_batches(max_active: int, requests: list[tuple[Any, ...]], batches: str) -> None:
    model = ScriptedModel()
    with running(model, held=True, max_active=max_active) as (engine, release):
        submitted = [submit(engine, *request) for request in requests]
        release.set()
        answers = await asyncio.gather(*map(read, submitted))
        steps_total = engine.info()["steps_total"]
    assert ", ".join(model.batches) == batches
    assert steps_total == len(model.trace)
    for (_, steps, *_), events in zip(requests, answers, strict=True):
        assert [type(event) for event in events] == [Started, *[Progress] * steps, Finished]
        assert [event.step for event in events if isinstance(event, Progress)] == list(range(1, steps + 1))


@given(
    max_active=st.integers(1, 4),
    requests=st.lists(st.tuples(st.integers(1, 5), st.sampled_from([T, B]), st.integers(6, 8)), min_size=1, max_size=8),
)
def test_turns_are_fair(max_active: int, requests: list[tuple[int, Priority, int]]) -> None:
    model = ScriptedModel()

    async def run_all() -> None:
        with running(model, held=True, max_active=max_active) as (engine, release):
            submitted = [submit(engine, str(name), *request) for name, request in enumerate(requests)]
            release.set()
            await asyncio.gather(*map(read, submitted))

    asyncio.run(run_all())
    batches = [[int(name) for name in batch.split()] for batch in model.batches]
    trace = [name for batch in batches for name in batch]
    assert sorted(trace) == sorted(name for name, (steps, *_) in enumerate(requests) for _ in range(steps))
    priorities = [requests[name][1] for name in trace]
    assert priorities == sorted(priorities, reverse=True)
    for batch in batches:
        assert len(batch) == len(set(batch)) <= max_active
        assert len({requests[name][2] for name in batch}) == 1
    for name in set(trace):
        turns = [index for index, batch in enumerate(batches) if name in batch]
        for earlier, later in itertools.pairwise(turns):
            others = [requests[batch[0]][2] for batch in batches[earlier + 1 : later]]
            assert len(others) < max_active, "no more batches in between than there are others"


async def test_cancel_stops_before_the_next_step() -> None:
    model = ScriptedModel()
    model.permits = threading.Semaphore(1)
    with running(model) as (engine, _):
        request = submit(engine, "long", 100)
        events = request.events()
        assert isinstance(await anext(events), Started)
        assert await anext(events) == Progress(1, 100, 99)
        request.cancel()
        model.permits.release(100)
        rest = [event async for event in events]
        assert rest[-1] == Failed("The request was cancelled.")
        assert len(model.trace) <= 2, "only the step that was under way may still be computed"
        assert model.closed == ["long"]
        computed = len(model.trace)
        await read(submit(engine, "next", 3))
        assert model.trace[computed:] == ["next"] * 3


async def test_cancelled_while_waiting_never_starts() -> None:
    model = ScriptedModel()
    with running(model, held=True) as (engine, release):
        first, second = submit(engine, "first", 1), submit(engine, "second", 1)
        first.cancel()
        first.cancel()
        release.set()
        assert await read(first) == [Failed("The request was cancelled.")]
        assert isinstance((await read(second))[-1], Finished)
        second.cancel()
    assert model.trace == ["second"]


async def test_cancelled_background_request_is_closed_while_typed_ones_run() -> None:
    model = ScriptedModel()
    model.permits = threading.Semaphore(1)
    with running(model) as (engine, _):
        background = submit(engine, "background", 50, B)
        events = background.events()
        await anext(events)
        await anext(events)
        typed = submit(engine, "typed", 50)
        background.cancel()
        model.permits.release(200)
        await read(typed)
    assert model.closed == ["background", "typed"]
    assert model.trace.count("background") <= 2


async def test_full_line_refuses_and_a_cancel_makes_room() -> None:
    model = ScriptedModel()
    with running(model, held=True, max_queued=2) as (engine, release):
        waiting = [submit(engine, "a", 1), submit(engine, "b", 1), submit(engine, "x", 1, B), submit(engine, "y", 1, B)]
        for priority in (T, B):
            with pytest.raises(EngineBusyError, match="2 requests already wait"):
                submit(engine, "c", 1, priority)
        waiting[0].cancel()
        waiting.append(submit(engine, "d", 1))
        release.set()
        await asyncio.gather(*map(read, waiting))
    assert model.batches == ["b d", "x y"]


@pytest.mark.parametrize("where", ["bad", "bad plan", "bad forward"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("The hole is too long."), "The hole is too long."),
        (ValueError("shapes\n  differ"), "Request 1 failed: ValueError: shapes differ"),
        (MemoryError(), "Request 1 failed: MemoryError"),
    ],
)
async def test_an_error_ends_one_request_only(where: str, error: Exception, message: str) -> None:
    model = ScriptedModel()
    model.error = error
    with running(model, held=True) as (engine, release):
        bad, good = submit(engine, where, 2), submit(engine, "good", 2)
        release.set()
        assert (await read(bad))[-1] == Failed(message)
        assert isinstance((await read(good))[-1], Finished)
        assert isinstance((await read(submit(engine, "later", 1)))[-1], Finished)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (CodaError("There is no checkpoint in /x."), "There is no checkpoint in /x."),
        (ImportError("no torch"), "The model could not be loaded: ImportError: no torch"),
    ],
)
async def test_a_failed_load_fails_what_waits(error: Exception, message: str) -> None:
    release = threading.Event()

    def load() -> ScriptedModel:
        assert release.wait(10)
        raise error

    engine = Engine(load)
    engine.start()
    assert engine.status() == ("loading", None)
    waiting = submit(engine, "a", 1)
    release.set()
    assert await read(waiting) == [Failed("The engine stopped before the request was finished.")]
    assert engine.join(10)
    assert engine.status() == ("error", message)
    with pytest.raises(CodaError, match="stopping"):
        submit(engine, "b", 1)


async def test_stop_fails_what_is_unfinished() -> None:
    model = ScriptedModel()
    model.permits = threading.Semaphore(1)
    with running(model, max_active=1) as (engine, _):
        active, queued = submit(engine, "active", 100), submit(engine, "queued", 1)
        events = active.events()
        await anext(events)
        await anext(events)
        engine.stop()
        model.permits.release(100)
        stopped = Failed("The engine stopped before the request was finished.")
        assert [event async for event in events][-1] == stopped
        assert await read(queued) == [stopped]
        assert engine.join(10)
    assert model.closed == ["active"]
    assert len(model.trace) <= 2


async def test_a_deadline_counts_from_submission() -> None:
    model = ScriptedModel()
    with running(model, held=True) as (engine, release):
        requests = [submit(engine, "a", 1, deadline_ms=60_000.0), submit(engine, "b", 1, deadline_ms=0.0)]
        requests.append(submit(engine, "c", 1))
        release.set()
        answers = await asyncio.gather(*map(read, requests))
    started = answers[0][0]
    finished = answers[0][-1]
    assert isinstance(started, Started) and isinstance(finished, Finished)
    assert model.deadlines_ms == [60_000.0 - started.queue_ms, 0.0, None]
    assert finished.queue_ms == started.queue_ms < finished.total_ms


def test_a_caller_whose_loop_is_gone_does_no_harm() -> None:
    model = ScriptedModel()

    async def leave(engine: Engine) -> None:
        submit(engine, "left", 2)

    async def stay(engine: Engine) -> list[Event]:
        return await read(submit(engine, "stays", 2))

    with running(model, held=True) as (engine, release):
        asyncio.run(leave(engine))
        release.set()
        assert isinstance(asyncio.run(stay(engine))[-1], Finished)
    assert sorted(model.closed) == ["left", "stays"]
