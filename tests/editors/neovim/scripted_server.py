"""A language server that suggests what its start options say, so that a test knows what must be on the screen.

`{"answers": [{"after": "return ", "texts": ["a + b", "a - b"], "replaces": 1, "hold": false}]}`: where the line up to
the cursor has `after` and then the beginning of a text, it suggests the rest of it, in place of so many characters
after the cursor. A held answer never comes. A selection is filled with itself in capitals, and so is the last line
where the holes of a file are filled; the last fill is written anew in small letters. The command `test.requests` tells
which suggestions were asked for, `test.accepted` what the editor said of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

server = LanguageServer("scripted", "1")
answers: list[dict[str, Any]] = []
requests: list[dict[str, Any]] = []
accepted: list[dict[str, Any]] = []
last_fill: list[types.Range] = []


@server.feature(types.INITIALIZE)
def initialize(params: types.InitializeParams) -> None:
    options: Any = params.initialization_options
    answers.extend(options["answers"])


@server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
async def inline_completion(params: types.InlineCompletionParams) -> types.InlineCompletionList:
    asked: dict[str, Any] = {"invoked": params.context.trigger_kind.value == 1, "cancelled": False}
    requests.append(asked)
    document = server.workspace.get_text_document(params.text_document.uri)
    text = document.source
    offset = document.offset_at_position(params.position)
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    for answer in answers:
        _, found, typed = line.partition(answer["after"])
        texts = [text[len(typed) :] for text in answer["texts"] if text.startswith(typed) and text != typed]
        if not found or not texts:
            continue
        if answer.get("hold"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asked["cancelled"] = True
                raise
        end = types.Position(params.position.line, params.position.character + answer.get("replaces", 0))
        span = types.Range(params.position, end)
        return types.InlineCompletionList([_item(text, span) for text in texts])
    return types.InlineCompletionList([])


@server.command("test.requests")
def test_requests() -> list[dict[str, Any]]:
    return requests


@server.command("test.accepted")
def test_accepted() -> list[dict[str, Any]]:
    return accepted


def _item(text: str, span: types.Range) -> types.InlineCompletionItem:
    command = types.Command("", "coda.accepted", arguments=[{"id": f"s:{text}"}])
    return types.InlineCompletionItem(text, range=span, command=command)


@server.command("coda.accepted")
def accepted_whole(suggestion: dict[str, Any]) -> None:
    accepted.append(suggestion)


@server.command("coda.partiallyAccepted")
def accepted_partially(suggestion: dict[str, Any]) -> None:
    accepted.append(suggestion)


@server.command("coda.fillSelection")
async def fill_selection(target: dict[str, Any]) -> dict[str, Any]:
    start, end = (types.Position(**target["range"][name]) for name in ("start", "end"))
    return await _rewrite(target, types.Range(start, end), str.upper)


@server.command("coda.fillHoles")
async def fill_holes(target: dict[str, Any]) -> dict[str, Any]:
    if "range" in target:
        return await fill_selection(target) | {"holes": 2}
    lines = server.workspace.get_text_document(target["uri"]).lines
    last = types.Range(types.Position(len(lines) - 1, 0), types.Position(len(lines), 0))
    return await _rewrite(target, last, str.upper) | {"holes": 1}


@server.command("coda.regenerate")
async def regenerate(target: dict[str, Any]) -> dict[str, Any]:
    return await _rewrite(target, last_fill[-1], str.lower)


async def _rewrite(target: dict[str, Any], span: types.Range, change: Callable[[str], str]) -> dict[str, Any]:
    document = server.workspace.get_text_document(target["uri"])
    assert document.version == target["version"]
    old = document.source[document.offset_at_position(span.start) : document.offset_at_position(span.end)]
    identifier = types.OptionalVersionedTextDocumentIdentifier(target["uri"], target["version"])
    edits = [types.TextEdit(span, change(old))]
    changes = types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, edits)])
    await server.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(changes))
    last_fill.append(span)
    return {"holes": 1, "filled": 1, "steps": 4, "ms": 1.0}


@server.command("coda.stats")
def stats(*options: Any) -> dict[str, Any]:
    if options:
        accepted.clear()
    latency = {"p50": 80.1, "p95": None, "histogram": []}
    counts = {"requests": 40, "fromCache": 10, "shown": 20, "rejected": 3, "charactersSaved": 7}
    taken = {"accepted": sum("length" not in each for each in accepted), "partiallyAccepted": 2}
    filters = {"repeats_suffix": 4}
    return {"enabled": True, "since": "today", **counts, **taken, "filters": filters, "latencyMs": latency}


@server.command("coda.status")
def status() -> dict[str, Any]:
    return {"state": "ready", "message": "", "model": "scripted", "device": "none", "lastOutcome": "Shown."}


if __name__ == "__main__":
    server.start_io()
