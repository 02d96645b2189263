"""The HTTP client against a server that answers what the test wants, byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from coda_lsp.backend import Backend, Status
from coda_lsp.engine import client as clients
from coda_lsp.engine.client import EngineClient
from coda_lsp.engine.errors import EngineError, EngineLostError, EngineUnusableError
from coda_lsp.engine.request import Candidate, Hole, InfillRequest, Snippet
from coda_lsp.settings import Settings

RESULT = {
    "event": "result",
    "candidates": [{"fills": ["a\u2028\x0cb\x85"], "confidence": 0.5, "token_confidences": [[0.5]]}],
    "steps": 2,
    "length_policy": "grid",
    "timings": {"queue_ms": 0.1, "tokenize_ms": 0.2, "model_ms": 3.5, "total_ms": 4.0},
}
REQUEST = InfillRequest.of(
    Settings(context_tokens=64, snippet_tokens=100, algorithm="entropy", deadline_ms=100),
    "a = ",
    Hole(single_line=True, max_tokens=768),
    "\n",
    candidates=2,
    snippets=(Snippet("b.py", "def b(): ...\n"),),
)


class Peer:
    """One HTTP server that sends `answer` to every request and then closes or, with `hold`, waits for the client."""

    def __init__(self, answer: bytes, hold: bool = False) -> None:
        self.answer = answer
        self.hold = hold
        self.healthy = False
        self.requests: list[bytes] = []
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.requests.append(head + await reader.readexactly(length))
        is_check = head.startswith(b"GET /v1/health") and self.healthy
        writer.write(refused(200, b"{}") if is_check else self.answer)
        await writer.drain()
        if self.hold and not is_check:
            await reader.read()
        writer.close()
        self.gone.set()


@asynccontextmanager
async def connected(peer: Peer) -> AsyncIterator[EngineClient]:
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = await EngineClient.create(f"http://127.0.0.1:{port}", "secret", loopback=True)
        try:
            yield client
        finally:
            await client.close()


def streamed(*events: Any) -> bytes:
    body = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n" + body


def refused(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


async def test_progress_and_answer_with_every_kind_of_line_end_in_the_fill() -> None:
    progress = [{"event": "progress", "step": step, "steps": 2, "masked": 2 - step} for step in (1, 2)]
    peer = Peer(streamed({"event": "started", "queue_ms": 0.1}, *progress, RESULT))
    seen: list[tuple[int, int]] = []
    async with connected(peer) as client:
        answer = await client.infill(REQUEST, lambda step, steps: seen.append((step, steps)))
    assert answer.candidates == (Candidate(("a\u2028\x0cb\x85",), 0.5, (0.5,)),)
    assert (answer.steps, answer.model_ms) == (2, 3.5)
    assert seen == [(1, 2), (2, 2)]
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert b"authorization: bearer secret" in head.lower()
    sent = json.loads(body)
    assert sent["segments"][1] == {"hole": {"hint": None, "draft": None, "single_line": True, "max_tokens": 512}}
    assert sent["snippets"] == [{"path": "b.py", "text": "def b(): ...\n"}]
    assert sent["snippet_tokens"] == 64, "no more than there is context"
    assert sent["priority"] == "typed"
    assert [segment.get("text") for segment in sent["segments"]] == ["a = ", None, "\n"]
    assert sent["deadline_ms"] == 100


async def test_an_engine_that_hangs_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CHECK_EVERY_S", 0.01)
    monkeypatch.setattr(clients, "CHECK_TIMEOUT_S", 0.05)
    async with connected(Peer(b"", hold=True)) as client:
        for _ in range(3):  # the user types on, so that each request is cancelled before its time
            superseded = asyncio.ensure_future(client.infill(REQUEST))
            await asyncio.sleep(0)
            superseded.cancel()
            await asyncio.gather(superseded, return_exceptions=True)
        asking = asyncio.ensure_future(client.infill(REQUEST))
        lost = await asyncio.wait_for(client.broken(), 20)
        assert "did not answer" in str(lost)
        await client.close()  # as whoever watches over the engine does then
        with pytest.raises(EngineLostError):
            await asyncio.wait_for(asking, 20)


async def test_an_engine_that_takes_its_time_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CHECK_EVERY_S", 0.001)
    peer = Peer(streamed({"event": "started", "queue_ms": 0.1}), hold=True)
    peer.healthy = True
    async with connected(peer) as client:
        asking = asyncio.ensure_future(client.infill(REQUEST))
        while len(peer.requests) < 3:  # it is asked how it is again and again
            await asyncio.sleep(0)
        assert not asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (refused(400, b'{"error": "steps is wrong."}'), EngineError, "steps is wrong."),
        (refused(401, b'{"error": "No token."}'), EngineUnusableError, "serverToken"),
        (refused(503, b'{"error": "Still loading."}'), EngineError, "Still loading."),
        (refused(502, b"<html>"), EngineError, "status 502"),
        (streamed({"event": "error", "message": "Out of memory."}), EngineError, "Out of memory."),
        (streamed({"event": "started", "queue_ms": 0}), EngineLostError, "closed the connection"),
        (streamed({**RESULT, "candidates": [{}]}), EngineError, "version may differ"),
        (streamed({**RESULT, "candidates": [{"fills": [], "confidence": 1}]}), EngineError, "version may differ"),
        (streamed(["not an object"]), EngineError, "version may differ"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{broken\n", EngineError, "version may differ"),
        (b"SSH-2.0 no http\r\n", EngineLostError, "can't be reached"),
        (b"", EngineLostError, "can't be reached"),
    ],
)
async def test_what_goes_wrong_is_one_sentence(answer: bytes, kind: type[EngineError], message: str) -> None:
    async with connected(Peer(answer)) as client:
        with pytest.raises(EngineError, match=message) as raised:
            await client.infill(REQUEST)
        assert type(raised.value) is kind
        assert str(raised.value).endswith(".")
        if kind is EngineLostError:
            assert await asyncio.wait_for(client.broken(), 5) is raised.value


async def test_cancelling_closes_the_connection() -> None:
    peer = Peer(streamed({"event": "started", "queue_ms": 0}, {"event": "progress", "step": 1, "steps": 9}), hold=True)
    async with connected(peer) as client:
        stepped = asyncio.Event()
        asking = asyncio.ensure_future(client.infill(REQUEST, lambda step, steps: stepped.set()))
        await asyncio.wait_for(stepped.wait(), 10)
        assert not peer.gone.is_set()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(peer.gone.wait(), 10)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(200, b"[]"), EngineUnusableError),
        (refused(200, b"<html>"), EngineUnusableError),
        (refused(200, b'{"device": "cpu"}'), EngineUnusableError),
        (refused(404, b"not found"), EngineError),
    ],
)
async def test_something_else_than_an_engine(answer: bytes, kind: type[EngineError]) -> None:
    async with connected(Peer(answer)) as client:
        with pytest.raises(EngineError) as raised:
            await client.info()
        assert type(raised.value) is kind


async def test_an_address_that_is_none() -> None:
    with pytest.raises(EngineUnusableError, match="not valid"):
        await EngineClient.create("http://[::1", None, loopback=False)


async def test_a_token_that_no_header_can_hold() -> None:
    with pytest.raises(EngineUnusableError, match="not valid"):
        await EngineClient.create("http://127.0.0.1:9", "schlüssel 🙂", loopback=True)


async def test_a_team_server_that_comes_back_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coda_lsp.backend.restart_delay_s", lambda failures: 0.01)
    statuses: asyncio.Queue[Status] = asyncio.Queue()
    peer = Peer(refused(200, b'{"model": "team", "device": "cuda"}'))

    async def until(state: str) -> Status:
        async with asyncio.timeout(20):
            while (status := await statuses.get()).state != state:
                pass
        return status

    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = Backend(statuses.put_nowait)
    await backend.restart(Settings(server_url=f"http://127.0.0.1:{port}", server_token="t"))
    try:
        assert (await until("ready")).model == "team"
        server.close()
        await server.wait_closed()
        with pytest.raises(EngineLostError):
            await backend.infill(REQUEST)
        assert "can't be reached" in (await until("error")).message
        with pytest.raises(EngineError, match="can't be reached"):
            await asyncio.wait_for(backend.ready(), 5)
        server = await asyncio.start_server(peer.serve, "127.0.0.1", port)
        await until("ready")
        await asyncio.wait_for(backend.ready(), 5)
    finally:
        await backend.close()
        server.close()
