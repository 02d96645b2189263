"""Edits on demand: fill the selection, fill the holes of the file, write a fill anew; as code actions and commands."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcInvalidParams

from coda_lsp.backend import Backend
from coda_lsp.documents import DocumentStore, Snapshot
from coda_lsp.engine.errors import EngineError
from coda_lsp.engine.request import Snippet
from coda_lsp.features.fill import Outcome, fill_holes
from coda_lsp.features.target import RequestFailedError, Target
from coda_lsp.features.work_progress import Report, work_progress
from coda_lsp.holes import HoleSpan, hole_for_selection
from coda_lsp.last_fills import Fill, fills_of, spans_again
from coda_lsp.private_files import refusal
from coda_lsp.settings import Settings
from coda_lsp.unfilled import unfilled_holes

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

_REMEMBERED_DOCUMENTS = 32


@dataclass(frozen=True)
class Action:
    """One thing to do: its title, the kind of its code action, the command that does it too."""

    title: str
    kind: str
    command: str


SELECTION = Action("Fill selection with CoDA", "refactor.rewrite.coda", "coda.fillSelection")
HOLE = Action("Fill this hole with CoDA", "refactor.rewrite.coda.hole", "coda.fillHoles")
REGENERATE = Action("Write this fill anew with CoDA", "refactor.rewrite.coda.regenerate", "coda.regenerate")
ALL_HOLES = Action("Fill the holes in this file with CoDA", "source.coda.fillHoles", "coda.fillHoles")

_MISSING = {
    SELECTION.command: "There is nothing selected to fill.",
    ALL_HOLES.command: "There is no hole to fill here.",
    REGENERATE.command: "There is no fill of CoDA's to write anew here, or it was edited since.",
}


@dataclass(frozen=True)
class _Job:
    """Spans to fill in a document at one version; `earlier` are the fills that stand there, where it is done again."""

    document: Snapshot
    holes: Sequence[HoleSpan]
    earlier: Sequence[Fill] = ()


class CodeActions:
    """Offers the actions, and computes an edit when the user chooses one."""

    def __init__(
        self,
        ls: LanguageServer,
        documents: DocumentStore,
        backend: Backend,
        settings: Callable[[str], Settings],
        snippets: Callable[[Snapshot, int], tuple[Snippet, ...]],
    ) -> None:
        """`settings(uri)` are a document's, `snippets(document, offset)` go with a request there."""
        self._ls = ls
        self._documents = documents
        self._backend = backend
        self._settings = settings
        self._snippets = snippets
        self._filled: OrderedDict[str, tuple[Fill, ...]] = OrderedDict()

    def offer(
        self, document: Snapshot | None, params: types.CodeActionParams, encoding: types.PositionEncodingKind
    ) -> list[types.CodeAction]:
        """The actions for a cursor or a selection, still without their edits."""
        if document is None or self._settings(document.uri).enable == "off":
            return []
        target = Target(document.uri, document.version, params.range)
        try:
            start, end = target.offsets(document, encoding)
        except JsonRpcInvalidParams:
            return []
        holes = self._holes(document)
        offered = {
            SELECTION: start != end,
            HOLE: any(_touches(hole, start, end) for hole in holes),
            REGENERATE: any(_touches(span, start, end) for _, span in self._again(document)),
            ALL_HOLES: bool(holes),
        }
        wanted = params.context.only and [_kind_text(kind) for kind in params.context.only]
        whole = Target(document.uri, document.version, None)
        return [
            self._code_action(action, whole if action is ALL_HOLES else target)
            for action, is_there in offered.items()
            if is_there and (not wanted or any(_is_of_kind(action.kind, kind) for kind in wanted))
        ]

    async def resolve(self, action: types.CodeAction, encoding: types.PositionEncodingKind) -> types.CodeAction:
        """The action with its edit. Raises JsonRpcException with a sentence for the user where there is none."""
        data = action.data if isinstance(action.data, dict) else {}
        command = data.get("command")
        if not isinstance(command, str) or command not in _MISSING:
            raise JsonRpcInvalidParams("The action to resolve is none of ours.")
        action.edit, _ = await self._edit(command, data.get("target"), encoding)
        return action

    async def execute(self, command: str, data: Any, encoding: types.PositionEncodingKind) -> dict[str, Any]:
        """Compute the edit, have the editor apply it, and report: for clients that don't resolve actions."""
        edit, report = await self._edit(command, data, encoding)
        label = next(action.title for action in (SELECTION, ALL_HOLES, REGENERATE) if action.command == command)
        result = await self._ls.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label=label))
        if not result.applied:
            reason = result.failure_reason or "no reason given"
            raise RequestFailedError(f"The editor did not apply the edit: {reason}.")
        return report

    def forget(self, uri: str) -> None:
        """Drop what is kept of a document that was closed."""
        self._filled.pop(uri, None)

    async def _edit(
        self, command: str, data: Any, encoding: types.PositionEncodingKind
    ) -> tuple[types.WorkspaceEdit, dict[str, Any]]:
        target = Target.of(data, needs_range=command == SELECTION.command)
        since_s = time.perf_counter()
        document = self._require_unchanged(target)
        if (reason := refusal(target.uri, self._settings(target.uri))) is not None:
            raise RequestFailedError(reason)
        job = self._job(command, document, *target.offsets(document, encoding))
        if not job.holes:
            raise RequestFailedError(_MISSING[command])
        title = next(action.title for action in (SELECTION, ALL_HOLES, REGENERATE) if action.command == command)
        waiting = "Waiting for the model"
        async with work_progress(self._ls, title, waiting, percentage=0, cancellable=True) as report:
            try:
                outcome = await self._fill(job, report)
            except EngineError as error:
                raise RequestFailedError(str(error)) from error
        self._require_unchanged(target)
        filled = sum(text is not None for text in outcome.texts)
        if not filled:
            raise RequestFailedError("The model found nothing useful to put there.")
        self._remember(job, outcome)
        elapsed_ms = round((time.perf_counter() - since_s) * 1e3, 1)
        numbers = {"holes": len(job.holes), "filled": filled, "steps": outcome.steps, "ms": elapsed_ms}
        return self._workspace_edit(target, job, outcome, encoding), numbers

    def _job(self, command: str, document: Snapshot, start: int, end: int) -> _Job:
        if command == SELECTION.command:
            return _Job(document, [hole_for_selection(document.text, start, end, document.language_id)])
        if command == ALL_HOLES.command:
            return _Job(document, [hole for hole in self._holes(document) if _touches(hole, start, end)])
        again = self._again(document)
        if not any(_touches(span, start, end) for _, span in again):
            again = []
        return _Job(document, [span for _, span in again], [fill for fill, _ in again])

    async def _fill(self, job: _Job, report: Report) -> Outcome:
        document = job.document
        return await fill_holes(
            self._backend,
            document,
            job.holes,
            self._settings(document.uri),
            self._snippets(document, job.holes[0].start),
            report,
            attempt=max((len(fill.texts) for fill in job.earlier), default=0),
            seen=[(*fill.texts, fill.old) for fill in job.earlier],
        )

    def _remember(self, job: _Job, outcome: Outcome) -> None:
        uri, text = job.document.uri, job.document.text
        self._filled[uri] = fills_of(text, job.holes, outcome.texts, job.earlier)
        self._filled.move_to_end(uri)
        if len(self._filled) > _REMEMBERED_DOCUMENTS:
            self._filled.popitem(last=False)

    def _holes(self, document: Snapshot) -> tuple[HoleSpan, ...]:
        marker = self._settings(document.uri).hole_marker
        return unfilled_holes(document.text, document.language_id, document.uri, marker)

    def _again(self, document: Snapshot) -> list[tuple[Fill, HoleSpan]]:
        return spans_again(document.text, self._filled.get(document.uri, ()))

    def _require_unchanged(self, target: Target) -> Snapshot:
        document = self._documents.get(target.uri)
        if document is None or document.version != target.version:
            raise RequestFailedError("The document has changed since it was asked for; try again.")
        return document

    def _code_action(self, action: Action, target: Target) -> types.CodeAction:
        capabilities = self._ls.client_capabilities
        properties = get_capability(capabilities, "text_document.code_action.resolve_support.properties", [])
        resolves = "edit" in properties and get_capability(
            capabilities, "text_document.code_action.data_support", False
        )
        tags = get_capability(capabilities, "text_document.code_action.tag_support.value_set", [])
        generated = types.CodeActionTag.LlmGenerated
        offered = types.CodeAction(action.title, kind=action.kind, tags=[generated] if generated in tags else None)
        if resolves:
            offered.data = {"command": action.command, "target": target.json()}
        else:
            offered.command = types.Command(action.title, action.command, arguments=[target.json()])
        return offered

    def _workspace_edit(
        self, target: Target, job: _Job, outcome: Outcome, encoding: types.PositionEncodingKind
    ) -> types.WorkspaceEdit:
        place = job.document.position_at
        edits = [
            types.TextEdit(types.Range(place(hole.start, encoding), place(hole.end, encoding)), text)
            for hole, text in zip(job.holes, outcome.texts, strict=True)
            if text is not None
        ]
        if not get_capability(self._ls.client_capabilities, "workspace.workspace_edit.document_changes", False):
            return types.WorkspaceEdit(changes={target.uri: edits})
        # With the version the editor itself refuses an edit that comes too late.
        identifier = types.OptionalVersionedTextDocumentIdentifier(uri=target.uri, version=target.version)
        return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, edits)])


def _touches(hole: HoleSpan, start: int, end: int) -> bool:
    return hole.start <= end and start <= hole.end


def _is_of_kind(kind: str, wanted: str) -> bool:
    return kind == wanted or kind.startswith(f"{wanted}.")


def _kind_text(kind: types.CodeActionKind | str) -> str:
    return kind.value if isinstance(kind, types.CodeActionKind) else kind
