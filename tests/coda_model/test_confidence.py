"""How likely a fill is exactly right, where a checkpoint says so."""

import json
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_model.confidence import FILE, Calibration, read_calibration
from coda_model.errors import CodaError
from coda_model.infill import Hole, Infiller

DOCUMENT = ["x = qqq(ab)\ny = qqq(", Hole(single_line=True, max_tokens=12), "\n"]


@pytest.mark.parametrize(
    ("log_probability", "same", "expected"),
    [(0.0, 0, 0.5), (0.0, 3, 0.5), (-2.0, 0, 1 / (1 + math.e)), (-2.0, 12, 10 / (10 + math.e)), (-1e9, 0, 0.0)],
)
def test_confidence(log_probability: float, same: int, expected: float) -> None:
    assert Calibration(0.0, 0.5, 1.0).confidence(log_probability, same) == pytest.approx(expected)


@given(st.floats(-1e6, 0), st.integers(0, 10_000))
def test_a_confidence_is_a_probability_that_grows(log_probability: float, same: int) -> None:
    calibration = Calibration(-1.8, 0.1, 0.8)
    value = calibration.confidence(log_probability, same)
    assert 0 <= value <= 1
    assert calibration.confidence(log_probability / 2, same) >= value
    assert calibration.confidence(log_probability, same + 1) >= value


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"intercept": 1, "log_probability": 1}', '{"intercept": 1, "log_probability": "x", "same": 1}',
     '{"intercept": NaN, "log_probability": 1, "same": 1}', "\udcff"],
)  # fmt: skip
def test_what_is_no_calibration_gets_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CodaError, match=r"calibration\.json is not a calibration: .*intercept"):
        read_calibration(tmp_path)


def test_a_checkpoint_with_a_calibration(tiny_checkpoint: Path, tmp_path: Path) -> None:
    plain = Infiller.from_pretrained(str(tiny_checkpoint)).fill(DOCUMENT, language="python", candidates=8)
    assert read_calibration(tiny_checkpoint) is None
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    (tmp_path / "model" / FILE).write_text(json.dumps({"intercept": 0.5, "log_probability": 0.1, "same": 0.3}))
    calibrated = Infiller.from_pretrained(str(tmp_path / "model")).fill(DOCUMENT, language="python", candidates=8)
    assert [one.fills for one in calibrated.candidates] == [one.fills for one in plain.candidates]
    assert any(one.same for one in calibrated.candidates), "one was found in the document"
    for one, other in zip(calibrated.candidates, plain.candidates, strict=True):
        log_probabilities = [math.log(each) for each in one.token_confidences[0]]
        expected = Calibration(0.5, 0.1, 0.3).confidence(sum(log_probabilities), one.same)
        assert one.confidence == pytest.approx(expected, rel=1e-4)
        if log_probabilities:
            assert other.confidence == pytest.approx(
                math.exp(sum(log_probabilities) / len(log_probabilities)), rel=1e-4
            )
