"""Runs from the command line on a tiny model: files, resumption, batches, and errors in one sentence."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coda_model.cli import app
from tests.coda_model.evaluate.samples import ROWS

SINGLE, SPAN = "humaneval-infilling-single-line", "humaneval-infilling-random-span"


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def copies(name: str, count: int) -> list[dict[str, Any]]:
    (row,) = ROWS[name]
    return [row | {"task_id": f"{row['task_id']}/{number}"} for number in range(count)]


@pytest.fixture
def options(tiny_checkpoint: Path, tmp_path: Path) -> list[object]:
    return ["-m", tiny_checkpoint, "--out", tmp_path / "out", "--max-tokens", 6]


def test_a_benchmark_writes_rows_results_and_a_report(
    write_rows: Callable[..., Path], options: list[object], tmp_path: Path, sandbox: object
) -> None:
    data = write_rows(copies(SINGLE, 3))
    status, text, _ = run(SINGLE, "--data", data, *options, "--nll-draws", 4, "--nll-rows", 2)
    assert status == 0
    assert "pass@1" in text
    out = tmp_path / "out"
    found = results(out)
    figures = found["figures"]
    assert figures["pass@1"]["model"]["rows"] == 3
    assert figures["pass@1"]["model"]["clusters"] == 1
    assert figures["exact match"]["copy"]["value"] == 0
    assert figures["bits a character"]["model"]["rows"] == 2
    assert found["settings"]["length"] == "product"
    assert found["settings"]["isolated"] is True
    assert {"torch", "python"} <= found["versions"].keys()
    for row in rows(out):
        assert {"prefix", "fill", "reference", "confidence", "tests", "floors"} <= row.keys()
        assert "\n" not in row["fill"]
        assert row["floors"]["empty"]["tests"]["tests"] != "pass"
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 1
    assert not re.search(r"<script|<link|(src|href)=.http", page)  # one file that fetches nothing
    status, text, _ = run("table", out)
    assert status == 0
    assert "| pass@1, % | 0.0 (0.0 to 0.0) |" in text


def test_a_killed_run_goes_on_and_ends_the_same(
    write_rows: Callable[..., Path], options: list[object], tmp_path: Path, sandbox: object
) -> None:
    data, out = write_rows(copies(SPAN, 4)), tmp_path / "out"
    assert run(SPAN, "--data", data, *options)[0] == 0
    whole = rows(out)
    (out / "results.json").unlink()
    lines = (out / "rows.jsonl").read_text().splitlines(keepends=True)
    first = json.loads(lines[0]) | {"fill": "kept from before"}
    (out / "rows.jsonl").write_text(json.dumps(first) + "\n" + lines[1] + lines[2][:40])
    assert run(SPAN, "--data", data, *options)[0] == 0
    assert [row["id"] for row in rows(out)] == [row["id"] for row in whole]
    assert rows(out)[0]["fill"] == "kept from before"
    for again, before in zip(rows(out)[1:], whole[1:], strict=True):
        assert again | {"latency_ms": 0} == before | {"latency_ms": 0}


_DIE_AFTER_TWO_ROWS = """
import os, signal, sys
from coda_model.cli import app
from coda_model.evaluate.records import RunFolder

add = RunFolder.add

def add_and_die(self, row):
    add(self, row)
    if len(self.rows) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

