"""A text in blocks of lines: immutable, cheap to edit, and it knows where its lines start.

LSP knows three line ends, `\\n`, `\\r\\n` and `\\r`; form feed and U+2028, at which `str.splitlines`
breaks, end no line.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, pairwise

_BLOCK_LINES = 512


@dataclass(frozen=True)
class _Block:
    """Whole lines; only the last block of a text may end without a line end."""

    text: str
    line_starts: tuple[int, ...]  # offsets into the block's text, the first is 0


@dataclass(frozen=True)
class TextBuffer:
    """A text; offsets count code points. An edit makes a new buffer that shares the untouched blocks."""

    blocks: tuple[_Block, ...]

    @classmethod
    def of(cls, text: str) -> TextBuffer:
        """The buffer of a text."""
        return cls(_blocks_of(text, at_end=True))

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return "".join(block.text for block in self.blocks)

    @property
    def length(self) -> int:
        """Number of code points."""
        return self._offsets[-1]

    @property
    def line_count(self) -> int:
        """Number of lines, one more than there are line ends."""
        return self._first_lines[-1]

    def line(self, number: int) -> tuple[int, str]:
        """The offset at which a line starts and its text without the line end; raises IndexError past the last."""
        if not 0 <= number < self.line_count:
            raise IndexError(number)
        index = bisect_right(self._first_lines, number) - 1
        block, row = self.blocks[index], number - self._first_lines[index]
        start = block.line_starts[row]
        end = block.line_starts[row + 1] if row + 1 < len(block.line_starts) else len(block.text)
        return self._offsets[index] + start, block.text[start:end].rstrip("\r\n")

    def line_at(self, offset: int) -> int:
        """The number of the line that holds an offset; the offset between `\\r` and `\\n` belongs to their line."""
        index = self._block_at(offset)
        row = bisect_right(self.blocks[index].line_starts, offset - self._offsets[index]) - 1
        return self._first_lines[index] + row

    def replaced(self, start: int, end: int, new: str) -> TextBuffer:
        """The buffer with the text in [start, end) replaced; costs as much as the blocks touched, not the text."""
        # The character before the edit is taken along: it may be a \r that a new \n joins. The last line end of the
        # blocks taken lies behind the edit, so that the next block starts a line as before.
        first, last = self._block_at(max(start - 1, 0)), self._block_at(end)
        base = self._offsets[first]
        old = "".join(block.text for block in self.blocks[first : last + 1])
        region = old[: start - base] + new + old[end - base :]
        behind = self.blocks[last + 1 :]
        return TextBuffer((*self.blocks[:first], *_blocks_of(region, at_end=not behind), *behind))

    @cached_property
    def _offsets(self) -> tuple[int, ...]:
        """Where each block starts, and the length of the text."""
        return tuple(accumulate((len(block.text) for block in self.blocks), initial=0))

    @cached_property
    def _first_lines(self) -> tuple[int, ...]:
        """The number of each block's first line, and the number of lines."""
        return tuple(accumulate((len(block.line_starts) for block in self.blocks), initial=0))

    def _block_at(self, offset: int) -> int:
        return min(bisect_right(self._offsets, offset), len(self.blocks)) - 1


def _blocks_of(text: str, at_end: bool) -> tuple[_Block, ...]:
    """Cut a text into blocks of about as many lines each; a short text, even an empty one, is one block.

    What follows the last line end is a line only at the end of the whole text.
    """
    starts = _line_starts(text)
    if not at_end:
        starts.pop()
    count = max(1, round(len(starts) / _BLOCK_LINES))
    edges = [len(starts) * index // count for index in range(count + 1)]
    blocks = []
    for first, last in pairwise(edges):
        base = starts[first]
        end = starts[last] if last < len(starts) else len(text)
        blocks.append(_Block(text[base:end], tuple([start - base for start in starts[first:last]])))
    return tuple(blocks)


def _line_starts(text: str) -> list[int]:
    # Turning every line end into one \n of the same length lets split do the scan in C.
    flat = text.replace("\r\n", " \n").replace("\r", "\n") if "\r" in text else text
    ends = accumulate(len(line) + 1 for line in flat.split("\n"))
    return list(chain((0,), ends))[:-1]
