"""The code action "Fill selection with CoDA": the selected code is masked and written anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from coda_lsp.backend import Backend
from coda_lsp.context import window_around, with_line_ends_of, with_unix_line_ends
from coda_lsp.documents import DocumentStore, PositionError, Snapshot
from coda_lsp.engine.client import Fill, InfillRequest
from coda_lsp.engine.errors import EngineError
from coda_lsp.features.work_progress import Report, work_progress
from coda_lsp.filters import apply_filters
from coda_lsp.holes import HoleSpan, hole_for_selection
from coda_lsp.secret_files import is_secret
from coda_lsp.settings import Settings

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

logger = logging.getLogger(__name__)

TITLE = "Fill selection with CoDA"
KIND = "refactor.rewrite.coda"
COMMAND = "coda.fillSelection"
# Room for a fill twice as long as what it replaces; code has about three characters a token.
_CHARACTERS_A_TOKEN = 3
_GROWTH = 2


class RequestFailedError(JsonRpcException):
    """A request that was right and could not be met; editors show its message (ContentModified they would hide)."""

    CODE = types.LSPErrorCodes.RequestFailed.value


@dataclass(frozen=True)
class Target:
    """The selection to fill, in a document at one version."""

    uri: str
    version: int
    start: types.Position
    end: types.Position

    @classmethod
    def of(cls, data: Any) -> Target:
        """Read it from JSON: `{uri, version, range}`. Raises JsonRpcInvalidParams."""
        try:
            start, end = data["range"]["start"], data["range"]["end"]
            target = cls(data["uri"], data["version"], types.Position(**start), types.Position(**end))
        except (KeyError, TypeError, ValueError):
            raise JsonRpcInvalidParams("A selection must be {uri, version, range}.") from None
        if not isinstance(target.uri, str) or not isinstance(target.version, int):
            raise JsonRpcInvalidParams("A selection's uri must be a text and its version a whole number.")
        return target

    def json(self) -> dict[str, Any]:
        """What `of` reads."""
        start = {"line": self.start.line, "character": self.start.character}
        end = {"line": self.end.line, "character": self.end.character}
        return {"uri": self.uri, "version": self.version, "range": {"start": start, "end": end}}


class FillSelection:
    """Offers the action on every selection, and computes its edit when the user chooses it."""

    def __init__(
        self, ls: LanguageServer, documents: DocumentStore, backend: Backend, settings: Callable[[], Settings]
    ) -> None:
        self._ls = ls
        self._documents = documents
        self._backend = backend
        self._settings = settings

    def actions(self, document: Snapshot | None, params: types.CodeActionParams) -> list[types.CodeAction]:
        """The action for a selection, still without its edit; nothing for a mere cursor."""
        span, wanted = params.range, params.context.only
        if document is None or span.start == span.end or self._settings().enable == "off":
            return []
        if wanted and not any(kind == KIND or KIND.startswith(f"{kind}.") for kind in map(_kind_text, wanted)):
            return []
        data = Target(document.uri, document.version, span.start, span.end).json()
        if self._resolves_edits():
            return [types.CodeAction(TITLE, kind=KIND, data=data)]
        return [types.CodeAction(TITLE, kind=KIND, command=types.Command(TITLE, COMMAND, arguments=[data]))]

    async def resolve(self, action: types.CodeAction, encoding: types.PositionEncodingKind) -> types.CodeAction:
        """The action with its edit. Raises JsonRpcException with a sentence for the user where there is none."""
        action.edit = await self._edit(Target.of(action.data), encoding)
        return action

    async def execute(self, data: Any, encoding: types.PositionEncodingKind) -> None:
        """Compute the edit and have the editor apply it: for clients that don't resolve actions."""
        edit = await self._edit(Target.of(data), encoding)
        result = await self._ls.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label=TITLE))
        if not result.applied:
            raise RequestFailedError(
                f"The editor did not apply the edit: {result.failure_reason or 'no reason given'}."
            )

    async def _edit(self, target: Target, encoding: types.PositionEncodingKind) -> types.WorkspaceEdit:
        document = self._require_unchanged(target)
        settings = self._settings()
        if settings.server_url is not None and is_secret(target.uri):
            raise RequestFailedError("Files that hold secrets by their name are not sent to a team server.")
        try:
            start, end = document.offset_at(target.start, encoding), document.offset_at(target.end, encoding)
        except PositionError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        hole = hole_for_selection(document.text, min(start, end), max(start, end), document.language_id)
        waiting = "Waiting for the model"
        async with work_progress(self._ls, TITLE, waiting, percentage=0, cancellable=True) as report:
            try:
                text = await self._fill(document, hole, settings, report)
            except EngineError as error:
                raise RequestFailedError(str(error)) from error
        self._require_unchanged(target)
        span = types.Range(document.position_at(hole.start, encoding), document.position_at(hole.end, encoding))
        return self._workspace_edit(target, types.TextEdit(span, text))

    async def _fill(self, document: Snapshot, hole: HoleSpan, settings: Settings, report: Report) -> str:
        text = document.text
        window = window_around(text, hole.start, hole.end)
        hint = with_unix_line_ends(text[hole.start : hole.end])
        request = InfillRequest(
            before=with_unix_line_ends(text[window.start : hole.start]),
            after=with_unix_line_ends(text[hole.end : window.end]),
            hint=hint,
            single_line=hole.single_line,
            max_tokens=max(settings.max_tokens, len(hint) * _GROWTH // _CHARACTERS_A_TOKEN),
            candidates=settings.candidates,
            context_tokens=settings.context_tokens,
            steps=settings.steps,
            algorithm=settings.algorithm,
            deadline_ms=settings.deadline_ms,
        )
        await self._backend.ready()
        answer = await self._backend.infill(
            request, lambda step, steps: report(f"Step {step} of {steps}", 100 * step // max(steps, 1))
        )
        return with_line_ends_of(_first_useful(answer.fills, request, document.language_id), text)

    def _require_unchanged(self, target: Target) -> Snapshot:
        document = self._documents.get(target.uri)
        if document is None or document.version != target.version:
            raise RequestFailedError("The document has changed since it was selected; select again and retry.")
        return document

    def _resolves_edits(self) -> bool:
        capabilities = self._ls.client_capabilities
        properties = get_capability(capabilities, "text_document.code_action.resolve_support.properties", [])
        data = get_capability(capabilities, "text_document.code_action.data_support", False)
        return data and "edit" in properties

    def _workspace_edit(self, target: Target, edit: types.TextEdit) -> types.WorkspaceEdit:
        if not get_capability(self._ls.client_capabilities, "workspace.workspace_edit.document_changes", False):
            return types.WorkspaceEdit(changes={target.uri: [edit]})
        # With the version the editor itself refuses an edit that comes too late.
        identifier = types.OptionalVersionedTextDocumentIdentifier(uri=target.uri, version=target.version)
        return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, [edit])])


def _kind_text(kind: types.CodeActionKind | str) -> str:
    return kind.value if isinstance(kind, types.CodeActionKind) else kind


def _first_useful(fills: tuple[Fill, ...], request: InfillRequest, language_id: str) -> str:
    for fill in fills:
        old = request.hint or ""
        outcome = apply_filters(fill.text, request.before, request.after, language_id, replaced=old)
        logger.debug("%r (%.2f) became %r by %s", fill.text, fill.confidence, outcome.text, outcome.fired)
        if outcome.text:
            return outcome.text
    raise RequestFailedError("The model found nothing useful to put in place of the selection.")
