"""Reading a corpus: its members, its splits, and the rows of a split."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from coda_train.data.sources import SourceError
from coda_train.data.weights import is_mixture, members


def is_corpus(folder: Path) -> bool:
    """Whether a folder holds a corpus or a mixture of them."""
    return is_mixture(folder) or any(folder.glob("train-*.parquet"))


def split_members(corpus: Path, split: str) -> dict[Path, float]:
    """The corpora of a mixture that hold a split ("train" or "held_out") with their weights, or the one corpus.

    Raises: FileNotFoundError if none holds it.
    """
    holders = {folder: weight for folder, weight in members(corpus).items() if any(folder.glob(f"{split}-*.parquet"))}
    if not holders:
        raise FileNotFoundError(f"{corpus} holds no {split}-*.parquet; build the corpus first")
    return holders


def has_split(corpus: Path, split: str) -> bool:
    """Whether a corpus, or one of a mixture's, holds a split ("train" or "held_out")."""
    return any(any(folder.glob(f"{split}-*.parquet")) for folder in members(corpus))


def split_files(corpus: Path, split: str) -> list[Path]:
    """The Parquet files of one split of a corpus, or of all corpora of a mixture, in order.

    Raises: FileNotFoundError for a folder that holds none.
    """
    return [file for member in split_members(corpus, split) for file in sorted(member.glob(f"{split}-*.parquet"))]


def read_split(corpus: Path, split: str, columns: list[str]) -> pa.Table:
    """Some columns of a split, in memory, in order.

    Raises: FileNotFoundError as `split_files`, SourceError for a damaged file.
    """
    tables = []
    for file in split_files(corpus, split):
        with readable(file):
            tables.append(pq.read_table(file, columns=columns))
    return pa.concat_tables(tables)


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Name the file of a corpus that can't be read. Raises SourceError."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise SourceError(f"{file} is damaged or truncated ({reason}): build the corpus again") from None
