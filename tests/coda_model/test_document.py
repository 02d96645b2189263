from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.document import line_around, offset_at, read_document
from coda_model.errors import InputError

TEXT = "a\r\nbé🙂c\rd\n\n"


@pytest.mark.parametrize(
    ("line", "column", "rest"),
    [
        (1, 0, TEXT),
        (1, 1, "\r\nbé🙂c\rd\n\n"),
        (2, 0, "bé🙂c\rd\n\n"),
        (2, 2, "🙂c\rd\n\n"),
        (2, 4, "c\rd\n\n"),
        (2, 5, "\rd\n\n"),
        (3, 1, "\n\n"),
        (4, 0, "\n"),
        (5, 0, ""),
    ],
)
def test_offset_at(line: int, column: int, rest: str) -> None:
    assert TEXT[offset_at(TEXT, line, column) :] == rest


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        (0, 0, "no line 0: lines are counted from 1"),
        (6, 0, "Line 6 is outside the document, which has 5 lines"),
        (-1, 0, "no line -1"),
        (1, 2, "Column 2 is outside line 1, which has 1 UTF-16 units"),
        (1, -1, "Column -1 is outside"),
        (2, 3, "Column 3 of line 2 is in the middle of a character"),
        (5, 1, "Column 1 is outside"),
    ],
)
def test_positions_that_do_not_exist(line: int, column: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        offset_at(TEXT, line, column)


LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))


@given(st.lists(st.tuples(LINE, st.sampled_from(["\n", "\r\n"]))), LINE, LINE, st.text(st.characters(codec="utf-8")))
def test_columns_are_utf16_units(before: list[tuple[str, str]], left: str, right: str, after: str) -> None:
    """Also for the characters `str.splitlines` breaks on, such as form feed and U+2028."""
    head = "".join(line + end for line, end in before)
    text = head + left + right + "\n" + after
    column = len(left.encode("utf-16-le")) // 2
    offset = offset_at(text, len(before) + 1, column)
    assert offset == len(head + left)
    assert line_around(text, offset, offset) == (left, right)


def test_a_line_and_a_file_of_many_megabytes() -> None:
    text = "x" * 1_000_000 + "\n" + "y = 1\n" * 800_000 + "🙂" * 500_000
    assert offset_at(text, 1, 999_999) == 999_999
    assert offset_at(text, 800_002, 999_998) == len(text) - 1


@pytest.mark.parametrize(
    ("content", "text"), [(b"", ""), (b"a\r\nb", "a\r\nb"), (b"\xef\xbb\xbfa", "a"), ("é🙂\0".encode(), "é🙂\0")]
)
def test_read_document(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert read_document(tmp_path / "file") == text


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9 au lait")
    with pytest.raises(InputError, match=r"latin is not UTF-8 text \(byte 3 does not decode\)"):
        read_document(tmp_path / "latin")
    with pytest.raises(InputError, match="There is no file"):
        read_document(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a folder"):
        read_document(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_document(tmp_path / ("x" * 300))
