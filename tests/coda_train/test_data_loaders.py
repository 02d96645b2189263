"""Batches: packing against a plain reference, infilling rows that can be read back, exact resuming."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coda_train.data.corpus import SCHEMA
from coda_train.data.holes import HolesConfig
from coda_train.data.infilling import InfillConfig
from coda_train.data.loaders import PackedRows, infill_batches, packed_batches, special_ids
from coda_train.data.shards import Shards, tokenise_corpus
from coda_train.tokenizer import load_tokenizer, train_tokenizer

LENGTH, BATCH = 64, 4


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the standard library's json and email packages, a tokenizer and shards."""
    import email
    import json as package

    folder = tmp_path_factory.mktemp("loaders")
    files = sorted(f for m in (package, email) for f in Path(str(m.__file__)).parent.glob("*.py") if f.stat().st_size)
    rows = [
        {"text": f.read_text("utf-8"), "path": f.name, "package": f.parent.name, "version": "", "licence": "PSF-2.0"}
        for f in files
    ]
    rows.append({**rows[0], "text": "é = 'üü'\n", "path": "tiny.py"})
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "train-00000.parquet")
    train_tokenizer(folder, folder / "tokenizer", 600)
    tokenise_corpus(folder, folder / "tokenizer", folder / "shards", "train")
    return folder


def packed(root: Path, seed: int = 0):
    return packed_batches(root / "shards" / "train", BATCH, LENGTH, seed, eos_id=2)


def infill(root: Path, seed: int = 0, config: InfillConfig | None = None, workers: int = 0):
    return infill_batches(root, "train", root / "tokenizer", BATCH, LENGTH, seed, config, workers)


@pytest.mark.parametrize("epoch", [0, 1, 5])
@pytest.mark.parametrize("length", [7, 64, 5_000])
def test_an_epoch_is_every_document_once(root: Path, epoch: int, length: int) -> None:
    shards = Shards(root / "shards" / "train")
    rows = PackedRows(shards, length, seed=3, eos_id=2)
    order = np.random.default_rng((3, epoch)).permutation(len(shards))
    stream = np.concatenate([np.append(shards[int(d)], 2) for d in order])
    owner = np.concatenate([np.full(len(shards[int(d)]) + 1, n) for n, d in enumerate(order)])
    count = len(stream) // length
    assert len(rows) % count == 0
    for number in {0, 1, count // 2, count - 1}:
        row = rows[epoch * count + number]
        part = slice(number * length, (number + 1) * length)
        assert row["tokens"].tolist() == stream[part].tolist()
        assert row["segment_ids"].tolist() == (owner[part] - owner[part][0] + 1).tolist()
        assert row["maskable"].all()


def test_packed_batches(root: Path) -> None:
    batch = next(packed(root))
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        "tokens": ((BATCH, LENGTH), np.int32),
        "segment_ids": ((BATCH, LENGTH), np.int32),
        "maskable": ((BATCH, LENGTH), np.bool_),
    }


def test_infill_batches(root: Path) -> None:
    ids = special_ids(load_tokenizer(root / "tokenizer"))
    batches = infill(root)
    for _ in range(30):
        batch = next(batches)
        inputs, targets, weights, segments = (batch[k] for k in ("inputs", "targets", "weights", "segment_ids"))
        assert inputs.shape == targets.shape == weights.shape == segments.shape == (BATCH, LENGTH)
        assert (inputs.dtype, targets.dtype, weights.dtype, segments.dtype) == (
            np.int32,
            np.int32,
            np.float32,
            np.int32,
        )
        assert ((inputs == ids.mask) == (weights > 0)).all()
        assert (weights.sum(axis=1) > 0).all()
        assert (inputs == targets)[weights == 0].all()
        assert (np.diff(segments, axis=1) <= 0).all() and set(np.unique(segments)) <= {0, 1}
        assert (inputs[segments == 0] == ids.pad).all() and (weights[segments == 0] == 0).all()
        assert not np.isin(inputs, [ids.expand, ids.delete]).any()


def test_rows_without_growth_are_text_of_the_corpus(root: Path) -> None:
    tokenizer = load_tokenizer(root / "tokenizer")
    texts = [row["text"] for row in pq.read_table(root / "train-00000.parquet").to_pylist()]
    batches = infill(root, config=InfillConfig(HolesConfig(empty=0), no_delete=1, expand=0))
    for _ in range(20):
        batch = next(batches)
        for targets, segments in zip(batch["targets"], batch["segment_ids"], strict=True):
            ids = targets[segments == 1].tolist()
            at_end = ids[-1] == 2
            text = tokenizer.decode(ids[:-1] if at_end else ids, skip_special_tokens=False).strip("\ufffd")
            assert any(t.endswith(text) if at_end else text in t for t in texts)


def test_holes_appear_all_over_the_rows(root: Path) -> None:
    batches = infill(root)
    share_L = np.mean([next(batches)["weights"] > 0 for _ in range(150)], axis=(0, 1))
    assert share_L[:16].sum() > 0.1 and share_L[-16:].sum() > 0.1


@pytest.mark.parametrize("make", [packed, infill])
def test_a_stored_state_resumes_with_the_next_batch(root: Path, make: Callable) -> None:
    first = make(root)
    for _ in range(5):
        next(first)
    state = json.loads(json.dumps(first.get_state()))
    expected = [next(first) for _ in range(3)]
    second = make(root)
    second.set_state(state)
    for batch in expected:
        again = next(second)
        assert all(np.array_equal(batch[name], again[name]) for name in batch)


@pytest.mark.parametrize("make", [packed, infill])
def test_the_seed_decides(root: Path, make: Callable) -> None:
    name = "tokens" if make is packed else "inputs"
    left, right, other = (np.stack([next(b)[name] for _ in range(3)]) for b in (make(root), make(root), make(root, 1)))
    assert np.array_equal(left, right) and not np.array_equal(left, other)


def test_worker_processes_give_the_same_rows(root: Path) -> None:
    plain, worker = infill(root), infill(root, workers=1)
    try:
        for _ in range(3):
            expected, got = next(plain), next(worker)
            assert all(np.array_equal(expected[name], got[name]) for name in expected)
    finally:
        worker.close()


def test_too_little_to_fill_a_row(root: Path) -> None:
    with pytest.raises(ValueError, match="fewer tokens than one row of 1000000"):
        packed_batches(root / "shards" / "train", BATCH, 1_000_000, 0, eos_id=2)
    with pytest.raises(FileNotFoundError, match="holds no held_out"):
        infill_batches(root, "held_out", root / "tokenizer", BATCH, LENGTH, 0)
