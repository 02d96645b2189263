"""From an LSP `character` to an index into a line, and back, in the three position encodings.

A Python text is a sequence of code points; LSP counts bytes (utf-8), 16-bit units (utf-16) or code points (utf-32).
The texts here hold no lone surrogates (see `without_lone_surrogates`), so each of them can be encoded.
"""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}  # name, bytes a unit


class PositionError(ValueError):
    """A position or a range that the document does not have."""


def without_lone_surrogates(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and UTF-8 can't, by U+FFFD: as long in all three encodings."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def index_of_character(line: str, character: int, encoding: str) -> int:
    """The index into `line` of a `character` counted in units of the encoding.

    Past the end it is the end; inside a surrogate pair or a multi-byte character it is that character's start.
    """
    head = line[:character]  # long enough: no code point is shorter than one unit
    if head.isascii():
        return len(head)
    codec, width = _CODECS[encoding]
    return len(head.encode(codec)[: character * width].decode(codec, errors="ignore"))


def character_of_index(line: str, index: int, encoding: str) -> int:
    """The `character`, counted in units of the encoding, of an index into `line`."""
    head = line[:index]
    if head.isascii():
        return len(head)
    codec, width = _CODECS[encoding]
    return len(head.encode(codec)) // width
