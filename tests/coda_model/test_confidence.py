"""How likely a fill is exactly right, where a checkpoint says so."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.confidence import FILE, Calibration, Evidence, read_calibration
from coda_model.errors import CodaError
from coda_model.infill import Hole, Infiller

WEIGHTS = {"intercept": 0.5, "log_probability": 0.1, "log_length": 0.2, "same": 0.3, "single_line": 0.4}
DOCUMENT = ["x = qqq(ab)\ny = qqq(", Hole(single_line=True, max_tokens=12), "\n"]


@pytest.mark.parametrize(
    ("log_probability", "log_length", "same", "single_line", "expected"),
    [
        (0.0, 0.0, 0, False, 0.5),
        (0.0, 0.0, 3, False, 0.5),
        (-2.0, 0.0, 0, False, 1 / (1 + math.e)),
        (-1.0, -1.0, 0, False, 1 / (1 + math.exp(0.75))),
        (-2.0, 0.0, 12, False, 10 / (10 + math.e)),
        (0.0, 0.0, 0, True, 1 / (1 + math.exp(-2))),
        (-1e9, 0.0, 0, True, 0.0),
    ],
)
def test_confidence(log_probability: float, log_length: float, same: int, single_line: bool, expected: float) -> None:
    calibration = Calibration(0.0, 0.5, 0.25, 1.0, 2.0)
    assert calibration.confidence(Evidence(log_probability, log_length, same, single_line)) == pytest.approx(expected)


@given(st.floats(-1e6, 0), st.floats(-1e6, 0), st.integers(0, 10_000), st.booleans())
def test_a_confidence_is_a_probability_that_grows(
    log_probability: float, log_length: float, same: int, single_line: bool
) -> None:
    calibration = Calibration(-1.8, 0.1, 0.2, 0.8, 0.5)
    evidence = Evidence(log_probability, log_length, same, single_line)
    value = calibration.confidence(evidence)
    assert 0 <= value <= 1
    for surer in (
        replace(evidence, log_probability=log_probability / 2),
        replace(evidence, log_length=log_length / 2),
        replace(evidence, same=same + 1),
        replace(evidence, single_line=True),
    ):
        assert calibration.confidence(surer) >= value


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", json.dumps(WEIGHTS | {"same": "x"}), json.dumps(WEIGHTS | {"same": math.nan}), "\udcff",
     json.dumps({name: value for name, value in WEIGHTS.items() if name != "log_length"})],
)  # fmt: skip
def test_what_is_no_calibration_gets_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CodaError, match=r"calibration\.json is not a calibration: .*intercept"):
        read_calibration(tmp_path)


def test_a_checkpoint_with_a_calibration(tiny_checkpoint: Path, tmp_path: Path) -> None:
    plain = Infiller.from_pretrained(str(tiny_checkpoint)).fill(DOCUMENT, language="python", candidates=8)
    assert read_calibration(tiny_checkpoint) is None
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    (tmp_path / "model" / FILE).write_text(json.dumps(WEIGHTS))
    calibrated = Infiller.from_pretrained(str(tmp_path / "model")).fill(DOCUMENT, language="python", candidates=8)
    assert [one.fills for one in calibrated.candidates] == [one.fills for one in plain.candidates]
    assert any(one.same for one in calibrated.candidates), "one was found in the document"
    for one, other in zip(calibrated.candidates, plain.candidates, strict=True):
        log_probabilities = [math.log(each) for each in one.token_confidences[0]]
        evidence = Evidence(sum(log_probabilities), math.log(one.length_confidence), one.same, True)
        expected = Calibration(**WEIGHTS).confidence(evidence)
        assert one.confidence == pytest.approx(expected, rel=1e-4)
        if log_probabilities:
            assert other.confidence == pytest.approx(
                math.exp(sum(log_probabilities) / len(log_probabilities)), rel=1e-4
            )
