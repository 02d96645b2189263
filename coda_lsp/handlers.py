"""Which message goes to which feature."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from coda_lsp.documents import PositionError
from coda_lsp.features.fill_selection import COMMAND, KIND
from coda_lsp.protocol import seen_document
from coda_lsp.server import CodaServer


def create_server(*, may_choose_python: bool) -> CodaServer:
    """A server for one session, with every handler in place; see CodaServer for `may_choose_python`."""
    server = CodaServer(may_choose_python=may_choose_python)
    server.feature(types.INITIALIZE)(initialize)
    server.feature(types.INITIALIZED)(initialized)
    server.feature(types.SHUTDOWN)(shutdown)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.feature(types.TEXT_DOCUMENT_DID_CLOSE)(did_close)
    # Static registration: without options pygls leaves the capability out.
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(inline_completion)
    kinds = types.CodeActionOptions(code_action_kinds=[KIND], resolve_provider=True)
    server.feature(types.TEXT_DOCUMENT_CODE_ACTION, kinds)(code_action)
    server.feature(types.CODE_ACTION_RESOLVE)(resolve_code_action)
    server.command(COMMAND)(fill_selection)
    server.command("coda.restart")(restart)
    server.command("coda.status")(status)
    return server


def initialize(ls: CodaServer, params: types.InitializeParams) -> None:
    ls.set_start_options(params.initialization_options)


def initialized(ls: CodaServer, params: types.InitializedParams) -> None:
    ls.begin()


async def shutdown(ls: CodaServer, params: None) -> None:
    await ls.close()


def did_change_configuration(ls: CodaServer, params: types.DidChangeConfigurationParams) -> None:
    ls.reconfigure(params.settings)


def did_close(ls: CodaServer, params: types.DidCloseTextDocumentParams) -> None:
    ls.inline.forget(params.text_document.uri)


async def inline_completion(ls: CodaServer, params: types.InlineCompletionParams) -> types.InlineCompletionList:
    document = seen_document()
    if document is None:
        return types.InlineCompletionList([])
    try:
        return await ls.inline.complete(document, params, ls.protocol.encoding())
    except PositionError as error:
        raise JsonRpcInvalidParams(str(error)) from None


async def code_action(ls: CodaServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    return ls.fill.actions(seen_document(), params)


async def resolve_code_action(ls: CodaServer, action: types.CodeAction) -> types.CodeAction:
    return await ls.fill.resolve(action, ls.protocol.encoding())


async def fill_selection(ls: CodaServer, *arguments: Any) -> None:
    if len(arguments) != 1:
        raise JsonRpcInvalidParams(f"{COMMAND} takes one argument, {{uri, version, range}}.")
    await ls.fill.execute(arguments[0], ls.protocol.encoding())


async def restart(ls: CodaServer, *_: Any) -> None:
    await ls.load_engine()


async def status(ls: CodaServer, *_: Any) -> dict[str, Any]:
    return {**asdict(ls.backend.status), "lastOutcome": ls.inline.last_outcome}
