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

WEIGHTS = {
    "intercept": 0.5,
    "log_share": 0.15,
    "alike": 0.2,
    "same": 0.3,
    "renamed": 0.25,
    "others": -0.05,
    "characters": -0.1,
}
DOCUMENT = ["x = qqq(ab)\ny = qqq(", Hole(single_line=True, max_tokens=12), "\n"]


EVIDENCE = Evidence(0.0, 0.0, 0, False, 0, 0)


@pytest.mark.parametrize(
    ("known", "odds"),
    [
        ({}, 0.0),
        ({"same": 3}, 0.0),
        ({"log_share": -2.0}, -1.0),
        ({"log_share": -2.0, "same": 12}, math.log(10) - 1),
        ({"log_share": -2.0, "same": 12, "renamed": True}, 2 * math.log(10) - 1),
        ({"alike": 0.25}, 0.5),
        ({"others": 4}, -math.log(5)),
        ({"characters": 9}, -math.log(10)),
        ({"log_share": -1e9, "same": 12}, -math.inf),
    ],
)
def test_confidence(known: dict, odds: float) -> None:
    calibration = Calibration(0.0, 0.5, 2.0, 1.0, 2.0, -1.0, -1.0)
    expected = 1 / (1 + math.exp(-odds))
    assert calibration.confidence(replace(EVIDENCE, **known)) == pytest.approx(expected)


KNOWN = st.builds(
    Evidence,
    log_share=st.floats(-1e6, 0),
    alike=st.floats(0, 1),
    same=st.integers(0, 10_000),
    renamed=st.booleans(),
    others=st.integers(0, 10_000),
    characters=st.integers(0, 10_000),
)


@given(KNOWN)
def test_a_confidence_is_a_probability_that_grows(evidence: Evidence) -> None:
    calibration = Calibration(-1.8, 0.3, 1.0, 0.8, 0.5, -0.4, -0.2)
    value = calibration.confidence(evidence)
    assert 0 <= value <= 1
    for surer in (
        replace(evidence, log_share=evidence.log_share / 2),
        replace(evidence, alike=(evidence.alike + 1) / 2),
        replace(evidence, same=evidence.same + 1),
        replace(evidence, others=evidence.others // 2),
        replace(evidence, characters=evidence.characters // 2),
    ):
        assert calibration.confidence(surer) >= value


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", json.dumps(WEIGHTS | {"same": "x"}), json.dumps(WEIGHTS | {"same": math.nan}), "\udcff",
     json.dumps({name: value for name, value in WEIGHTS.items() if name != "log_share"})],
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
    assert any(one.evidence.same for one in calibrated.candidates), "one was found in the document"
    shares = [math.exp(one.evidence.log_share) for one in calibrated.candidates]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-6
    for one, other in zip(calibrated.candidates, plain.candidates, strict=True):
        log_probabilities = [math.log(each) for each in one.token_confidences[0]]
        assert one.evidence.characters == len(one.fills[0].strip())
        assert one.confidence == Calibration(**WEIGHTS).confidence(one.evidence)
        assert one.evidence == other.evidence
        if log_probabilities:
            assert other.confidence == pytest.approx(
                math.exp(sum(log_probabilities) / len(log_probabilities)), rel=1e-4
            )


def test_a_fill_that_nothing_was_compared_with_has_half_the_share(tiny_checkpoint: Path) -> None:
    infiller = Infiller.from_pretrained(str(tiny_checkpoint))
    [only] = infiller.fill(DOCUMENT, starts=1, lookups=0).candidates
    assert only.evidence.log_share == pytest.approx(math.log(0.5))
