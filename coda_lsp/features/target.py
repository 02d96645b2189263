"""What a code action or a command is about: JSON from the client, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from coda_lsp.documents import PositionError, Snapshot


class RequestFailedError(JsonRpcException):
    """A request that was right and could not be met; editors show its message (ContentModified they would hide)."""

    CODE = types.LSPErrorCodes.RequestFailed.value


@dataclass(frozen=True)
class Target:
    """A document at one version, and the range in it that is meant; None is all of it."""

    uri: str
    version: int
    span: types.Range | None

    @classmethod
    def of(cls, data: Any, *, needs_range: bool) -> Target:
        """Read it from JSON: `{uri, version, range}`. Raises JsonRpcInvalidParams."""
        try:
            uri, version, span = data["uri"], data["version"], data.get("range")
            if span is not None or needs_range:
                span = types.Range(types.Position(**span["start"]), types.Position(**span["end"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            what = "{uri, version, range}" if needs_range else "{uri, version}, perhaps with a range"
            raise JsonRpcInvalidParams(f"The argument must be {what}.") from None
        if not isinstance(uri, str) or not isinstance(version, int) or isinstance(version, bool):
            raise JsonRpcInvalidParams("The argument's uri must be a text and its version a whole number.")
        return cls(uri, version, span)

    def json(self) -> dict[str, Any]:
        """What `of` reads."""
        target: dict[str, Any] = {"uri": self.uri, "version": self.version}
        if self.span is not None:
            start, end = self.span.start, self.span.end
            target["range"] = {
                "start": {"line": start.line, "character": start.character},
                "end": {"line": end.line, "character": end.character},
            }
        return target

    def offsets(self, document: Snapshot, encoding: types.PositionEncodingKind) -> tuple[int, int]:
        """Start and end of the range in the document, in order. Raises JsonRpcInvalidParams for a line it lacks."""
        if self.span is None:
            return 0, len(document.text)
        try:
            start = document.offset_at(self.span.start, encoding)
            end = document.offset_at(self.span.end, encoding)
        except PositionError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        return min(start, end), max(start, end)
