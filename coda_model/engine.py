"""The scheduler: one worker thread owns the model and advances the active requests one denoising step at a time.

The requests whose steps are of the same size share a forward; the others take turns. A long request therefore never
blocks a short one, and a cancelled request costs at most the step that is under way.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

from coda_model.engine_request import Event, Failed, Finished, Request, Started
from coda_model.errors import CodaError
from coda_model.request import InfillOptions, InfillResult, Priority, Progress, Segment

logger = logging.getLogger(__name__)

Status = Literal["loading", "ready", "error"]


class EngineBusyError(CodaError):
    """The waiting line is full; the HTTP service answers it with status 503."""


class SteppingModel(Protocol):
    """What the engine needs of a model; `coda_model.infill.Infiller` is the one it runs.

    A plan yields the work of each forward and is sent its answer, yields its progress, and at last its result.
    """

    def plan(self, segments: Sequence[Segment], options: InfillOptions) -> Generator[Any, Any, None]: ...

    def compute(self, works: Sequence[Any]) -> Sequence[Any]: ...

    def info(self) -> dict[str, Any]: ...


@dataclass
class _Lane:
    """The requests of one priority: those waiting, and those that take turns."""

    queued: deque[Request] = field(default_factory=deque)
    active: deque[Request] = field(default_factory=deque)


class Engine:
    """Run infill requests on one model.

    `load` makes the model; it is called in the worker thread, so that the caller can answer meanwhile. At most
    `max_active` requests of a priority take turns, and at most `max_queued` of a priority wait, so that background
    requests never keep a typed one out. `loaded` resolves to the time the load took in ms, or to its exception.
    """

    def __init__(self, load: Callable[[], SteppingModel], max_active: int = 4, max_queued: int = 32) -> None:
        self.loaded: Future[float] = Future()
        self.loaded.set_running_or_notify_cancel()
        self.steps_total = 0
        self._load = load
        self._max_active = max_active
        self._max_queued = max_queued
        self._info: dict[str, Any] = {}
        self._ids = itertools.count(1)
        self._lanes: dict[Priority, _Lane] = {priority: _Lane() for priority in get_args(Priority)}  # the first first
        self._changed = threading.Condition()
        self._stopping = False
        # A daemon: loading a model can't be interrupted, and must not keep the process alive.
        self._worker = threading.Thread(target=self._work, name="coda-engine", daemon=True)

    def start(self) -> None:
        """Begin to load the model."""
        self._worker.start()

    def status(self) -> tuple[Status, str | None]:
        """Return the state, and for an error the sentence that says why."""
        if not self.loaded.done():
            return "loading", None
        error = self.loaded.exception()
        return ("ready", None) if error is None else ("error", str(error))

    def info(self) -> dict[str, Any]:
        """Return the model's description and `steps_total`, the denoising steps computed since the start."""
        return self._info | {"steps_total": self.steps_total}

    def submit(self, segments: Sequence[Segment], options: InfillOptions, priority: Priority = "typed") -> Request:
        """Put a request in line; call it on the event loop that will read its events.

        Raises EngineBusyError where `max_queued` of its priority already wait, CodaError where the engine has stopped.
        """
        request = Request(next(self._ids), segments, options, self._cancel)
        with self._changed:
            if self._stopping:
                raise CodaError("The engine is stopping.")
            lane = self._lanes[priority]
            if len(lane.queued) >= self._max_queued:
                raise EngineBusyError(f"The engine is busy: {self._max_queued} requests already wait; try again later.")
            lane.queued.append(request)
            self._changed.notify()
        return request

    def stop(self) -> None:
        """End after the step under way; requests that have not finished fail. Returns at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def join(self, timeout_s: float) -> bool:
        """Wait for the worker to end after `stop`; False where it has not."""
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def _cancel(self, request: Request) -> None:
        with self._changed:
            request.cancelled = True
            for lane in self._lanes.values():
                if request in lane.queued:
                    lane.queued.remove(request)
                    request.emit(Failed("The request was cancelled."))

    def _work(self) -> None:
        started_s = time.perf_counter()
        try:
            model = self._load()
            self._info = model.info()
        except Exception as error:
            self.loaded.set_exception(CodaError(_sentence(error, "The model could not be loaded")))
            self.stop()
        else:
            self.loaded.set_result((time.perf_counter() - started_s) * 1000)
            while (lane := self._next_lane()) is not None:
                self._begin(model, lane)
                if lane.active:
                    bucket = lane.active[0].work.bucket
                    self._step(model, lane, [request for request in lane.active if request.work.bucket == bucket])
        self._fail_all()

    def _next_lane(self) -> _Lane | None:
        """Wait for a lane with requests that can advance; None where the engine stops."""
        with self._changed:
            while not self._stopping:
                for lane in self._lanes.values():
                    for request in [request for request in lane.active if request.cancelled]:
                        self._end(lane, request, Failed("The request was cancelled."))
                for lane in self._lanes.values():
                    while lane.queued and len(lane.active) < self._max_active:
                        lane.active.append(lane.queued.popleft())
                    if lane.active:
                        return lane
                self._changed.wait()
            return None

    def _begin(self, model: SteppingModel, lane: _Lane) -> None:
        """Start the lane's new requests, up to the first forward that each needs."""
        for request in [request for request in lane.active if request.plan is None]:
            request.queue_ms = request.age_ms()
            request.emit(Started(request.queue_ms))
            try:
                request.plan = model.plan(request.segments, _less_waited(request.options, request.queue_ms))
            except Exception as error:
                self._end(lane, request, _failed(error, request))
            else:
                self._advance(lane, request, None)

    def _step(self, model: SteppingModel, lane: _Lane, batch: Sequence[Request]) -> None:
        """Compute one forward for these requests, which then stand behind the others."""
        try:
            answers = model.compute([request.work for request in batch])
        except Exception as error:
            if len(batch) == 1:
                self._end(lane, batch[0], _failed(error, batch[0]))
                return
            for request in batch:  # not all of them are to blame
                self._step(model, lane, [request])
            return
        for request, answer in zip(batch, answers, strict=True):
            lane.active.remove(request)
            lane.active.append(request)
            self._advance(lane, request, answer)

    def _advance(self, lane: _Lane, request: Request, answer: Any) -> None:
        """Bring a request to its next forward, or to its end."""
        assert request.plan is not None, "the request has begun"
        try:
            item = request.plan.send(answer)
            while isinstance(item, Progress):
                self.steps_total += 1
                request.emit(item)
                item = next(request.plan)
        except Exception as error:
            self._end(lane, request, _failed(error, request))
        else:
            if isinstance(item, InfillResult):
                self._end(lane, request, Finished(item, request.queue_ms, request.age_ms()))
            else:
                request.work = item

    def _end(self, lane: _Lane, request: Request, event: Event) -> None:
        """Take a request out of its lane, free what it holds now and not with the last reference, and report."""
        lane.active.remove(request)
        _close(request)
        request.emit(event)

    def _fail_all(self) -> None:
        with self._changed:
            for lane in self._lanes.values():
                for request in (*lane.active, *lane.queued):
                    _close(request)
                    request.emit(Failed("The engine stopped before the request was finished."))
                lane.active.clear()
                lane.queued.clear()


def _less_waited(options: InfillOptions, queue_ms: float) -> InfillOptions:
    """Count a deadline from submission: the person waits in the queue as well."""
    if options.deadline_ms is None:
        return options
    return replace(options, deadline_ms=max(0.0, options.deadline_ms - queue_ms))


def _close(request: Request) -> None:
    plan, request.plan, request.work = request.plan, None, None
    if plan is not None:
        try:
            plan.close()
        except Exception:
            logger.exception("Request %d failed while it was closed", request.id)


def _failed(error: Exception, request: Request) -> Failed:
    return Failed(_sentence(error, f"Request {request.id} failed"))


def _sentence(error: Exception, what: str) -> str:
    """Say in one sentence what went wrong; an error nobody foresaw is also logged with its trace."""
    if isinstance(error, CodaError):
        return str(error)
    logger.error("%s", what, exc_info=error)
    detail = " ".join(str(error).split())[:300]
    return f"{what}: {type(error).__name__}{': ' if detail else ''}{detail}"
