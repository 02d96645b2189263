"""The holes that a file itself shows: bodies still to be written, and markers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from coda_lsp.holes import HoleSpan, hole_at_cursor
from coda_lsp.languages import language_for
from coda_lsp.syntax import parse

_TO_DO = r"(?i:TODO|FIXME|HACK|XXX)\b"
_COMMENT = rf"(?://+|#+|--+)[ \t]*{_TO_DO}[^\r\n]*|/\*+\s*{_TO_DO}(?s:.{{0,400}}?)\*/"
_NOT_YET = r"(?i:not[ _]?(?:yet[ _])?implemented|unimplemented|to[ _]?do)"
# Statements that stand for a body, in the languages that have them. A comment may follow on the line.
_STATEMENTS = (
    r"\.\.\.",
    rf"pass(?=[ \t]*#[ \t]*{_TO_DO})",
    rf"(?:pass[ \t]*)?(?={_COMMENT})",
    r"raise NotImplementedError\b(?:\([^\r\n]*\))?",  # Python, Ruby
    r"raise [\"'][^\r\n\"']*" + _NOT_YET + r"[^\r\n\"']*[\"']",
    r"(?:todo|unimplemented)!\([^\r\n]*?\)",
    rf"panic!?\([\"`][^\r\n]*?{_NOT_YET}[^\r\n]*?\)",
    rf"throw (?:new )?[\w:.\\]+\([^\r\n]*?{_NOT_YET}[^\r\n]*?\)",
    r"throw new (?:\w+\.)?(?:UnsupportedOperationException|NotImplementedException|NotSupportedException)\([^\r\n]*?\)",
)
_PLACEHOLDER = re.compile(
    rf"(?:(?:\A|(?<=[\r\n]))[ \t]*|(?P<header>[:{{][ \t]*))"
    rf"(?P<statement>{'|'.join(_STATEMENTS)});?(?:[ \t]*(?P<comment>{_COMMENT}))?"
    rf"(?=[ \t]*(?:#[^\r\n]*|//[^\r\n]*)?(?:[\r\n]|\Z)|[ \t]*\}})"
)
_MARKED_COMMENT = r"(?:(?:#|//|--)[ \t]*)?"
_CLASS_HEADER = re.compile(r"^[ \t]*class\b[^\r\n]*:\s*$", re.MULTILINE)
_DECLARED_ONLY = re.compile(r"@(?:\w+\.)*(?:abstractmethod|abstractproperty|overload)\b")
_DEF = re.compile(r"^(?P<indentation>[ \t]*)(?:async[ \t]+)?(?:def|class)\b", re.MULTILINE)
_PROTOCOL = re.compile(r"\bclass\b[^\r\n]*\([^\r\n]*\bProtocol\b")

# What a line before a body ends with: an opener, a docstring, a comment, or the head of a body in Ruby.
_MAY_OPEN = re.compile(
    r"""[:{)\]"'>|]\s*$|\b(?:do|then|else|begin)\s*$|^\s*(?:#|//|/?\*|--|def\b|class\b|if\b|while\b)"""
)
_MOST_HOLES = 64


@lru_cache(maxsize=8)
def unfilled_holes(text: str, language_id: str, uri: str, marker: str) -> tuple[HoleSpan, ...]:
    """The holes of a text, in order and apart from one another; `instruction` is the comment that a hole replaces.

    At most 64 are found. What is only declared stays: abstract methods, overloads, protocols, stub files, and classes
    without a body.
    """
    found = list(islice(_markers(text, marker), _MOST_HOLES))
    if not uri.endswith(".pyi"):
        found += islice(_bodies(text, language_id), _MOST_HOLES)
    kept: list[HoleSpan] = []
    for hole in sorted(found, key=lambda hole: (hole.start, -hole.end)):
        if not kept or hole.start >= kept[-1].end:
            kept.append(hole)
    return tuple(kept[:_MOST_HOLES])


def _markers(text: str, marker: str) -> Iterator[HoleSpan]:
    if marker not in text:
        return
    pattern = rf"{_MARKED_COMMENT}(?<![\w]){re.escape(marker)}(?![\w]);?"
    for found in re.finditer(pattern, text):
        line_start = max(text.rfind("\n", 0, found.start()), text.rfind("\r", 0, found.start())) + 1
        rest = re.compile(r"[^\r\n]*").match(text, found.end())
        assert rest is not None
        alone = not text[line_start : found.start()].strip() and not rest.group().strip()
        yield HoleSpan(found.start(), found.end(), not alone, "marker")


def _bodies(text: str, language_id: str) -> Iterator[HoleSpan]:
    for found in _PLACEHOLDER.finditer(text):
        start, end = found.start("statement"), found.end()
        if start == end or not _may_be_body(text, start):
            continue
        comment = found.group("comment") or ""
        if found.group("header") is not None:
            if _is_one_line_body(text, start, language_id):
                yield HoleSpan(start, end, True, "body", comment)
        elif _is_body(text, start, end, language_id):
            yield HoleSpan(start, end, False, "body", comment)


def _may_be_body(text: str, start: int) -> bool:
    """A quick look at the line before; a file may hold thousands of comments with a TODO."""
    before = text[max(start - 400, 0) : start].rstrip()
    return _MAY_OPEN.search(re.split(r"[\r\n]", before)[-1]) is not None


def _is_body(text: str, start: int, end: int, language_id: str) -> bool:
    """Whether the text without the placeholder has an empty body there."""
    if language_id == "python" and _is_declaration(text[:start]):
        return False
    tree = parse(text, language_id, start)
    if tree is not None and tree.in_string(start):
        return False
    hole = hole_at_cursor(text[:start] + text[end:], start, language_id, invoked=True)
    return hole is not None and hole.kind == "block-body"


def _is_one_line_body(text: str, start: int, language_id: str) -> bool:
    """Whether the placeholder is all that a header has on its own line, as in `def f(): ...`."""
    line_start = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    head = text[line_start:start]
    tree = parse(text, language_id, start)
    if language_for(language_id) is None or tree is None or tree.in_string(start) or tree.in_comment(start):
        return False
    if language_id == "python":
        is_header = re.match(r"[ \t]*(?:async[ \t]+)?(?:def|if|elif|else|for|while|with|try|except|finally)\b", head)
        return is_header is not None and not _is_declaration(text[:start])
    return "(" in head and head.rstrip().endswith("{")


def _is_declaration(before: str) -> bool:
    """Whether a Python body is empty on purpose: of a class, an abstract method, an overload, or in a protocol."""
    headers = list(_DEF.finditer(before))
    if not headers:
        return False
    header = headers[-1]
    if _CLASS_HEADER.search(re.sub(r"(?s)(\"\"\"|''').*", "", before[header.start() :]).rstrip()):
        return True
    above = before[: header.start()].rstrip("\r\n")
    while (line := re.split(r"[\r\n]", above)[-1]).lstrip().startswith("@"):
        if _DECLARED_ONLY.search(line):
            return True
        above = above[: len(above) - len(line)].rstrip("\r\n")
    depth = len(header.group("indentation"))
    for outer in reversed(headers[:-1]):
        if len(outer.group("indentation")) < depth:
            line = re.split(r"[\r\n]", before[outer.start() :], maxsplit=1)[0]
            return _PROTOCOL.search(line) is not None
    return False
