"""The early answer to `initialize` says what the real one says, and nothing is answered that is no `initialize`."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import pytest

from coda_lsp.greeting import Greeting, essential, greet, initialize_result, is_usable
from coda_lsp.handlers import create_server

INLINE = {"inlineCompletion": {"dynamicRegistration": False}}
CLIENTS = [
    {"textDocument": INLINE, "general": {"positionEncodings": ["utf-8", "utf-16"]}},
    {"textDocument": INLINE, "general": {"positionEncodings": ["utf-32"]}},
    {"textDocument": INLINE, "general": {"positionEncodings": ["utf-7", "utf-16"]}},
    {"textDocument": INLINE, "general": {"positionEncodings": []}},
    {"textDocument": INLINE, "general": None},
    {"textDocument": INLINE},
    {"textDocument": {"completion": {}}, "window": {"workDoneProgress": True}},
    {"textDocument": {"inlineCompletion": None}},
    {"textDocument": None, "workspace": {"configuration": True}},
    {},
]


def message(params: Any, msg_id: Any = 1, method: str = "initialize", **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": msg_id, "method": method, "params": params, **more}


def params_of(capabilities: Any) -> dict[str, Any]:
    return {"processId": None, "rootUri": None, "capabilities": capabilities}


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def answers_of(written: bytes) -> list[dict[str, Any]]:
    answers = []
    while written:
        header, _, rest = written.partition(b"\r\n\r\n")
        length = int(header.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        answers.append(json.loads(rest[:length]))
        written = rest[length:]
    return answers


class Recorder:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        pass


async def session(first: dict[str, Any], greeted: int | None = None) -> tuple[Any, list[dict[str, Any]]]:
    """A server that got one message, and what it answered."""
    server = create_server(may_choose_python=True)
    server.protocol.greeted = greeted
    recorder = Recorder()
    server.protocol.set_writer(recorder)
    server.protocol.handle_message(json.loads(json.dumps(first), object_hook=server.protocol.structure_message))
    await asyncio.sleep(0)
    return server, answers_of(recorder.written)


def greeted_with(data: bytes) -> tuple[Greeting, bytes]:
    """What `greet` reads of the data, all of which is there, and what it writes."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output:
        source.write(data)
        source.seek(0)
        greeting = greet(source.fileno(), output.fileno())
        output.seek(0)
        return greeting, output.read()


@pytest.mark.parametrize("capabilities", CLIENTS, ids=str)
async def test_it_is_what_the_server_answers_when_it_is_there(capabilities: dict[str, Any]) -> None:
    _, [late] = await session(message(params_of(capabilities)))
    greeting, written = greeted_with(framed(json.dumps(message(params_of(capabilities))).encode()))
    [early] = answers_of(written)
    assert early == late
    assert greeting.answered == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{ not json",
        b"\xff\xfe",
        b"[1, 2]",
        b"[" * 100_000,
        json.dumps(message(params_of({}), method="shutdown")).encode(),
        json.dumps(message(params_of({}), jsonrpc="1.0")).encode(),
        json.dumps(message(params_of({}), msg_id=None)).encode(),
        json.dumps(message(params_of({}), msg_id=True)).encode(),
        json.dumps(message(params_of({}), msg_id=[1])).encode(),
        json.dumps(message(None)).encode(),
        json.dumps(message({})).encode(),
        json.dumps(message(params_of([]))).encode(),
        json.dumps(message(params_of({"general": []}))).encode(),
        json.dumps(message(params_of({"general": {"positionEncodings": "utf-8"}}))).encode(),
        json.dumps(message(params_of({"general": {"positionEncodings": [8]}}))).encode(),
        json.dumps(message(params_of({"textDocument": 5}))).encode(),
    ],
    ids=lambda body: body[:80].decode("ascii", "replace"),
)
def test_anything_else_is_left_to_the_server(body: bytes) -> None:
    greeting, written = greeted_with(framed(body) + b"Content-Length: 2\r\n\r\n{}")
    assert greeting.read.startswith(framed(body)), "nothing that was read is lost"
    assert greeting.answered is None
    assert written == b""


@pytest.mark.parametrize(
    "data", [b"", b"Content-Length: 10\r\n", b"Content-Length: 10\r\n\r\n{}", b"Host: x\r\n\r\nrest", b"x" * 70_000]
)
def test_bytes_that_are_no_message(data: bytes) -> None:
    greeting, written = greeted_with(data[:60_000])
    assert greeting == Greeting(data[:60_000])
    assert written == b""


def test_an_editor_that_has_gone() -> None:
    (source, feed), (drain, output) = os.pipe(), os.pipe()
    os.write(feed, framed(json.dumps(message(params_of({}))).encode()))
    os.close(drain)
    assert greet(source, output).answered == 1
    os.close(source)
    assert greet(source, output) == Greeting(b"")
    os.close(feed)
    os.close(output)


async def test_the_second_answer_is_not_sent() -> None:
    server, answers = await session(message(params_of({"textDocument": INLINE})), greeted=1)
    assert answers == []
    assert server.protocol.encoding() == "utf-16"


async def test_what_is_malformed_beside_the_essential_is_left_out() -> None:
    """Its answer is out already, so it can't be refused any more."""
    capabilities = {"textDocument": INLINE, "general": {"positionEncodings": ["utf-8"]}, "workspace": 5}
    params = {**params_of(capabilities), "initializationOptions": {"enable": "off"}}
    assert is_usable(params)
    server, answers = await session(message(params), greeted=1)
    assert [answer for answer in answers if "id" in answer] == []
    assert server.protocol.encoding() == "utf-8"
    assert server.configuration.session.enable == "off"
    assert initialize_result(essential(params)) == initialize_result(params)


def test_nothing_heavy_is_imported_for_it() -> None:
    code = "import sys, coda_lsp.cli, coda_lsp.greeting; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"asyncio", "attrs", "cattrs", "lsprotocol", "pygls", "tree_sitter", "httpx", "typer", "logging", "torch"}
    assert not heavy & set(loaded)
