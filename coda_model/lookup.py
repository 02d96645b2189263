"""What a document says elsewhere after the words that stand before a hole: code repeats itself.

As prompt lookup does for autoregressive models, this proposes a fill without the model; the model then says how likely
it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from coda_model.length import unbalanced_brackets

# Characters searched on each side of the hole, of the words before it that are looked for at most and at least, and of
# the longest fill.
_REACH, _MOST_SAME, _LEAST_SAME, _LONGEST = 20_000, 60, 3, 160
_CLOSERS = frozenset(")]},:;")


@dataclass(frozen=True)
class Continuation:
    """A text that would fill the hole; `same` characters before it are those before the hole."""

    text: str
    same: int


def continuations(before: str, after: str, most: int) -> list[Continuation]:
    """At most `most` different fills of one line, those with more in common with the hole first, then the nearer ones.

    Args:
        before: the text before the hole.
        after: the text behind it. What stands there on the hole's own line a fill has to lead up to.
        most: how many are wanted.
    """
    before, after = before[-_REACH:], after[:_REACH]
    rest = after.partition("\n")[0].strip()
    found: dict[str, int] = {}
    for same in range(min(_MOST_SAME, len(before)), _LEAST_SAME - 1, -1):
        if len(found) >= most:
            break
        words = before[-same:]
        if not words.strip():
            break
        if words[0].isspace() and "\n" not in words:
            continue  # with the next shorter one the same places are found
        for text in _after(words, before, after):
            fill = _up_to(text.partition("\n")[0].rstrip(), rest)
            if fill.strip():
                found.setdefault(fill, same)
    return [Continuation(*item) for item in found.items()][:most]


def _after(words: str, before: str, after: str) -> Iterator[str]:
    """What follows the words wherever they stand: before the hole from the last place on, then behind it."""
    at = before.rfind(words, 0, len(before) - 1)
    while at >= 0:
        yield before[at + len(words) : at + len(words) + _LONGEST]
        at = before.rfind(words, 0, at + len(words) - 1)
    at = after.find(words)
    while at >= 0:
        yield after[at + len(words) : at + len(words) + _LONGEST]
        at = after.find(words, at + 1)


def _up_to(text: str, rest: str) -> str:
    """The start of the text that leads up to what stands behind the hole; empty where none does."""
    if not rest:
        return text
    end_mark = rest[0] if rest[0] in _CLOSERS else rest
    at = text.find(end_mark)
    while at >= 0:
        if not unbalanced_brackets(text[:at]):
            return text[:at]
        at = text.find(end_mark, at + 1)
    return ""
