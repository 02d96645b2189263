"""Tokenised shards: exact, cached by what made them, and never read when damaged."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coda_train.data.corpus import SCHEMA
from coda_train.data.loaders import infill_batches
from coda_train.data.shards import INDEX, ShardError, Shards, tokenise_corpus
from coda_train.data.sources import SourceError
from coda_train.tokenizer import encode_text, load_tokenizer, train_tokenizer

TEXTS = [f"def f{n}(x):\n    return x + {n}  # é\n" * (n % 7) for n in range(600)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two files with a tokenizer of 275 tokens beside them."""
    root = tmp_path_factory.mktemp("corpus")
    for number, texts in enumerate((TEXTS[:400], TEXTS[400:])):
        rows = [{"text": text, "path": "a.py", "package": "p", "version": "", "licence": "MIT"} for text in texts]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), root / f"train-{number:05d}.parquet")
    train_tokenizer(root, root / "tokenizer", 275)
    return root


def test_documents_come_back_in_order(corpus: Path, tmp_path: Path) -> None:
    index = tokenise_corpus(corpus, corpus / "tokenizer", tmp_path, "train")
    shards = Shards(tmp_path / "train")
    tokenizer = load_tokenizer(corpus / "tokenizer")
    assert len(shards) == index.documents == len(TEXTS)
    assert shards[0].dtype == np.uint16
    for number in (0, 1, 255, 256, 399, 400, 599):
        assert shards[number].tolist() == encode_text(tokenizer, TEXTS[number])
    assert index.tokens == shards.lengths_D.sum() == sum(len(shards[n]) for n in range(len(shards)))
    assert index.text_bytes == sum(len(text.encode()) for text in TEXTS)
    assert index.vocab_size == tokenizer.get_vocab_size()


def test_shards_can_go_to_another_process(corpus: Path, tmp_path: Path) -> None:
    tokenise_corpus(corpus, corpus / "tokenizer", tmp_path, "train")
    shards = Shards(tmp_path / "train")
    assert pickle.loads(pickle.dumps(shards))[7].tolist() == shards[7].tolist()  # noqa: S301


def test_unchanged_corpus_and_tokenizer_are_not_read_again(corpus: Path, tmp_path: Path) -> None:
    calls: list[int] = []
    first = tokenise_corpus(
        corpus, corpus / "tokenizer", tmp_path, "train", lambda stage, done, total: calls.append(done)
    )
    assert calls[-1] == 600
    calls.clear()
    assert (
        tokenise_corpus(corpus, corpus / "tokenizer", tmp_path, "train", lambda stage, done, total: calls.append(done))
        == first
    )
    assert not calls
    train_tokenizer(corpus, tmp_path / "other", 265)
    second = tokenise_corpus(
        corpus, tmp_path / "other", tmp_path, "train", lambda stage, done, total: calls.append(done)
    )
    assert calls and second.vocab_size == 265 and second.fingerprint != first.fingerprint


def damage_truncate(folder: Path) -> None:
    path = folder / "train-00001.arrow"
    path.write_bytes(path.read_bytes()[:-100])


def damage_flip(folder: Path) -> None:
    path = folder / "train-00000.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_remove(folder: Path) -> None:
    (folder / "train-00000.arrow").unlink()


def damage_index(folder: Path) -> None:
    (folder / INDEX).write_text('{"files": [')


def damage_fields(folder: Path) -> None:
    (folder / INDEX).write_text('{"files": [{"nome": "a"}]}')


def damage_format(folder: Path) -> None:
    fields = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps({**fields, "format": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncate, "truncated"),
        (damage_flip, "checksum differs"),
        (damage_remove, "is missing"),
        (damage_index, "is damaged"),
        (damage_fields, "is damaged"),
        (damage_format, "format 99"),
    ],
)
def test_damage_is_named_and_repaired(corpus: Path, tmp_path: Path, damage, message: str) -> None:
    tokenise_corpus(corpus, corpus / "tokenizer", tmp_path, "train")
    damage(tmp_path / "train")
    with pytest.raises(ShardError, match=message) as error:
        Shards(tmp_path / "train")
    assert str(tmp_path / "train") in str(error.value)
    tokenise_corpus(corpus, corpus / "tokenizer", tmp_path, "train")
    assert len(Shards(tmp_path / "train")) == len(TEXTS)


def test_what_is_not_there(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="holds no tokenised documents"):
        Shards(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no held_out"):
        tokenise_corpus(corpus, corpus / "tokenizer", tmp_path, "held_out")
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        tokenise_corpus(corpus, tmp_path, tmp_path, "train")
    assert not list(tmp_path.iterdir())


def test_two_at_once_do_the_work_once(corpus: Path, tmp_path: Path) -> None:
    worked: list[str] = []

    def tokenise(name: str):
        return tokenise_corpus(corpus, corpus / "tokenizer", tmp_path, "train", lambda *_: worked.append(name))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(tokenise, ("one", "two"))
    assert first == second
    assert len(set(worked)) == 1
    assert len(Shards(tmp_path / "train")) == len(TEXTS)


def test_a_truncated_corpus_is_named(corpus: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    whole = (corpus / "train-00000.parquet").read_bytes()
    (broken / "train-00000.parquet").write_bytes(whole[: len(whole) // 2])
    for read in (
        lambda: tokenise_corpus(broken, corpus / "tokenizer", tmp_path / "shards", "train"),
        lambda: train_tokenizer(broken, tmp_path / "tokenizer", 275),
        lambda: infill_batches(broken, "train", corpus / "tokenizer", 2, 32, 0),
    ):
        with pytest.raises(SourceError, match=r"train-00000\.parquet is damaged or truncated") as error:
            read()
        assert "\n" not in str(error.value)
    assert not any(path.suffix == ".arrow" for path in tmp_path.rglob("*"))
