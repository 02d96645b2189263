"""The JSON-RPC side: which messages are let in, and what each request sees of the documents."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol

from coda_lsp import greeting
from coda_lsp.documents import DocumentStore, PositionError, Snapshot, UnknownDocumentError

if TYPE_CHECKING:
    from cattrs import Converter
    from pygls.lsp.server import LanguageServer

logger = logging.getLogger(__name__)

_seen: contextvars.ContextVar[Snapshot | None] = contextvars.ContextVar("seen", default=None)


def seen_document() -> Snapshot | None:
    """The document that the request being handled is about, as it was when the request came in.

    An `async def` handler begins later than its request is read; edits that were read in between are not in here.
    """
    return _seen.get()


@dataclass(frozen=True)
class _Malformed:
    """A message that is no valid request, response or notification."""

    msg_id: str | int | None
    is_request: bool
    error: JsonRpcException


def _malformed(data: dict[str, Any], error: JsonRpcException) -> _Malformed:
    msg_id = data.get("id")
    usable = isinstance(msg_id, str | int) and not isinstance(msg_id, bool)
    return _Malformed(msg_id if usable else None, "method" in data and "id" in data, error)


class CodaProtocol(LanguageServerProtocol):
    """pygls' protocol with our own documents, and an answer for every request, however wrong it is."""

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        super().__init__(server, converter)
        self.documents = DocumentStore()
        self.on_edit: Callable[[Snapshot, int], None] = lambda document, line: None
        self.shutdown_requested = False
        self.greeted: str | int | None = None  # the id of the `initialize` that was answered before we were there
        self.ended = threading.Event()
        # In place of pygls' own: its documents would be kept a second time, its commands run behind a generator that
        # $/cancelRequest does not reach, and its exit leaves by sys.exit before the engine could be stopped.
        self.fm.add_builtin_feature(types.TEXT_DOCUMENT_DID_OPEN, self._did_open)
        self.fm.add_builtin_feature(types.TEXT_DOCUMENT_DID_CHANGE, self._did_change)
        self.fm.add_builtin_feature(types.TEXT_DOCUMENT_DID_CLOSE, self._did_close)
        self.fm.add_builtin_feature(types.WORKSPACE_EXECUTE_COMMAND, self._execute_command)
        self.fm.add_builtin_feature(types.EXIT, self._exit)

    def encoding(self) -> types.PositionEncodingKind:
        """How the client counts characters; known once it has initialized the session."""
        return types.PositionEncodingKind(self.workspace.position_encoding)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Read one message; a malformed one is returned as such instead of raising, so that it can be answered."""
        if "jsonrpc" in data and not isinstance(data.get("method", ""), str):
            return _malformed(data, JsonRpcInvalidRequest("A method must be a text."))
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if (msg_id := data.get("id")) is not None and msg_id == self.greeted:
                logger.warning("Parts of the initialize request are malformed and were left out: %s", error)
                return super().structure_message({**data, "params": greeting.essential(data["params"])})
            if isinstance(error, JsonRpcInternalError):  # pygls' name for a message that lacks parts
                error = JsonRpcInvalidRequest("A message must be a request, a response or a notification of JSON-RPC.")
            return _malformed(data, error)

    def handle_message(self, message: Any) -> None:
        """Handle one message in the order of arrival; a request starts with the documents as they are now."""
        if isinstance(message, _Malformed):
            logger.warning("A malformed message was refused: %s", message.error)
            if message.is_request:
                self.refuse(message.error, message.msg_id)
            return
        if getattr(message, "jsonrpc", None) != self.VERSION:
            self.refuse(JsonRpcInvalidRequest("A message must be a JSON-RPC 2.0 object."), getattr(message, "id", None))
            return
        refusal = self._refusal(getattr(message, "method", None))
        if refusal is not None:
            if hasattr(message, "id"):
                self.refuse(refusal, message.id)
            return
        if getattr(message, "method", None) == types.SHUTDOWN:
            self.shutdown_requested = True
        token = _seen.set(self._document_of(getattr(message, "params", None)))
        try:
            super().handle_message(message)
        finally:
            _seen.reset(token)

    def _send_response(self, msg_id: str | int, result: Any = None, error: Any = None) -> None:
        if msg_id == self.greeted:
            self.greeted = None
            return
        super()._send_response(msg_id, result, error)

    def refuse(self, error: JsonRpcException, msg_id: str | int | None = None) -> None:
        """Answer a message with an error; without an id where the message can't even be told to be a request."""
        response_error = self._converter.unstructure(error.to_response_error())
        # As a dict: the converter would leave out an id of null, which JSON-RPC asks for.
        self._send_data({"jsonrpc": self.VERSION, "id": msg_id, "error": response_error})

    def refuse_unparsable(self, reason: Exception) -> None:
        """Answer bytes that are no JSON."""
        self.refuse(JsonRpcParseError(f"A message is not valid JSON: {reason}."))

    def _refusal(self, method: str | None) -> JsonRpcException | None:
        """Why a message with this method can't be handled in the present phase of the session."""
        if method is None or method == types.EXIT:
            return None
        if self.shutdown_requested:
            return JsonRpcInvalidRequest("The server is shutting down.")
        if self._workspace is None and method != types.INITIALIZE:
            return JsonRpcServerNotInitialized("The first request must be initialize.")
        if self._workspace is not None and method == types.INITIALIZE:
            return JsonRpcInvalidRequest("The session is initialized already.")
        return None

    def _document_of(self, params: Any) -> Snapshot | None:
        document = getattr(params, "text_document", None)
        uri = getattr(document, "uri", None)
        return None if uri is None else self.documents.get(uri)

    def _did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        self.documents.open(document.uri, _text_of(document.language_id), document.version, document.text)

    def _did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = params.text_document
        try:
            edited = self.documents.change(document.uri, document.version, params.content_changes, self.encoding())
        except (PositionError, UnknownDocumentError) as error:
            # Whatever it holds now differs from the editor's: better no suggestion than one for another text.
            self.documents.close(document.uri)
            logger.warning("%s No suggestions for %s until it is opened again.", error, document.uri)
            return
        ranges = [getattr(change, "range", None) for change in params.content_changes]
        if ranges and ranges[-1] is not None:
            self.on_edit(edited, ranges[-1].start.line)

    def _did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self.documents.close(params.text_document.uri)
        if (also := self.fm.features.get(types.TEXT_DOCUMENT_DID_CLOSE)) is not None:
            also(params)

    async def _execute_command(self, params: types.ExecuteCommandParams) -> Any:
        handler = self.fm.commands.get(params.command)
        if handler is None:
            raise JsonRpcInvalidParams(f"There is no command {params.command!r}.")
        return await handler(*(params.arguments or ()))

    def _exit(self, _: Any) -> None:
        self.ended.set()


def _text_of(language_id: types.LanguageKind | str) -> str:
    return language_id.value if isinstance(language_id, types.LanguageKind) else language_id
