"""The bench on a tiny model: every way is measured on the same holes, and the report says what it should."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coda_model.bench_holes import cut_lines, cut_spans
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
    settings = report["settings"]
    assert (settings["holes"], settings["tokens"], settings["context_tokens"], settings["length"]) == (
        3,
        6,
        100,
        "oracle",
    )
    rows = {row["way"]: row for row in report["rows"]}
    assert list(rows) == ["released", "exact", "default", "keystroke", "autoregressive"]
    assert [rows[way]["steps"] for way in ("released", "exact", "autoregressive")] == [6, 6, 6]
    assert rows["exact"]["quality"]["same_as_exact"] == 1
    assert rows["autoregressive"]["quality"] is None
    for row in rows.values():
        assert row["length"] == "oracle"
        assert row["p95_ms"] >= row["p50_ms"] > 0
        assert row["tokens_per_step"] == pytest.approx(6 / row["steps"])
    assert set(report["ratios_to_released"]) == {*rows} - {"released"}
    assert report["cancel_ms"] > 0
    assert report["cancelled_step_ms"] > 0
    assert report["cold_start_ms"] > 100
    assert report["documents_memory_mb"] >= 0
    assert report["peak_memory_mb"] > report["weights_mb"] > 0.1


def test_lines_of_unknown_length(files: list[Path], tiny_checkpoint: Path) -> None:
    options = ("-m", tiny_checkpoint, "--dtype", "float32", "--holes", 4, "--context-tokens", 100)
    status, text, errors = run(*files, *options, "--kind", "line", "--length", "auto", "--json")
    assert (status, errors) == (0, "")
    rows = json.loads(text)["rows"]
    assert [row["length"] for row in rows] == ["oracle", "auto", "auto", "auto", "oracle"]
    for row in rows[:-1]:
        assert 0 <= row["quality"]["exact_match"] <= row["quality"]["similarity"] <= 1
        assert row["quality"]["parses"] is None or 0 <= row["quality"]["parses"] <= 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--length", "long", "--length must be oracle, auto, or 1 to 512 tokens, not 'long'"),
        ("--length", "0", "--length must be oracle, auto, or 1 to 512 tokens, not '0'"),
        ("--kind", "word", "kind must be span or line, not 'word'"),
    ],
)
def test_bad_settings_are_one_sentence(
    files: list[Path], tiny_checkpoint: Path, option: str, value: str, message: str
) -> None:
    status, text, errors = run(files[0], "-m", tiny_checkpoint, option, value)
    assert (status, text) == (1, "")
    assert message in " ".join(errors.split())


def test_a_table_for_people(files: list[Path], tiny_checkpoint: Path) -> None:
    status, text, _ = run(files[0], "-m", tiny_checkpoint, "--holes", 1, "--tokens", 3, "--threads", 1)
    assert status == 0
    flat = " ".join(text.split())
    for word in ("released", "exact", "default", "similar", "tiny on cpu", "Cancel to idle", "oracle length"):
        assert word in flat


def test_holes_are_what_the_file_holds(files: list[Path], tiny_checkpoint: Path) -> None:
    tokenizer = CodeTokenizer.from_folder(tiny_checkpoint, 369)
    holes = cut_spans(files, 5, 8, tokenizer)
    assert len({(hole.prefix, hole.middle) for hole in holes}) == 5
    for number, hole in enumerate(holes):
        assert hole.prefix + hole.middle + hole.suffix == files[number % 2].read_text()
        assert len(tokenizer.encode(hole.prefix)) > 8
        assert hole.middle
        assert hole.suffix
    for hole in cut_lines(files, 5, 0, tokenizer):
        assert hole.prefix + hole.middle + hole.suffix in {file.read_text() for file in files}
        assert "\n" not in hole.middle
        assert hole.suffix.startswith("\n")
        assert hole.tokens == len(tokenizer.encode(hole.middle)) == hole.asked("oracle").length
        assert hole.asked("auto").single_line
        assert (hole.asked("auto").length, hole.asked(7).length, hole.count("auto")) == (None, 7, hole.tokens)
    assert cut_lines(files, 5, 1, tokenizer) != cut_lines(files, 5, 0, tokenizer) == cut_lines(files, 5, 0, tokenizer)


def test_a_file_too_short_is_one_sentence(tmp_path: Path, tiny_checkpoint: Path) -> None:
    (tmp_path / "short.py").write_text("x = 1\n")
    status, text, errors = run(tmp_path / "short.py", "-m", tiny_checkpoint)
    assert (status, text) == (1, "")
    assert "too few for a hole of 32" in errors
    with pytest.raises(InputError):
        cut_spans([tmp_path / "short.py"], 1, 4, CodeTokenizer.from_folder(tiny_checkpoint, 369))
    (tmp_path / "short.py").write_text("x\n")
    with pytest.raises(InputError, match="no line of code"):
        cut_lines([tmp_path / "short.py"], 1, 0, CodeTokenizer.from_folder(tiny_checkpoint, 369))
