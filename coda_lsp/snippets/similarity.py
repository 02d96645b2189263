"""How much two pieces of code are about the same things: by the words they use, and by the lines they share."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

_WORD = re.compile(r"[A-Za-z_]\w{2,}")
_KEYWORDS = """
and any async await bool break case catch class const continue def default elif else enum except export
extends false False final finally float for from func function if impl import int interface is lambda let list
match mut new nil None not null object package pass print private protected pub public raise return self
static str string struct super switch this throw true True try type use using var void while with yield
"""
_COMMON = frozenset(_KEYWORDS.split())


def words(text: str) -> frozenset[str]:
    """The names in a text, and the parts of those written in camelCase or snake_case; keywords are left out."""
    found = set(_WORD.findall(text))
    parts = {part.lower() for word in found for part in re.findall(r"[A-Z]?[a-z]{2,}", word) if len(part) > 2}
    return frozenset((found | parts) - _COMMON)


def overlap(some: Set[str], others: Set[str]) -> float:
    """Jaccard's similarity of two sets of words, from 0 to 1."""
    return len(some & others) / len(some | others) if some and others else 0.0


@lru_cache(maxsize=512)
def lines(text: str) -> frozenset[str]:
    """The lines of a text that say something, without indentation."""
    return frozenset(line for each in text.split("\n") if len(line := each.strip()) > 3)


def shared_lines(text: str, other: str) -> float:
    """The share of a text's lines that stand in another one too."""
    own = lines(text)
    return len(own & lines(other)) / len(own) if own else 1.0


def alike(text: str, other: str) -> float:
    """The share of lines that two texts have in common, of the shorter one's."""
    return max(shared_lines(text, other), shared_lines(other, text))
