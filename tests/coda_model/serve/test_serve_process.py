"""The engine's process: what it announces, and every way it ends."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from coda_model.serve.server import run_server

Launch = Callable[..., Any]
HELD = {"segments": [{"text": "x = "}, {"hole": {"length": 512, "max_tokens": 512}}], "candidates": 8}


def serve(checkpoint: Path, *more: str) -> tuple[str, ...]:
    return ("--port", "0", "--json", "--model", str(checkpoint), *more)


def test_announces_itself_and_ends_on_sigterm(launch: Launch, tiny_checkpoint: Path) -> None:
    engine = launch(*serve(tiny_checkpoint))
    listening = engine.event()
    assert set(listening) == {"event", "url", "token", "pid"}
    assert listening["event"] == "listening"
    assert listening["url"].startswith("http://127.0.0.1:")
    assert listening["pid"] == engine.process.pid
    assert len(listening["token"]) >= 32
    with engine.client() as client:
        assert client.get("/v1/health").json()["status"] in ("loading", "ready")
        ready = engine.event()
        assert set(ready) == {"event", "model", "device", "load_ms"}
        assert (ready["event"], ready["model"], ready["device"]) == ("ready", tiny_checkpoint.name, "cpu")
        assert ready["load_ms"] > 0
        engine.close_stdin()  # without --exit-with-parent this means nothing
        assert client.get("/v1/health").json() == {"status": "ready", "reason": None}
    engine.signal(signal.SIGTERM)
    status, lines, errors = engine.finish()
    assert (status, lines) == (0, [])
    assert "Traceback" not in errors


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_a_load(launch: Launch, tiny_checkpoint: Path, number: signal.Signals, status: int) -> None:
    engine = launch(*serve(tiny_checkpoint))
    assert engine.event()["event"] == "listening"
    engine.signal(number)
    ended, _, errors = engine.finish()
    assert ended == status
    assert "Traceback" not in errors


def test_ctrl_c_ends_a_request_with_a_sentence(launch: Launch, tiny_checkpoint: Path) -> None:
    engine = launch(*serve(tiny_checkpoint))
    assert [engine.event()["event"] for _ in range(2)] == ["listening", "ready"]
    with engine.client() as client, client.stream("POST", "/v1/infill", json=HELD) as answer:
        lines = answer.iter_lines()
        assert '"started"' in next(lines)
        engine.signal(signal.SIGINT)
        last = [*lines][-1]
    assert last == '{"event":"error","message":"The engine stopped before the request was finished."}'
    status, _, errors = engine.finish()
    assert status == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize("events", [1, 2], ids=["while it loads", "when it is ready"])
def test_ends_with_its_parent(launch: Launch, tiny_checkpoint: Path, events: int) -> None:
    engine = launch(*serve(tiny_checkpoint, "--exit-with-parent"))
    for _ in range(events):
        engine.event()
    engine.close_stdin()
    status, _, errors = engine.finish()
    assert status == 0
    assert "Traceback" not in errors


def test_a_checkpoint_that_is_not_there(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    engine = launch(*serve(tmp_path / "empty"))
    assert engine.event()["event"] == "listening"
    error = engine.event()
    assert error["event"] == "error"
    assert "empty" in error["message"] and "\n" not in error["message"]
    status, lines, errors = engine.finish()
    assert (status, lines) == (1, [])
    assert errors == f"error: {error['message']}\n"


def test_port_in_use(launch: Launch, tiny_checkpoint: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        engine = launch("--port", str(port), "--json", "--model", str(tiny_checkpoint))
        where = f"Can't listen on port {port} on 127.0.0.1"
        sentence = f"{where}: it is in use; choose another with --port, or 0 for any free one."
        assert engine.event() == {"event": "error", "message": sentence}
        assert engine.finish() == (1, [], f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("host", "port", "token", "sentence"),
    [
        ("a..b", 0, "", "The host 'a..b' is not known; use 127.0.0.1 or an address of this machine."),
        ("192.0.2.1", 0, "", "Can't listen on port 0 on 192.0.2.1: this machine does not have that address."),
        ("127.0.0.1", 65536, "", "The port must be from 0 to 65535, not 65536."),
        ("127.0.0.1", 0, "two words", "CODA_MODEL_TOKEN must be printable ASCII without spaces: it travels in an"),
        ("127.0.0.1", 0, "häufig", "CODA_MODEL_TOKEN must be printable ASCII without spaces: it travels in an"),
    ],
)
def test_what_it_can_not_start_with(
    host: str,
    port: int,
    token: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CODA_MODEL_TOKEN", token)
    assert run_server("bundled", host, port, "cpu", "float32", json_lines=False, exit_with_parent=False) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {sentence}") and err.count("\n") == 1


def test_for_a_person_on_an_open_address(launch: Launch, tiny_checkpoint: Path) -> None:
    """The panel, the token from the environment, the warning, and a Host header that names the machine by anything."""
    engine = launch("--port", "0", "--host", "0.0.0.0", "--model", str(tiny_checkpoint), token="swordfish")
    seen: list[str] = []
    while "Ready" not in "".join(seen):
        seen.append(engine.errors.get(timeout=60))
    text = "".join(seen)
    assert "swordfish" in text
    assert "warning: Requests to 0.0.0.0 travel unencrypted" in text
    url = next(word for word in text.split() if word.startswith("http://0.0.0.0:")).replace("0.0.0.0", "127.0.0.1")
    headers = {"Authorization": "Bearer swordfish", "Host": "engine.team.example"}
    assert httpx.get(f"{url}/v1/health", headers=headers).json()["status"] == "ready"
    engine.signal(signal.SIGTERM)
    status, lines, _ = engine.finish()
    assert (status, lines) == (0, [])
