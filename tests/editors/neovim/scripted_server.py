"""A language server that suggests what its start options say, so that a test knows what must be on the screen.

`{"answers": [{"after": "return ", "texts": ["a + b", "a - b"], "replaces": 1, "hold": false}]}`: where the line up to
the cursor has `after` and then the beginning of a text, it suggests the rest of it, in place of so many characters
after the cursor. A held answer never comes. A selection is filled with itself in capitals. The command `test.requests`
tells which suggestions were asked for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

server = LanguageServer("scripted", "1")
answers: list[dict[str, Any]] = []
requests: list[dict[str, Any]] = []


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
        return types.InlineCompletionList([types.InlineCompletionItem(text, range=span) for text in texts])
    return types.InlineCompletionList([])


@server.command("test.requests")
def test_requests() -> list[dict[str, Any]]:
    return requests


@server.command("coda.fillSelection")
async def fill_selection(target: dict[str, Any]) -> None:
    document = server.workspace.get_text_document(target["uri"])
    assert document.version == target["version"]
    start, end = (types.Position(**target["range"][name]) for name in ("start", "end"))
    selected = document.source[document.offset_at_position(start) : document.offset_at_position(end)]
    edit = types.TextEdit(types.Range(start, end), selected.upper())
    identifier = types.OptionalVersionedTextDocumentIdentifier(target["uri"], target["version"])
    changes = types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, [edit])])
    await server.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(changes))


@server.command("coda.status")
def status() -> dict[str, Any]:
    return {"state": "ready", "message": "", "model": "scripted", "device": "none", "lastOutcome": "Shown."}


if __name__ == "__main__":
    server.start_io()
