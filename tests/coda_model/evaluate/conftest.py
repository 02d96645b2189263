"""A sandbox that is really one, and rows of every schema."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coda_model.evaluate.sandbox import isolation
from coda_model.evaluate.sandbox.run import Limits, Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """Generous with time, since the machine may be busy; tests of the time limit set their own."""
    lacking = isolation.missing()
    if lacking:
        pytest.skip(lacking)
    return Sandbox(Limits(time_s=60))


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[dict[str, Any]], name: str = "rows.jsonl.gz") -> Path:
        path = tmp_path / name
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write
