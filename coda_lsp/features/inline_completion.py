"""`textDocument/inlineCompletion`: the ghost text at the cursor."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lsprotocol import types

from coda_lsp.backend import Backend
from coda_lsp.context import window_around, with_line_ends_of, with_unix_line_ends
from coda_lsp.counters import Counters
from coda_lsp.documents import Snapshot
from coda_lsp.engine.errors import EngineError
from coda_lsp.engine.request import Hole, InfillRequest, Snippet
from coda_lsp.filters import apply_filters
from coda_lsp.holes import HoleSpan, closers_to_line_end, hole_at_cursor
from coda_lsp.private_files import refusal
from coda_lsp.settings import Settings
from coda_lsp.suggestions import Answered, Shown, Suggestion, SuggestionCache

logger = logging.getLogger(__name__)

ACCEPTED = "coda.accepted"  # the command that an editor runs once it has inserted a suggestion


class NothingToShow(Exception):
    """There is no suggestion here; the message says why."""


@dataclass(frozen=True)
class _Popup:
    """The entry chosen in the editor's completion list: the editor shows it in place of [start, end)."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class _Cursor:
    """A place to complete: `text` and `offset` are as if the popup's entry were accepted already."""

    document: Snapshot
    text: str
    offset: int
    popup: _Popup | None
    invoked: bool  # the user asked, rather than just typed


class InlineCompletion:
    """Suggests at the cursor, with one live request a document: a newer one cancels the older."""

    def __init__(
        self,
        backend: Backend,
        settings: Callable[[str], Settings],
        snippets: Callable[[Snapshot, int], tuple[Snippet, ...]],
        counters: Counters,
    ) -> None:
        """`settings(uri)` are a document's, `snippets(document, offset)` go with a request there."""
        self._backend = backend
        self._settings = settings
        self._snippets = snippets
        self._counters = counters
        self._cache = SuggestionCache()
        self._live: dict[str, asyncio.Task[object]] = {}
        self._ids = itertools.count(1)
        self.last_outcome = "Nothing has been asked for yet."

    async def complete(
        self, document: Snapshot, params: types.InlineCompletionParams, encoding: types.PositionEncodingKind
    ) -> types.InlineCompletionList:
        """The suggestions for a cursor; an empty list where there are none.

        Raises PositionError for a position outside of the document, CancelledError when a newer request comes in.
        """
        since_s = time.perf_counter()
        cursor = _cursor_of(document, params, encoding)
        from_cache = False
        with self._alone(document.uri):
            try:
                shown, from_cache = await self._suggest(cursor)
                self.last_outcome = f"Shown: {len(shown.suggestions)} suggestion(s)."
            except (NothingToShow, EngineError) as reason:
                shown = Shown(cursor.offset, cursor.offset, ())
                self.last_outcome = str(reason)
        latency_ms = (time.perf_counter() - since_s) * 1e3
        logger.debug("%s %.1f ms", self.last_outcome, latency_ms)
        gains = {each.id: len(each.text) - (shown.end - shown.start) for each in shown.suggestions}
        self._counters.answered(document.uri, gains, latency_ms, from_cache=from_cache)
        return types.InlineCompletionList(_items(shown, cursor, encoding))

    def forget(self, uri: str) -> None:
        """Drop what is kept of a document that was closed."""
        self._cache.forget(uri)
        self._counters.forget(uri)
        if (live := self._live.pop(uri, None)) is not None:
            live.cancel()

    def clear(self) -> None:
        """Drop what was answered under other settings."""
        self._cache.clear()

    @contextlib.contextmanager
    def _alone(self, uri: str) -> Iterator[None]:
        """Cancel the request that is live for the document, and be it."""
        task = asyncio.current_task()
        assert task is not None
        if (older := self._live.get(uri)) is not None:
            older.cancel()
        self._live[uri] = task
        try:
            yield
        finally:
            if self._live.get(uri) is task:
                del self._live[uri]

    async def _suggest(self, cursor: _Cursor) -> tuple[Shown, bool]:
        """What to show, and whether it was known. Raises NothingToShow and EngineError."""
        settings = self._settings(cursor.document.uri)
        _require_allowed(cursor, settings)
        candidates = settings.candidates if cursor.invoked else 1
        sure = 0.0 if cursor.invoked else settings.minimum_confidence
        shown = self._cache.find(cursor.document.uri, cursor.text, cursor.offset, candidates, sure)
        if shown is not None and shown.asked_for:
            return shown, True
        if settings.enable == "manual" and not cursor.invoked:
            raise NothingToShow("Suggestions appear only when asked for (coda.enable).")
        from_cache = shown is not None
        if shown is None:
            hole = _choose_hole(cursor, settings)
            if cursor.invoked:
                await self._backend.ready()
            answered = await self._ask(cursor, hole, candidates, settings)
            self._cache.add(cursor.document.uri, answered)
            shown = answered.at(cursor.text, cursor.offset, sure)
            assert shown is not None, "an answer applies to the text that it was made for"
        return _worth_showing(shown, sure), from_cache

    async def _ask(self, cursor: _Cursor, hole: HoleSpan, candidates: int, settings: Settings) -> Answered:
        text, document = cursor.text, cursor.document
        window = window_around(text, hole.start, hole.end)
        before, after = text[window.start : hole.start], text[hole.end : window.end]
        prefix, suffix = with_unix_line_ends(before), with_unix_line_ends(after)
        at_cursor = hole.start == cursor.offset
        draft = self._cache.remainder(document.uri, text, cursor.offset) if at_cursor else None
        place = Hole(
            single_line=hole.single_line or not settings.multi_line,
            max_tokens=settings.max_tokens,
            draft=with_unix_line_ends(draft) if draft is not None else None,
        )
        snippets = self._snippets(document, min(cursor.offset, document.buffer.length))
        language = document.language_id
        request = InfillRequest.of(
            settings, prefix, place, suffix, candidates=candidates, snippets=snippets, language=language
        )
        answer = await self._backend.infill(request)
        kept: dict[str, float] = {}
        for candidate in answer.candidates:
            outcome = apply_filters(candidate.fills[0], prefix, suffix, document.language_id)
            self._counters.filtered(outcome.fired)
            logger.debug(
                "%r (%.2f) became %r by %s", candidate.fills[0], candidate.confidence, outcome.text, outcome.fired
            )
            if outcome.text:
                fill, sure = with_line_ends_of(outcome.text, text), candidate.confidence
                if at_cursor:
                    sure = self._cache.sure(document.uri, text, cursor.offset, fill, sure)
                kept.setdefault(fill, sure)
        return Answered(
            start=hole.start,
            end=hole.end,
            cursor=cursor.offset,
            before=before,
            hole=text[hole.start : hole.end],
            after=after,
            to_end=window.end == len(text),
            candidates=candidates,
            invoked=cursor.invoked,
            suggestions=tuple(Suggestion(each, sure, f"s{next(self._ids)}") for each, sure in kept.items()),
        )


