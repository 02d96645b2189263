"""Keys and values kept from one request to the next: what a keystroke does not change is not computed again.

A document is recognised by its tokens, so a request needs no name for it, and clients of one server can't be mixed up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coda_model.common import common_length
from coda_model.kv_cache import ContextCache

# Tokens that must agree before two contexts count as overlapping at a shifted place.
_ANCHOR = 8
# More new tokens than these, and a full pass costs little more and leaves nothing stale.
_MOST_FRESH = 64
# Requests that may build on one another before a full pass: the bound of the staleness.
_MOST_REUSES = 32


@dataclass(frozen=True)
class Known:
    """Tokens of a request's context whose keys and values are there: `target[i]` of it is `source[i]` of the cache."""

    cache: ContextCache
    source: list[int]
    target: list[int]


@dataclass
class _Entry:
    texts: list[list[int]]
    cache: ContextCache
    reuses: int


class DocumentStore:
    """The contexts of the last few documents, the latest last."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._entries: list[_Entry] = []

    def find(self, texts: list[list[int]]) -> Known | None:
        """What is known of a context; None where a full pass is due."""
        best: tuple[list[int], list[int]] = ([], [])
        chosen = None
        for entry in self._entries:
            pairs = kept_tokens(entry.texts, texts)
            if len(pairs[0]) > len(best[0]):
                best, chosen = pairs, entry
        fresh = sum(map(len, texts)) - len(best[0])
        if chosen is None or fresh > _MOST_FRESH or fresh > len(best[0]) or chosen.reuses >= _MOST_REUSES:
            return None
        return Known(chosen.cache, *best)

    def keep(self, texts: list[list[int]], known: Known | None, cache: ContextCache) -> None:
        """Store a request's context, built on `known`, in place of the same document's older ones."""
        base = next((entry for entry in self._entries if known is not None and entry.cache is known.cache), None)
        others = [entry for entry in self._entries if entry is not base and not _same_document(entry.texts, texts)]
        reuses = 0 if base is None else base.reuses + 1
        self._entries = [*others, _Entry(texts, cache, reuses)][-self._kept :] if self._kept else []


def _same_document(old: list[list[int]], new: list[list[int]]) -> bool:
    return 2 * len(kept_tokens(old, new)[0]) > sum(map(len, new))


def kept_tokens(old: Sequence[Sequence[int]], new: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Which tokens of the context `new` stand in `old` too, as ascending pairs of indices (into old, into new).

    Both are the texts between the holes, counted through. A typed character changes a few tokens within a text, and its
    ends may be cut elsewhere: so of each a run from the start and one from the end are kept, with a shift of its own. A
    token that changed the side of a hole is not kept.
    """
    if len(old) != len(new):
        return [], []
    source: list[int] = []
    target: list[int] = []
    old_offset = new_offset = 0
    for before, after in zip(old, new, strict=True):
        old_start, new_start, head = common_head(before, after)
        old_rest, new_rest = before[old_start + head :][::-1], after[new_start + head :][::-1]
        old_end, new_end, tail = common_head(old_rest, new_rest)
        for start, to, length in (
            (old_start, new_start, head),
            (len(before) - old_end - tail, len(after) - new_end - tail, tail),
        ):
            source += range(old_offset + start, old_offset + start + length)
            target += range(new_offset + to, new_offset + to + length)
        old_offset, new_offset = old_offset + len(before), new_offset + len(after)
    return source, target


def common_head(old: Sequence[int], new: Sequence[int]) -> tuple[int, int, int]:
    """The longest common run that starts at the first token of one of them: its start in old, in new, its length."""
    starts = [(0, 0)]
    anchor = min(_ANCHOR, len(old), len(new))
    if anchor == _ANCHOR:
        starts += [(i, 0) for i in range(1, len(old) - anchor + 1) if old[i : i + anchor] == new[:anchor]]
        starts += [(0, i) for i in range(1, len(new) - anchor + 1) if new[i : i + anchor] == old[:anchor]]
    return max(((i, j, common_length(old[i:], new[j:])) for i, j in starts), key=lambda run: run[2])
