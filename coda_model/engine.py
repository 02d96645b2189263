"""The scheduler: one worker thread owns the model and advances the active requests one denoising step each in turn.

A long request therefore never blocks a short one, and a cancelled request costs at most the step that is under way.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

from coda_model.engine_request import Failed, Finished, Request, Started
from coda_model.errors import CodaError
from coda_model.request import InfillOptions, InfillResult, Priority, Progress, Segment

logger = logging.getLogger(__name__)

Status = Literal["loading", "ready", "error"]


class EngineBusyError(CodaError):
    """The waiting line is full; the HTTP service answers it with status 503."""


class SteppingModel(Protocol):
    """What the engine needs of a model; `coda_model.infill.Infiller` is the one it runs."""

    def run(self, segments: Sequence[Segment], options: InfillOptions) -> Iterator[Progress | InfillResult]: ...

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
            while (turn := self._next_turn()) is not None:
                lane, request = turn
                if self._advance(model, request):
                    lane.active.append(request)
        self._fail_all()

    def _next_turn(self) -> tuple[_Lane, Request] | None:
        """Wait for a request that can advance and take it out of its lane; None where the engine stops."""
        with self._changed:
            while not self._stopping:
                for lane in self._lanes.values():
                    for request in lane.active:
                        if request.cancelled:
                            lane.active.remove(request)
                            return lane, request
                for lane in self._lanes.values():
                    while lane.queued and len(lane.active) < self._max_active:
                        lane.active.append(lane.queued.popleft())
                    if lane.active:
                        return lane, lane.active.popleft()
                self._changed.wait()
            return None

    def _advance(self, model: SteppingModel, request: Request) -> bool:
        """Compute one step of a request and report it; False where the request has ended."""
        try:
            if request.cancelled:
                raise CodaError("The request was cancelled.")
            if request.steps is None:
                request.queue_ms = request.age_ms()
                request.emit(Started(request.queue_ms))
                request.steps = model.run(request.segments, _less_waited(request.options, request.queue_ms))
            item = next(request.steps)
            while isinstance(item, Progress):
                self.steps_total += 1
                request.emit(item)
                if item.masked:
                    return True
                item = next(request.steps)  # all is committed: the result costs no step, so it need not wait a turn
        except Exception as error:
            _close(request)
            request.emit(Failed(_sentence(error, f"Request {request.id} failed")))
            return False
        _close(request)
        request.emit(Finished(item, request.queue_ms, request.age_ms()))
        return False

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
    """Close the request's generator, so that what it holds is freed now and not with the last reference."""
    close = getattr(request.steps, "close", None)
    request.steps = None
    if close is not None:
        try:
            close()
        except Exception:
            logger.exception("Request %d failed while it was closed", request.id)


def _sentence(error: Exception, what: str) -> str:
    """Say in one sentence what went wrong; an error nobody foresaw is also logged with its trace."""
    if isinstance(error, CodaError):
        return str(error)
    logger.error("%s", what, exc_info=error)
    detail = " ".join(str(error).split())[:300]
    return f"{what}: {type(error).__name__}{': ' if detail else ''}{detail}"
