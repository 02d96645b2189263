"""The document store against a slow reference that edits encoded units."""

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import (
    Position,
    PositionEncodingKind,
    Range,
    TextDocumentContentChangePartial,
    TextDocumentContentChangeWholeDocument,
)

from coda_lsp import text_buffer
from coda_lsp.documents import DocumentStore, UnknownDocumentError
from coda_lsp.positions import PositionError

URI = "file:///a.py"
EDITS = int(os.environ.get("CODA_FUZZ_EDITS", "100000"))  # in each encoding
UTF8, UTF16, UTF32 = PositionEncodingKind.Utf8, PositionEncodingKind.Utf16, PositionEncodingKind.Utf32
CODECS = {UTF8: ("utf-8", 1), UTF16: ("utf-16-le", 2), UTF32: ("utf-32-le", 4)}
ALPHABET = [
    "a",
    "b",
    " ",
    "\t",
    "é",
    "日",
    "🎉",
    "𝒳",
    "e\u0301",
    "\n",
    "\r\n",
    "\r",
    "\f",
    "\v",
    "\u2028",
    "\u0085",
    "\x1c",
]


class Reference:
    """A document as a list of code units of one encoding; every operation scans it from the start."""

    def __init__(self, text: str, encoding: PositionEncodingKind):
        self.codec, self.width = CODECS[encoding]
        self.units = self.encode(text)
        self.known_lines: list[tuple[int, int]] | None = None

    def encode(self, text: str) -> list[int]:
        data = text.encode(self.codec)
        return [int.from_bytes(data[i : i + self.width], "little") for i in range(0, len(data), self.width)]

    @property
    def text(self) -> str:
        return b"".join(unit.to_bytes(self.width, "little") for unit in self.units).decode(self.codec)

    def lines(self) -> list[tuple[int, int]]:
        """Start and end, without the line end, of each line; scanned anew after each change."""
        if self.known_lines is not None:
            return self.known_lines
        lines, start, index = [], 0, 0
        while index < len(self.units):
            if self.units[index] in (10, 13):
                lines.append((start, index))
                if self.units[index : index + 2] == [13, 10]:
                    index += 1
                start = index + 1
            index += 1
        self.known_lines = [*lines, (start, len(self.units))]
        return self.known_lines

    def index(self, position: Position) -> int:
        start, end = self.lines()[position.line]
        index = min(start + position.character, end)
        while start < index < end and self.is_inside_character(index):
            index -= 1
        return index

    def is_inside_character(self, index: int) -> bool:
        if self.width == 1:
            return self.units[index] & 0xC0 == 0x80
        return self.width == 2 and 0xDC00 <= self.units[index] <= 0xDFFF

    def change(self, span: Range, text: str) -> None:
        self.units[self.index(span.start) : self.index(span.end)] = self.encode(text)
        self.known_lines = None

    def offset(self, position: Position) -> int:
        """The position as an offset in code points."""
        head = self.units[: self.index(position)]
        return len(b"".join(unit.to_bytes(self.width, "little") for unit in head).decode(self.codec))


def partial(start: tuple[int, int], end: tuple[int, int], text: str) -> TextDocumentContentChangePartial:
    return TextDocumentContentChangePartial(range=Range(Position(*start), Position(*end)), text=text)


def text_after(text: str, *changes, encoding=UTF16) -> str:
    store = DocumentStore()
    store.open(URI, "python", 1, text)
    return store.change(URI, 2, changes, encoding).text


def random_text(random_: random.Random, most: int) -> str:
    return "".join(random_.choices(ALPHABET, k=random_.randint(0, most)))


def random_position(random_: random.Random, reference: Reference) -> Position:
    lines = reference.lines()
    line = random_.randrange(len(lines))
    length = lines[line][1] - lines[line][0]
    return Position(line, random_.randint(0, length + 3))


