"""What was filled last in a document, found again after later edits elsewhere: to be written anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coda_lsp.holes import HoleSpan

# Characters around a fill by which it is told from the same text elsewhere.
_AROUND = 60


@dataclass(frozen=True)
class Fill:
    """What stands in a hole now: the last of `texts`, all of which were offered for it.

    `hole` is the span that the fill replaced, `old` the text that stood in it.
    """

    hole: HoleSpan
    old: str
    before: str
    after: str
    texts: tuple[str, ...]

    def find(self, text: str) -> int | None:
        """Where the fill stands in a later text; None where it, or what is next to it, was edited."""
        whole = self.before + self.texts[-1] + self.after
        at = text.find(whole)
        return at + len(self.before) if at >= 0 and text.find(whole, at + 1) < 0 else None


def fills_of(
    text: str, holes: Sequence[HoleSpan], texts: Sequence[str | None], earlier: Sequence[Fill | None] = ()
) -> tuple[Fill, ...]:
    """What is remembered of filling holes of a text, in order; `earlier` are the fills that these replace."""
    parts: list[str] = []
    starts: list[int] = []
    at = length = 0
    for hole, fill in zip(holes, texts, strict=True):
        parts += [text[at : hole.start], fill if fill is not None else text[hole.start : hole.end]]
        starts.append(length + hole.start - at)
        length, at = length + sum(map(len, parts[-2:])), hole.end
    edited = "".join((*parts, text[at:]))
    before = earlier or [None] * len(holes)
    found = []
    for hole, fill, start, old in zip(holes, texts, starts, before, strict=True):
        if fill is None:
            continue
        around = edited[max(start - _AROUND, 0) : start], edited[start + len(fill) : start + len(fill) + _AROUND]
        if old is None:
            found.append(Fill(hole, text[hole.start : hole.end], *around, (fill,)))
        else:
            found.append(replace(old, before=around[0], after=around[1], texts=(*old.texts, fill)))
    return tuple(found)


def spans_again(text: str, fills: Sequence[Fill]) -> list[tuple[Fill, HoleSpan]]:
    """The fills that still stand in a text, each with the span it takes there, in order."""
    found = [
        (fill, replace(fill.hole, start=start, end=start + len(fill.texts[-1])))
        for fill in fills
        if (start := fill.find(text)) is not None
    ]
    return sorted(found, key=lambda pair: pair[1].start)
