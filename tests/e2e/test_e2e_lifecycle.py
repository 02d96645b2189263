"""What happens around suggestions: engines that die, models that are missing, clients that err."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from coda_lsp.engine.client import EngineClient
from coda_lsp.explain import explain
from coda_lsp.settings import parse_settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

CODE = "def add(a, b):\n    return \n\n\nprint(add(1, 2))\n"
RunEditor = Callable[..., AbstractAsyncContextManager[Any]]


async def test_a_killed_engine_is_started_again(editor: Any) -> None:
    uri = "file:///killed.py"
    editor.open(uri, CODE)
    killed = (await editor.command("coda.status"))["pid"]
    told = len(editor.statuses)
    os.kill(killed, signal.SIGKILL)
    loading = await editor.status("loading", told)
    assert "signal 9" in loading.message or "can't be reached" in loading.message
    ready = await editor.status("ready", told)
    assert ready.pid != killed
    assert await editor.complete(uri, 1, 11)


async def test_the_restart_command_brings_a_new_engine(editor: Any) -> None:
    old = (await editor.command("coda.status"))["pid"]
    await editor.command("coda.restart")
    status = await editor.command("coda.status")
    assert status["state"] == "ready"
    assert status["pid"] != old
    assert not _runs(old)


async def test_a_missing_model_is_told_once(run_editor: RunEditor, local: dict[str, Any]) -> None:
    async with run_editor({**local, "model": "/nowhere/at/all"}) as editor:
        editor.open("file:///missing.py", CODE)
        assert await editor.complete("file:///missing.py", 1, 11, invoked=False) == []
        assert await editor.complete("file:///missing.py", 1, 11) == [], "an invoked one waits until it is clear"
        assert await editor.complete("file:///missing.py", 1, 11) == []
        assert (await editor.status("error")).message
        [shown] = editor.client.messages
        assert shown.type == types.MessageType.Error
        assert "/nowhere/at/all" in shown.message
        assert "coda.restart" in shown.message


async def test_while_the_model_loads_only_an_invoked_request_waits(start_server: Any, local: dict[str, Any]) -> None:
    """And a server that is killed leaves no engine behind."""
    server = await start_server()
    await server.initialize(local)
    for msg_id, uri, kind in ((2, "file:///invoked.py", 1), (3, "file:///automatic.py", 2)):
        document = {"uri": uri, "languageId": "python", "version": 1, "text": CODE}
        server.send({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}})
        params = {**_completion_params(uri), "context": {"triggerKind": kind}}
        server.send({"jsonrpc": "2.0", "id": msg_id, "method": "textDocument/inlineCompletion", "params": params})
    assert (await server.answer(3))["result"]["items"] == []
    ready = await server.notification("coda/status", lambda params: params["state"] == "ready")
    assert (await server.answer(2))["result"]["items"]
    assert _runs(ready["pid"])
    server.process.kill()
    await server.process.wait()
    deadline_s = time.monotonic() + 30
    while _runs(ready["pid"]):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)  # it is no child of ours: there is nothing to wait on


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_the_server(start_server: Any, engine: dict[str, Any], number: int) -> None:
    server = await start_server()
    await server.initialize(engine)
    server.process.send_signal(number)
    assert await asyncio.wait_for(server.process.wait(), 30) == (130 if number == signal.SIGINT else 0)


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 16), ("utf-16", 12), ("utf-32", 11)])
async def test_characters_are_counted_as_the_client_does(
    run_editor: RunEditor, engine: dict[str, Any], encoding: str, character: int
) -> None:
    async with run_editor(engine, encoding=encoding) as editor:
        assert editor.capabilities.position_encoding == encoding
        editor.open("file:///wide.py", 'x = "🙂éß"; \n')
        editor.type("file:///wide.py", 2, 0, character, "y = ")
        items = await editor.complete("file:///wide.py", 0, character + 4)
        assert items
        for item in items:
            assert item.range.start == types.Position(0, character + 4)


async def test_configuration_is_pulled_and_its_mistakes_are_shown(
    run_editor: RunEditor, engine: dict[str, Any]
) -> None:
    async with run_editor(engine, configuration={"enable": "manual", "maxTokens": "many"}) as editor:
        await editor.status("ready")
        editor.open("file:///configured.py", CODE)
        assert await editor.complete("file:///configured.py", 1, 11, invoked=False) == []
        assert await editor.complete("file:///configured.py", 1, 11)
        assert any("coda.maxTokens" in message.message for message in editor.client.messages)
        assert [registration.method for registration in editor.registered] == ["workspace/didChangeConfiguration"]
        editor.client.set_configuration({"enable": "automatic"}, section="coda")
        editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
        told = len(editor.statuses)
        editor.client.set_configuration({"enable": "off"}, section="coda")
        editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
        await editor.status("off", told)
        assert await editor.complete("file:///configured.py", 1, 11) == []


async def test_each_folder_has_settings_of_its_own(run_editor: RunEditor, engine: dict[str, Any]) -> None:
    folders = {"file:///one": {"enable": "manual"}, "file:///two": {"enable": "automatic", "maxTokens": 0}}
    async with run_editor(engine, configuration={}, folders=folders) as editor:
        await editor.status("ready")
        for folder, count in (("one", 0), ("two", 1), ("elsewhere", 1)):
            editor.open(f"file:///{folder}/a.py", CODE)
            assert len(await editor.complete(f"file:///{folder}/a.py", 1, 11, invoked=False)) == count
        assert any("coda.maxTokens" in message.message for message in editor.client.messages)
        editor.client.set_configuration({"enable": "off"}, section="coda", scope_uri="file:///two")
        editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
        added = types.WorkspaceFoldersChangeEvent(added=[types.WorkspaceFolder("file:///three", "three")], removed=[])
        editor.client.set_configuration({"enable": "off"}, section="coda", scope_uri="file:///three")
        editor.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(added))
        editor.open("file:///three/a.py", CODE)
        await editor.command("coda.status")  # by now the new settings were asked for
        await editor.command("coda.status")
        for folder in ("two", "three"):
            assert await editor.complete(f"file:///{folder}/a.py", 1, 11) == []
            assert "coda.enable" in (await editor.command("coda.status"))["lastOutcome"]


async def test_settings_that_are_pushed_start_and_end_the_engine(start_server: Any, engine: dict[str, Any]) -> None:
    server = await start_server()
    await server.initialize(engine)
    for enable, state in (("automatic", "ready"), ("off", "off"), ("manual", "ready")):
        settings = {"coda": {"enable": enable}}
        server.send({"jsonrpc": "2.0", "method": "workspace/didChangeConfiguration", "params": {"settings": settings}})
        await server.notification("coda/status", lambda params, state=state: params["state"] == state)


async def test_malformed_messages_do_not_end_the_session(start_server: Any, engine: dict[str, Any]) -> None:
    server = await start_server()
    early = {"jsonrpc": "2.0", "id": 90, "method": "textDocument/inlineCompletion", "params": {}}
    server.send({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {"uri": "file:///a"}}})
    server.send({**early, "params": _completion_params("file:///a")})
    assert (await server.answer(90))["error"]["code"] == -32002, "not initialized"
    await server.initialize(engine)
    server.send_body(b"{ not json")
    assert (await server.answer(None))["error"]["code"] == -32700
    server.send_body(b"\xff\xfe")
    assert (await server.answer(None))["error"]["code"] == -32700
    server.send_body(b"[1, 2]")
    assert (await server.answer(None))["error"]["code"] == -32600
    server.send({**early, "id": 91})
    assert (await server.answer(91))["error"]["code"] == -32602, "invalid params"
    server.send({"jsonrpc": "2.0", "id": 92, "method": "no/such/method", "params": {}})
    assert (await server.answer(92))["error"]["code"] == -32601
    server.send({"jsonrpc": "1.0", "id": 93, "method": "shutdown"})
    assert (await server.answer(93))["error"]["code"] == -32600
    server.send({"jsonrpc": "2.0", "id": 94, "method": "initialize", "params": {"capabilities": {}}})
    assert (await server.answer(94))["error"]["code"] == -32600, "initialized twice"
    server.send({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"textDocument": 5}})
    server.send({"jsonrpc": "2.0", "id": "no request of the server's", "result": None})
    server.send({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": "never asked"}})
    server.process.stdin.write(b"Nonsense: header\r\nContent-Length: x\r\n\r\n")
    change = {
        "textDocument": {"uri": "file:///a.py", "version": 2},
        "contentChanges": [{"text": "b", "range": _span(9)}],
    }
    document = {"uri": "file:///a.py", "languageId": "python", "version": 1, "text": CODE}
    server.send({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": change})
    server.send({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}})
    server.send({**early, "id": 95, "params": _completion_params("file:///a.py")})
    assert (await server.answer(95))["result"]["items"]
    server.send({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": change})
    server.send({**early, "id": 96, "params": _completion_params("file:///a.py")})
    assert (await server.answer(96))["result"]["items"] == [], "its text is not known any more"
    server.send({"jsonrpc": "2.0", "id": 97, "method": "shutdown"})
    server.send({**early, "id": 98, "params": _completion_params("file:///a.py")})
    assert (await server.answer(98))["error"]["code"] == -32600, "shut down"
    server.send({"jsonrpc": "2.0", "method": "exit"})
    assert await asyncio.wait_for(server.process.wait(), 30) == 0
    assert b"Traceback" not in await server.process.stderr.read()


async def test_leaving_without_shutdown_is_status_1(start_server: Any) -> None:
    server = await start_server()
    server.send({"jsonrpc": "2.0", "method": "exit"})
    assert await asyncio.wait_for(server.process.wait(), 30) == 1
    gone = await start_server()
    gone.process.stdin.write(b"Content-Length: 1000\r\n\r\n{")
    gone.process.stdin.close()
    assert await asyncio.wait_for(gone.process.wait(), 30) == 1
    assert b"Traceback" not in await gone.process.stderr.read()


async def test_initialize_is_answered_at_once(start_server: Any, record_testsuite_property: Any) -> None:
    since_s = time.perf_counter()
    server = await start_server()
    await server.initialize({"enable": "off"})
    elapsed_s = time.perf_counter() - since_s
    record_testsuite_property("initialize_s", round(elapsed_s, 3))
    print(f"from process start to the answer to initialize: {elapsed_s:.3f} s")
    server.send({"jsonrpc": "2.0", "method": "exit"})
    await server.process.wait()


async def test_over_tcp_each_connection_is_a_session(start_server: Any, engine: dict[str, Any]) -> None:
    server = await start_server("--tcp", "--port", "0")
    line = (await asyncio.wait_for(server.process.stderr.readline(), 60)).decode()
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    assert found, line
    first, second = await server.connect(int(found[1])), await server.connect(int(found[1]))
    document = {"uri": "file:///tcp.py", "languageId": "python", "version": 1, "text": CODE}
    for session in (first, second):
        await session.initialize({**engine, "python": "/bin/evil"})
        assert any("coda.python" in str(message) for message in session.received), "who connects may not run programs"
        session.send({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}})
        await session.notification("coda/status", lambda params: params["state"] == "ready")
    first.send({"jsonrpc": "2.0", "id": 2, "method": "shutdown"})
    assert (await first.answer(2))["result"] is None
    first.send({"jsonrpc": "2.0", "method": "exit"})
    params = _completion_params("file:///tcp.py")
    second.send({"jsonrpc": "2.0", "id": 3, "method": "textDocument/inlineCompletion", "params": params})
    assert (await second.answer(3))["result"]["items"], "one session's end is not the other's"
    web_page = await server.connect(int(found[1]))
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}})
    web_page.writer.write(f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    assert await asyncio.wait_for(web_page.reader.read(), 30) == b"", "HTTP is not answered"
    server.process.terminate()
    assert await asyncio.wait_for(server.process.wait(), 30) == 0


async def test_the_doctor_times_suggestions(engine: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CODE)
    arguments = [
        "doctor",
        str(tmp_path / "app.py"),
        "--line",
        "2",
        "--column",
        "11",
        "--minimum-confidence",
        "0",
        "--json",
        "--server-url",
        engine["serverUrl"],
        "--server-token",
        engine["serverToken"],
    ]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", "coda_lsp", *arguments, stdout=pipe)
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    found = json.loads(printed)
    assert process.returncode == 0
    assert found["problems"] == []
    assert found["engine"]["device"] == "cpu"
    assert found["first_ms"] > 0
    assert found["second_ms"] > 0
    assert found["example"]
    assert found["there"]["outcome"].startswith("Shown")


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        (CODE, 2, 11, "Shown: 1"),
        ("# a comment \n", 1, 12, "coda.inComments"),
        ('x = "text "\n', 1, 9, "coda.inStrings"),
        ("wo = compute(1, 2)\n", 1, 1, "inside a word"),
        ("x = 1\n", 9, 0, "past the last"),
        (None, 1, 0, "No such file"),
        (b"\xff", 1, 0, "not UTF-8"),
    ],
)
async def test_the_doctor_says_why_nothing_shows_at_a_place(
    engine: dict[str, Any], tmp_path: Path, text: str | bytes | None, line: int, column: int, expected: str
) -> None:
    path = tmp_path / "app.py"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    settings, problems = parse_settings(engine)
    assert problems == ()
    client = await EngineClient.create(engine["serverUrl"], engine["serverToken"], loopback=True)
    try:
        found = await explain(client, settings, path, line, column)
    finally:
        await client.close()
    assert expected in found.outcome
    assert bool(found.suggestions) == expected.startswith("Shown")
    if found.suggestions:
        assert any("The model says" in step for step in found.steps)
        assert "Its language is python." in found.steps


def _completion_params(uri: str) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 11}, "context": {"triggerKind": 1}}


def _span(line: int) -> dict[str, Any]:
    return {"start": {"line": line, "character": 0}, "end": {"line": line, "character": 0}}


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
