"""The code action on a selection: offered, computed with progress, refused when the document has moved on."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.asyncio(loop_scope="session")

RunEditor = Callable[..., AbstractAsyncContextManager[Any]]

CODE = "def add(a, b):\n    total = a + b\n    return total\n\n\nprint(add(1, 2))\n"
WHOLE_LINE = types.Range(types.Position(1, 0), types.Position(2, 0))
REQUEST_CANCELLED, REQUEST_FAILED = -32800, -32803


async def offered(editor: Any, uri: str, span: types.Range, only: list[str] | None = None) -> list[Any]:
    context = types.CodeActionContext(diagnostics=[], only=only)
    params = types.CodeActionParams(types.TextDocumentIdentifier(uri), span, context)
    return list(await editor.client.text_document_code_action_async(params) or [])


def text_edit(action: types.CodeAction) -> types.TextEdit:
    assert action.edit is not None
    [change] = action.edit.document_changes or []
    assert isinstance(change, types.TextDocumentEdit)
    [edit] = change.edits
    assert isinstance(edit, types.TextEdit)
    return edit


def progress_of(editor: Any, title: str) -> list[list[Any]]:
    reports = editor.client.progress_reports.values()
    return [values for values in reports if values and getattr(values[0], "title", None) == title]


@pytest.mark.parametrize(
    ("span", "only", "count"),
    [
        (WHOLE_LINE, None, 1),
        (WHOLE_LINE, ["refactor"], 1),
        (WHOLE_LINE, ["refactor.rewrite"], 1),
        (WHOLE_LINE, ["refactor.rewrite.coda"], 1),
        (WHOLE_LINE, ["refactor.rewrite.codafish", "quickfix"], 0),
        (types.Range(types.Position(1, 3), types.Position(1, 3)), None, 0),
    ],
)
async def test_the_action_is_offered_on_selections(
    editor: Any, span: types.Range, only: list[str] | None, count: int
) -> None:
    editor.open("file:///offered.py", CODE)
    actions = await offered(editor, "file:///offered.py", span, only)
    assert len(actions) == count
    for action in actions:
        assert action.kind == "refactor.rewrite.coda"
        assert list(action.tags) == [types.CodeActionTag.LlmGenerated]
        assert action.edit is None, "the edit is computed when the action is chosen"


async def test_resolving_computes_a_versioned_edit_with_progress(editor: Any) -> None:
    uri = "file:///resolve.py"
    editor.open(uri, CODE, version=7)
    shown = len(progress_of(editor, "Fill selection with CoDA"))
    [action] = await offered(editor, uri, WHOLE_LINE)
    resolved = await editor.client.code_action_resolve_async(action)
    edit = text_edit(resolved)
    assert resolved.edit.document_changes[0].text_document == types.OptionalVersionedTextDocumentIdentifier(uri, 7)
    assert edit.range == types.Range(types.Position(1, 4), types.Position(1, 17)), "indentation and line end stay"
    assert edit.new_text.strip()
    progress = progress_of(editor, "Fill selection with CoDA")[shown:]
    assert len(progress) == 1
    begin, *reports, end = progress[0]
    assert begin.cancellable
    assert isinstance(end, types.WorkDoneProgressEnd)
    percentages = [report.percentage for report in reports]
    assert percentages == sorted(percentages)
    assert any("Step" in report.message for report in reports)


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_document_that_changed_is_never_edited(editor: Any, when: str) -> None:
    uri = f"file:///changed-{when}.py"
    editor.open(uri, CODE)
    [action] = await offered(editor, uri, WHOLE_LINE)
    if when == "before":
        editor.type(uri, 2, 0, 0, "# moved\n")
    told = len(editor.statuses)
    resolving = asyncio.ensure_future(editor.client.code_action_resolve_async(action))
    if when == "during":
        await editor.status("busy", told)
        editor.type(uri, 2, 0, 0, "# moved\n")
    with pytest.raises(JsonRpcException, match="has changed") as refused:
        await resolving
    assert refused.value.code == REQUEST_FAILED


async def test_the_progress_bar_cancels(editor: Any) -> None:
    uri = "file:///progress-cancel.py"
    editor.open(uri, CODE)
    [action] = await offered(editor, uri, WHOLE_LINE)
    known = set(editor.client.progress_reports)
    told = len(editor.statuses)
    resolving = asyncio.ensure_future(editor.client.code_action_resolve_async(action))
    await editor.status("busy", told)
    [token] = set(editor.client.progress_reports) - known
    editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
    with pytest.raises(JsonRpcException) as refused:
        await resolving
    assert refused.value.code == REQUEST_CANCELLED
    assert isinstance(editor.client.progress_reports[token][-1], types.WorkDoneProgressEnd)


async def test_after_a_cancel_the_engine_computes_nothing_more(run_editor: RunEditor, engine: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {engine['serverToken']}"}
    uri = "file:///long.py"
    text = "".join(f"value_{number} = compute({number})\n" for number in range(40))  # one step a token: hundreds
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 40, "character": 0}}
    async with httpx.AsyncClient(base_url=engine["serverUrl"], headers=headers) as http:

        async def steps_total() -> int:
            return (await http.get("/v1/info")).json()["steps_total"]

        async with run_editor(engine) as editor:
            await editor.status("ready")
            editor.open(uri, text)
            before = await steps_total()
            told = len(editor.statuses)
            arguments = {"uri": uri, "version": 1, "range": span}
            filling = asyncio.ensure_future(editor.command("coda.fillSelection", arguments, msg_id="fill"))
            await editor.status("busy", told)
            editor.client.cancel_request(types.CancelParams(id="fill"))
            with pytest.raises(JsonRpcException) as refused:
                await filling
            assert refused.value.code == REQUEST_CANCELLED
            await editor.status("ready", told)
            assert await editor.complete(uri, 40, 0)
            assert await steps_total() - before < 100


async def test_the_command_has_the_editor_apply_the_edit(editor: Any) -> None:
    uri = "file:///command.py"
    editor.open(uri, CODE)
    applied: list[types.ApplyWorkspaceEditParams] = []
    editor.on_apply_edit = lambda params: applied.append(params) or types.ApplyWorkspaceEditResult(applied=True)
    span = {"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 0}}
    await editor.command("coda.fillSelection", {"uri": uri, "version": 1, "range": span})
    [params] = applied
    [change] = params.edit.document_changes or []
    assert isinstance(change, types.TextDocumentEdit)
    assert change.text_document == types.OptionalVersionedTextDocumentIdentifier(uri, 1)


async def test_an_edit_that_the_editor_does_not_apply_is_an_error(editor: Any) -> None:
    uri = "file:///not-applied.py"
    editor.open(uri, CODE)
    editor.on_apply_edit = lambda _: types.ApplyWorkspaceEditResult(applied=False, failure_reason="the file is locked")
    span = {"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 0}}
    with pytest.raises(JsonRpcException, match="the file is locked"):
        await editor.command("coda.fillSelection", {"uri": uri, "version": 1, "range": span})


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("file:///x.py",),
        ({"uri": "file:///x.py", "version": 1},),
        (
            {
                "uri": 7,
                "version": 1,
                "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}},
            },
        ),
        ({"uri": "file:///x.py", "version": 1, "range": {"start": {"row": 0}, "end": {"row": 1}}},),
        ({"uri": "file:///x.py", "version": 1, "range": {"start": {"line": -1, "character": 0}, "end": {}}},),
    ],
)
async def test_wrong_arguments_are_refused(editor: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(JsonRpcException) as refused:
        await editor.command("coda.fillSelection", *arguments)
    assert refused.value.code == types.ErrorCodes.InvalidParams.value


async def test_an_unknown_command_is_refused(editor: Any) -> None:
    with pytest.raises(JsonRpcException, match=r"coda\.nonsense") as refused:
        await editor.command("coda.nonsense")
    assert refused.value.code == types.ErrorCodes.InvalidParams.value