def _cursor_of(
    document: Snapshot, params: types.InlineCompletionParams, encoding: types.PositionEncodingKind
) -> _Cursor:
    offset = document.offset_at(params.position, encoding)
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    chosen = params.context.selected_completion_info
    if chosen is None:
        return _Cursor(document, document.text, offset, None, invoked)
    start = document.offset_at(chosen.range.start, encoding)
    end = document.offset_at(chosen.range.end, encoding)
    text = document.text[:start] + chosen.text + document.text[end:]
    return _Cursor(document, text, start + len(chosen.text), _Popup(start, end, chosen.text), invoked)


def _require_allowed(cursor: _Cursor, settings: Settings) -> None:
    """Raise NothingToShow where the settings allow no suggestion in this document."""
    if settings.enable == "off":
        raise NothingToShow("Suggestions are off (coda.enable).")
    if (reason := refusal(cursor.document.uri, settings)) is not None:
        raise NothingToShow(reason)


def _choose_hole(cursor: _Cursor, settings: Settings) -> HoleSpan:
    """The span to fill. Raises NothingToShow where a suggestion would only disturb."""
    hole = hole_at_cursor(cursor.text, cursor.offset, cursor.document.language_id, invoked=cursor.invoked)
    if hole is None:
        raise NothingToShow("The cursor is inside a word, with code after it.")
    if not cursor.invoked:
        if hole.kind == "comment" and not settings.in_comments:
            raise NothingToShow("The cursor is in a comment (coda.inComments).")
        if hole.kind == "string" and not settings.in_strings:
            raise NothingToShow("The cursor is in a string (coda.inStrings).")
    return hole


def _worth_showing(shown: Shown, sure: float) -> Shown:
    """Without the suggestions that are less than `sure`. Raises NothingToShow where none is left."""
    if not shown.suggestions:
        raise NothingToShow("The model had nothing useful to add here.")
    certain = tuple(each for each in shown.suggestions if each.confidence >= sure)
    if not certain:
        best = max(each.confidence for each in shown.suggestions)
        raise NothingToShow(f"The model was only {best:.0%} sure (coda.minimumConfidence).")
    return replace(shown, suggestions=certain)


def _items(shown: Shown, cursor: _Cursor, encoding: types.PositionEncodingKind) -> list[types.InlineCompletionItem]:
    document, popup = cursor.document, cursor.popup
    start, end, head, closers = shown.start, shown.end, "", ""
    if popup is None:
        # What an editor has closed ahead of the cursor is written once more: then the cursor ends up behind it.
        closers = closers_to_line_end(cursor.text, end)
        end += len(closers)
    else:
        if shown.start < cursor.offset:  # it would replace a part of the popup's entry, and editors refuse that
            return []
        head = popup.text
        start, end = popup.start, shown.end - len(popup.text) + popup.end - popup.start
    span = types.Range(document.position_at(start, encoding), document.position_at(end, encoding))
    return [
        types.InlineCompletionItem(
            head + each.text + closers,
            range=span,
            command=types.Command("Accepted", ACCEPTED, arguments=[{"id": each.id}]),
        )
        for each in shown.suggestions
    ]
