"""A progress bar in the editor for one piece of work, which the user can cancel there."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcException

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

CREATE_TIMEOUT_S = 2.0

Report = Callable[[str, int], None]


@contextlib.asynccontextmanager
async def work_progress(
    ls: LanguageServer, title: str, message: str, *, percentage: int | None = None, cancellable: bool = False
) -> AsyncIterator[Report]:
    """Show a progress bar while the body runs; it gets `report(message, percentage)`.

    Without a percentage to begin with, the bar says only that something goes on. A cancel from the editor cancels the
    current task. Clients that show no progress get none.
    """
    token = await _create(ls)
    if token is None:
        yield lambda message, percentage: None
        return
    progress = ls.work_done_progress
    begin = types.WorkDoneProgressBegin(title, cancellable=cancellable, message=message, percentage=percentage)
    progress.begin(token, begin)
    task = asyncio.current_task()
    assert task is not None
    progress.tokens[token].add_done_callback(lambda _: task.cancel())
    furthest = 0

    def report(message: str, percentage: int) -> None:
        nonlocal furthest
        if percentage > furthest:  # an estimate of the end may move away, a bar must not go back
            furthest = percentage
            progress.report(token, types.WorkDoneProgressReport(message=message, percentage=min(percentage, 100)))

    try:
        yield report
    finally:
        progress.tokens.pop(token, None)
        progress.end(token, types.WorkDoneProgressEnd())


async def _create(ls: LanguageServer) -> str | None:
    """A token that the client has agreed to; None where it shows no progress."""
    if not get_capability(ls.client_capabilities, "window.work_done_progress", False):
        return None
    token = f"coda-{uuid.uuid4()}"
    created = asyncio.ensure_future(ls.work_done_progress.create_async(token))
    # Not wait_for: a late answer to a cancelled request would raise in pygls.
    await asyncio.wait([created], timeout=CREATE_TIMEOUT_S)
    if not created.done():
        return None
    with contextlib.suppress(JsonRpcException):
        created.result()
        return token
    return None
