"""The documents that the editor has open, kept in step with its edits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lsprotocol import types

from coda_lsp.languages import language_for, language_id_for_path
from coda_lsp.positions import PositionError, character_of_index, index_of_character, without_lone_surrogates
from coda_lsp.text_buffer import TextBuffer


class UnknownDocumentError(ValueError):
    """A document that is not open."""


@dataclass(frozen=True)
class Snapshot:
    """A document at one version; later edits do not touch it."""

    uri: str
    language_id: str
    version: int
    buffer: TextBuffer

    @property
    def text(self) -> str:
        """The whole text, without lone surrogates, so that it always encodes."""
        return self.buffer.text

    def offset_at(self, position: types.Position, encoding: types.PositionEncodingKind) -> int:
        """The offset, in code points, of a position.

        A character past the end of its line is that line's end; raises PositionError for a line past the last one.
        """
        return _offset_at(self.buffer, position, encoding)

    def position_at(self, offset: int, encoding: types.PositionEncodingKind) -> types.Position:
        """The position of an offset in code points; between `\\r` and `\\n` it is the end of the line."""
        number = self.buffer.line_at(offset)
        start, line = self.buffer.line(number)
        return types.Position(number, character_of_index(line, offset - start, encoding))


class DocumentStore:
    """The open documents by URI; each change makes a new snapshot."""

    def __init__(self) -> None:
        self._snapshots: dict[str, Snapshot] = {}

    def open(self, uri: str, language_id: str, version: int, text: str) -> Snapshot:
        """Take in a document; one that is open already is replaced.

        Where the language id is not a known one, the file's extension tells the language.
        """
        if language_for(language_id) is None:
            language_id = language_id_for_path(uri) or language_id
        snapshot = Snapshot(uri, language_id, version, TextBuffer.of(without_lone_surrogates(text)))
        self._snapshots[uri] = snapshot
        return snapshot

    def change(
        self,
        uri: str,
        version: int,
        content_changes: Sequence[types.TextDocumentContentChangeEvent],
        encoding: types.PositionEncodingKind,
    ) -> Snapshot:
        """Apply changes one after the other, all or none of them.

        Raises UnknownDocumentError for a document that is not open and PositionError for a range it does not have.
        """
        snapshot = self._snapshots.get(uri)
        if snapshot is None:
            raise UnknownDocumentError(f"The document {uri} was changed but is not open.")
        buffer = snapshot.buffer
        for change in content_changes:
            new = without_lone_surrogates(change.text)
            if isinstance(change, types.TextDocumentContentChangeWholeDocument):
                buffer = TextBuffer.of(new)
            else:
                buffer = buffer.replaced(*_span_of(buffer, change.range, encoding), new)
        snapshot = Snapshot(uri, snapshot.language_id, version, buffer)
        self._snapshots[uri] = snapshot
        return snapshot

    def close(self, uri: str) -> None:
        """Forget a document; one that is not open is no error."""
        self._snapshots.pop(uri, None)

    def __iter__(self) -> Iterator[Snapshot]:
        """The newest snapshot of each open document, in the order of opening."""
        return iter(tuple(self._snapshots.values()))

    def get(self, uri: str) -> Snapshot | None:
        """The newest snapshot of a document, None when it is not open."""
        return self._snapshots.get(uri)


def _offset_at(buffer: TextBuffer, position: types.Position, encoding: types.PositionEncodingKind) -> int:
    if position.line >= buffer.line_count:
        raise PositionError(f"Line {position.line} is past the last line, {buffer.line_count - 1}.")
    start, line = buffer.line(position.line)
    return start + index_of_character(line, position.character, encoding)


def _span_of(buffer: TextBuffer, span: types.Range, encoding: types.PositionEncodingKind) -> tuple[int, int]:
    start = _offset_at(buffer, span.start, encoding)
    if span.end.line >= buffer.line_count:  # some clients write a huge line for "to the end"
        return start, buffer.length
    end = _offset_at(buffer, span.end, encoding)
    if end < start:
        raise PositionError(f"The range ends at {span.end}, before its start at {span.start}.")
    return start, end
