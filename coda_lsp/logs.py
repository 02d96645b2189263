"""Where log records go: standard error or a file, and the editor's own log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from lsprotocol import types
from pygls.exceptions import JsonRpcException

ROOT = "coda_lsp"

_MESSAGE_TYPES = {
    logging.ERROR: types.MessageType.Error,
    logging.WARNING: types.MessageType.Warning,
    logging.INFO: types.MessageType.Info,
    logging.DEBUG: types.MessageType.Debug,
}


def set_up_logging(log_file: Path | None) -> None:
    """Log to `log_file`, or warnings and worse to standard error. Raises OSError for a file that can't be written."""
    handler = logging.StreamHandler() if log_file is None else logging.FileHandler(log_file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_is_no_ordinary_refusal)
    handler.setLevel(logging.WARNING if log_file is None else logging.DEBUG)
    logging.getLogger().addHandler(handler)
    logging.getLogger("pygls").setLevel(logging.ERROR)
    set_level("info")


def set_level(level: str) -> None:
    """Set how much the product's own loggers let through: debug, info, warning or error."""
    logging.getLogger(ROOT).setLevel(level.upper())


class EditorLog(logging.Handler):
    """Sends records to the editor's log through `send`."""

    def __init__(self, send: Callable[[types.LogMessageParams], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        severity = max((known for known in _MESSAGE_TYPES if known <= record.levelno), default=logging.DEBUG)
        try:
            self._send(types.LogMessageParams(_MESSAGE_TYPES[severity], self.format(record)))
        except Exception:
            self.handleError(record)


def _is_no_ordinary_refusal(record: logging.LogRecord) -> bool:
    """Drop pygls' tracebacks for requests that were refused on purpose or were malformed: those are answered."""
    if not record.name.startswith("pygls"):
        return True
    error = record.exc_info[1] if record.exc_info else None
    no_json = record.name == "pygls.io_" and isinstance(error, ValueError)
    return not (isinstance(error, JsonRpcException) or no_json or "Unable to deserialize" in str(record.msg))
