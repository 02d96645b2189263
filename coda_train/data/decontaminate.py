"""Keeping benchmark problems out of the corpus: a document that shares one 30-gram with them is dropped."""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

N_GRAM = 30
_TOKEN = re.compile(r"\w+|[^\w\s]")
_DIGEST_BYTES = 8


def n_gram_digests(text: str, n: int = N_GRAM) -> Iterator[bytes]:
    """First 8 bytes of sha256 of each run of `n` tokens (regex `\\w+|[^\\w\\s]`), joined by one space."""
    tokens = [token.encode("utf-8", errors="surrogatepass") for token in _TOKEN.findall(text)]
    if len(tokens) < n:
        return
    joined = b" ".join(tokens)
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + 1)
    sha256 = hashlib.sha256
    for first in range(len(tokens) - n + 1):
        yield sha256(joined[starts[first] : starts[first + n] - 1]).digest()[:_DIGEST_BYTES]


def load_digests(paths: Iterable[Path]) -> frozenset[bytes]:
    """The 30-grams of benchmark files.

    Args:
        paths: `*.jsonl` with benchmark rows, all of whose strings count, or `*.txt` with 16 hexadecimal digits a line;
            either may be gzipped.

    Raises: OSError for a missing file, ValueError for one that is damaged or of another kind.
    """
    digests: set[bytes] = set()
    seen: set[str] = set()
    for path in paths:
        kind = "".join(path.suffixes[-2:]).removesuffix(".gz").rsplit(".", 1)[-1]
        if kind not in ("jsonl", "txt"):
            raise ValueError(f"{path}: decontamination reads .jsonl and .txt files, gzipped or not")
        for number, line in enumerate(_lines(path), start=1):
            if not line.strip():
                continue
            try:
                if kind == "txt":
                    digests.add(_digest(line.strip()))
                    continue
                for text in _strings(json.loads(line)):
                    if text not in seen:
                        seen.add(text)
                        digests.update(n_gram_digests(text))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return frozenset(digests)


def is_contaminated(text: str, digests: frozenset[bytes]) -> bool:
    """Whether `text` shares a 30-gram with the benchmarks."""
    return bool(digests) and not digests.isdisjoint(n_gram_digests(text))


def _digest(line: str) -> bytes:
    if len(line) != 2 * _DIGEST_BYTES:
        raise ValueError("expected 16 hexadecimal digits")
    return bytes.fromhex(line)


def _lines(path: Path) -> Iterator[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
