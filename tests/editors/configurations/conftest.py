"""The programs that `make test-configurations` fetches: without them their tests are left out."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = [
    pattern
    for name, pattern in (("CODA_TEST_HELIX", "test_helix.py"), ("CODA_TEST_EMACS", "test_emacs.py"))
    if name not in os.environ
]

CODE = "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\n"


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A file of two functions' worth of code, in a project folder of its own."""
    path = tmp_path / "project" / "add.py"
    path.parent.mkdir()
    path.write_text(CODE)
    return path


@pytest.fixture
def server_on_path() -> dict[str, Any]:
    """Variables with which `coda-lsp` is found, and with which an engine of a tiny model does not wait for threads."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
