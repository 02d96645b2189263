"""The answer to `initialize`, given before the libraries that do the rest are imported: that takes half a second.

The request is handled once more, in full, when they are there; its second answer is not sent. Only the standard
library's lightest modules may be imported here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coda_lsp import __version__

COMMANDS = (
    "coda.fillSelection",
    "coda.fillHoles",
    "coda.regenerate",
    "coda.restart",
    "coda.status",
    "coda.stats",
    "coda.accepted",
    "coda.partiallyAccepted",
    "coda.shown",
)
CODE_ACTION_KINDS = ("refactor.rewrite.coda", "source.coda")
COMPLETION_TRIGGERS = (".", "(", "[", "=")

_CHUNK_BYTES = 1 << 16
_ENCODINGS = ("utf-8", "utf-16", "utf-32")


@dataclass(frozen=True)
class Greeting:
    """The bytes read from the editor so far, to be read again; `answered` is the id of the request that has its answer.

    `answered` is None where the first message is no `initialize` that can be answered at once.
    """

    read: bytes
    answered: int | str | None = None


def greet(source: int, output: int) -> Greeting:
    """Read the first message from one file descriptor and, if it is `initialize`, answer it on the other.

    A descriptor that can't be read or written ends it early; what uses it next will say so.
    """
    data = b""
    while (body := _first_body(data)) is None:
        try:
            chunk = os.read(source, _CHUNK_BYTES)
        except OSError:
            return Greeting(data)
        if not chunk:
            return Greeting(data)
        data += chunk
    message = _parse(body)
    if message is None or message.get("method") != "initialize" or message.get("jsonrpc") != "2.0":
        return Greeting(data)
    msg_id, params = message.get("id"), message.get("params")
    if not isinstance(msg_id, int | str) or isinstance(msg_id, bool):
        return Greeting(data)
    if not isinstance(params, dict) or not is_usable(params):
        return Greeting(data)
    answer = {"id": msg_id, "jsonrpc": "2.0", "result": initialize_result(params)}
    text = json.dumps(answer, separators=(",", ":")).encode()
    rest = memoryview(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
    try:
        while rest:
            rest = rest[os.write(output, rest) :]
    except OSError:
        pass
    return Greeting(data, msg_id)


def initialize_result(params: Mapping[str, Any]) -> dict[str, Any]:
    """What `handlers.create_server` answers too, as JSON; `params` must be usable."""
    capabilities: dict[str, Any] = {
        "positionEncoding": _encoding(params),
        "textDocumentSync": {"openClose": True, "change": 2, "save": False},
        "codeActionProvider": {"codeActionKinds": list(CODE_ACTION_KINDS), "resolveProvider": True},
        "executeCommandProvider": {"commands": list(COMMANDS)},
        "inlineCompletionProvider": {},
        "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}, "fileOperations": {}},
    }
    if not offers_inline_completion(params):
        capabilities["completionProvider"] = {"triggerCharacters": list(COMPLETION_TRIGGERS)}
    return {"capabilities": capabilities, "serverInfo": {"name": "coda-lsp", "version": __version__}}


def is_usable(params: object) -> bool:
    """Whether the parameters of `initialize` have the shape that an answer to them depends on."""
    if not isinstance(params, Mapping) or not isinstance(params.get("capabilities"), Mapping):
        return False
    capabilities = params["capabilities"]
    general, text_document = capabilities.get("general"), capabilities.get("textDocument")
    encodings = general.get("positionEncodings") if isinstance(general, Mapping) else None
    return (
        (general is None or isinstance(general, Mapping))
        and (text_document is None or isinstance(text_document, Mapping))
        and (encodings is None or (isinstance(encodings, list) and all(isinstance(each, str) for each in encodings)))
    )


def essential(params: Mapping[str, Any]) -> dict[str, Any]:
    """Usable parameters reduced to what was answered, for a request whose other parts turn out to be malformed."""
    capabilities = params["capabilities"]
    encodings = (capabilities.get("general") or {}).get("positionEncodings")
    kept: dict[str, Any] = {"general": {"positionEncodings": encodings}} if encodings is not None else {}
    if offers_inline_completion(params):
        kept["textDocument"] = {"inlineCompletion": {}}
    options = params.get("initializationOptions")
    return {"processId": None, "rootUri": None, "capabilities": kept, "initializationOptions": options}


def offers_inline_completion(params: Mapping[str, Any]) -> bool:
    """Whether the client knows `textDocument/inlineCompletion`."""
    return (params["capabilities"].get("textDocument") or {}).get("inlineCompletion") is not None


def _encoding(params: Mapping[str, Any]) -> str:
    offered = (params["capabilities"].get("general") or {}).get("positionEncodings") or ()
    return next((encoding for encoding in offered if encoding in _ENCODINGS), "utf-16")


def _first_body(data: bytes) -> bytes | None:
    """The body of the first message; None where it is not all there yet, empty where it can't be told."""
    header, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        return None if len(data) < _CHUNK_BYTES else b""
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"Content-Length" and value.strip().isdigit():
            length = int(value)
            return rest[:length] if len(rest) >= length else None
    return b""


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
