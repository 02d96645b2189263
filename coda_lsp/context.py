"""What of a document travels to the engine: the text around the hole, with the line ends the model knows."""

from __future__ import annotations

from dataclasses import dataclass

# Ten times what the engine reads by default; the rest of a long document would only be sent to be dropped.
WINDOW_CHARACTERS = 40_000
# Cutting at a line start is worth losing so much of the window, no more: a line may be a megabyte long.
_LONGEST_TRIM = 2_000


@dataclass(frozen=True)
class Window:
    """A part of a text: `text` stands at `start` in it."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def window_around(text: str, start: int, end: int, characters: int = WINDOW_CHARACTERS) -> Window:
    """The text around [start, end): at most `characters` outside of it, two thirds of them before.

    What one side does not need goes to the other. The window starts and ends at line ends where some are near.
    """
    before = min(start, max(characters * 2 // 3, characters - (len(text) - end)))
    after = min(len(text) - end, characters - before)
    first, last = start - before, end + after
    if first > 0:
        line_end = text.find("\n", first - 1, min(first + _LONGEST_TRIM, start))
        first = line_end + 1 if line_end >= 0 else first
    if last < len(text):
        line_end = text.rfind("\n", max(last - _LONGEST_TRIM, end), last)
        last = line_end + 1 if line_end >= 0 else last
    return Window(text[first:last], first)


def with_unix_line_ends(text: str) -> str:
    """The text with every `\\r\\n` and `\\r` as the `\\n` that models are trained on."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def line_end_of(text: str) -> str:
    """The line end that a text uses first; `\\n` where it has none."""
    newline, carriage_return = text.find("\n"), text.find("\r")
    if carriage_return < 0 or 0 <= newline < carriage_return:
        return "\n"
    return "\r\n" if newline == carriage_return + 1 else "\r"


def with_line_ends_of(fill: str, text: str) -> str:
    """A fill, which has `\\n` line ends, with those of the text that it goes into."""
    line_end = line_end_of(text)
    return fill if line_end == "\n" else fill.replace("\n", line_end)
