"""Why a suggestion shows at a place in a file, or why none does: the way of an automatic request, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lsprotocol import types

from coda_lsp.backend import Backend
from coda_lsp.counters import Counters
from coda_lsp.documents import DocumentStore, PositionError
from coda_lsp.engine.client import EngineClient, ProgressCallback
from coda_lsp.engine.errors import EngineError
from coda_lsp.engine.request import InfillAnswer, InfillRequest
from coda_lsp.features.inline_completion import InlineCompletion
from coda_lsp.holes import hole_at_cursor
from coda_lsp.languages import language_for
from coda_lsp.private_files import privacy
from coda_lsp.settings import Settings
from coda_lsp.snippets.collect import SnippetCollector

UTF16 = types.PositionEncodingKind.Utf16


@dataclass
class Explanation:
    """What happens at a place: `outcome` is the sentence that `coda.status` would give, `steps` led to it."""

    outcome: str = ""
    steps: list[str] = field(default_factory=list)
    suggestions: list[str] = field(default_factory=list)


class _Listening(Backend):
    """An engine whose answers are noted before the filters see them."""

    def __init__(self, client: EngineClient, steps: list[str]) -> None:
        super().__init__(lambda status: None)
        self._client = client
        self._steps = steps

    async def ready(self) -> None:
        pass

    async def infill(self, request: InfillRequest, on_progress: ProgressCallback | None = None) -> InfillAnswer:
        sent = sum(len(segment) for segment in request.segments if isinstance(segment, str))
        snippets = ", ".join(dict.fromkeys(snippet.path for snippet in request.snippets)) or "none"
        self._steps.append(f"The engine gets {sent} characters of the file; snippets of other files: {snippets}.")
        answer = await self._client.infill(request, on_progress)
        for candidate in answer.candidates:
            self._steps.append(f"The model says {candidate.fills[0]!r} and is {candidate.confidence:.0%} sure.")
        return answer


async def explain(client: EngineClient, settings: Settings, path: Path, line: int, column: int) -> Explanation:
    """Ask for a suggestion at a line (from 1) and a column (from 0, in UTF-16 units) of a file, as typing there would.

    A file that can't be read or a position that it does not have is the outcome too.
    """
    found = Explanation()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        found.outcome = f"The file {path} can't be read: {reason}."
        return found
    documents = DocumentStore()
    uri = path.resolve().as_uri()
    document = documents.open(uri, "", 1, text)
    position = types.Position(max(line - 1, 0), max(column, 0))
    try:
        offset = document.offset_at(position, UTF16)
    except PositionError as error:
        found.outcome = str(error)
        return found
    language = language_for(document.language_id)
    known = (
        f"Its language is {language.name}." if language else "Its language is not known: only lines and brackets are."
    )
    found.steps.append(known)
    if (reason := privacy(uri)) is not None:
        found.steps.append(
            f"The file {reason}: it goes to an engine on this machine only, and into no other file's context."
        )
    hole = hole_at_cursor(document.text, offset, document.language_id)
    if hole is not None:
        lines = "one line" if hole.single_line or not settings.multi_line else "several lines"
        replaced = document.text[hole.start : hole.end]
        replacing = f", in place of {replaced!r}" if replaced else ""
        found.steps.append(f"The place is of the kind {hole.kind}: {lines}{replacing}.")
    counters = Counters()
    snippets = SnippetCollector(lambda: documents, lambda uri: settings, lambda: [path.resolve().parent.as_uri()])
    inline = InlineCompletion(_Listening(client, found.steps), lambda uri: settings, snippets.collect, counters)
    context = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic)
    asked = types.InlineCompletionParams(context, text_document=types.TextDocumentIdentifier(uri), position=position)
    try:
        answer = await inline.complete(document, asked, UTF16)
    except EngineError as error:
        found.outcome = str(error)
        return found
    filters = counters.json()["filters"]
    if filters:
        found.steps.append(f"Filters changed or dropped it: {', '.join(filters)}.")
    found.outcome = inline.last_outcome
    found.suggestions = [str(item.insert_text) for item in answer.items]
    return found
