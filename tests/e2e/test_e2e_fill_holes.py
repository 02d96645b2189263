"""The holes of a file, filled jointly, and written anew; the random model's fills are letters."""

import asyncio
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.asyncio(loop_scope="session")

CODE = """\
def mean(values):
    pass  # TODO: the mean

def largest(values):
    \"\"\"The largest of the values.\"\"\"
    raise NotImplementedError

print(mean([1, 2]))
"""
REQUEST_FAILED = -32803


class Document:
    """A document at the client, which edits of the server are applied to."""

    def __init__(self, editor: Any, uri: str, text: str) -> None:
        self.editor, self.uri, self.text, self.version = editor, uri, text, 1
        self.applied: list[types.WorkspaceEdit] = []
        editor.open(uri, text)
        editor.on_apply_edit = lambda params: self.apply(params.edit)

    def apply(self, edit: types.WorkspaceEdit) -> types.ApplyWorkspaceEditResult:
        [change] = edit.document_changes or []
        assert isinstance(change, types.TextDocumentEdit)
        assert change.text_document == types.OptionalVersionedTextDocumentIdentifier(self.uri, self.version)
        lines = self.text.splitlines(keepends=True)
        starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
        for one in sorted(change.edits, key=lambda one: (-one.range.start.line, -one.range.start.character)):
            start = starts[one.range.start.line] + one.range.start.character
            end = starts[one.range.end.line] + one.range.end.character
            assert isinstance(one, types.TextEdit)
            self.text = self.text[:start] + one.new_text + self.text[end:]
        self.applied.append(edit)
        self.version += 1
        whole = types.TextDocumentContentChangeWholeDocument(self.text)
        identifier = types.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        self.editor.client.text_document_did_change(types.DidChangeTextDocumentParams(identifier, [whole]))
        return types.ApplyWorkspaceEditResult(applied=True)

    async def command(self, name: str, line: int | None = None) -> Any:
        argument: dict[str, Any] = {"uri": self.uri, "version": self.version}
        if line is not None:
            place = {"line": line, "character": 4}
            argument["range"] = {"start": place, "end": place}
        return await self.editor.command(name, argument)

    async def offered(self, line: int, character: int = 4, only: list[str] | None = None) -> list[types.CodeAction]:
        place = types.Position(line, character)
        context = types.CodeActionContext(diagnostics=[], only=only)
        params = types.CodeActionParams(types.TextDocumentIdentifier(self.uri), types.Range(place, place), context)
        return list(await self.editor.client.text_document_code_action_async(params) or [])


async def test_what_is_offered_where(editor: Any) -> None:
    document = Document(editor, "file:///offered-holes.py", CODE)
    kinds = {
        line: [action.kind for action in await document.offered(line)]
        for line in (0, 1, 5, 7)
    }  # fmt: skip
    everywhere = ["source.coda.fillHoles"]
    assert kinds == {0: everywhere, 1: ["refactor.rewrite.coda.hole", *everywhere], 5: kinds[1], 7: everywhere}
    assert [action.kind for action in await document.offered(1, only=["source"])] == everywhere
    assert await document.offered(1, only=["quickfix"]) == []
    full = Document(editor, "file:///no-holes.py", "x = 1\n")
    assert await full.offered(0, 0) == []


async def test_all_holes_are_filled_in_one_edit(editor: Any) -> None:
    document = Document(editor, "file:///all-holes.py", CODE)
    [action] = await document.offered(0)
    resolved = await editor.client.code_action_resolve_async(action)
    document.apply(resolved.edit)
    assert "TODO" not in document.text
    assert "NotImplementedError" not in document.text
    assert document.text.startswith("def mean(values):\n    ")
    assert '"""The largest of the values."""\n    ' in document.text
    assert document.text.endswith("\n\nprint(mean([1, 2]))\n")


async def test_the_command_reports(editor: Any) -> None:
    document = Document(editor, "file:///command-holes.py", CODE)
    report = await document.command("coda.fillHoles")
    assert (report["holes"], report["filled"]) == (2, 2)
    assert report["steps"] > 0
    assert report["ms"] > 0
    assert len(document.applied) == 1
    with pytest.raises(JsonRpcException, match="no hole") as refused:
        await document.command("coda.fillHoles")
    assert refused.value.code == REQUEST_FAILED


async def test_one_hole_alone(editor: Any) -> None:
    document = Document(editor, "file:///one-hole.py", CODE)
    report = await document.command("coda.fillHoles", line=5)
    assert (report["holes"], report["filled"]) == (1, 1)
    assert "TODO" in document.text
    assert "NotImplementedError" not in document.text


async def test_a_fill_is_written_anew_until_it_is_edited(editor: Any) -> None:
    document = Document(editor, "file:///anew.py", CODE)
    with pytest.raises(JsonRpcException, match="no fill"):
        await document.command("coda.regenerate")
    await document.command("coda.fillHoles", line=1)
    seen = {document.text}
    for _ in range(2):
        kinds = [action.kind for action in await document.offered(1)]
        assert "refactor.rewrite.coda.regenerate" in kinds
        report = await document.command("coda.regenerate", line=1)
        assert report["filled"] == 1
        assert document.text not in seen, "another one each time"
        seen.add(document.text)
    assert all("NotImplementedError" in text for text in seen), "the other hole stays"
    editor.type(document.uri, document.version + 1, 1, 5, "x")
    document.version += 1
    with pytest.raises(JsonRpcException, match="edited since"):
        await document.command("coda.regenerate")


async def test_a_document_that_changes_meanwhile_is_not_edited(editor: Any) -> None:
    document = Document(editor, "file:///holes-changed.py", CODE)
    told = len(editor.statuses)
    filling = asyncio.ensure_future(document.command("coda.fillHoles"))
    await editor.status("busy", told)
    editor.type(document.uri, 2, 0, 0, "# moved\n")
    with pytest.raises(JsonRpcException, match="has changed") as refused:
        await filling
    assert refused.value.code == REQUEST_FAILED
    assert document.applied == []


@pytest.mark.parametrize("argument", [None, {}, {"uri": 1, "version": 1}, {"uri": "file:///x", "version": "1"}, [1]])
@pytest.mark.parametrize("command", ["coda.fillHoles", "coda.regenerate"])
async def test_wrong_arguments_are_refused(editor: Any, command: str, argument: Any) -> None:
    with pytest.raises(JsonRpcException) as refused:
        await editor.command(command, argument)
    assert refused.value.code == types.ErrorCodes.InvalidParams.value
