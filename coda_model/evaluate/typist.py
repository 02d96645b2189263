"""A simulated typist: how many keystrokes a model's suggestions would have saved, and how often they were right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Ask = Callable[[str], tuple[str, float]]
"""Given what was typed of the hole so far, the suggested text and its confidence."""


@dataclass(frozen=True)
class Keystroke:
    """One request: whether anything was suggested and right, with what confidence, and how many characters it holds."""

    position: int
    confidence: float
    shown: bool
    right: bool
    length: int


def requests(reference: str, ask: Ask) -> Iterator[Keystroke]:
    """A suggestion at every position of the reference, as if nothing was ever accepted.

    From these `saved` finds what a typist with any threshold would have seen: what is shown at a position depends on
    the text before it alone, and that is the reference's whether it was typed or accepted.
    """
    for position in range(len(reference)):
        text, confidence = ask(reference[:position])
        rest = reference[position:].partition("\n")[0]
        shown = bool(text.strip())
        yield Keystroke(position, confidence, shown, shown and text == rest, len(rest))


@dataclass(frozen=True)
class Saving:
    """`saved` of `characters` were not typed (one key an accept is counted as typed); of `asked` requests `shown` were
    answered with a text, of which `right` were accepted."""

    saved: int
    characters: int
    asked: int
    shown: int
    right: int


def saved(keystrokes: list[Keystroke], characters: int, threshold: float) -> Saving:
    """Walk the reference with the suggestions above a threshold: accept if and only if it is what follows."""
    position, spared, asked, shown, right = 0, 0, 0, 0, 0
    while position < characters:
        keystroke = keystrokes[position]
        asked += 1
        visible = keystroke.shown and keystroke.confidence >= threshold
        shown += visible
        if visible and keystroke.right:
            right += 1
            spared += keystroke.length - 1
            position += keystroke.length
        else:
            position += 1
    return Saving(spared, characters, asked, shown, right)
