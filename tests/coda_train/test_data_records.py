"""Rows as documents: every row once however a file is cut, and one clear sentence for a file that can't be read."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coda_train.data import records
from coda_train.data.records import Columns, find_blocks
from coda_train.data.sources import Package, SourceError, Text

ROWS = [{"text": f"value_{n} = {n}\n", "path": f"a/{n}.py", "repo": f"owner/r{n % 3}"} for n in range(50)]


def jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def zst(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def read(source: Path, kind: str, columns: Columns, limit: int = 1_000_000) -> list[Text]:
    return [text for block in find_blocks(source, kind, columns) for text in block.read(limit)]


@pytest.mark.parametrize(
    ("name", "kind", "pack"),
    [
        ("rows.jsonl", "jsonl", bytes),
        ("rows.jsonl.gz", "jsonl", gzip.compress),
        ("rows.jsonl.zst", "jsonl", zst),
        ("rows.json.bz2", "jsonl", bz2.compress),
        ("rows.parquet", "parquet", None),
    ],
)
def test_every_format_gives_the_same_documents(
    tmp_path: Path, name: str, kind: str, pack: Callable[[bytes], bytes] | None
) -> None:
    if pack:
        (tmp_path / name).write_bytes(pack(jsonl(ROWS)))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name, row_group_size=7)
    expected = [Text(row["path"], Package(row["repo"], "", None), row["text"]) for row in ROWS]
    columns = Columns(path="path", package="repo")
    assert read(tmp_path / name, kind, columns) == expected
    assert read(tmp_path, kind, columns) == expected


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=12),
    block_bytes=st.integers(1, 200),
    blank=st.booleans(),
    ending=st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_hold_every_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], block_bytes: int, blank: bool, ending: bool
) -> None:
    monkeypatch.setattr(records, "BLOCK_BYTES", block_bytes)
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    content = ("\n\n" if blank else "\n").join(lines) + ("\n" if ending else "")
    file = tmp_path / "rows.jsonl"
    file.write_bytes(content.encode())
    blocks = list(find_blocks(file, "jsonl", Columns()))
    assert len(blocks) == -(-len(content.encode()) // block_bytes)
    assert [row["text"] for block in blocks for _, row in block.rows()] == texts  # type: ignore[union-attr]
    places = [place for block in blocks for place, _ in block.rows()]  # type: ignore[union-attr]
    assert places == sorted(set(places))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"text": "x" * 101}, "too large"),
        ({"text": "é" * 51}, "too large"),
        ({"text": "\ud800"}, "not UTF-8"),
        ({"text": "a\0b"}, "not UTF-8"),
        ({"text": None}, "no text"),
        ({"text": 5}, "no text"),
        ({"other": "x"}, "no text"),
    ],
)
def test_faulty_rows_are_reported(tmp_path: Path, row: dict, fault: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl([{"text": "a\r\nb"}, row]))
    good, bad = read(tmp_path, "jsonl", Columns(), limit=100)
    assert good.text == "a\nb" and (bad.text, bad.fault) == (None, fault)


@pytest.mark.parametrize(
    ("value", "licence"),
    [
        ("MIT", "MIT"),
        ("Apache License 2.0", "Apache-2.0"),
        (["MIT", "BSD-3-Clause"], "BSD-3-Clause AND MIT"),
        (["MIT", "something odd"], "LicenseRef-Unknown AND MIT"),
        (["GPL-3.0-only"], "GPL-3.0-only"),
        ([], None),
        (None, None),
        ("", None),
    ],
)
def test_licence_columns(tmp_path: Path, value: object, licence: str | None) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl([{"text": "x", "licences": value}]))
    assert read(tmp_path, "jsonl", Columns(licence="licences"))[0].package.licence == licence


def test_rows_without_a_package_are_packages_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS[:4]), tmp_path / "deep" / "rows.parquet", row_group_size=3)
    names = [(text.path, text.package.name) for text in read(tmp_path, "parquet", Columns())]
    assert names == [(f"deep/rows.parquet:{n}",) * 2 for n in range(4)]


def truncated(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def parquet(rows: list[dict], path: Path) -> bytes:
    pq.write_table(pa.Table.from_pylist(rows), path)
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.parquet", lambda path: truncated(parquet(ROWS, path)), "is damaged or no Parquet file"),
        ("a.parquet", lambda path: b"PAR1" + bytes(40) + parquet(ROWS, path)[44:], "is damaged"),
        ("a.parquet", lambda path: parquet([{"content": "x"}], path), "has no column text: it has content"),
        ("a.parquet", lambda path: parquet([{"text": 3}], path), "holds int64, not text"),
        ("a.jsonl", lambda path: truncated(jsonl(ROWS)), r"line at byte \d+: this is no JSON object"),
        ("a.jsonl", lambda path: b'{"text": "a"}\n[1]\n', "line at byte 14: this is no JSON object"),
        ("a.jsonl", lambda path: b'{"text": "\xff"}\n', "line at byte 0"),
        ("a.jsonl", lambda path: jsonl([{"content": "x", "id": 1}]), "has no column text: it has content, id"),
        ("a.jsonl.gz", lambda path: truncated(gzip.compress(jsonl(ROWS))), "is damaged|no JSON object"),
        ("a.jsonl.zst", lambda path: truncated(zst(jsonl(ROWS))), "is damaged|no JSON object"),
        ("a.jsonl.gz", lambda path: jsonl(ROWS), "is damaged"),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, name: str, make: Callable[[Path], bytes], message: str) -> None:
    file = tmp_path / name
    file.write_bytes(make(file))
    with pytest.raises(SourceError, match=message) as caught:
        read(tmp_path, "parquet" if name.endswith("parquet") else "jsonl", Columns())
    assert "\n" not in str(caught.value)


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        read(tmp_path / "none", "jsonl", Columns())
    with pytest.raises(SourceError, match="holds no parquet file"):
        read(tmp_path, "parquet", Columns())
