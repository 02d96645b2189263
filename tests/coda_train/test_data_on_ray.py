"""Preparation on Ray: the same bytes as on this machine, and errors that arrive as they were raised."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from coda_train.data.corpus import CorpusConfig, build_corpus
from coda_train.data.on_ray import ray_cluster, ray_map
from coda_train.data.sources import SourceError
from coda_train.errors import ConfigError

WORDS = ("river", "stone", "cloud", "meadow", "winter", "lantern", "harbour", "whisper", "garden", "silver")


def test_a_cluster_gives_the_same_bytes_and_errors(tmp_path: Path) -> None:
    rng = random.Random(0)
    (tmp_path / "rows").mkdir()
    for part in range(3):
        rows = [{"text": " ".join(rng.choices(WORDS, k=60))} for _ in range(12)]
        rows.append(rows[0])
        (tmp_path / "rows" / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = CorpusConfig((tmp_path / "rows",), tmp_path / "here", kind="jsonl", held_out_fraction=0.4, workers=1)
    config = replace(config, rules=replace(config.rules, content="text", licence="MIT"))
    build_corpus(config)
    damaged = tmp_path / "damaged" / "a.jsonl"
    damaged.parent.mkdir()
    with ray_cluster("local"):
        report = build_corpus(replace(config, out=tmp_path / "there"), run=ray_map)
        damaged.write_text(json.dumps(rows[0]) + "\n{")
        with pytest.raises(SourceError, match="no JSON object"):
            build_corpus(replace(config, sources=(damaged,), out=tmp_path / "none"), run=ray_map)
    assert not (tmp_path / "none").exists()
    assert report.files["train"] > 10 and report.files["held_out"] > 3
    assert {file.name: file.read_bytes() for file in (tmp_path / "here").iterdir()} == {
        file.name: file.read_bytes() for file in (tmp_path / "there").iterdir()
    }


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("auto", r"^no Ray cluster at auto: [^\n]+$"),
        ("127.0.0.1:1", r"^no Ray cluster at 127\.0\.0\.1:1: [^\n]+$"),
        ("ray://127.0.0.1:1", r"^no Ray cluster at ray://127\.0\.0\.1:1: [^\n]+$"),
        ("somewhere", "a Ray address is auto, local, HOST:PORT or ray://HOST:PORT, not somewhere"),
        ("host:99999999", "no Ray cluster at host:99999999"),
    ],
)
def test_no_cluster_is_one_sentence(address: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match=message), ray_cluster(address):
        pass
