"""A simulated typist: how many keystrokes a model's suggestions would have saved, and how often they were right."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

CHANGED_ODDS = 0.45
"""As in coda_lsp/suggestions.py, for what an editor would show is what is counted."""
Ask = Callable[[str], tuple[str, float]]
"""Given what was typed of the hole so far, the suggested text and its confidence."""


@dataclass(frozen=True)
class Keystroke:
    """One request, with as much of the reference typed as its place says: the suggestion, how sure the model is of it,
    and what follows up to the end of the line."""

    suggestion: str
    confidence: float
    rest: str

    @property
    def something(self) -> bool:
        """Whether anything was suggested."""
        return bool(self.suggestion.strip())

    @property
    def right(self) -> bool:
        """Whether it is what follows."""
        return self.something and self.suggestion == self.rest


def rest_of_line(reference: str, position: int) -> str:
    """What follows in the line; nothing where it ends."""
    return reference[position:].partition("\n")[0]


def requests(reference: str, ask: Ask) -> Iterator[Keystroke]:
    """A suggestion at every position of the reference, as if nothing was ever accepted.

    From these `saved` finds what a typist with any threshold would have seen: what is suggested at a position depends
    on the text before it alone, and that is the reference's whether it was typed or accepted.
    """
    for position in range(len(reference)):
        yield Keystroke(*ask(reference[:position]), rest_of_line(reference, position))


@dataclass(frozen=True)
class Saving:
    """`saved` of `characters` were not typed (one key an accept is counted as typed). Of `asked` keystrokes `shown` had
    a suggestion beside them; these were `offered` suggestions, of which `right` were accepted."""

    saved: int
    characters: int
    asked: int
    shown: int
    offered: int
    right: int


def saved(keystrokes: Sequence[Keystroke], threshold: float) -> Saving:
    """Walk the reference with the suggestions above a threshold: accept if and only if it is what follows.

    As in the editor (coda_lsp/suggestions.py), a suggestion that is shown stays while it is typed along, anything else
    is asked for anew at every key, and what is not what the answer before foresaw has to be surer.
    """
    position, visible = 0, ""
    foreseen: str | None = None
    spared, asked, shown, offered, right = 0, 0, 0, 0, 0
    while position < len(keystrokes):
        keystroke = keystrokes[position]
        asked += 1
        said = visible or keystroke.suggestion
        if not visible and keystroke.something and _sure(keystroke, foreseen) >= threshold:
            visible = said
            offered += 1
        shown += bool(visible)
        if visible and visible == keystroke.rest:
            right += 1
            spared += len(visible) - 1
            position += len(visible)
            visible, foreseen = "", None
        else:
            typed = keystroke.rest[:1]
            rest = said[1:] if typed and said.startswith(typed) else ""
            visible = rest if visible else ""
            foreseen = None if said in ("", typed) or not typed else rest
            position += 1
    return Saving(spared, len(keystrokes), asked, shown, offered, right)


def _sure(keystroke: Keystroke, foreseen: str | None) -> float:
    sure = keystroke.confidence
    if foreseen is None or foreseen == keystroke.suggestion:
        return sure
    return sure / (sure + (1 - sure) / CHANGED_ODDS)
