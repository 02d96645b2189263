"""Sources whose rows are documents: JSON lines and Parquet, split into blocks that workers read apart."""

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from coda_train.data import filters, licences
from coda_train.data.sources import Package, SourceError, Text

BLOCK_BYTES = 16 << 20
_NAMES = {
    "jsonl": re.compile(r".*\.(?:jsonl|ndjson|json(?=\.))(?P<compression>\.gz|\.zst|\.bz2)?"),
    "parquet": re.compile(r".*\.parquet"),
}


@dataclass(frozen=True)
class Columns:
    """Which columns of a row hold what. Without `package` every row is a package of its own."""

    text: str = "text"
    path: str | None = None
    package: str | None = None
    licence: str | None = None

    def names(self) -> list[str]:
        """The columns to read."""
        return list(dict.fromkeys(name for name in (self.text, self.path, self.package, self.licence) if name))

    def document(self, row: dict[str, Any], place: str, max_bytes: int) -> Text:
        """The document in a row; `place` names the row where it states no path or package."""
        path = str(row.get(self.path or "") or place)
        package = Package(str(row.get(self.package or "") or place), "", _licence(row.get(self.licence or "")))
        value = row.get(self.text)
        if not isinstance(value, str):
            return Text(path, package, None, "no text")
        text = filters.normalise(value)
        if text is None:
            return Text(path, package, None, "not UTF-8")
        if len(text.encode()) > max_bytes:
            return Text(path, package, None, "too large")
        return Text(path, package, text)


@dataclass(frozen=True)
class ParquetBlock:
    """One row group of a Parquet file; `first_row` counts from the start of the file."""

    file: Path
    name: str
    row_group: int
    first_row: int
    columns: Columns

    def read(self, max_bytes: int) -> Iterator[Text]:
        """One document a row."""
        try:
            table = pq.ParquetFile(self.file).read_row_group(self.row_group, columns=self.columns.names())
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{self.file} is damaged: {_sentence(error)}") from None
        number = self.first_row
        for batch in table.to_batches(max_chunksize=1_000):
            for row in batch.to_pylist():
                yield self.columns.document(row, f"{self.name}:{number}", max_bytes)
                number += 1


@dataclass(frozen=True)
class JsonlBlock:
    """The lines of a file that begin in [start, stop) bytes; a compressed file is one block without `stop`."""

    file: Path
    name: str
    start: int
    stop: int | None
    columns: Columns

    def read(self, max_bytes: int) -> Iterator[Text]:
        """One document a line that is not blank."""
        for place, row in self.rows():
            yield self.columns.document(row, f"{self.name}:{place}", max_bytes)

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The byte at which each line begins, in the uncompressed text, and its object."""
        try:
            with self._open() as stream:
                place = self.start
                if place:  # the block before reads on to the end of the line that straddles the border
                    stream.seek(place - 1)
                    place += len(stream.readline()) - 1
                while self.stop is None or place < self.stop:
                    line = stream.readline()
                    if not line:
                        return
                    if line.strip():
                        yield place, self._row(line, place)
                    place += len(line)
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{self.file} is damaged: {_sentence(error)}") from None

    def _open(self) -> BinaryIO:
        if self.stop is not None:
            return self.file.open("rb")
        return io.BufferedReader(cast(io.RawIOBase, pa.input_stream(str(self.file), compression="detect")))

    def _row(self, line: bytes, place: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError:  # a broken encoding is one too
            row = None
        if not isinstance(row, dict):
            raise SourceError(f"{self.file}, line at byte {place}: this is no JSON object; the file may be truncated")
        return row


def find_blocks(
    source: Path, kind: str, columns: Columns, names: Iterable[str] | None = None
) -> Iterator[ParquetBlock | JsonlBlock]:
    """The blocks of a file, or of all files of a kind below a folder, in a stable order.

    Args:
        source: a file or a folder.
        kind: "jsonl" (plain or as .gz, .zst, .bz2) or "parquet".
        columns: which columns hold what.
        names: the files to take, relative to the folder, instead of all.

    Raises: SourceError for a source that is missing or empty, a damaged file or a column that is not there.
    """
    if source.is_file():
        files = [source]
    elif source.is_dir():
        found = (source / name for name in names) if names is not None else source.rglob("*")
        files = sorted(file for file in found if _NAMES[kind].fullmatch(file.name) and file.is_file())
    else:
        raise SourceError(f"{source} does not exist")
    if not files:
        raise SourceError(f"{source} holds no {kind} file")
    for file in files:
        name = file.name if file == source else file.relative_to(source).as_posix()
        yield from (_parquet_blocks if kind == "parquet" else _jsonl_blocks)(file, name, columns)


def _parquet_blocks(file: Path, name: str, columns: Columns) -> Iterator[ParquetBlock]:
    try:
        opened = pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{file} is damaged or no Parquet file: {_sentence(error)}") from None
    schema = opened.schema_arrow
    for column in columns.names():
        _require(column, schema.names, file)
    kind = schema.field(columns.text).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise SourceError(f"column {columns.text} of {file} holds {kind}, not text")
    first = 0
    for group in range(opened.metadata.num_row_groups):
        yield ParquetBlock(file, name, group, first, columns)
        first += opened.metadata.row_group(group).num_rows


def _jsonl_blocks(file: Path, name: str, columns: Columns) -> Iterator[JsonlBlock]:
    size = file.stat().st_size
    match = _NAMES["jsonl"].fullmatch(file.name)
    if match and match["compression"]:
        blocks = [JsonlBlock(file, name, 0, None, columns)]
    else:
        edges = [*range(0, size, BLOCK_BYTES), size]
        blocks = [JsonlBlock(file, name, start, stop, columns) for start, stop in pairwise(edges)]
    if blocks and (first := next(blocks[0].rows(), None)):
        _require(columns.text, list(first[1]), file)
    yield from blocks


def _require(column: str, there: list[str], file: Path) -> None:
    if column not in there:
        raise SourceError(f"{file} has no column {column}: it has {', '.join(there) or 'none'}")


def _licence(value: Any) -> str | None:
    """SPDX expression of a licence column: a name, or a list of names that all apply."""
    if isinstance(value, list):
        found = [licences.from_name(item) or "LicenseRef-Unknown" for item in value if isinstance(item, str)]
        return " AND ".join(sorted(set(found))) or None
    return licences.from_name(value) if isinstance(value, str) and value else None


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200]
