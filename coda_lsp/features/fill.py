"""Fills for holes of a document, several of them jointly: what code actions and commands put into it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from coda_lsp.backend import Backend
from coda_lsp.context import window_around, with_line_ends_of, with_unix_line_ends
from coda_lsp.documents import Snapshot
from coda_lsp.engine.request import Candidate, Hole, InfillRequest, Snippet
from coda_lsp.features.work_progress import Report
from coda_lsp.filters import apply_filters
from coda_lsp.holes import HoleSpan
from coda_lsp.settings import Settings

logger = logging.getLogger(__name__)

# Room for a fill twice as long as what it replaces; code has about three characters a token.
_CHARACTERS_A_TOKEN = 3
_GROWTH = 2
_BODY_GROWTH = 3  # a body has several lines, `maxTokens` is meant for one
# Holes of one request: its masks share the model's positions with the context.
_HOLES_A_REQUEST = 8
# For another fill than the ones before: drawn warmer, and several, so that one is new.
_ANOTHER_TEMPERATURE = 0.8
_ANOTHER_CANDIDATES = 4


@dataclass(frozen=True)
class Outcome:
    """One text for each hole, with the document's line ends; None where the model had nothing useful."""

    texts: tuple[str | None, ...]
    steps: int


async def fill_holes(
    backend: Backend,
    document: Snapshot,
    holes: Sequence[HoleSpan],
    settings: Settings,
    snippets: tuple[Snippet, ...],
    report: Report,
    *,
    attempt: int = 0,
    seen: Sequence[Collection[str]] = (),
) -> Outcome:
    """Fill the holes, which stand in order, each of them knowing the others' fills. Raises EngineError.

    With `attempt` above 0 the fills are drawn at random, and none that is among `seen` of its hole is taken.
    """
    await backend.ready()
    text, texts, steps = document.text, list[str | None](), 0
    batches = [holes[start : start + _HOLES_A_REQUEST] for start in range(0, len(holes), _HOLES_A_REQUEST)]
    for number, batch in enumerate(batches):
        done = tuple(zip(holes, texts, strict=False))
        request, pieces = _request(text, document.language_id, batch, done, settings, snippets, attempt)
        answer = await backend.infill(request, _part_of(report, number, len(batches)))
        chooser = _Chooser(batch, pieces, text, document.language_id, seen[len(texts) :])
        texts += chooser.choose(answer.candidates)
        steps += answer.steps
    return Outcome(tuple(texts), steps)


def _part_of(report: Report, number: int, batches: int) -> Callable[[int, int], None]:
    def on_progress(step: int, steps: int) -> None:
        share = (number + step / max(steps, 1)) / batches
        where = f" (part {number + 1} of {batches})" if batches > 1 else ""
        report(f"Step {step} of {steps}{where}", int(100 * share))

    return on_progress


def _request(
    text: str,
    language_id: str,
    batch: Sequence[HoleSpan],
    done: Sequence[tuple[HoleSpan, str | None]],
    settings: Settings,
    snippets: tuple[Snippet, ...],
    attempt: int,
) -> tuple[InfillRequest, list[str]]:
    """The request for a batch of holes, and the texts around them: one more than there are holes."""
    window = window_around(text, batch[0].start, batch[-1].end)
    before = _with_fills(text, window.start, batch[0].start, done)
    between = [text[one.end : other.start] for one, other in pairwise(batch)]
    pieces = [with_unix_line_ends(piece) for piece in (before, *between, text[batch[-1].end : window.end])]
    pieces = [piece + _instruction(piece, hole) for piece, hole in zip(pieces, batch, strict=False)] + pieces[-1:]
    segments: list[str | Hole] = [pieces[0]]
    for hole, piece in zip(batch, pieces[1:], strict=True):
        segments += [_hole(hole, text, settings), piece]
    another = {"temperature": _ANOTHER_TEMPERATURE, "seed": attempt} if attempt else {}
    candidates = max(settings.candidates, _ANOTHER_CANDIDATES) if attempt else settings.candidates
    request = InfillRequest.of(
        settings,
        *segments,
        candidates=candidates,
        priority="background",
        snippets=snippets,
        language=language_id,
        **another,
    )
    return request, pieces


def _with_fills(text: str, start: int, end: int, done: Sequence[tuple[HoleSpan, str | None]]) -> str:
    """The text of [start, end) with the fills of the holes in it that are done."""
    parts, at = [], start
    for hole, fill in done:
        if fill is not None and hole.start >= start:
            parts += [text[at : hole.start], fill]
            at = hole.end
    return "".join((*parts, text[at:end]))


def _instruction(before: str, hole: HoleSpan) -> str:
    """The comment that a hole replaces, as a line above it: it says what to write."""
    if not hole.instruction or hole.single_line:
        return ""
    head = before[before.rfind("\n") + 1 :]
    return f"{with_unix_line_ends(hole.instruction)}\n{head if not head.strip() else ''}"


def _hole(hole: HoleSpan, text: str, settings: Settings) -> Hole:
    if hole.kind != "selection":
        tokens = settings.max_tokens * (1 if hole.single_line else _BODY_GROWTH)
        return Hole(single_line=hole.single_line, max_tokens=tokens)
    hint = with_unix_line_ends(text[hole.start : hole.end])
    tokens = max(settings.max_tokens, len(hint) * _GROWTH // _CHARACTERS_A_TOKEN)
    return Hole(single_line=hole.single_line, max_tokens=tokens, hint=hint)


class _Chooser:
    """Takes from the candidates, for each hole, the best fill that the filters leave something of."""

    def __init__(
        self,
        batch: Sequence[HoleSpan],
        pieces: list[str],
        text: str,
        language_id: str,
        seen: Sequence[Collection[str]],
    ) -> None:
        self._batch = batch
        self._pieces = pieces
        self._text = text
        self._language_id = language_id
        self._seen = seen

    def choose(self, candidates: Sequence[Candidate]) -> list[str | None]:
        """The candidate with the most fills left, the surest first: fills of one candidate know each other."""
        choices = [[*self._filtered(candidate)] for candidate in candidates]
        empty: list[str | None] = [None] * len(self._batch)
        return max(choices, key=lambda texts: sum(text is not None for text in texts), default=empty)

    def _filtered(self, candidate: Candidate) -> Iterator[str | None]:
        for index, hole in enumerate(self._batch):
            before = "".join(_interleaved(self._pieces[: index + 1], candidate.fills))
            after = "".join(_interleaved(self._pieces[index + 1 :], candidate.fills[index + 1 :]))
            old = "" if hole.kind != "selection" else with_unix_line_ends(self._text[hole.start : hole.end])
            outcome = apply_filters(candidate.fills[index], before, after, self._language_id, replaced=old)
            logger.debug("%r became %r by %s", candidate.fills[index], outcome.text, outcome.fired)
            text = with_line_ends_of(outcome.text, self._text) if outcome.text else None
            yield None if index < len(self._seen) and text in self._seen[index] else text


def _interleaved(pieces: Sequence[str], fills: Sequence[str]) -> Iterator[str]:
    for index, piece in enumerate(pieces):
        yield piece
        if index < len(pieces) - 1:
            yield fills[index]
