"""Fitting a checkpoint's confidences to the rows of a run."""

import json
import random
from dataclasses import asdict, astuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coda_model.confidence import Calibration, Evidence, read_calibration
from coda_model.errors import CodaError
from coda_model.evaluate.calibration import fit_calibration
from coda_model.evaluate.cli import app

EVEN = Calibration(0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0)
TRUTH = Calibration(-0.5, 0.5, 1.0, 0.6, 0.4, -0.3, -0.2)


def rows(count: int, truth: Calibration, seed: int = 0) -> list[dict]:
    draw = random.Random(seed)
    made = []
    for number in range(count):
        evidence = Evidence(
            log_share=-draw.expovariate(0.5),
            alike=draw.random(),
            same=draw.choice([0, 0, 5, 20, 60]),
            renamed=draw.random() < 0.5,
            others=draw.choice([0, 1, 5]),
            characters=draw.randrange(1, 80),
        )
        right = draw.random() < truth.confidence(evidence)
        made.append({"id": str(number), "fill": "x", "exact": right, "evidence": asdict(evidence)})
    return made


def test_the_weights_of_many_rows_are_found_again() -> None:
    found = fit_calibration(rows(100_000, TRUTH))
    assert found.intercept == pytest.approx(TRUTH.intercept, abs=0.15)
    assert astuple(found)[1:] == pytest.approx(astuple(TRUTH)[1:], abs=0.05)


@pytest.mark.parametrize(
    "made",
    [
        rows(10, EVEN),
        [row | {"exact": True} for row in rows(100, EVEN)],
        [row | {"fill": "  "} for row in rows(100, EVEN)],
        [row | {"evidence": None} for row in rows(100, EVEN)],
        [],
    ],
)
def test_too_little_to_fit(made: list[dict]) -> None:
    with pytest.raises(CodaError, match="A calibration needs 50 fills of holes"):
        fit_calibration(made)


def test_the_command_writes_it_into_the_checkpoint(tmp_path: Path) -> None:
    run, checkpoint = tmp_path / "run", tmp_path / "model"
    run.mkdir()
    checkpoint.mkdir()
    made = rows(300, TRUTH)
    (run / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    refused = CliRunner().invoke(app, ["calibrate", str(run), str(checkpoint)])
    assert refused.exit_code == 1
    assert not any(checkpoint.iterdir())
    (checkpoint / "config.json").write_text("{}")
    assert CliRunner().invoke(app, ["calibrate", str(run), str(checkpoint)]).exit_code == 0
    assert read_calibration(checkpoint) == fit_calibration(made)
