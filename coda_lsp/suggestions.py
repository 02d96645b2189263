"""Suggestions of a moment ago: typing along one, or coming back to its place, costs no request."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from dataclasses import dataclass, replace

_KEPT_A_DOCUMENT = 16
_KEPT_DOCUMENTS = 32
_CLOSERS = frozenset(")]}>\"'`")
_MOST_AUTO_CLOSED = 3
_LONGEST_DIVERGENCE = 12  # characters typed beside a suggestion, after which it is no guide any more
_SHORTEST_REMAINDER = 4  # characters; less says nothing but how long the fill is
_WORD = re.compile(r"\w+")
CHANGED_ODDS = 0.45
"""What the odds of a text are multiplied by where it is not what the answer before foresaw (docs/log.md, *A model that
changes its mind*: fitted to a typist's keystrokes, of which the model's confidence knows the last alone)."""


@dataclass(frozen=True)
class Suggestion:
    """A text for the hole, and how sure the model is of it, from 0 to 1; `id` stays while the user types along it."""

    text: str
    confidence: float
    id: str = ""


@dataclass(frozen=True)
class Shown:
    """Suggestions for [start, end) of the text as it is now; `asked_for`: the rest of those that the user wanted to
    see, however unsure."""

    start: int
    end: int
    suggestions: tuple[Suggestion, ...]
    asked_for: bool = False


@dataclass(frozen=True)
class Answered:
    """A request that was answered: its hole [start, end), the cursor in it, the text around it, the suggestions.

    `before` and `after` are what the answer depends on, `to_end` says whether `after` ends the document,
    `candidates` is how many suggestions were asked for, and `invoked` says that the user did, rather than just typed.
    """

    start: int
    end: int
    cursor: int
    before: str
    hole: str
    after: str
    to_end: bool
    candidates: int
    invoked: bool
    suggestions: tuple[Suggestion, ...]

    def at(self, text: str, cursor: int, sure: float) -> Shown | None:
        """What this answer says for a later text and cursor; None where it does not apply.

        A suggestion that was hidden, being less than `sure`, says nothing once more is typed: what agrees with it makes
        it likelier than it was, and how much so, only the model knows.
        """
        if cursor < self.start or not _stands_before(text, self.start, self.before):
            return None
        typed = text[self.start : cursor]
        untouched = typed == self.hole[: self.cursor - self.start]
        closed = self._auto_closed(text, cursor)
        if closed is None or (closed and untouched):
            return None
        end = cursor + closed + self.end - self.cursor
        if not any(each.text.startswith(typed) for each in self.suggestions) and self._begins_a_line(text):
            # Over more indentation editors go on showing what they had, and it may be taken there line by line.
            typed = typed.lstrip(" \t") or typed
        along = tuple(
            replace(each, text=each.text[len(typed) :])
            for each in self.suggestions
            if each.text.startswith(typed)
            and len(each.text) > len(typed)
            and (not typed or self.invoked or each.confidence >= sure)
            and _holds_in_order(each.text[len(typed) :], text[cursor : cursor + closed])
        )
        if along:
            return Shown(cursor, end, along, asked_for=self.invoked and bool(typed))
        return Shown(self.start, end, self.suggestions) if untouched else None

    def _begins_a_line(self, text: str) -> bool:
        return not text[text.rfind("\n", 0, self.start) + 1 : self.start].strip(" \t")

    def remainder(self, text: str, cursor: int) -> str | None:
        """What may still fit of the best suggestion where the user has typed something else than it says.

        None where this answer is about another place, or nothing of the suggestion is left.
        """
        typed = self._typed(text, cursor)
        if typed is None:
            return None
        said = self.suggestions[0].text
        pairs = enumerate(zip(typed, said, strict=False))
        same = next((at for at, (one, other) in pairs if one != other), min(len(typed), len(said)))
        other, rest = typed[same:], said[same:]
        if not other or len(other) > _LONGEST_DIVERGENCE or "\n" in other or "\r" in other:
            return None
        if _WORD.fullmatch(other):  # another word is being written in place of the one that was suggested
            word = _WORD.match(rest)
            rest = rest[min(len(other), len(word.group()) if word else 0) :]
        return rest if len(rest.strip()) >= _SHORTEST_REMAINDER and _WORD.search(rest) else None

    def foresaw(self, text: str, cursor: int, suggestion: str) -> bool | None:
        """Whether the best suggestion, typed along, now says this.

        None where this answer is about another place or line, or all of the suggestion is typed.
        """
        typed = self._typed(text, cursor)
        if typed is None or "\n" in typed or "\r" in typed or typed == (said := self.suggestions[0].text):
            return None
        # Closers that the editor has put behind the cursor are no longer the suggestion's.
        closers = "".join(_CLOSERS)
        return said.startswith(typed) and said[len(typed) :].rstrip(closers) == suggestion.rstrip(closers)

    def _typed(self, text: str, cursor: int) -> str | None:
        """What the user has typed here since something was suggested; None where this answer is about another place."""
        if not self.suggestions or cursor <= self.start or not _stands_before(text, self.start, self.before):
            return None
        return text[self.start : cursor] if self._auto_closed(text, cursor) is not None else None

    def _auto_closed(self, text: str, cursor: int) -> int | None:
        """How many closers the editor has put between the cursor and what followed it; None where that does not."""
        rest = self.hole[self.cursor - self.start :] + self.after
        for count in range(_MOST_AUTO_CLOSED + 1):
            follows = cursor + count
            if text.startswith(rest, follows) and (not self.to_end or len(text) == follows + len(rest)):
                return count
            if text[follows : follows + 1] not in _CLOSERS:
                return None
        return None


class SuggestionCache:
    """The latest answers of each document."""

    def __init__(self) -> None:
        self._answered: OrderedDict[str, deque[Answered]] = OrderedDict()

    def add(self, uri: str, answered: Answered) -> None:
        """Remember an answer; the oldest ones are forgotten."""
        self._answered.setdefault(uri, deque(maxlen=_KEPT_A_DOCUMENT)).appendleft(answered)
        self._answered.move_to_end(uri)
        if len(self._answered) > _KEPT_DOCUMENTS:
            self._answered.popitem(last=False)

    def find(self, uri: str, text: str, cursor: int, candidates: int, sure: float) -> Shown | None:
        """What the newest answer with at least so many candidates that applies says for this cursor; see Answered."""
        for answered in self._answered.get(uri, ()):
            if answered.candidates >= candidates and (shown := answered.at(text, cursor, sure)) is not None:
                return shown
        return None

    def remainder(self, uri: str, text: str, cursor: int) -> str | None:
        """What may still fit of the newest answer, where the user has just typed something else; see Answered."""
        newest = self._newest(uri)
        return newest.remainder(text, cursor) if newest is not None else None

    def sure(self, uri: str, text: str, cursor: int, suggestion: str, confidence: float) -> float:
        """The confidence, lowered where the newest answer foresaw something else here."""
        newest = self._newest(uri)
        if newest is None or newest.foresaw(text, cursor, suggestion) is not False:
            return confidence
        return confidence / (confidence + (1 - confidence) / CHANGED_ODDS)

    def forget(self, uri: str) -> None:
        """Drop what is kept of a document."""
        self._answered.pop(uri, None)

    def clear(self) -> None:
        """Drop everything: other settings or another model would answer differently."""
        self._answered.clear()

    def _newest(self, uri: str) -> Answered | None:
        return next(iter(self._answered.get(uri, ())), None)


def _stands_before(text: str, end: int, before: str) -> bool:
    return end >= len(before) and text.startswith(before, end - len(before))


def _holds_in_order(text: str, characters: str) -> bool:
    remaining = iter(text)
    return all(character in remaining for character in characters)
