"""Which brackets are open: a scan over code whose comments and strings are blanked (see `syntax`)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
_BRACKET = re.compile(r"[()\[\]{}]")

# A line that starts with such a word, or ends with a semicolon, is a statement: brackets that are still open there were
# left open by an unfinished one, and would make everything below it look like their content.
_TOKEN = re.compile(
    r"[()\[\]{}]|;(?=[ \t]*[\r\n])|^[ \t]*(?:def|return|import|raise|while|with|pub)\b(?!\()", re.MULTILINE
)


def open_brackets(code: str) -> list[int]:
    """Offsets of the brackets opened in the code and not closed at its end, outermost first."""
    opened: list[int] = []
    for found in _TOKEN.finditer(code):
        token = found.group()
        if token in _CLOSER_OF:
            opened.append(found.start())
        elif token in ")]}":
            matching = [depth for depth, offset in enumerate(opened) if _CLOSER_OF[code[offset]] == token]
            if matching:  # what was opened inside and not closed ends here too
                del opened[matching[-1] :]
        else:
            while opened and code[opened[-1]] != "{":
                opened.pop()
    return opened


def unmatched_closers(code: str, opened: Sequence[str] = ()) -> int:
    """How many closing brackets in the code close neither a bracket of it nor, in order, one opened before it."""
    stack = [_CLOSER_OF[bracket] for bracket in opened]
    unmatched = 0
    for found in _BRACKET.finditer(code):
        bracket = found.group()
        if bracket in _CLOSER_OF:
            stack.append(_CLOSER_OF[bracket])
        elif stack and stack[-1] == bracket:
            stack.pop()
        else:
            unmatched += 1
    return unmatched
