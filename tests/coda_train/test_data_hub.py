"""Datasets by name: what the Hub client's cache holds is found, what can't be had is one sentence."""

from pathlib import Path

import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coda_train.data.hub import fetch_dataset, fetch_model
from coda_train.data.records import Columns, find_blocks
from coda_train.data.sources import SourceError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The client's cache after a download of two files, with no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "datasets--owner--name"
    for folder in ("refs", "blobs", f"snapshots/{COMMIT}/data"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    blob = repository / "blobs" / "aa"
    pq.write_table(pa.table({"text": ["one", "two"]}), blob)
    (repository / "snapshots" / COMMIT / "data" / "train-0.parquet").symlink_to(blob)
    (repository / "snapshots" / COMMIT / "data" / "test-0.parquet").symlink_to(blob)
    return tmp_path


def test_a_dataset_in_the_cache(cache: Path) -> None:
    folder, names = fetch_dataset("owner/name", None, ["data/train-*.parquet"], cache)
    assert names == ("data/train-0.parquet",)
    blocks = list(find_blocks(folder, "parquet", Columns(), names))
    assert [text.text for block in blocks for text in block.read(100)] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "patterns", "message"),
    [
        ("owner/name", ["*.csv"], r"dataset owner/name has no file that matches \*.csv"),
        ("owner/other", ["*.parquet"], "dataset owner/other can't be fetched from the Hub: "),
        ("owner/na me", ["*.parquet"], "dataset owner/na me can't be fetched from the Hub: "),
    ],
)
def test_what_can_not_be_had(cache: Path, name: str, patterns: list[str], message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        fetch_dataset(name, None, patterns, cache)
    assert "\n" not in str(caught.value)


def test_a_failed_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no route to host\nmore about it")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(SourceError, match=r"fetched from the Hub: no route to host$"):
        fetch_dataset("owner/name", None, ["*"], tmp_path)


def test_a_model_in_the_cache(cache: Path) -> None:
    snapshot = cache / "models--owner--model" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (cache / "models--owner--model" / "refs").mkdir()
    (cache / "models--owner--model" / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text("{}")
    assert fetch_model("owner/model", cache) == snapshot
    with pytest.raises(SourceError, match="model owner/other can't be fetched from the Hub: "):
        fetch_model("owner/other", cache)
