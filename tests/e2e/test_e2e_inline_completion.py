"""Ghost text, from a keystroke to an answer."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.asyncio(loop_scope="session")

CODE = "def add(a, b):\n    return \n\n\nprint(add(1, 2))\n"
REQUEST_CANCELLED = -32800


async def test_inline_completion_is_advertised_statically(editor: Any) -> None:
    assert editor.capabilities.inline_completion_provider == types.InlineCompletionOptions()


async def test_a_cursor_gets_a_suggestion_with_a_range(editor: Any) -> None:
    editor.open("file:///range.py", CODE)
    items = await editor.complete("file:///range.py", 1, 11)
    assert items
    place = types.Position(1, 11)
    for item in items:
        assert item.range == types.Range(place, place)
        assert isinstance(item.insert_text, str)
        assert item.insert_text.strip()
        assert "\n" not in item.insert_text


async def test_nothing_to_say_is_an_empty_list(editor: Any) -> None:
    editor.open("file:///comment.py", "# a comment \n")
    assert await editor.complete("file:///comment.py", 0, 12, invoked=False) == []
    assert "comment" in (await editor.command("coda.status"))["lastOutcome"]
    assert await editor.complete("file:///never-opened.py", 0, 0) == []


async def test_typing_along_a_suggestion_costs_no_request(editor: Any) -> None:
    uri = "file:///along.py"
    editor.open(uri, CODE)
    [first, *_] = await editor.complete(uri, 1, 11)
    told = len(editor.statuses)
    typed = first.insert_text[0]
    editor.type(uri, 2, 1, 11, typed)
    [second, *_] = await editor.complete(uri, 1, 11 + len(typed.encode("utf-16-le")) // 2)
    assert second.insert_text == first.insert_text[1:]
    assert len(editor.statuses) == told, "the engine was not busy in between"


async def test_counters(editor: Any) -> None:
    uri = "file:///counters.py"
    editor.open(uri, CODE.replace("add", "sum_of"))  # a place where no filter drops one of the random fills
    await editor.command("coda.stats", {"reset": True})
    several = await editor.complete(uri, 1, 11)
    assert len(several) == 3, "the alternatives of a request that was asked for"
    first = max(several, key=lambda item: len(item.insert_text))  # of a single character nothing is left below
    assert first.command.command == "coda.accepted"
    editor.type(uri, 2, 1, 11, first.insert_text[0])
    again = await editor.complete(uri, 1, 12)
    [along] = [item for item in again if item.command.arguments == first.command.arguments]
    suggestion = along.command.arguments[0]["id"]
    await editor.command("coda.partiallyAccepted", {"id": suggestion, "length": 2})
    await editor.command(along.command.command, {"id": suggestion})
    counted = await editor.command("coda.stats")
    expected = {"requests": 2, "fromCache": 1, "shown": 1, "accepted": 1, "partiallyAccepted": 0, "rejected": 0}
    assert {name: counted[name] for name in expected} == expected
    assert counted["charactersSaved"] == len(along.insert_text) - 2
    assert counted["latencyMs"]["p50"] > 0
    for command, argument in (("coda.accepted", {}), ("coda.shown", 7), ("coda.partiallyAccepted", {"id": "s1"})):
        with pytest.raises(JsonRpcException) as refused:
            await editor.command(command, argument)
        assert refused.value.code == types.ErrorCodes.InvalidParams.value


async def test_closers_of_the_editor_are_replaced(editor: Any) -> None:
    editor.open("file:///closers.py", "print()\n")
    for item in await editor.complete("file:///closers.py", 0, 6):
        assert item.range == types.Range(types.Position(0, 6), types.Position(0, 7))
        assert item.insert_text.endswith(")")


async def test_a_client_without_inline_completion_gets_plain_completion(
    run_editor: Callable[..., AbstractAsyncContextManager[Any]], engine: dict[str, Any], editor: Any
) -> None:
    assert editor.capabilities.completion_provider is None, "off where inline completion is there"
    async with run_editor(engine, inline=False) as plain:
        assert plain.capabilities.completion_provider is not None
        await plain.status("ready")
        plain.open("file:///plain.py", "import os\n\nvalue = os.pa\n")
        params = types.CompletionParams(types.TextDocumentIdentifier("file:///plain.py"), types.Position(2, 13))
        answer = await plain.client.text_document_completion_async(params)
        assert answer.is_incomplete
        [entry] = answer.items
        assert entry.detail == "CoDA"
        assert entry.text_edit.range == types.Range(types.Position(2, 11), types.Position(2, 13)), "the word so far"
        assert entry.text_edit.new_text.startswith("pa")
        assert entry.filter_text == entry.text_edit.new_text
        params.position = types.Position(9, 0)
        with pytest.raises(JsonRpcException, match="past the last"):
            await plain.client.text_document_completion_async(params)


async def test_a_newer_request_cancels_the_older(editor: Any) -> None:
    uri = "file:///supersede.py"
    editor.open(uri, "def slow(values):\n    \n\n\ndef other(values):\n    \n")
    told = len(editor.statuses)
    older = asyncio.ensure_future(editor.request_completion(uri, 1, 4))
    await editor.status("busy", told)
    newer = asyncio.ensure_future(editor.request_completion(uri, 5, 4))
    with pytest.raises(JsonRpcException) as refused:
        await older
    assert refused.value.code == REQUEST_CANCELLED
    assert (await newer).items


async def test_cancel_request_is_honoured(editor: Any) -> None:
    uri = "file:///cancel.py"
    editor.open(uri, "def slow(values):\n    \n")
    told = len(editor.statuses)
    answer = asyncio.ensure_future(editor.request_completion(uri, 1, 4, msg_id="to-be-cancelled"))
    await editor.status("busy", told)
    editor.client.cancel_request(types.CancelParams(id="to-be-cancelled"))
    with pytest.raises(JsonRpcException) as refused:
        await answer
    assert refused.value.code == REQUEST_CANCELLED
    await editor.status("ready", told + 1)


async def test_a_request_sees_the_document_as_it_was_then(editor: Any) -> None:
    """The edits come in the same packet as the request, before its handler has begun."""
    uri = "file:///snapshot.py"
    editor.open(uri, CODE)
    answer = editor.request_completion(uri, 1, 11)
    editor.type(uri, 2, 0, 0, "x = 1\n" * 20)
    for item in (await answer).items:
        assert item.range.start == types.Position(1, 11)


async def test_an_entry_chosen_in_the_popup_begins_the_suggestion(editor: Any) -> None:
    uri = "file:///popup.py"
    editor.open(uri, "import os\n\nos.pa\n")
    chosen = types.SelectedCompletionInfo(types.Range(types.Position(2, 3), types.Position(2, 5)), "path")
    context = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked, chosen)
    params = types.InlineCompletionParams(context, types.TextDocumentIdentifier(uri), types.Position(2, 5))
    answer = await editor.client.text_document_inline_completion_async(params)
    assert answer.items
    for item in answer.items:
        assert item.insert_text.startswith("path")
        assert item.range == chosen.range


@pytest.mark.parametrize(
    ("language_id", "text"),
    [
        ("plain-unknown-language", "once upon a time\n"),
        ("", "once upon a time\n"),
        ("python", ""),
        ("rust", "fn main() {\n    let x = \n}\n"),
        ("python", "x = 1\r\ny = \r\nz = 3\r\n"),
    ],
)
async def test_any_document_is_answered(editor: Any, language_id: str, text: str) -> None:
    uri = f"file:///any-{language_id}-{len(text)}"
    editor.open(uri, text, language_id)
    for line in range(text.count("\n") + 1):
        for item in await editor.complete(uri, line, 1000):
            assert item.range.start.line == item.range.end.line == line


async def test_a_document_of_five_megabytes(editor: Any) -> None:
    uri = "file:///large.py"
    line = "value = compute(1, 2, 3)  # éß漢🙂\n"
    text = line * (5_000_000 // len(line.encode()))
    editor.open(uri, text)
    middle = text.count("\n") // 2
    editor.type(uri, 2, middle, 0, "result = \n")
    assert isinstance(await editor.complete(uri, middle, 9), list)


async def test_a_line_of_one_megabyte(editor: Any) -> None:
    uri = "file:///wide.js"
    text = "var data = [" + "1, " * 350_000
    editor.open(uri, text, "javascript")
    assert isinstance(await editor.complete(uri, 0, len(text)), list)
    assert isinstance(await editor.complete(uri, 0, len(text) // 2), list)


async def test_a_position_past_the_end_is_refused(editor: Any) -> None:
    editor.open("file:///past.py", "x = 1\n")
    with pytest.raises(JsonRpcException, match="past the last"):
        await editor.complete("file:///past.py", 40, 0)
