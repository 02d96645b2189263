"""A fill in its place, and the lines that filters compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

_MEANINGFUL = 6  # letters and digits that make a line more than an idiom such as "}", "None," or "#endif"


@dataclass(frozen=True)
class Candidate:
    """A fill between the text before its hole and the text after it; `replaced` is what stood in the hole."""

    fill: str
    prefix: str
    suffix: str
    language_id: str
    replaced: str = ""

    @cached_property
    def head(self) -> str:
        """What stands on the hole's first line before it."""
        return self.prefix[self.prefix.rfind("\n") + 1 :]

    @cached_property
    def line_above(self) -> str:
        """The nearest line above the hole that is not blank, with its indentation; empty where there is none."""
        above = self.prefix[: len(self.prefix) - len(self.head)].rstrip()
        return above[above.rfind("\n") + 1 :]

    @cached_property
    def lines(self) -> list[str]:
        """The fill's lines as they will stand, the first with `head` before it."""
        return (self.head + self.fill).split("\n")

    def first_lines(self, count: int) -> str:
        """The fill up to the end of its line number `count`, without blanks at its end."""
        return "\n".join(self.fill.split("\n")[:count]).rstrip()


def is_meaningful(line: str) -> bool:
    """Whether a line says enough that seeing it twice in a row is no coincidence."""
    return sum(character.isalnum() for character in line) >= _MEANINGFUL
