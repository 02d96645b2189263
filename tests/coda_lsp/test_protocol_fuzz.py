"""Messages that are malformed, out of order, or both: each request has one answer, and the session goes on."""

import asyncio
import copy
import json
import random
from typing import Any

import pytest
from pygls.io_ import run_async

from coda_lsp.backend import Status
from coda_lsp.handlers import create_server
from coda_lsp.server import CodaServer

URIS = ["file:///a.py", "file:///b.rs", "untitled:c", "file://[bad/x", ""]
TEXTS = ["", "def f():\n    ...\n", "x = (\r\n", "🎉é\u2028\f\rx = \n", "fn f() { todo!() }", "\ud83d"]
JUNK: list[Any] = [None, True, -1, 2**70, 1.5, "", "text", "\ud83d", [], {}, [[]], {"a": {}}, [None], "file:///a.py"]


class Recorder:
    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        message = json.loads(data.partition(b"\r\n\r\n")[2])
        if "method" not in message:
            self.answers.append(message)

    def close(self) -> None:
        pass


def templates(random_: random.Random) -> list[dict[str, Any]]:
    """One well-formed message of each kind, about a random place."""
    uri, version = random_.choice(URIS), random_.randrange(5)
    place = {"line": random_.randrange(4), "character": random_.randrange(3)}
    span = {"start": place, "end": {"line": random_.randrange(4), "character": random_.randrange(3)}}
    document = {"uri": uri, "version": version}
    at = {"textDocument": {"uri": uri}, "position": place}
    item = {"uri": uri, "languageId": random_.choice(["python", "rust", "", "x"]), "version": 1}
    commands = ["fillSelection", "fillHoles", "regenerate", "status", "stats", "accepted", "partiallyAccepted", "shown"]
    argument = random_.choice([{**document, "range": span}, {"id": "s1", "length": 2}, {"reset": True}])
    chosen = {"range": span, "text": "path"}
    context = {"triggerKind": random_.choice([1, 2]), "selectedCompletionInfo": random_.choice([None, chosen])}
    change = random_.choice([{"text": random_.choice(TEXTS)}, {"range": span, "text": random_.choice(TEXTS)}])
    settings = {"coda": {"maxTokens": random_.randrange(-1, 600), "holeMarker": random_.choice(["x", "("])}}
    action = {"title": "t", "data": {"command": "coda.fillSelection", "target": {**document, "range": span}}}
    folder = {"uri": uri, "name": "w"}
    notifications = {
        "textDocument/didOpen": {"textDocument": {**item, "text": random_.choice(TEXTS)}},
        "textDocument/didChange": {"textDocument": document, "contentChanges": [change]},
        "textDocument/didClose": {"textDocument": {"uri": uri}},
        "workspace/didChangeConfiguration": {"settings": settings},
        "workspace/didChangeWorkspaceFolders": {"event": {"added": [folder], "removed": [folder]}},
        "$/cancelRequest": {"id": random_.randrange(3000)},
        "$/setTrace": {"value": "off"},
        "window/workDoneProgress/cancel": {"token": "t"},
        "no/such/notification": {},
    }
    requests = {
        "initialize": {"processId": None, "rootUri": None, "capabilities": {}},
        "textDocument/inlineCompletion": {**at, "context": context},
        "textDocument/completion": at,
        "textDocument/codeAction": {"textDocument": {"uri": uri}, "range": span, "context": {"diagnostics": []}},
        "codeAction/resolve": action,
        "workspace/executeCommand": {"command": f"coda.{random_.choice(commands)}", "arguments": [argument]},
        "no/such/request": {},
    }
    messages = [{"method": method, "params": params} for method, params in notifications.items()]
    messages += [{"method": method, "params": params, "id": 0} for method, params in requests.items()]
    messages += [{"id": random_.randrange(3000), "result": random_.choice(JUNK)}, {"id": 7, "error": {"code": 1}}]
    return messages


def broken(message: Any, random_: random.Random) -> Any:
    """The message with something in it dropped or replaced; its id stays."""
    message = copy.deepcopy(message)
    node = message
    while True:
        keys = [key for key in (node if isinstance(node, dict) else range(len(node))) if key != "id"]
        if not keys:
            return message
        key = random_.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and random_.random() < 0.75:
            node = node[key]
        elif random_.random() < 0.3:
            del node[key]
            return message
        else:
            node[key] = random_.choice(JUNK)
            return message


async def served(messages: list[bytes]) -> tuple[CodaServer, list[dict[str, Any]]]:
    """A session that gets the messages one after the other; its engine can't be had."""
    server = create_server(may_choose_python=True)
    server.load_engine = lambda: asyncio.sleep(0)  # pyrefly: ignore[bad-assignment]
    server.backend.status = Status("error", "There is no engine in this test.")
    server.backend._settled.set()
    recorder, reader = Recorder(), asyncio.StreamReader(limit=1 << 20)
    server.protocol.set_writer(recorder)
    for body in messages:
        reader.feed_data(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    reader.feed_eof()
    await run_async(server.protocol.ended, reader, server.protocol, error_handler=server.report_server_error)
    pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if pending:
        await asyncio.wait(pending, timeout=60)
    await server.close()
    return server, recorder.answers


@pytest.mark.parametrize("initialized", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_each_request_has_one_answer(seed: int, initialized: bool) -> None:
    random_ = random.Random(f"{seed} {initialized}")
    params = {"processId": None, "rootUri": None, "capabilities": {}}
    messages: list[dict[str, Any]] = []
    if initialized:
        messages.append({"method": "initialize", "params": params, "id": 0})
    for _ in range(600):
        message = random_.choice(templates(random_))
        if not initialized and message.get("method") == "initialize":
            continue
        messages.append(broken(message, random_) if random_.random() < 0.6 else message)
    expected = []
    for number, message in enumerate(messages):
        message["jsonrpc"] = message.get("jsonrpc", "2.0")
        if "id" in message and "method" in message:
            message["id"] = number
            expected.append(number)
    _, answers = await served([json.dumps(message).encode() for message in messages])
    answered = [answer["id"] for answer in answers if answer["id"] is not None]
    assert sorted(answered) == expected
    codes = {answer["error"]["code"] for answer in answers if "error" in answer}
    broke = [messages[answer["id"]] for answer in answers if answer.get("error", {}).get("code") == -32603]
    assert broke == [], "no internal error"
    if not initialized:
        assert codes <= {-32002, -32600, -32602, -32601}


async def test_bytes_that_are_no_messages_do_not_end_the_session() -> None:
    random_ = random.Random(0)
    bodies = [random_.randbytes(random_.randrange(1, 60)) for _ in range(200)]
    last = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}, "processId": None}}
    _, answers = await served([*bodies, b"[" * 50_000, b'{"jsonrpc": "2.0"}', json.dumps(last).encode()])
    assert [answer["id"] for answer in answers if answer["id"] is not None] == [1]
    assert "capabilities" in next(answer for answer in answers if answer["id"] == 1)["result"]
