"""The bench on a tiny model: every way is measured on the same holes, and the report says what it should."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coda_model.bench import cut_holes
from coda_model.cli import app
from coda_model.errors import InputError
from coda_model.tokenizer import CodeTokenizer


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for number, file in enumerate(files):
        file.write_text("".join(f"def f{i}(x):\n    return x + {i * number}\n\n\n" for i in range(60)))
    return files


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bench", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_every_way_is_measured(files: list[Path], tiny_checkpoint: Path) -> None:
    options = ("-m", tiny_checkpoint, "--dtype", "float32", "--holes", 3, "--tokens", 6, "--context-tokens", 100)
    status, text, errors = run(*files, *options, "--json")
    assert (status, errors) == (0, "")
    report = json.loads(text)
    assert (report["holes"], report["hole_tokens"], report["context_tokens"]) == (3, 6, 100)
    rows = {row["way"]: row for row in report["rows"]}
    assert list(rows) == ["released", "exact", "default", "keystroke", "autoregressive"]
    assert [rows[way]["steps"] for way in ("released", "exact", "autoregressive")] == [6, 6, 6]
    assert rows["exact"]["same_as_exact"] == 1
    assert rows["autoregressive"]["similarity"] is None
    for row in rows.values():
        assert row["p95_ms"] >= row["p50_ms"] > 0
        assert row["tokens_per_step"] == pytest.approx(6 / row["steps"])
    assert report["cancel_ms"] > 0
    assert report["cold_start_ms"] > 100
    assert report["peak_memory_mb"] > 50


def test_a_table_for_people(files: list[Path], tiny_checkpoint: Path) -> None:
    status, text, _ = run(files[0], "-m", tiny_checkpoint, "--holes", 1, "--tokens", 3, "--threads", 1)
    assert status == 0
    flat = " ".join(text.split())
    for word in ("released", "exact", "default", "similar", "tiny on cpu", "cancel to idle", "oracle length"):
        assert word in flat


def test_holes_are_what_the_file_holds(files: list[Path], tiny_checkpoint: Path) -> None:
    tokenizer = CodeTokenizer.from_folder(tiny_checkpoint, 369)
    holes = cut_holes(files, 5, 8, tokenizer)
    assert len({(hole.prefix, hole.middle) for hole in holes}) == 5
    for number, hole in enumerate(holes):
        assert hole.prefix + hole.middle + hole.suffix == files[number % 2].read_text()
        assert len(tokenizer.encode(hole.prefix)) > 8
        assert hole.middle
        assert hole.suffix


def test_a_file_too_short_is_one_sentence(tmp_path: Path, tiny_checkpoint: Path) -> None:
    (tmp_path / "short.py").write_text("x = 1\n")
    status, text, errors = run(tmp_path / "short.py", "-m", tiny_checkpoint)
    assert (status, text) == (1, "")
    assert "too few for a hole of 32" in errors
    with pytest.raises(InputError):
        cut_holes([tmp_path / "short.py"], 1, 4, CodeTokenizer.from_folder(tiny_checkpoint, 369))
