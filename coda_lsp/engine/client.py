"""The HTTP side of the engine: one request, its progress, its answer (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coda_lsp.engine.errors import EngineError, EngineLostError, EngineUnusableError
from coda_lsp.engine.request import InfillAnswer, InfillRequest

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S = 5.0
# Every denoising step sends a line, so a silence this long means that the engine hangs.
SILENCE_TIMEOUT_S = 60.0
# While it computes it still says how it is; one that is stopped or stuck does not.
CHECK_EVERY_S, CHECK_TIMEOUT_S = 5.0, 20.0

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True)
class EngineInfo:
    """What an engine runs; `details` is everything that GET /v1/info says."""

    model: str
    device: str
    details: dict[str, Any]


class EngineClient:
    """A connection pool to one engine. `await EngineClient.create(...)`, and `close()` in the end."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._watching: asyncio.Task[None] | None = None
        self._active = 0
        self._broken: asyncio.Future[EngineLostError] = asyncio.get_running_loop().create_future()

    @classmethod
    async def create(cls, url: str, token: str | None, *, loopback: bool) -> EngineClient:
        """Make a client for the engine at `url`; on loopback the proxies of the environment are not asked."""
        # Importing it and loading the certificates take tenths of a second, in which the editor would wait.
        httpx = await asyncio.to_thread(importlib.import_module, "httpx")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(SILENCE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            return cls(
                await asyncio.to_thread(
                    lambda: httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=not loopback)
                )
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise EngineUnusableError(
                f"The address or the token of the engine at {url} is not valid: {error}."
            ) from error

    async def close(self) -> None:
        """Close every connection, which cancels what the engine still computes for them."""
        if self._watching is not None:
            self._watching.cancel()
        await self._client.aclose()

    async def broken(self) -> EngineLostError:
        """Wait until a request can't reach the engine, and say why."""
        return await asyncio.shield(self._broken)

    async def info(self) -> EngineInfo:
        """What the engine runs. Raises EngineError."""
        import httpx

        try:
            response = await self._client.get("/v1/info")
        except httpx.HTTPError as error:
            raise self._lost(error) from error
        if response.status_code != 200:
            raise _refusal(response.status_code, response.content)
        try:
            details = response.json()
            return EngineInfo(str(details["model"]), str(details["device"]), details)
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnusableError(f"{self._client.base_url} does not answer like a CoDA engine.") from error

    async def infill(self, request: InfillRequest, on_progress: ProgressCallback | None = None) -> InfillAnswer:
        """Ask for a fill; `on_progress(step, steps)` is called after every denoising step.

        Cancelling the task closes the connection, and the engine stops within a step. Raises EngineError.
        """
        import httpx

        self._active += 1
        # It outlives the request: while somebody types on, each one is cancelled before an engine can be called stuck.
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            async with self._client.stream("POST", "/v1/infill", json=request.body()) as response:
                if response.status_code != 200:
                    raise _refusal(response.status_code, await response.aread())
                async for event in _json_lines(response.aiter_bytes()):
                    match event["event"]:
                        case "progress" if on_progress is not None:
                            on_progress(int(event["step"]), int(event["steps"]))
                        case "result":
                            return InfillAnswer.of(event)
                        case "error":
                            raise EngineError(str(event["message"]))
        except httpx.HTTPError as error:
            raise self._lost(error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError("The engine's answer was not understood; its version may differ from ours.") from error
        finally:
            self._active -= 1
        raise self._lost("it closed the connection before it had answered")

    async def _watch(self) -> None:
        """Ask the engine now and then how it is, while it has requests; one that does not answer is lost."""
        import httpx

        idle = False
        while not idle:
            await asyncio.sleep(CHECK_EVERY_S)
            idle = self._active == 0
            try:
                await self._client.get("/v1/health", timeout=CHECK_TIMEOUT_S)
            except httpx.HTTPError:
                self._lost(f"it did not answer for {CHECK_TIMEOUT_S:g} seconds")
                return

    def _lost(self, reason: Exception | str) -> EngineLostError:
        text = str(reason).rstrip(".") or type(reason).__name__
        error = EngineLostError(f"The engine at {self._client.base_url} can't be reached: {text}.")
        if not self._broken.done():
            self._broken.set_result(error)
        return error


async def _json_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    # Not httpx's aiter_lines: like str.splitlines it also breaks at U+2028 and form feed, which JSON strings may hold.
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _refusal(status: int, content: bytes) -> EngineError:
    try:
        message = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        message = f"The engine answered with HTTP status {status}."
    if status in (401, 403):
        return EngineUnusableError(f"The engine refused the request: {message} Set coda.serverToken to its token.")
    return EngineError(message)
