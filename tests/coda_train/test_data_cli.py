"""The `data` command: what it prints, and one sentence and status 1 for what a person gets wrong."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coda_train.cli import app

RECIPE = """
[sources.notes]
weight = 1
kind = "jsonl"
paths = ["notes.jsonl"]
content = "text"
licence = "MIT"
"""


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    rows = [{"text": f"note {n}: " + "word " * n} for n in range(5)]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mix.toml").write_text(RECIPE)
    return tmp_path / "mix.toml"


def test_a_mixture(recipe: Path, tmp_path: Path) -> None:
    status, output = run("data", "--mixture", recipe, "--out", tmp_path / "out")
    assert status == 0 and "notes, train: 5 files" in output and "1 sources, 0 of them kept" in output
    status, output = run("data", "--mixture", recipe, "--out", tmp_path / "out")
    assert status == 0 and "1 sources, 1 of them kept" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either folders or --mixture"),
        (["src", "--mixture", "pretrain-paper"], "give either folders or --mixture"),
        (["--mixture", "pretrain-paper", "--held-out", "0.1"], "set held_out in the recipe's sources"),
        (["--mixture", "nothing"], "there is no mixture nothing"),
        (["nowhere"], "nowhere is not a folder"),
        (["nowhere", "--ray", "127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: list[str], message: str) -> None:
    status, output = run("data", *arguments, "--out", tmp_path / "out")
    assert status == 1 and output.startswith("coda-train: ") and message in output and output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_source_leaves_nothing(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"text": "whole"}\n{"text": "cut')
    status, output = run("data", "--mixture", recipe, "--out", tmp_path / "out")
    assert status == 1 and "source notes: " in output and "at byte 18" in output and output.count("\n") == 1
    assert not list(tmp_path.glob("out/*"))


def test_a_corpus_too_small_for_the_vocabulary(recipe: Path, tmp_path: Path) -> None:
    run("data", "--mixture", recipe, "--out", tmp_path / "out")
    status, output = run("tokenizer", tmp_path / "out", "--out", tmp_path / "tokenizer", "--vocab-size", 5000)
    assert status == 0 and "too small for 5,000 tokens: set model.vocab_size=" in output
