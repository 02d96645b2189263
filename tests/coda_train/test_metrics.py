"""The metrics file, also after a kill and a resume."""

import io
import json
import math

import pytest
from rich.console import Console

from coda_train.metrics import Metrics

ROW = {"loss": 1.5, "nll": 2.0, "grad_norm": 0.5, "lr": 1e-3, "tokens_per_s": 10.0, "nll_by_noise": [1.0, 2.0]}


def rows_of(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_replaces_the_steps_it_does_again(tmp_path):
    console = Console(file=io.StringIO())
    with Metrics(tmp_path, console, "pretrain") as metrics:
        for step in (10, 20, 30):
            metrics.train(step, step / 100, ROW, 60.0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "ki')  # cut short by a kill
    with Metrics(tmp_path, console, "pretrain", resumed_from=20) as metrics:
        metrics.held_out(30, {"loss": 1.0, "nll": 1.25})
    rows = rows_of(tmp_path)
    assert [(row["step"], row["kind"]) for row in rows] == [(10, "train"), (20, "train"), (30, "held_out")]
    assert rows[0]["nll_by_noise"] == [1.0, 2.0]


@pytest.mark.parametrize(("eta_s", "shown"), [(59.0, "00:59"), (3600.0, "1:00:00"), (math.inf, "--:--")])
def test_lines_for_people(tmp_path, eta_s, shown):
    shown_text = io.StringIO()
    console = Console(file=shown_text, width=60)
    with Metrics(tmp_path, console, "sft") as metrics:
        metrics.train(7, 0.1, ROW, eta_s)
    line = shown_text.getvalue()
    assert line.startswith("step 7  loss 1.5000  nll 2.000")
    assert line.rstrip().endswith(f"eta {shown}")


def test_what_is_not_a_number_is_null(tmp_path):
    with Metrics(tmp_path, Console(file=io.StringIO()), "sft") as metrics:
        metrics.held_out(1, {"loss": math.nan, "nll": math.inf})
    assert rows_of(tmp_path)[0]["loss"] is None
