"""Batches for training, read with Grain: a row is a function of its number and the seed, so that a run resumes exactly.

The iterators are Grain's: `get_state()` gives what `set_state()` needs to go on with the next batch.
"""

import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

import grain
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from absl import flags

from coda_train.data.holes import choose_holes
from coda_train.data.infilling import InfillConfig, TokenIds, append_deletes, crop, noise_row
from coda_train.data.shards import Shards
from coda_train.data.split import read_split, split_members
from coda_train.data.weights import is_mixture, members
from coda_train.tokenizer import DELETE, END_OF_TEXT, EXPAND, IM_END, MASK, encode_text, load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Batch = dict[str, np.ndarray]
_log = logging.getLogger(__name__)
_EPOCHS = 1_000_000
"""How many epochs a source claims to have: more than any run reads."""

_SHARED_BYTES = 16 << 20
"""Arrays of at least this size come from workers in shared memory."""

_SURPLUS = 1.15
"""How much more text a window holds than a row on average, so that few rows need padding."""


class RandomAccess(Protocol):
    """Rows by number; the same number gives the same row."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Batch: ...


def packed_batches(
    shards: Path, batch_size: int, length: int, seed: int, eos_id: int, rows_of_batch: np.ndarray | None = None
) -> grain.DatasetIterator:
    """Rows of whole documents joined with the end token and cut to `length`; documents are shuffled each epoch.

    The shards of a mixture are read in the ratio of their weights, row by row, so that every stretch of the run holds
    the same mixture; each starts over when it has been read. A member with less than one row of tokens is left out,
    with a warning.

    Args:
        shards: folder of one split (see `tokenise_corpus`).
        batch_size: rows a batch.
        length: tokens a row.
        seed: of the order.
        eos_id: the end token that follows each document.
        rows_of_batch: make these rows of each batch alone, in this order: the part of one process of several.

    Returns: an endless iterator over {tokens [B, L] int32, segment_ids [B, L] int32 from 1, maskable [B, L] bool}.

    Raises: ShardError for damaged shards, TooFewTokensError for shards with less than one row of tokens.
    """
    weights, rows = [], []
    for folder, weight in members(shards).items():
        opened = Shards(folder)
        if is_mixture(shards) and row_count(opened, length) == 0:
            _log.warning("%s holds fewer tokens than one row of %d: left out", folder, length)
            continue
        rows.append(PackedRows(opened, length, seed, eos_id))
        weights.append(weight)
    if not rows:
        raise TooFewTokensError(f"{shards} holds fewer tokens than one row of {length} in each of its members")
    return iterate_batches(rows, weights, batch_size, 0, rows_of_batch)


def infill_batches(
    corpus: Path,
    split: str,
    tokenizer: Path,
    batch_size: int,
    length: int,
    seed: int,
    config: InfillConfig | None = None,
    workers: int = 0,
    rows_of_batch: np.ndarray | None = None,
) -> grain.DatasetIterator:
    """Windows of documents with holes to fill (see `infilling`).

    Args:
        corpus: folder written by `build_corpus`, or by `prepare_mixture` (see `packed_batches` for the weights).
        split: "train" or "held_out".
        tokenizer: folder with `tokenizer.json`.
        batch_size: rows a batch.
        length: tokens a row.
        seed: of the order, the holes and the noise.
        config: how rows are made.
        workers: processes that make rows ahead, 0 for none; the iterator's `close()` ends them.
        rows_of_batch: as in `packed_batches`.

    Returns: an endless iterator over {inputs, targets [B, L] int32, weights [B, L] float32, segment_ids [B, L] int32,
        1 at text, 0 at pad}. A weight stands at its target's own position; the train step shifts.

    Raises: FileNotFoundError for a missing corpus or tokenizer.
    """
    present = split_members(corpus, split)
    rows = [InfillRows(member, split, tokenizer, length, seed, config or InfillConfig()) for member in present]
    return iterate_batches(rows, list(present.values()), batch_size, workers, rows_of_batch)


def special_ids(tokenizer: "Tokenizer") -> TokenIds:
    """The ids of the special tokens that rows are made with."""
    vocabulary = tokenizer.get_vocab()
    return TokenIds(*(vocabulary[token] for token in (END_OF_TEXT, IM_END, MASK, EXPAND, DELETE)))


def iterate_batches(
    sources: Sequence[RandomAccess],
    weights: Sequence[float],
    batch_size: int,
    workers: int,
    rows_of_batch: np.ndarray | None,
) -> grain.DatasetIterator:
    """Batches of rows drawn from random-access sources in the ratio of `weights` (see `packed_batches`)."""
    rows = [grain.MapDataset.source(source) for source in sources]
    mixed = grain.MapDataset.mix(rows, weights) if len(rows) > 1 else rows[0]
    if rows_of_batch is not None and len(rows_of_batch) < batch_size:
        mixed = grain.MapDataset.source(_PartOfBatches(mixed, batch_size, rows_of_batch))
        batch_size = len(rows_of_batch)
    batches = mixed.batch(batch_size, drop_remainder=True).to_iter_dataset(
        grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    )
    if workers:
        if not flags.FLAGS.is_parsed():  # Grain's workers read absl flags, which only absl's own main() parses
            flags.FLAGS.mark_as_parsed()
        # Shared memory of batches under way at the end of a run counts as leaked; for small ones a pipe does.
        options = grain.experimental.DatasetOptions(min_shm_size=_SHARED_BYTES)
        batches = grain.experimental.WithOptionsIterDataset(batches, options)
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=4))
    return iter(batches)


class _PartOfBatches:
    """Random access to the rows of one process: of each whole batch those it holds, so that all make one order."""

    def __init__(self, rows: grain.MapDataset, batch_size: int, rows_of_batch: np.ndarray) -> None:
        self._rows, self._batch_size, self._held = rows, batch_size, rows_of_batch

    def __len__(self) -> int:
        return len(self._rows) // self._batch_size * len(self._held)

    def __getitem__(self, index: int) -> Batch | None:
        batch, place = divmod(int(index), len(self._held))
        return self._rows[batch * self._batch_size + int(self._held[place])]


def row_count(shards: Shards, length: int) -> int:
    """Rows of `length` tokens in one epoch, each document followed by its end token."""
    return int(shards.lengths_D.sum() + len(shards)) // length


class TooFewTokensError(ValueError):
    """A split too small for one row."""


class PackedRows:
    """Random access to packed rows: an epoch is one long stream of shuffled documents, a row a slice of it."""

    def __init__(self, shards: Shards, length: int, seed: int, eos_id: int) -> None:
        self._shards, self._length, self._seed, self._eos_id = shards, length, seed, eos_id
        self._rows = row_count(shards, length)
        if not self._rows:
            raise TooFewTokensError(f"{shards.folder} holds fewer tokens than one row of {length}")
        self._epoch = -1
        self._order_D = self._ends_D = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return self._rows * _EPOCHS

    def __getitem__(self, index: int) -> Batch:
        epoch, row = divmod(int(index), self._rows)
        order_D, ends_D = self._arrange(epoch)
        start, stop = row * self._length, (row + 1) * self._length
        tokens = np.empty(self._length, np.int32)
        segment_ids = np.empty(self._length, np.int32)
        place, filled, segment = int(np.searchsorted(ends_D, start, side="right")), 0, 0
        while filled < self._length:
            document = self._shards[int(order_D[place])]
            end = int(ends_D[place])
            begin = end - len(document) - 1
            piece = np.append(document, self._eos_id)[max(start, begin) - begin : min(stop, end) - begin]
            segment += 1
            tokens[filled : filled + len(piece)] = piece
            segment_ids[filled : filled + len(piece)] = segment
            filled += len(piece)
            place += 1
        return {"tokens": tokens, "segment_ids": segment_ids, "maskable": np.ones(self._length, bool)}

    def _arrange(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        if epoch != self._epoch:
            self._order_D = np.random.default_rng((self._seed, epoch)).permutation(len(self._shards))
            self._ends_D = np.cumsum(self._shards.lengths_D[self._order_D] + 1)
            self._epoch = epoch
        return self._order_D, self._ends_D


@dataclass(frozen=True)
class _Texts:
    texts: pa.ChunkedArray
    paths: pa.ChunkedArray
    ends_D: np.ndarray
    """[documents] int64, running sum of the documents' bytes."""


