"""Engines that start, die, refuse and come back: real child processes that are scripts, as `coda.python` allows."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coda_lsp import backend as backends
from coda_lsp.backend import Backend, Status, restart_delay_s
from coda_lsp.engine.errors import EngineError
from coda_lsp.engine.process import engine_command
from coda_lsp.settings import Settings

LISTENING = """echo '{"event": "listening", "url": "http://127.0.0.1:9", "token": "t", "pid": 1}'"""
READY = """echo '{"event": "ready", "model": "tiny", "device": "cpu", "load_ms": 1.5}'"""
UNTIL_THE_END = "cat > /dev/null"

WriteScript = Callable[..., Settings]


@pytest.fixture
def script(tmp_path: Path) -> WriteScript:
    """Settings whose Python interpreter is a shell script of these lines."""

    def write(*lines: str) -> Settings:
        path = tmp_path / "python"
        path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
        path.chmod(0o755)
        return Settings(python=str(path))

    return write


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Restart at once, and note after how many failures."""
    failures: list[int] = []
    monkeypatch.setattr(backends, "restart_delay_s", lambda count: failures.append(count) or 0.0)
    return failures


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Backend, "asyncio.Queue[Status]"]]:
    statuses: asyncio.Queue[Status] = asyncio.Queue()
    backend = Backend(statuses.put_nowait)
    await backend.restart(settings)
    try:
        yield backend, statuses
    finally:
        await backend.close()


async def next_status(statuses: "asyncio.Queue[Status]", state: str) -> Status:
    async with asyncio.timeout(20):
        while (status := await statuses.get()).state != state:
            pass
    return status


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (50, 30)])
def test_the_delay_doubles_up_to_half_a_minute(failures: int, delay_s: float) -> None:
    assert restart_delay_s(failures) == delay_s


def test_the_engine_never_imports_from_the_folder_of_the_project() -> None:
    command = engine_command(Settings(model="m", device="cpu", dtype="float32"))
    assert command[:4] == [sys.executable, "-P", "-m", "coda_model"]
    assert command[-6:] == ["--model", "m", "--device", "cpu", "--dtype", "float32"]
    assert "--exit-with-parent" in command


async def test_it_becomes_ready_and_ends_with_us(script: WriteScript) -> None:
    settings = script(LISTENING, READY, f"echo $$ > {'/dev/stderr'}", UNTIL_THE_END)
    async with running(settings) as (backend, statuses):
        ready = await next_status(statuses, "ready")
        await backend.ready()
        assert (ready.model, ready.device) == ("tiny", "cpu")
        assert ready.pid is not None
        os.kill(ready.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(ready.pid, 0)


async def test_an_engine_that_ignores_the_end_is_killed(script: WriteScript) -> None:
    async with running(script(LISTENING, READY, "while :; do sleep 1; done")) as (_, statuses):
        ready = await next_status(statuses, "ready")
    assert ready.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(ready.pid, 0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["""echo '{"event": "error", "message": "There is no such model."}'""", "exit 1"], "There is no such model."),
        ([LISTENING, """echo '{"event": "error", "message": "Out of memory."}'""", "exit 1"], "Out of memory."),
        (["echo noise", "echo '[1]'", """echo '{"event": "error", "message": "It."}'"""], "It."),
    ],
)
async def test_what_trying_again_would_not_mend_is_told_at_once(
    script: WriteScript, no_delay: list[int], lines: list[str], message: str
) -> None:
    async with running(script(*lines)) as (backend, statuses):
        assert (await next_status(statuses, "error")).message == message
        with pytest.raises(EngineError, match=message):
            await backend.ready()
    assert no_delay == []


async def test_an_interpreter_that_does_not_exist(tmp_path: Path) -> None:
    async with running(Settings(python=str(tmp_path / "none"))) as (_, statuses):
        assert "coda.python" in (await next_status(statuses, "error")).message


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["echo 'No module named coda_model' >&2", "exit 3"], "ended with status 3: No module named coda_model"),
        ([LISTENING, "kill -9 $$"], "was killed by signal 9"),
        ([LISTENING, READY, "exit 0"], "ended with status 0"),
    ],
)
async def test_after_five_quick_failures_it_gives_up(
    script: WriteScript, no_delay: list[int], lines: list[str], reason: str
) -> None:
    async with running(script(*lines)) as (backend, statuses):
        message = (await next_status(statuses, "error")).message
        assert "5 times" in message
        assert reason in message
        with pytest.raises(EngineError, match="5 times"):
            await backend.ready()
    assert no_delay == [1, 2, 3, 4]


async def test_a_restart_recovers_from_giving_up(script: WriteScript) -> None:
    async with running(script("exit 1")) as (backend, statuses):
        await next_status(statuses, "error")
        await backend.restart(script(LISTENING, READY, UNTIL_THE_END))
        await next_status(statuses, "ready")
        await backend.ready()


async def test_restarts_at_the_same_time_leave_one_engine(script: WriteScript, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    settings = script(f"echo $$ >> {pids}", LISTENING, READY, UNTIL_THE_END)
    async with running(settings) as (backend, statuses):
        await next_status(statuses, "ready")
        await asyncio.gather(*(backend.restart(settings) for _ in range(3)))
        await backend.ready()
        alive = [pid for pid in map(int, pids.read_text().split()) if _runs(pid)]
        assert alive == [backend.status.pid]


async def test_off_means_no_engine(tmp_path: Path) -> None:
    async with running(Settings(enable="off", python=str(tmp_path / "none"))) as (backend, statuses):
        await next_status(statuses, "off")
        with pytest.raises(EngineError, match="off"):
            await backend.ready()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
