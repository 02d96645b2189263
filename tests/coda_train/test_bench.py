"""The bench on a small preset: it runs every kind of batch, and its figures agree with each other."""

import json

import pytest
from typer.testing import CliRunner

from coda_train.cli import app


@pytest.mark.parametrize("preset", ["pretrain-nano", "sft-nano"])
def test_bench(preset):
    arguments = ["bench", "--preset", preset, "--steps", "2", "stage.length=32", "--json"]
    output = CliRunner().invoke(app, arguments)
    assert output.exit_code == 0, output.output
    result = json.loads(output.output)
    assert (result["batch_size"], result["length"], result["devices"]) == (8, 32, 1)
    assert result["tokens_per_s"] == pytest.approx(8 * 32 / result["step_s"])
    assert result["mfu"] is None  # the peak of a CPU is not known
    assert 0 < result["target_share"] < 1
    assert result["peak_bytes"] > 2**20
    assert 0 < result["loss"] < 100


def test_bench_says_how_mfu_comes_about():
    output = CliRunner().invoke(app, ["bench", "--preset", "base-nano", "--steps", "1", "stage.length=32"]).output
    assert "model FLOPs a step = 3 x (tokens x layers" in output
    assert "tok/s, MFU unknown, peak memory" in output
