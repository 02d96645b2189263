"""Files and positions in them, counted as editors do: lines end at \\n, \\r\\n or \\r, columns are UTF-16 units."""

import re
from pathlib import Path

from coda_model.errors import InputError

_LINE_END = re.compile(r"\r\n|\n|\r")


def read_document(path: Path) -> str:
    """The text of a UTF-8 file, line ends kept and a byte order mark dropped. Raises InputError in one sentence."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not a file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start} does not decode).") from None


def offset_at(text: str, line: int, column: int) -> int:
    """Index into the text of a position: line from 1, column from 0 in UTF-16 units.

    Raises InputError where the position is outside the document or within a character.
    """
    if line < 1:
        raise InputError(f"There is no line {line}: lines are counted from 1.")
    start, count = 0, 1
    ends = _LINE_END.finditer(text)
    while count < line and (end := next(ends, None)):
        start, count = end.end(), count + 1
    if count < line:
        raise InputError(f"Line {line} is outside the document, which has {count} line{'s' * (count != 1)}.")
    end = _LINE_END.search(text, start)
    units = text[start : end.start() if end else len(text)].encode("utf-16-le", "surrogatepass")
    if not 0 <= 2 * column <= len(units):
        raise InputError(f"Column {column} is outside line {line}, which has {len(units) // 2} UTF-16 units.")
    before = units[: 2 * column]
    try:
        return start + len(before.decode("utf-16-le"))
    except UnicodeDecodeError:
        raise InputError(f"Column {column} of line {line} is in the middle of a character.") from None


def line_around(text: str, start: int, end: int) -> tuple[str, str]:
    """What stands on the same line before `start` and after `end` (indices into the text)."""
    before = text[max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1 : start]
    line_end = _LINE_END.search(text, end)
    return before, text[end : line_end.start() if line_end else len(text)]
