"""A request while the engine works on it: its events, and the handle an asyncio caller reads them from."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from coda_model.request import InfillOptions, InfillResult, Progress, Segment


@dataclass(frozen=True)
class Started:
    """The request's first step is about to be computed; `queue_ms` is what it waited for that."""

    queue_ms: float


@dataclass(frozen=True)
class Finished:
    """The request's last event: `total_ms` runs from submission to the result, time in the queue included."""

    result: InfillResult
    queue_ms: float
    total_ms: float


@dataclass(frozen=True)
class Failed:
    """The request's last event where there is no result: one sentence for the person."""

    message: str


Event = Started | Progress | Finished | Failed


class Request:
    """One request in the engine: an asyncio caller reads `events` and may `cancel`; made by `Engine.submit`."""

    def __init__(
        self, id: int, segments: Sequence[Segment], options: InfillOptions, discard: Callable[["Request"], None]
    ) -> None:
        self.id = id
        self.segments = segments
        self.options = options
        self.cancelled = False
        self.submitted_s = time.perf_counter()
        self.queue_ms = 0.0
        self.plan: Generator[Any, Any, None] | None = None
        self.work: Any = None  # the forward it waits for
        self._discard = discard
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def events(self) -> AsyncIterator[Event]:
        """Yield Started, a Progress after every denoising step, then Finished or Failed."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Finished | Failed):
                return

    def cancel(self) -> None:
        """Stop before the next step, from any thread; nothing happens where the request has already ended."""
        self._discard(self)

    def age_ms(self) -> float:
        return (time.perf_counter() - self.submitted_s) * 1000

    def emit(self, event: Event) -> None:
        """Hand an event to the asyncio caller, from any thread."""
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
