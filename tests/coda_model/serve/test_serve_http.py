"""The protocol over real HTTP: who is let in, what is refused, the order of the stream, cancellation, concurrency."""

import asyncio
import json
import socket
import time
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

LONG_STEPS = 256
LONG = {"segments": [{"text": "x = "}, {"hole": {"length": LONG_STEPS, "max_tokens": LONG_STEPS}}], "apart": 0}


def request_for(text: str, *, length: int | None = None, holes: int = 1, **options: Any) -> dict[str, Any]:
    segments: list[dict[str, Any]] = [{"text": text}]
    for _ in range(holes):
        segments += [{"hole": {"max_tokens": 24, "length": length}}, {"text": "\n"}]
    return {"segments": segments, **options}


def ask(client: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/v1/infill", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.iter_lines()]


def steps_total(client: httpx.Client) -> int:
    return client.get("/v1/info").json()["steps_total"]


def test_health_and_info(client: httpx.Client) -> None:
    assert client.get("/v1/health").json() == {"status": "ready", "reason": None}
    info = client.get("/v1/info").json()
    assert set(info) == {
        *(
            "model",
            "path",
            "device",
            "dtype",
            "measured_ms",
            "threads",
            "parameters",
            "vocabulary",
            "layers",
            "hidden",
            "max_positions",
            "length",
        ),
        "steps_total",
    }
    assert (info["device"], info["dtype"], info["layers"], info["hidden"]) == ("cpu", "float32", 2, 32)
    assert info["length"] == "expand-delete"


def test_small_answers_are_not_held_back(client: httpx.Client) -> None:
    """Nagle's algorithm with a delayed acknowledgement would cost every request 40 ms or more."""
    took_ms = []
    for _ in range(20):
        before = time.perf_counter()
        client.get("/v1/health")
        took_ms.append((time.perf_counter() - before) * 1000)
    assert min(took_ms[2:]) < 30


@pytest.mark.parametrize("path", ["/v1/health", "/v1/info", "/v1/infill", "/nothing"])
@pytest.mark.parametrize(
    "authorization",
    [None, b"", b"Bearer", b"Bearer wrong", b"Basic TOKEN", b"bearer TOKEN", b"TOKEN", b"Bearer \xff\xfe"],
)
def test_no_token_no_answer(server: Any, path: str, authorization: bytes | None) -> None:
    headers = (
        {} if authorization is None else {b"Authorization": authorization.replace(b"TOKEN", server.token.encode())}
    )
    method = "POST" if path == "/v1/infill" else "GET"
    answer = httpx.request(method, server.url + path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"error": "The Authorization header must be Bearer and the engine's token."}


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("127.0.0.1", 200), ("evil.example:80", 403)])
def test_only_loopback_names_are_served(client: httpx.Client, host: str, status: int) -> None:
    assert client.get("/v1/health", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "error"),
    [
        ("POST", "/v1/infill", b"{", 400, "The body is not JSON: "),
        ("POST", "/v1/infill", b'{"segments": []}', 400, "segments must hold from 1 to 64 holes, not 0."),
        (
            "POST",
            "/v1/infill",
            b'{"segments": [{"hole": {}}, {"text": ""}, {"hole": {"max_tokens": 0}}]}',
            400,
            "segments[2].hole.max_tokens must be an integer from 1 to 512, not 0.",
        ),
        ("POST", "/v1/infill", b'{"text": "' + b"a" * (8 * 2**20) + b'"}', 413, "The body is larger than 8 MB."),
        ("POST", "/v1/infill", b" " * (40 * 2**20), 413, "The body is larger than 8 MB."),
        ("GET", "/v1/infill", b"", 405, "Method Not Allowed"),
        ("POST", "/v1/health", b"", 405, "Method Not Allowed"),
        ("GET", "/v2", b"", 404, "Not Found"),
    ],
)
def test_refusals(client: httpx.Client, method: str, path: str, content: bytes, status: int, error: str) -> None:
    for body in (content, iter([content[: len(content) // 2], content[len(content) // 2 :]])):
        answer = client.request(method, path, content=body)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]
        assert answer.json()["error"].startswith(error)


def test_stream_order(client: httpx.Client) -> None:
    before = steps_total(client)
    started, *progress, result = ask(client, request_for("def f():\n    return ", length=6))
    assert started["event"] == "started" and 0 <= started["queue_ms"] < 10_000
    assert [event["event"] for event in progress] == ["progress"] * len(progress)
    assert [event["step"] for event in progress] == list(range(1, len(progress) + 1))
    masked = [event["masked"] for event in progress]
    assert masked == sorted(masked, reverse=True) and max(masked) <= 6
    assert all(event["step"] <= event["steps"] for event in progress)
    assert result["event"] == "result"
    assert set(result) == {"event", "candidates", "steps", "length_policy", "timings"}
    assert (result["steps"], result["length_policy"]) == (6, "fixed")
    assert set(result["timings"]) == {"queue_ms", "tokenize_ms", "model_ms", "total_ms"}
    assert result["timings"]["total_ms"] >= result["timings"]["model_ms"] > 0
    assert steps_total(client) - before == len(progress)


def test_progress_arrives_while_the_engine_works(client: httpx.Client) -> None:
    """The first lines are read, and the engine asked about, long before the last step is computed."""
    before = steps_total(client)
    with client.stream("POST", "/v1/infill", json=LONG) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["event"] == "started"
        assert json.loads(next(lines))["step"] == 1
        assert steps_total(client) - before < LONG_STEPS
        assert json.loads([*lines][-1])["event"] == "result"
    assert steps_total(client) - before == LONG_STEPS


@pytest.mark.parametrize(("holes", "candidates"), [(1, 1), (3, 1), (2, 4)])
def test_shape_of_the_result(client: httpx.Client, holes: int, candidates: int) -> None:
    result = ask(client, request_for("é 漢 🙂 = ", length=5, holes=holes, candidates=candidates, seed=3))[-1]
    assert 1 <= len(result["candidates"]) <= candidates
    for candidate in result["candidates"]:
        assert len(candidate["fills"]) == holes
        assert [len(confidences) for confidences in candidate["token_confidences"]] == [5] * holes
        assert 0 < candidate["confidence"] <= 1


def test_closing_the_connection_cancels(client: httpx.Client) -> None:
    before = steps_total(client)
    with client.stream("POST", "/v1/infill", json=LONG) as answer:
        lines = answer.iter_lines()
        assert [json.loads(next(lines))["event"] for _ in range(3)] == ["started", "progress", "progress"]
    # One short request is there to let the engine notice; while the second runs, nothing else may be computed.
    ask(client, request_for("a", length=4))
    after_first = steps_total(client)
    assert after_first - before < LONG_STEPS // 2
    ask(client, request_for("b", length=4))
    assert steps_total(client) - after_first == 4


def test_a_body_cut_short_does_no_harm(server: Any, client: httpx.Client) -> None:
    address = urlsplit(server.url)
    head = (
        f"POST /v1/infill HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\nContent-Length: 99\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + b'\r\n{"segments"')
    assert ask(client, request_for("a", length=2))[-1]["event"] == "result"


async def test_requests_side_by_side_answer_as_they_do_alone(server: Any, client: httpx.Client) -> None:
    bodies = [
        request_for(f"x{n} = ", length=4 + 3 * n, candidates=1 + n % 3, seed=n, temperature=0.8) for n in range(6)
    ]
    bodies += [request_for("grow = ", holes=2), request_for("def f(a):\n    ", steps=2)]
    # Exact steps: others may start from what the service kept of a request before, and end in other last digits.
    bodies = [body | {"refresh": 1} for body in bodies]
    alone = [ask(client, body)[-1] for body in bodies]
    headers = {"Authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as together:
        answers = await asyncio.gather(*(together.post("/v1/infill", json=body) for body in bodies))
    for expected, answer in zip(alone, answers, strict=True):
        result = json.loads(answer.text.splitlines()[-1])
        for name in ("event", "steps", "length_policy"):
            assert result[name] == expected[name]
        for one, other in zip(result["candidates"], expected["candidates"], strict=True):
            assert one["fills"] == other["fills"]
            assert one["confidence"] == pytest.approx(other["confidence"], rel=1e-4)


async def test_a_short_request_overtakes_a_long_one(server: Any) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    async with (
        httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client,
        client.stream("POST", "/v1/infill", json=LONG) as long,
    ):
        lines = long.aiter_lines()
        await anext(lines)
        await anext(lines)
        before = (await client.get("/v1/info")).json()["steps_total"]
        short = await client.post("/v1/infill", json=request_for("a", length=4))
        after = (await client.get("/v1/info")).json()["steps_total"]
        assert json.loads(short.text.splitlines()[-1])["event"] == "result"
        assert after - before < LONG_STEPS // 2
        assert json.loads([line async for line in lines][-1])["event"] == "result"


async def test_a_full_line_is_answered_503(server: Any) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60, limits=httpx.Limits())
        )
        for _ in range(4 + 32):  # as many as take turns, and as many as may wait
            answer = await stack.enter_async_context(client.stream("POST", "/v1/infill", json=LONG))
            assert answer.status_code == 200
        refused = await client.post("/v1/infill", json=LONG)
        assert refused.status_code == 503
        assert refused.json() == {"error": "The engine is busy: 32 requests already wait; try again later."}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client_after:
        assert ask(client_after, request_for("a", length=2))[-1]["event"] == "result"
