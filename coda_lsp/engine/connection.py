"""Makes an engine available for as long as it lives: a child process of ours, or a team server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from coda_lsp.engine.client import EngineClient
from coda_lsp.engine.errors import EngineLostError
from coda_lsp.engine.process import EngineProcess
from coda_lsp.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connection:
    """An engine that answers requests; `lost()` waits until it no longer does and says why.

    `pid` is None for a team server.
    """

    client: EngineClient
    model: str
    device: str
    pid: int | None
    lost: Callable[[], Coroutine[Any, Any, EngineLostError]]


def open_engine(settings: Settings) -> AbstractAsyncContextManager[Connection]:
    """The engine that the settings ask for, entered when its model is loaded; leaving ends it or the connection.

    Entering raises EngineUnusableError, EngineLostError or another EngineError.
    """
    if settings.server_url is None:
        return _child_engine(settings)
    return _team_engine(settings.server_url, settings.server_token)


@contextlib.asynccontextmanager
async def _child_engine(settings: Settings) -> AsyncIterator[Connection]:
    process = await EngineProcess.start(settings)
    try:
        async with _closing(await EngineClient.create(process.url, process.token, loopback=True)) as client:
            ready = await process.ready()
            logger.info("%s is ready on %s, loaded in %.0f ms.", ready.model, ready.device, ready.load_ms)

            async def lost() -> EngineLostError:
                return await _first(process.died(), client.broken())

            yield Connection(client, ready.model, ready.device, process.pid, lost)
    finally:
        await process.stop()


@contextlib.asynccontextmanager
async def _team_engine(url: str, token: str | None) -> AsyncIterator[Connection]:
    loopback = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    async with _closing(await EngineClient.create(url, token, loopback=loopback)) as client:
        info = await client.info()
        logger.info("The team server %s runs %s on %s.", url, info.model, info.device)
        yield Connection(client, info.model, info.device, None, client.broken)


@contextlib.asynccontextmanager
async def _closing(client: EngineClient) -> AsyncIterator[EngineClient]:
    try:
        yield client
    finally:
        await client.close()


async def _first(*waits: Coroutine[Any, Any, EngineLostError]) -> EngineLostError:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
