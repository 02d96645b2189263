"""A corpus as token ids: one Arrow record a document, memory-mapped, with an index that detects damage."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
from filelock import FileLock

from coda_train.data.corpus import Progress
from coda_train.data.split import readable, split_files, split_members
from coda_train.data.weights import is_mixture, write_weights
from coda_train.tokenizer import encode_texts, load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

INDEX = "index.json"
_FORMAT = 1
_BATCH = 256


class ShardError(ValueError):
    """Shards that are missing, truncated or damaged."""


@dataclass(frozen=True)
class ShardFile:
    """One Arrow file: its name, counts and checksum."""

    name: str
    documents: int
    tokens: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardIndex:
    """What a folder of shards holds. `text_bytes` is the size of the text; `fingerprint` is of corpus and tokenizer."""

    fingerprint: str
    split: str
    vocab_size: int
    documents: int
    tokens: int
    text_bytes: int
    files: tuple[ShardFile, ...]
    format: int = _FORMAT


def tokenise_corpus(
    corpus: Path, tokenizer: Path, out: Path, split: str, progress: Progress | None = None
) -> ShardIndex:
    """Tokenise one split of a corpus into `out/<split>`; unchanged corpus and tokenizer reuse what is there.

    Of a mixture the members that have this split become `out/<split>/<member>`, with their weights beside them.

    Args:
        corpus: folder written by `build_corpus` or `prepare_mixture`.
        tokenizer: folder with `tokenizer.json`.
        out: folder for the shards of all splits.
        split: "train" or "held_out".
        progress: called with a stage's name, documents done and their total.

    Returns: what was written; for a mixture the sum over its members, with files relative to `out/<split>`.

    Raises: FileNotFoundError for a corpus without this split or a folder without tokenizer.
    """
    present = split_members(corpus, split)
    if not is_mixture(corpus):
        return _tokenise(corpus, tokenizer, out / split, split, progress)
    indices = {}
    for member in present:
        tell = partial(_named, progress, member.name) if progress else None
        indices[member.name] = _tokenise(member, tokenizer, out / split / member.name, split, tell)
    write_weights(out / split, {member.name: weight for member, weight in present.items()})
    return ShardIndex(
        fingerprint=hashlib.sha256("".join(index.fingerprint for index in indices.values()).encode()).hexdigest(),
        split=split,
        vocab_size=next(iter(indices.values())).vocab_size,
        documents=sum(index.documents for index in indices.values()),
        tokens=sum(index.tokens for index in indices.values()),
        text_bytes=sum(index.text_bytes for index in indices.values()),
        files=tuple(replace(f, name=f"{name}/{f.name}") for name, index in indices.items() for f in index.files),
    )


def _named(progress: Progress, name: str, stage: str, done: int, total: int) -> None:
    progress(f"{name}: {stage}", done, total)


def _tokenise(corpus: Path, tokenizer: Path, target: Path, split: str, progress: Progress | None) -> ShardIndex:
    sources, encoder = split_files(corpus, split), load_tokenizer(tokenizer)
    fingerprint = _fingerprint([*sources, tokenizer / "tokenizer.json"])
    if index := _unchanged(target, fingerprint):
        return index
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):  # a second run waits, and finds the work done
        return _unchanged(target, fingerprint) or _make(sources, encoder, target, split, fingerprint, progress)


def _unchanged(target: Path, fingerprint: str) -> ShardIndex | None:
    """The index of whole shards of this fingerprint; None for others, and for damaged ones, which are made anew."""
    try:
        index = _read_index(target)
        if index.fingerprint != fingerprint:
            return None
        _verify(target, index)
    except ShardError:
        return None
    return index


def _make(
    sources: list[Path], encoder: "Tokenizer", target: Path, split: str, fingerprint: str, progress: Progress | None
) -> ShardIndex:
    vocab_size = encoder.get_vocab_size()
    total = 0
    for source in sources:
        with readable(source):
            total += pq.read_metadata(source).num_rows
    temporary = target.with_name(f".{target.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        files, text_bytes, done = [], 0, 0
        for source in sources:
            name = f"{source.stem}.arrow"
            tokens, documents = 0, 0
            with ipc.new_file(temporary / name, _schema(vocab_size)) as writer:
                for batch in _batches(source):
                    texts = batch["text"].to_pylist()
                    ids = encode_texts(encoder, texts)
                    columns = [pa.array(ids, _ids_type(vocab_size)), batch["package"], batch["path"]]
                    writer.write_batch(pa.record_batch(columns, _schema(vocab_size)))
                    tokens += sum(map(len, ids))
                    documents += len(ids)
                    text_bytes += sum(len(text.encode()) for text in texts)
                    if progress:
                        progress("tokenise", done + documents, total)
            done += documents
            path = temporary / name
            files.append(ShardFile(name, documents, tokens, path.stat().st_size, _sha256(path)))
        index = ShardIndex(fingerprint, split, vocab_size, done, sum(f.tokens for f in files), text_bytes, tuple(files))
        (temporary / INDEX).write_text(json.dumps(asdict(index), indent=1) + "\n", "utf-8")
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return index


class Shards:
    """Tokenised documents with random access.

    Attributes:
        index: what the folder holds.
        lengths_D: [documents] int64, tokens of each document.
    """

    def __init__(self, folder: Path) -> None:
        """Open and verify the shards in `folder` (`<out>/<split>` of `tokenise_corpus`).

        Raises: ShardError if anything is missing, truncated or damaged.
        """
        self.folder = folder
        self.index = _read_index(folder)
        _verify(folder, self.index)
        self._values: list[np.ndarray] = []
        lengths, self._location_D = [], []
        for file in self.index.files:
            try:
                reader = ipc.open_file(pa.memory_map(str(folder / file.name)))
                batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
            except (pa.ArrowInvalid, OSError) as error:
                raise ShardError(f"{folder / file.name} is damaged: {error}") from None
            for batch in batches:
                ids = batch["ids"]
                offsets = ids.offsets.to_numpy()
                lengths.append(np.diff(offsets).astype(np.int64))
                self._location_D += [(len(self._values), start) for start in offsets[:-1].tolist()]
                self._values.append(ids.values.to_numpy())
        self.lengths_D = np.concatenate(lengths) if lengths else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._location_D)

    def __getitem__(self, document: int) -> np.ndarray:
        """Token ids of one document: [tokens] uint16 or uint32, read-only."""
        batch, start = self._location_D[document]
        return self._values[batch][start : start + self.lengths_D[document]]

    def __reduce__(self) -> tuple:
        return Shards, (self.folder,)


def _batches(source: Path) -> Iterator[pa.RecordBatch]:
    with readable(source):
        file = pq.ParquetFile(source)
    batches = file.iter_batches(_BATCH, columns=["text", "package", "path"])
    while True:
        with readable(source):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _schema(vocab_size: int) -> pa.Schema:
    return pa.schema([("ids", _ids_type(vocab_size)), ("package", pa.string()), ("path", pa.string())])


def _ids_type(vocab_size: int) -> pa.DataType:
    return pa.list_(pa.uint16() if vocab_size <= 1 << 16 else pa.uint32())


def _fingerprint(paths: list[Path]) -> str:
    return hashlib.sha256("".join(f"{_FORMAT}{path.name}{_sha256(path)}" for path in paths).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_index(folder: Path) -> ShardIndex:
    path = folder / INDEX
    try:
        fields = json.loads(path.read_text("utf-8"))
        fields["files"] = tuple(ShardFile(**file) for file in fields["files"])
        index = ShardIndex(**fields)
    except FileNotFoundError:
        raise ShardError(f"{folder} holds no tokenised documents ({INDEX} is missing)") from None
    except (ValueError, TypeError, KeyError):
        raise ShardError(f"{path} is damaged; tokenise the corpus again") from None
    if index.format != _FORMAT:
        raise ShardError(f"{path} has format {index.format}, this program reads {_FORMAT}; tokenise the corpus again")
    return index


def _verify(folder: Path, index: ShardIndex) -> None:
    for file in index.files:
        path = folder / file.name
        if not path.is_file():
            raise ShardError(f"{path} is missing; tokenise the corpus again")
        if path.stat().st_size != file.size_bytes:
            raise ShardError(f"{path} is truncated: {path.stat().st_size} of {file.size_bytes} bytes")
        if _sha256(path) != file.sha256:
            raise ShardError(f"{path} is damaged: its checksum differs; tokenise the corpus again")
