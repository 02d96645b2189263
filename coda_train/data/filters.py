"""Which single files are not worth learning from: generated, data-like, broken."""

import ast
import re
import string
import warnings

MAX_MEAN_LINE_CHARS = 100
MAX_LINE_CHARS = 1_000
MIN_LINES = 3
MAX_NON_ALPHABETIC = 0.4

_GENERATED = re.compile(
    r"do not (?:edit|modify)|(?:auto-?(?:matically)?[- ]?|machine[- ]|code )generated"
    r"|generated (?:by|from|message classes)|this (?:file|code) (?:is|was) generated",
    re.IGNORECASE,
)
_DATA_FOLDERS = re.compile(
    r"(?:^|/)(?:testdata|test_data|fixtures|test/data|tests/data|bad_\w*|lib2to3/tests/data)(?:/|$)"
)
_HEX = re.compile(r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|0[xX][0-9a-fA-F]+|\b[0-9a-f]{32,}\b")
_LETTERS = (string.ascii_letters + "_").encode()
_SPACE = string.whitespace.encode()


def decode(raw: bytes) -> str | None:
    """Source text of a file, line ends as "\\n"; None when it is not UTF-8 or holds a NUL."""
    try:
        return normalise(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None


def normalise(text: str) -> str | None:
    """The text with line ends as "\\n"; None when it holds a NUL or half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")


def quality_fault(text: str, path: str) -> str | None:
    """Why the file is not written by hand or holds data rather than code: a short reason, or None."""
    if _DATA_FOLDERS.search(path):
        return "test data"
    lines = text.split("\n")
    if sum(1 for line in lines if line.strip()) < MIN_LINES:
        return "too short"
    if _GENERATED.search(text[:2_000]):
        return "generated"
    if len(text) > MAX_MEAN_LINE_CHARS * len(lines) or max(map(len, lines)) > MAX_LINE_CHARS:
        return "long lines"
    if non_alphabetic(text) > MAX_NON_ALPHABETIC:
        return "data-like"
    return None


def non_alphabetic(text: str) -> float:
    """Share of digits, hexadecimal literals and punctuation among all characters that are not white space."""
    visible = text.encode().translate(None, delete=_SPACE)
    letters = _HEX.sub("", text).encode()
    ascii_others = len(letters.translate(None, delete=_LETTERS + _SPACE + bytes(range(128, 256))))
    hexadecimal = len(visible) - len(letters.translate(None, delete=_SPACE))
    return (ascii_others + hexadecimal) / len(visible) if visible else 1.0


def parses(text: str) -> bool:
    """Whether this interpreter can parse the text as Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
