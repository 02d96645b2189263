"""The model that ships, with the settings that nobody has touched."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

CODE = "def add(a, b):\n    return \n\n\nclass Point:\n    def __init__(self, x, y):\n        \n"


async def test_it_suggests_out_of_the_box(run_editor: Callable[..., AbstractAsyncContextManager[Any]]) -> None:
    async with run_editor(None) as editor:
        ready = await editor.status("ready")
        assert ready.model
        assert ready.device
        editor.open("file:///bundled.py", CODE)
        for line, character in ((1, 11), (6, 8)):
            for item in await editor.complete("file:///bundled.py", line, character):
                assert item.insert_text.strip()
                assert item.range.start.line == line
            outcome = (await editor.command("coda.status"))["lastOutcome"]
            assert "Shown" in outcome or "useful" in outcome, "the engine has answered"
        assert editor.client.messages == [], "and nothing went wrong"
