"""A folder of one's own sources, a few steps of training from the bundled model, and the result in the editor."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import jax
import pytest
from typer.testing import CliRunner

from coda_train.cli import app

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOURCE = '''\
"""Part {n} of a repository without a licence file."""


def scale_{n}(values, factor):
    """Multiply every value."""
    result = []
    for value in values:
        result.append(value * factor + {n})
    return result


class Holder{n}:
    def __init__(self, name, size):
        self.name = name
        self.size = size
'''
BUDGET = ["stage.minutes=0", "optimizer.schedule_by=steps", "stage.steps=2", "stage.batch_size=2", "stage.length=64"]


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder, by the two commands of docs/training.md and a budget of two steps."""
    folder = tmp_path_factory.mktemp("retrained")
    (folder / "src").mkdir()
    for number in range(60):
        more = f"\n\ndef only_{number}():\n    return {[*range(number, number + 7)]}\n" * (1 + number % 3)
        (folder / "src" / f"part{number}.py").write_text(SOURCE.format(n=number) + more)
    jax.config.update("jax_disable_most_optimizations", True)  # two steps are not worth a good compilation
    for command in (
        ["sft", "--init", "bundled", "--data", str(folder / "src"), "--out", str(folder / "run"), *BUDGET],
        ["export", str(folder / "run"), "--out", str(folder / "mine")],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    assert (folder / "run" / "corpus" / "report.json").is_file()
    return folder / "mine"


async def test_the_editor_uses_it(retrained: Path, run_editor: Callable[..., AbstractAsyncContextManager[Any]]) -> None:
    async with run_editor({"model": str(retrained), "minimumConfidence": 0}) as editor:
        ready = await editor.status("ready")
        assert ready.model == "mine"
        editor.open("file:///mine.py", "def add(a, b):\n    return \n")
        for item in await editor.complete("file:///mine.py", 1, 11):
            assert item.insert_text.strip()
        outcome = (await editor.command("coda.status"))["lastOutcome"]
        assert "Shown" in outcome or "useful" in outcome, "the engine has answered"