RunFolder.add = add_and_die
app(sys.argv[1:])
"""


def test_a_process_that_is_really_killed_loses_no_row(
    write_rows: Callable[..., Path], options: list[object], tmp_path: Path
) -> None:
    (row,) = ROWS["santacoder-fim"]
    data = write_rows([row | {"name": f"own-{number}"} for number in range(4)])
    arguments = ["santacoder-fim", "--data", str(data), *map(str, options)]
    killed = subprocess.run([sys.executable, "-c", _DIE_AFTER_TWO_ROWS, "eval", *arguments], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    out = tmp_path / "out"
    kept = rows(out)
    assert [row["id"] for row in kept] == ["own-0", "own-1"]
    assert not (out / "results.json").exists()
    assert run(*arguments)[0] == 0
    assert rows(out)[:2] == kept
    assert [row["id"] for row in rows(out)] == [f"own-{number}" for number in range(4)]


def test_rows_do_not_depend_on_the_batch(
    write_rows: Callable[..., Path], options: list[object], tmp_path: Path, sandbox: object
) -> None:
    """In exact mode, since each of several requests is computed as it would be alone."""
    varied = [
        row | {"prompt": "# " + "x" * number + "\n" + row["prompt"]} for number, row in enumerate(copies(SPAN, 9))
    ]
    data, found = write_rows(varied), {}
    for batch in (1, 8):
        out = tmp_path / str(batch)
        exact = ("--refresh", 1, "--batch", batch, "--starts", 1)  # of many starts the same short fill comes first
        assert run(SPAN, "--data", data, *options, "--out", out, *exact)[0] == 0
        said = ("latency_ms", "confidence", "evidence")  # to more digits than sums in another order agree
        found[batch] = [{key: row[key] for key in row if key not in said} for row in rows(out)]
        assert len({row["fill"] for row in found[batch]}) > 1
    assert found[1] == found[8]


def test_another_setting_needs_another_folder(
    write_rows: Callable[..., Path], options: list[object], tmp_path: Path, sandbox: object
) -> None:
    data, out = write_rows(copies(SPAN, 1)), tmp_path / "out"
    assert run(SPAN, "--data", data, *options)[0] == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    status, _, errors = run(SPAN, "--data", data, *options, "--steps", 2)
    assert status == 1
    assert "steps was None and is 2" in " ".join(errors.split())
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    status, _, errors = run(SPAN, "--data", data, *options, "--out", tmp_path / "other")
    assert status == 1
    assert "no evaluation" in errors


def test_generation_takes_the_published_sampling(
    write_rows: Callable[..., Path], options: list[object], tmp_path: Path, sandbox: object
) -> None:
    data = write_rows(ROWS["humaneval"])
    status, _, _ = run("humaneval", "--data", data, *options, "--prompt", "chat", "--steps", 3, "--samples", 2)
    assert status == 0
    found = results(tmp_path / "out")
    settings = found["settings"]
    assert [settings[name] for name in ("algorithm", "temperature", "top_p", "alg_temp")] == ["entropy", 0.1, 0.9, 0.0]
    assert found["figures"]["pass@1"]["model"]["rows"] == 4
    assert found["figures"]["pass@2"]["model"]["rows"] == 2
    assert len(rows(tmp_path / "out")) == 4
    status, text, _ = run("samples", tmp_path / "out")
    assert status == 0
    programs = [json.loads(line) for line in text.splitlines()]
    assert [program["task_id"] for program in programs] == ["Own/1", "Own/2"] * 2
    assert programs[0]["solution"].startswith(ROWS["humaneval"][0]["prompt"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", "guess"], "length must be product, oracle"),
        (["--samples", "3"], "need a temperature"),
        (["--algorithm", "best"], "algorithm must be one of"),
        (["--model", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_bad_settings_are_one_sentence(
    write_rows: Callable[..., Path], tiny_checkpoint: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    data = write_rows(copies(SPAN, 1))
    status, _, errors = run(SPAN, "--data", data, "-m", tiny_checkpoint, "--out", tmp_path / "out", *arguments)
    assert status == 1
    assert message in " ".join(errors.split())
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_mask_token_is_one_sentence(
    write_rows: Callable[..., Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    del config["mask_token_id"]
    (folder / "config.json").write_text(json.dumps(config))
    status, _, errors = run(SPAN, "--data", write_rows(copies(SPAN, 1)), "-m", folder, "--out", tmp_path / "out")
    assert status == 1
    assert "mask_token_id" in errors
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_and_another_schema(write_rows: Callable[..., Path], options: list[object]) -> None:
    status, _, errors = run("humanevil")
    assert status == 2
    assert "No such command 'humanevil'" in errors
    status, _, errors = run("sweep", "humanevil", "--steps", "1,2")
    assert status == 1
    assert "There is no task 'humanevil'" in errors
    status, _, errors = run("mbpp", "--data", write_rows(ROWS["safim-api"]), *options)
    assert status == 1
    assert "another schema" in errors
