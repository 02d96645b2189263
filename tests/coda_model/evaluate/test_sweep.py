"""Sweeps over one setting, and workers on Ray that give the rows of one process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coda_model.cli import app
from tests.coda_model.evaluate.samples import ROWS

SPAN = "humaneval-infilling-random-span"


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("axis", "values"), [("steps", ["1", "3"]), ("length", ["2", "4", "oracle"]), ("algorithm", ["entropy", "origin"])]
)
def test_a_sweep_runs_every_value_and_plots(
    write_rows: Callable[..., Path], tiny_checkpoint: Path, tmp_path: Path, axis: str, values: list[str]
) -> None:
    data, out = write_rows(ROWS["santacoder-fim"]), tmp_path / "out"
    status, text, _ = run(
        "sweep", "santacoder-fim", f"--{axis}", ",".join(values), "--data", data, "-m", tiny_checkpoint, "--out", out
    )
    assert status == 0
    summary = json.loads((out / "sweep.json").read_text())
    assert [point[0] for point in summary["points"]] == values
    assert ("mean of fixed lengths" in summary) is (axis == "length")
    for value in values:
        settings = json.loads((out / f"{axis}-{value}" / "results.json").read_text())["settings"]
        assert str(settings[axis]) == value
    assert (out / "report.html").read_text().count("<svg") == 1
    assert "exact match" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "exactly one of --steps"),
        (["--steps", "1", "--length", "2"], "exactly one of --steps"),
        (["--steps", "few"], "whole numbers"),
    ],
)
def test_a_sweep_needs_one_axis(arguments: list[str], message: str) -> None:
    status, _, errors = run("sweep", "santacoder-fim", *arguments)
    assert status == 1
    assert message in " ".join(errors.split())


def test_workers_on_ray_give_the_same_rows(
    write_rows: Callable[..., Path], tiny_checkpoint: Path, tmp_path: Path, sandbox: object
) -> None:
    (row,) = ROWS[SPAN]
    data = write_rows([row | {"task_id": f"Own/{number}"} for number in range(4)])
    common = ["--data", data, "-m", tiny_checkpoint, "--max-tokens", 6, "--temperature", 0.8]
    assert run(SPAN, *common, "--out", tmp_path / "one", "--threads", 1)[0] == 0
    status, _, errors = run(SPAN, *common, "--out", tmp_path / "two", "--ray", "local", "--workers", 2)
    assert status == 0, errors
    found = [
        [json.loads(line) | {"latency_ms": 0} for line in (tmp_path / name / "rows.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert found[0] == found[1]
    status, _, errors = run(SPAN, *common, "--out", tmp_path / "none", "--ray", "127.0.0.1:1")
    assert status == 1
    assert "no Ray cluster at 127.0.0.1:1" in " ".join(errors.split())
