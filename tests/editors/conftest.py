"""What the tests of several editors need."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KNOWN_MODEL = Path(__file__).with_name("known_model.py")


@pytest.fixture(scope="session")
def known_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The server's settings for an engine that fills what known_model.py says."""
    folder = tmp_path_factory.mktemp("checkpoint") / "known"
    subprocess.run([sys.executable, KNOWN_MODEL, folder], check=True)
    return {"model": str(folder), "algorithm": "threshold", "device": "cpu", "dtype": "float32"}
