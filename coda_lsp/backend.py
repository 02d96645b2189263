"""Keeps an engine available: starts it, watches it, starts it again, and says in what state it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from coda_lsp.engine.client import ProgressCallback
from coda_lsp.engine.connection import Connection, open_engine
from coda_lsp.engine.errors import EngineError, EngineUnusableError
from coda_lsp.engine.request import InfillAnswer, InfillRequest
from coda_lsp.settings import Settings

logger = logging.getLogger(__name__)

MAX_QUICK_FAILURES = 5
# An engine that ran this long was not broken from the start: its end counts as the first failure again.
LONG_RUN_S = 60.0
LONGEST_DELAY_S = 30.0

State = Literal["loading", "ready", "busy", "error", "off"]


@dataclass(frozen=True)
class Status:
    """How the engine is, for the editor's status line; `model`, `device` and `pid` are known while it is ready."""

    state: State
    message: str
    model: str | None = None
    device: str | None = None
    pid: int | None = None


def restart_delay_s(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 0.5, 1, 2, … at most 30."""
    return min(0.5 * 2 ** (failures - 1), LONGEST_DELAY_S)


class Backend:
    """The engine that the settings ask for; `restart` begins with it, `close` ends it.

    `on_status` is called on every change of status.
    """

    def __init__(self, on_status: Callable[[Status], None]) -> None:
        self.status = Status("loading", "The engine has not been started yet.")
        self._on_status = on_status
        self._supervisor: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._changing = asyncio.Lock()
        self._settled = asyncio.Event()  # set while requests are answered, and once it is clear that none will be
        self._active = 0

    async def restart(self, settings: Settings) -> None:
        """Start an engine for these settings, once the one that runs has ended; `ready` waits for it."""
        async with self._changing:
            await self._stop()
            if settings.enable == "off":
                self._settle(Status("off", "Suggestions are off (coda.enable)."))
                return
            self._publish(Status("loading", _loading_message(settings)))
            self._supervisor = asyncio.create_task(self._supervise(settings))

    async def close(self) -> None:
        """End the engine; nothing of it runs afterwards."""
        async with self._changing:
            await self._stop()

    async def _stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        self._settled.clear()

    async def ready(self) -> None:
        """Wait while the engine loads. Raises EngineError once it is clear that it can't."""
        await self._settled.wait()
        self._require_connection()

    async def infill(self, request: InfillRequest, on_progress: ProgressCallback | None = None) -> InfillAnswer:
        """Ask the engine, as EngineClient.infill does. Raises EngineError, also while the engine is not ready."""
        client = self._require_connection().client
        with self._busy():
            return await client.infill(request, on_progress)

    def _require_connection(self) -> Connection:
        if self._connection is None:
            raise EngineError(self.status.message)
        return self._connection

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, requests: int) -> None:
        self._active += requests
        if self._connection is not None:
            self._publish(replace(self.status, state="busy" if self._active else "ready"))

    def _publish(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            self._on_status(status)

    async def _supervise(self, settings: Settings) -> None:
        try:
            await self._keep_running(settings)
        except Exception as error:  # nobody awaits this task: without this, requests would wait for ever
            logger.exception("The engine is not watched any more.")
            self._settle(Status("error", f"Watching the engine failed, which should not happen: {error!r}."))

    async def _keep_running(self, settings: Settings) -> None:
        failures = 0
        while True:
            since_s = time.monotonic()
            try:
                await self._run(settings)
            except EngineUnusableError as error:
                return self._settle(Status("error", str(error)))
            except EngineError as error:
                failures = 1 if time.monotonic() - since_s > LONG_RUN_S else failures + 1
                if failures < MAX_QUICK_FAILURES:
                    self._publish(Status("loading", str(error)))
                elif settings.server_url is None:
                    return self._settle(Status("error", f"The engine failed {failures} times in a row. {error}"))
                else:
                    self._settle(Status("error", str(error)))  # a team server may come back by itself
                delay_s = restart_delay_s(failures)
                logger.warning("%s Trying again in %g s.", error, delay_s)
                await asyncio.sleep(delay_s)

    async def _run(self, settings: Settings) -> None:
        """Have an engine and answer requests with it until it is lost; always raises EngineError in the end."""
        async with open_engine(settings) as connection:
            self._connection = connection
            state: State = "busy" if self._active else "ready"
            message = f"{connection.model} on {connection.device}."
            self._settle(Status(state, message, connection.model, connection.device, connection.pid))
            try:
                raise await connection.lost()
            finally:
                self._connection = None
                self._settled.clear()

    def _settle(self, status: Status) -> None:
        """Publish a status in which `ready` need not wait any longer."""
        self._publish(status)
        self._settled.set()


def _loading_message(settings: Settings) -> str:
    if settings.server_url is not None:
        return f"Connecting to {settings.server_url}."
    return f"Loading the model {settings.model}."