class InfillRows:
    """Random access to infilling rows: an epoch covers the corpus evenly, each row around its own stretch of text."""

    def __init__(self, corpus: Path, split: str, tokenizer: Path, length: int, seed: int, config: InfillConfig) -> None:
        self._arguments = (corpus, split, tokenizer, length, seed, config)
        self._length, self._seed, self._config = length, seed, config
        self._tokenizer = load_tokenizer(tokenizer)
        self._ids = special_ids(self._tokenizer)
        self._texts = _load_texts(corpus, split)
        total = int(self._texts.ends_D[-1])
        self._window_chars = int(_SURPLUS * length * _chars_per_token(self._tokenizer, self._texts.texts))
        self._rows = max(1, total // self._window_chars)
        self._stride = total / self._rows

    def __len__(self) -> int:
        return self._rows * _EPOCHS

    def __getitem__(self, index: int) -> Batch:
        epoch, row = divmod(int(index), self._rows)
        rng = np.random.default_rng((self._seed, epoch, row))
        stretch = grain.experimental.index_shuffle(
            row, max_index=self._rows - 1, seed=(self._seed * 1_000_003 + epoch) & 0xFFFFFFFF, rounds=4
        )
        return self._row(int((stretch + rng.random()) * self._stride), rng)

    def __reduce__(self) -> tuple:
        return InfillRows, self._arguments

    def _row(self, position: int, rng: np.random.Generator) -> Batch:
        document = min(bisect_right(self._texts.ends_D, position), len(self._texts.ends_D) - 1)
        end = int(self._texts.ends_D[document])
        text = self._texts.texts[document].as_py()
        size = end - (int(self._texts.ends_D[document - 1]) if document else 0)
        centre = int((1 - (end - position) / size) * len(text))
        first = max(0, min(centre - int(rng.random() * self._window_chars), len(text) - self._window_chars))
        first = text.rfind("\n", 0, first) + 1
        window = text[first : first + self._window_chars]
        in_docstring = text.count('"""', 0, first) % 2 == 1
        suffix = PurePosixPath(self._texts.paths[document].as_py()).suffix
        prose_end = window.find('"""') + 3 if in_docstring else 0
        holes = choose_holes(window, self._config.holes, rng, prose_end, suffix)
        cuts = [0, *(edge for hole in holes for edge in hole), len(window)]
        pieces = [encode_text(self._tokenizer, window[a:b]) for a, b in pairwise(cuts)]
        if first + len(window) == len(text) and rng.random() < 0.5:
            pieces[-1].append(self._ids.end)
        tokens, kinds = append_deletes(pieces, self._config, self._ids, rng)
        noised = noise_row(*crop(tokens, kinds, self._length, rng), self._config, self._ids, rng)
        used = len(noised.inputs)
        inputs = np.full(self._length, self._ids.pad, np.int32)
        targets, weights = inputs.copy(), np.zeros(self._length, np.float32)
        inputs[:used], targets[:used], weights[:used] = noised.inputs, noised.targets, noised.weights
        segment_ids = (np.arange(self._length) < used).astype(np.int32)
        return {"inputs": inputs, "targets": targets, "weights": weights, "segment_ids": segment_ids}


def _load_texts(corpus: Path, split: str) -> _Texts:
    table = read_split(corpus, split, ["text", "path"])
    texts, paths = table["text"], table["path"]
    return _Texts(texts, paths, np.cumsum(pc.call_function("binary_length", [texts]).to_numpy().astype(np.int64)))


def _chars_per_token(tokenizer: "Tokenizer", texts: pa.ChunkedArray) -> float:
    """Mean over 64 documents spread over the corpus, each up to 20,000 characters."""
    sample = [texts[i].as_py()[:20_000] for i in np.linspace(0, len(texts) - 1, min(64, len(texts))).astype(int)]
    return sum(map(len, sample)) / max(1, sum(len(encode_text(tokenizer, text)) for text in sample))
