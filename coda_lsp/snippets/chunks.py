"""Pieces of files that the editor has open, or had: the ones most like the place at the cursor, and the ones edited."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coda_lsp.documents import Snapshot
from coda_lsp.snippets.similarity import words

CHUNK_LINES = 24
_STEP_LINES = 12
_MOST_CHUNKS = 100  # of one file: some 1,200 lines
_MOST_NEW = 1  # documents that one request looks through for the first time: each takes some 20 ms
_KEPT_DOCUMENTS = 64
_KEPT_EDITS = 16
_LONGEST_LINE = 300  # longer ones are data or minified


@dataclass(frozen=True)
class Chunk:
    """Lines of a document, with `\\n` line ends, and the words in them."""

    uri: str
    text: str
    words: frozenset[str]


class ChunkIndex:
    """The overlapping pieces of documents, each document cut once a version."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, tuple[Chunk, ...]]] = OrderedDict()

    def chunks(self, documents: Iterable[Snapshot]) -> Iterator[Chunk]:
        """The pieces of the documents; of those that are new or changed one, of the others what is known."""
        new = 0
        for document in documents:
            version, chunks = self._known.get(document.uri, (None, ()))
            if version != document.version and new < _MOST_NEW:
                new += 1
                chunks = tuple(_chunks_of(document))
                self._known[document.uri] = document.version, chunks
                self._known.move_to_end(document.uri)
                if len(self._known) > _KEPT_DOCUMENTS:
                    self._known.popitem(last=False)
            yield from chunks


def _chunks_of(document: Snapshot) -> Iterator[Chunk]:
    for number in range(0, min(document.buffer.line_count, _MOST_CHUNKS * _STEP_LINES), _STEP_LINES):
        if (chunk := _chunk(document, number)) is not None:
            yield chunk


def _chunk(document: Snapshot, first: int) -> Chunk | None:
    last = min(first + CHUNK_LINES, document.buffer.line_count)
    found = [document.buffer.line(number)[1] for number in range(first, last)]
    if not any(line.strip() for line in found) or max(map(len, found)) > _LONGEST_LINE:
        return None
    text = "\n".join(found).strip("\n") + "\n"
    return Chunk(document.uri, text, words(text))


class RecentEdits:
    """Where documents were edited lately, the newest last, also such as are closed by now."""

    def __init__(self) -> None:
        self._edits: OrderedDict[str, tuple[Snapshot, int]] = OrderedDict()

    def add(self, document: Snapshot, line: int) -> None:
        """Take note of an edit at a line; the older of the same document is forgotten."""
        self._edits[document.uri] = document, line
        self._edits.move_to_end(document.uri)
        if len(self._edits) > _KEPT_EDITS:
            self._edits.popitem(last=False)

    def chunks(self, documents: Iterable[Snapshot]) -> Iterator[Chunk]:
        """The lines around each edit, the newest first, as they are now in the documents that are open."""
        now = {document.uri: document for document in documents}
        for uri, (document, line) in reversed(self._edits.items()):
            current = now.get(uri, document)
            first = max(min(line, current.buffer.line_count - 1) - CHUNK_LINES // 2, 0)
            if (chunk := _chunk(current, first)) is not None:
                yield chunk
