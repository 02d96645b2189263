"""What a document says elsewhere between the words that stand around a hole: code repeats itself.

As prompt lookup does for autoregressive models, this proposes a fill without the model; the model then says how likely
it is. Code also repeats itself with other names: `self.low = low` is followed by `self.high = high`.
"""

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from coda_model.common import common_length
from coda_model.length import unbalanced_brackets

# Characters searched on each side of the hole, of the words beside it that are compared at most and at least, and of
# the longest fill.
_REACH, _MOST_SAME, _LEAST_SAME, _LONGEST = 20_000, 60, 3, 160
# Places looked at: those with more in common before the hole first.
_MOST_PLACES = 64
# Another fill speaks against one if it has nearly as much in common with the hole.
_NEARLY = 0.7
_CLOSERS = frozenset(")]},:;")
# Characters in which renamed copies are searched on each side, and tokens and lines of them that are compared.
_COPY_REACH, _COPY_TOKENS, _COPY_LINES = (8_000, 4_000), 60, 3
# What a renamed word takes from the characters in common.
_RENAMED = 2
_TOKEN = re.compile(r"\w+|\n[ \t]*|[ \t]+|[^\w\s]")
_BORDER = "\0"
# Words that are no names: those of Python, and what is common elsewhere.
_KEYWORDS = frozenset(keyword.kwlist) | frozenset(("self", "this", "const", "let", "var", "new", "function", "case"))


@dataclass(frozen=True)
class Continuation:
    """A text that would fill the hole, since it stands elsewhere between the same words, or words of other names.

    Attributes:
        text: of one line.
        same: characters on both sides, but white space, that are those beside the hole.
        renamed: whether they are those but for other names; then only those before the hole count.
        others: how many different texts have nearly as many in common with the hole, or more.
    """

    text: str
    same: int
    renamed: bool = False
    others: int = 0


def proposals(before: str, after: str, most: int) -> list[Continuation]:
    """At most `most` different fills of one line, those with more in common with the hole first: `continuations`, and
    `renamed_continuations` among them."""
    different: dict[str, Continuation] = {}
    for found in (*continuations(before, after), *renamed_continuations(before, after)):
        first = different.setdefault(found.text, found)
        different[found.text] = replace(first, same=max(first.same, found.same))
    ordered = sorted(different.values(), key=lambda found: -found.same)
    return [
        replace(found, others=sum(other.same >= _NEARLY * found.same for other in ordered) - 1)
        for found in ordered[:most]
    ]


def continuations(before: str, after: str) -> list[Continuation]:
    """Different fills that stand elsewhere after the same words: those after more of them first, then the nearer ones.

    Args:
        before: the text before the hole.
        after: the text behind it. What stands there on the hole's own line a fill has to lead up to.
    """
    before, after = before[-_REACH:], after[:_REACH]
    rest = after.partition("\n")[0].strip()
    found: dict[str, int] = {}
    for same, text in islice(_places(before, after), _MOST_PLACES):
        fill = _up_to(text[:_LONGEST].partition("\n")[0].rstrip(), rest)
        if fill.strip():
            behind = after[: common_length(text[len(fill) :], after[:_MOST_SAME])]
            found[fill] = max(found.get(fill, 0), same + _characters(behind))
    return [Continuation(*item) for item in found.items()]


def renamed_continuations(before: str, after: str) -> list[Continuation]:
    """What follows where the same words stand but for their names, with the names renamed; the nearest first.

    Of `same`, two are taken for each word that is another.
    """
    before, after = before[-_COPY_REACH[0] :], after[: _COPY_REACH[1]]
    rest = after.partition("\n")[0].strip()
    here = _TOKEN.findall(before)
    begun = here.pop() if here and _is_name(here[-1]) else ""  # perhaps not at its end
    tokens = [*here, begun, _BORDER, *_TOKEN.findall(after)]
    found = []
    for place in (*range(len(here) - 1, 0, -1), *range(len(here) + 3, len(tokens))):
        names, same = _renaming(tokens, place, len(here))
        if same + len(begun) >= _LEAST_SAME and any(old != new for old, new in names.items()):
            text = _renamed(tokens[place:], names)
            fill = _up_to(text[len(begun) :].rstrip(), rest)
            if text.startswith(begun) and fill.strip():
                found.append(Continuation(fill, min(same + len(begun), _MOST_SAME), renamed=True))
    return found


def _renaming(tokens: Sequence[str], place: int, hole: int) -> tuple[dict[str, str], int]:
    """How the words before `place` have to be renamed to be those before `hole`, as far as they can, and what they have
    in common. The tokens next to the two are equal, or there is nothing in common."""
    names: dict[str, str] = {}
    back: dict[str, str] = {}
    same = lines = 0
    for distance in range(1, min(_COPY_TOKENS, place, hole) + 1):
        old, new = tokens[place - distance], tokens[hole - distance]
        if old == _BORDER or (old != new and (distance == 1 or not (_is_name(old) and _is_name(new)))):
            break
        if old == new:
            same += len(old) * (not old.isspace())
        elif old not in names:
            same -= _RENAMED
        if _is_name(old) and (names.setdefault(old, new) != new or back.setdefault(new, old) != old):
            break
        lines += old.startswith("\n")
        if lines == _COPY_LINES:
            break
    return names, same


def _renamed(tokens: Sequence[str], names: dict[str, str]) -> str:
    """The tokens up to a line's end, with names, and words of three letters and more in other names, renamed."""
    others = {old: new for old, new in names.items() if old != new and len(old) > 2}
    text = ""
    for token in tokens[:_LONGEST]:
        if token.startswith("\n") or token in ("", _BORDER):
            break
        if token not in names and _is_name(token):
            old = next((old for old in others if old in token), token)
            text += token.replace(old, others.get(old, old))
        else:
            text += names.get(token, token)
    return text


def _is_name(token: str) -> bool:
    return (token[:1].isalnum() or token[:1] == "_") and token not in _KEYWORDS


def _places(before: str, after: str) -> Iterator[tuple[int, str]]:
    """How many characters stand elsewhere as they do before the hole, and what follows them there: the most first, then
    the nearer ones, those before the hole first."""
    seen: set[tuple[bool, int]] = set()
    for length in range(min(_MOST_SAME, len(before)), _LEAST_SAME - 1, -1):
        words = before[-length:]
        if not words.strip():
            return
        if words[0].isspace() and "\n" not in words:
            continue  # with the next shorter one the same places are found
        for is_behind, end in _ends(words, before, after):
            if (is_behind, end) not in seen:
                seen.add((is_behind, end))
                yield _characters(words), (after if is_behind else before)[end : end + _LONGEST + _MOST_SAME]


def _ends(words: str, before: str, after: str) -> Iterator[tuple[bool, int]]:
    """Where the words end: before the hole from the last place on, then behind it; and whether that is behind it."""
    at = before.rfind(words, 0, len(before) - 1)
    while at >= 0:
        yield False, at + len(words)
        at = before.rfind(words, 0, at + len(words) - 1)
    at = after.find(words)
    while at >= 0:
        yield True, at + len(words)
        at = after.find(words, at + 1)


def _characters(text: str) -> int:
    return len("".join(text.split()))


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
