"""Which message goes to which feature."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from typing import Any

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import JsonRpcInvalidParams

from coda_lsp.documents import PositionError
from coda_lsp.features import plain_completion
from coda_lsp.features.code_actions import ALL_HOLES, REGENERATE, SELECTION
from coda_lsp.features.inline_completion import ACCEPTED
from coda_lsp.greeting import CODE_ACTION_KINDS, COMPLETION_TRIGGERS
from coda_lsp.protocol import seen_document
from coda_lsp.server import CodaServer


def create_server(*, may_choose_python: bool) -> CodaServer:
    """A server for one session, with every handler in place; see CodaServer for `may_choose_python`."""
    server = CodaServer(may_choose_python=may_choose_python)
    server.feature(types.INITIALIZE)(initialize)
    server.feature(types.INITIALIZED)(initialized)
    server.feature(types.SHUTDOWN)(shutdown)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)(did_change_workspace_folders)
    server.feature(types.TEXT_DOCUMENT_DID_CLOSE)(did_close)
    # Static registration: without options pygls leaves the capability out.
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(inline_completion)
    kinds = types.CodeActionOptions(code_action_kinds=list(CODE_ACTION_KINDS), resolve_provider=True)
    server.feature(types.TEXT_DOCUMENT_CODE_ACTION, kinds)(code_action)
    server.feature(types.CODE_ACTION_RESOLVE)(resolve_code_action)
    for action in (SELECTION, ALL_HOLES, REGENERATE):
        server.command(action.command)(_edit_command(action.command))
    for name, command in _COMMANDS.items():
        server.command(name)(command)
    return server


def initialize(ls: CodaServer, params: types.InitializeParams) -> None:
    if get_capability(params.capabilities, "text_document.inline_completion", None) is None:
        options = types.CompletionOptions(trigger_characters=list(COMPLETION_TRIGGERS))
        ls.feature(types.TEXT_DOCUMENT_COMPLETION, options)(completion)
    ls.set_start_options(params.initialization_options)


def initialized(ls: CodaServer, params: types.InitializedParams) -> None:
    ls.begin()


async def shutdown(ls: CodaServer, params: None) -> None:
    await ls.close()


def did_change_configuration(ls: CodaServer, params: types.DidChangeConfigurationParams) -> None:
    ls.reconfigure(params.settings)


def did_change_workspace_folders(ls: CodaServer, params: types.DidChangeWorkspaceFoldersParams) -> None:
    ls.reconfigure()


def did_close(ls: CodaServer, params: types.DidCloseTextDocumentParams) -> None:
    ls.forget(params.text_document.uri)


async def inline_completion(ls: CodaServer, params: types.InlineCompletionParams) -> types.InlineCompletionList:
    document = seen_document()
    if document is None:
        return types.InlineCompletionList([])
    with _positions_checked():
        return await ls.inline.complete(document, params, ls.protocol.encoding())


async def completion(ls: CodaServer, params: types.CompletionParams) -> types.CompletionList:
    document = seen_document()
    if document is None:
        return types.CompletionList(is_incomplete=False, items=[])
    with _positions_checked():
        return await plain_completion.complete(ls.inline, document, params, ls.protocol.encoding())


async def code_action(ls: CodaServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    return ls.actions.offer(seen_document(), params, ls.protocol.encoding())


async def resolve_code_action(ls: CodaServer, action: types.CodeAction) -> types.CodeAction:
    return await ls.actions.resolve(action, ls.protocol.encoding())


async def restart(ls: CodaServer, *_: Any) -> None:
    await ls.load_engine()


async def status(ls: CodaServer, *_: Any) -> dict[str, Any]:
    return {**asdict(ls.backend.status), "lastOutcome": ls.inline.last_outcome}


async def stats(ls: CodaServer, *arguments: Any) -> dict[str, Any]:
    counted = ls.counters.json()
    if arguments and isinstance(arguments[0], dict) and arguments[0].get("reset") is True:
        ls.counters.reset()
    return counted


async def accepted(ls: CodaServer, *arguments: Any) -> None:
    ls.counters.accepted(_suggestion(arguments))


async def partially_accepted(ls: CodaServer, *arguments: Any) -> None:
    suggestion, length = _suggestion(arguments), arguments[0].get("length")
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise JsonRpcInvalidParams("The argument's length must be a whole number.")
    ls.counters.partially_accepted(suggestion, length)


async def shown(ls: CodaServer, *arguments: Any) -> None:
    ls.counters.shown(_suggestion(arguments))


_COMMANDS: dict[str, Callable[..., Awaitable[Any]]] = {
    "coda.restart": restart,
    "coda.status": status,
    "coda.stats": stats,
    ACCEPTED: accepted,
    "coda.partiallyAccepted": partially_accepted,
    "coda.shown": shown,
}


def _edit_command(name: str) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def edit(ls: CodaServer, *arguments: Any) -> dict[str, Any]:
        if len(arguments) != 1:
            raise JsonRpcInvalidParams(f"{name} takes one argument, an object with uri and version.")
        return await ls.actions.execute(name, arguments[0], ls.protocol.encoding())

    return edit


def _suggestion(arguments: tuple[Any, ...]) -> str:
    if len(arguments) != 1 or not isinstance(arguments[0], dict) or not isinstance(arguments[0].get("id"), str):
        raise JsonRpcInvalidParams("The argument must be an object with the id of a suggestion.")
    return arguments[0]["id"]


@contextlib.contextmanager
def _positions_checked() -> Iterator[None]:
    try:
        yield
    except PositionError as error:
        raise JsonRpcInvalidParams(str(error)) from None
