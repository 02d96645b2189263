"""The engine as its users meet it: a real process, a real port, a tiny model on random weights."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

PATIENCE_S = 60


class EngineProcess:
    """`python -m coda_model serve` with its output lines collected as they come."""

    def __init__(self, *arguments: str, token: str | None = None) -> None:
        # One thread: the model is tiny, and threads that wait for each other crawl on a busy machine.
        terminal = {"NO_COLOR": "1", "COLUMNS": "200"}
        environment = {**os.environ, **terminal, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        environment.pop("CODA_MODEL_TOKEN", None)
        if token is not None:
            environment["CODA_MODEL_TOKEN"] = token
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coda_model", "serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.errors: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=_collect, args=args, daemon=True)
            for args in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()
        self.url = ""
        self.token = ""

    def event(self) -> dict[str, Any]:
        """The next JSON line of standard output; the address is kept from the first."""
        event = json.loads(self.lines.get(timeout=PATIENCE_S))
        if event["event"] == "listening":
            self.url, self.token = event["url"], event["token"]
        return event

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def finish(self) -> tuple[int, list[str], str]:
        """Wait for the end; return the exit status, the unread lines of standard output, and standard error."""
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return status, list(self.lines.queue), "".join(self.errors.queue)


def _collect(stream: Any, lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line)


@pytest.fixture
def launch() -> Iterator[Callable[..., EngineProcess]]:
    """Start engines; those that still run when the test ends are killed."""
    engines: list[EngineProcess] = []

    def start(*arguments: str, token: str | None = None) -> EngineProcess:
        engines.append(EngineProcess(*arguments, token=token))
        return engines[-1]

    yield start
    for engine in engines:
        engine.process.kill()
        engine.finish()


@pytest.fixture(scope="session")
def server(tiny_checkpoint: Path) -> Iterator[EngineProcess]:
    """An engine that is ready, shared by the tests that only ask it things."""
    engine = EngineProcess("--port", "0", "--json", "--model", str(tiny_checkpoint), "--dtype", "float32")
    try:
        assert engine.event()["event"] == "listening"
        assert engine.event()["event"] == "ready"
        yield engine
    finally:
        engine.process.kill()
        engine.finish()


@pytest.fixture
def client(server: EngineProcess) -> Iterator[httpx.Client]:
    """Speaks to the shared engine with its token."""
    with server.client() as client:
        yield client
