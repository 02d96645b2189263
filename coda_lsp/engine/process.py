"""The engine as a child process: how it is started, what it says of itself, how it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any

from coda_lsp.engine.errors import EngineLostError, EngineUnusableError
from coda_lsp.settings import Settings

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 2.0
_KEPT_LOG_LINES = 20


@dataclass(frozen=True)
class Ready:
    """What the engine announces once its model is loaded."""

    model: str
    device: str
    load_ms: float


def engine_command(settings: Settings) -> list[str]:
    """The command line that starts the engine for these settings."""
    # -P keeps the folder that the editor was started in off the import path: a project's own torch.py must not run.
    command = [settings.python or sys.executable, "-P", "-m", "coda_model", "serve"]
    command += ["--port", "0", "--json", "--exit-with-parent"]
    return [*command, "--model", settings.model, "--device", settings.device, "--dtype", settings.dtype]


class EngineProcess:
    """A running engine. `await EngineProcess.start(...)`, and always `stop()` in the end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_log: deque[str] = deque(maxlen=_KEPT_LOG_LINES)
        self._log_reader = asyncio.create_task(self._read_log())
        self._drain: asyncio.Task[None] | None = None
        self.url = ""
        self.token = ""

    @classmethod
    async def start(cls, settings: Settings) -> EngineProcess:
        """Start an engine and wait until it listens; its model still loads then.

        Raises EngineUnusableError and EngineLostError.
        """
        command = engine_command(settings)
        logger.info("Starting the engine: %s", " ".join(command))
        # Shielded, since asyncio (3.11) waits forever where starting a process is cancelled half-way.
        starting = asyncio.ensure_future(_spawn(command))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await cls(await starting).stop()
            raise
        except OSError as error:
            raise EngineUnusableError(
                f"The Python interpreter {command[0]} can't be started ({error.strerror}): "
                "set coda.python to one that has coda-lsp installed."
            ) from error
        engine = cls(process)
        try:
            listening = await engine._read_event("listening")
            engine.url, engine.token = str(listening.get("url")), str(listening.get("token"))
        except BaseException:
            await engine.stop()
            raise
        return engine

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> Ready:
        """Wait for the model to be loaded. Raises EngineUnusableError when it can't be, EngineLostError."""
        event = await self._read_event("ready")
        self._drain = asyncio.create_task(self._drain_output())
        return Ready(str(event.get("model")), str(event.get("device")), float(event.get("load_ms", 0)))

    async def died(self) -> EngineLostError:
        """Wait for the process to end and say how it did."""
        status = await self._process.wait()
        await self._log_reader
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        reason = f": {self._last_log[-1].rstrip('.')}" if self._last_log else ""
        return EngineLostError(f"The engine {how}{reason}.")

    async def stop(self) -> None:
        """End the process: its closed standard input tells it to, and after a while it is killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            logger.info("The engine did not end by itself and is killed.")
        finally:  # also when we are cancelled, which goes on afterwards
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            await self._process.wait()
            readers = [task for task in (self._log_reader, self._drain) if task is not None]
            for task in readers:
                task.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read_event(self, name: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            event = _parse_event(line)
            if event.get("event") == "error":
                raise EngineUnusableError(str(event.get("message")))
            if event.get("event") == name:
                return event
            logger.warning("The engine printed a line that was not expected: %r", line)
        raise await self.died()

    async def _drain_output(self) -> None:
        assert self._process.stdout is not None
        while await self._process.stdout.read(65536):
            pass

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        while chunk := await _read_line(self._process.stderr):
            line = chunk.decode("utf-8", "replace").rstrip()
            if line:
                self._last_log.append(line)
                logger.info("engine: %s", line)


def _parse_event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


async def _spawn(command: list[str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    """The next line, or a piece of one that is too long for the reader; empty at the end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await reader.read(max(error.consumed, 1))