@pytest.mark.parametrize("encoding", [UTF8, UTF16, UTF32])
@pytest.mark.parametrize("block_lines", [1, 3, 512])
def test_random_edits_agree_with_the_reference(encoding, block_lines, monkeypatch):
    monkeypatch.setattr(text_buffer, "_BLOCK_LINES", block_lines)
    random_ = random.Random(f"{encoding} {block_lines}")
    text = random_text(random_, 100)
    store, reference = DocumentStore(), Reference(text, encoding)
    store.open(URI, "python", 0, text)
    for version in range(1, EDITS // 3 + 2):
        span = Range(*sorted([random_position(random_, reference), random_position(random_, reference)]))
        if reference.index(span.start) > reference.index(span.end):
            continue
        new = random_text(random_, 30 if len(reference.units) < 100 else 3)
        snapshot = store.change(URI, version, [TextDocumentContentChangePartial(range=span, text=new)], encoding)
        reference.change(span, new)
        assert snapshot.text == reference.text
        assert snapshot.version == version
        position = random_position(random_, reference)
        assert snapshot.offset_at(position, encoding) == reference.offset(position)
        assert snapshot.buffer.line_count == len(reference.lines())


texts = st.lists(st.sampled_from(ALPHABET), max_size=40).map("".join)
encodings = st.sampled_from([UTF8, UTF16, UTF32])


@given(text=texts, encoding=encodings, line=st.integers(0, 12), character=st.integers(0, 60))
def test_offset_at_agrees_with_the_reference(text, encoding, line, character):
    snapshot = DocumentStore().open(URI, "python", 1, text)
    reference = Reference(text, encoding)
    position = Position(line, character)
    if line >= len(reference.lines()):
        with pytest.raises(PositionError):
            snapshot.offset_at(position, encoding)
    else:
        assert snapshot.offset_at(position, encoding) == reference.offset(position)


@given(text=texts, encoding=encodings)
def test_position_at_undoes_offset_at(text, encoding):
    snapshot = DocumentStore().open(URI, "python", 1, text)
    for offset in range(len(text) + 1):
        inside_line_end = text[max(offset - 1, 0) : offset + 1] == "\r\n"
        position = snapshot.position_at(offset, encoding)
        assert snapshot.offset_at(position, encoding) == (offset - 1 if inside_line_end else offset)


@pytest.mark.parametrize(
    ("encoding", "position", "offset"),
    [
        (UTF8, Position(0, 1), 1),
        (UTF8, Position(0, 2), 1),  # inside é
        (UTF8, Position(0, 3), 2),
        (UTF8, Position(0, 4), 2),  # inside 🎉
        (UTF8, Position(0, 6), 2),
        (UTF8, Position(0, 7), 3),
        (UTF16, Position(0, 2), 2),
        (UTF16, Position(0, 3), 2),  # between the surrogates of 🎉
        (UTF16, Position(0, 4), 3),
        (UTF32, Position(0, 3), 3),
        (UTF32, Position(0, 99), 4),  # past the line end is the line end
        (UTF16, Position(1, 0), 6),
        (UTF16, Position(1, 99), 7),
        (UTF16, Position(2, 5), 8),
    ],
)
def test_positions(encoding, position, offset):
    assert DocumentStore().open(URI, "python", 1, "aé🎉b\r\nc\n").offset_at(position, encoding) == offset


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", 1),
        ("a", 1),
        ("a\n", 2),
        ("a\r\nb", 2),
        ("a\rb\n\rc", 4),
        ("\r\r\n\n", 4),
        ("a\fb\vc\u2028d\u0085e\x1cf", 1),
    ],
)
def test_only_lsp_line_ends_end_a_line(text, lines):
    snapshot = DocumentStore().open(URI, "python", 1, text)
    assert snapshot.buffer.line_count == lines
    assert snapshot.offset_at(Position(lines - 1, 99), UTF16) == len(text)


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        ("ab\n", [partial((0, 1), (0, 1), "X")], "aXb\n"),
        ("ab\n", [partial((0, 0), (1, 0), "")], ""),
        ("a\rb", [partial((1, 0), (1, 0), "\n")], "a\r\nb"),  # two line ends become one
        ("a\r\nb", [partial((0, 1), (0, 1), "\r")], "a\r\r\nb"),
        ("ab", [partial((0, 0), (0, 1), ""), partial((0, 0), (0, 0), "x")], "xb"),  # the second sees the first
        ("ab", [TextDocumentContentChangeWholeDocument(text="new\n")], "new\n"),
        ("ab", [TextDocumentContentChangeWholeDocument(text="new\n"), partial((1, 0), (1, 0), "x")], "new\nx"),
        ("a\nb", [partial((0, 0), (99, 0), "all")], "all"),  # some clients end a range at a line that is not there
        ("🎉", [partial((0, 1), (0, 2), "")], ""),  # half a character is the whole of it
        ("a\ud83d", [partial((0, 0), (0, 0), "\ude00")], "\ufffda\ufffd"),  # lone surrogates can't be encoded
    ],
)
def test_changes(text, changes, expected):
    assert text_after(text, *changes) == expected


