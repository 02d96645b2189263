"""The doctor's findings."""

import json
from pathlib import Path

import pytest

from coda_lsp.doctor import PACKAGES, run_doctor


@pytest.fixture
def dying_engine(tmp_path: Path) -> str:
    """A Python interpreter that has no engine."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\necho 'No module named coda_model' >&2\nexit 1\n")
    path.chmod(0o755)
    return str(path)


def test_an_engine_that_does_not_start_is_a_problem(dying_engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor({"python": dying_engine}, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == ["The engine ended with status 1: No module named coda_model."]
    assert set(found["packages"]) == set(PACKAGES)
    assert all(found["packages"].values())
    assert found["languages"]["python"] is True
    assert found["second_ms"] is None


def test_it_reads_well(dying_engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor({"python": dying_engine}, as_json=False) == 1
    printed = capsys.readouterr().out
    assert "Languages" in printed
    assert "Problem: The engine ended with status 1" in printed
    assert "Suggestions work" not in printed


def test_a_wrong_setting_is_a_problem_and_nothing_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor({"serverUrl": "ftp://x", "python": "/nowhere"}, as_json=True) == 1
    [problem] = json.loads(capsys.readouterr().out)["problems"]
    assert "coda.serverUrl" in problem