@pytest.mark.parametrize(
    "changes",
    [
        [partial((5, 0), (6, 0), "x")],
        [partial((1, 1), (0, 0), "x")],
        [partial((0, 0), (0, 0), "x"), partial((5, 0), (5, 0), "y")],
    ],
    ids=["starts past the end", "ends before its start", "a good one, then a bad one"],
)
def test_a_bad_change_leaves_the_document_as_it_was(changes):
    store = DocumentStore()
    before = store.open(URI, "python", 1, "ab\ncd\n")
    with pytest.raises(PositionError, match=r"\.$"):
        store.change(URI, 2, changes, UTF16)
    assert store.get(URI) is before


def test_a_snapshot_is_not_touched_by_later_edits():
    store = DocumentStore()
    before = store.open(URI, "python", 1, "ab\n")
    after = store.change(URI, 2, [partial((0, 0), (0, 0), "x\n")], UTF16)
    assert (before.text, before.version, before.buffer.line_count) == ("ab\n", 1, 2)
    assert (after.text, after.version, after.buffer.line_count) == ("x\nab\n", 2, 3)


def test_open_and_close():
    store = DocumentStore()
    assert store.get(URI) is None
    assert store.open(URI, "python", 1, "a") is store.get(URI)
    assert store.open(URI, "go", 7, "b") is store.get(URI)
    store.close(URI)
    assert store.get(URI) is None
    store.close(URI)
    with pytest.raises(UnknownDocumentError, match="not open"):
        store.change(URI, 2, [], UTF16)


@pytest.mark.parametrize(
    ("uri", "language_id", "expected"),
    [
        ("file:///a.py", "python", "python"),
        ("file:///a.py", "go", "go"),
        ("file:///a.rs", "", "rust"),
        ("file:///a%20b.tsx", "plaintext", "typescriptreact"),
        ("file:///a.xyz", "plaintext", "plaintext"),
        ("untitled:Untitled-1", "plaintext", "plaintext"),
    ],
)
def test_the_extension_tells_a_language_that_the_editor_does_not(uri, language_id, expected):
    assert DocumentStore().open(uri, language_id, 1, "").language_id == expected


def test_an_edit_shares_the_blocks_it_does_not_touch():
    buffer = text_buffer.TextBuffer.of("line\n" * 100_000)
    edited = buffer.replaced(250_000, 250_000, "new\n")
    shared = {id(block) for block in buffer.blocks} & {id(block) for block in edited.blocks}
    assert len(shared) >= len(buffer.blocks) - 2
    assert edited.line_count == buffer.line_count + 1


def test_blocks_stay_few_when_lines_are_typed_one_by_one():
    buffer = text_buffer.TextBuffer.of("line\n" * 10_000)
    for _ in range(3_000):
        buffer = buffer.replaced(25_000, 25_000, "\n")
    assert len(buffer.blocks) < 60
