"""From HTTP bodies to infill requests, and from engine events to JSON lines: docs/protocol.md in code."""

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any, TypeVar, get_args

from coda_model.engine_request import Event, Failed, Finished, Started
from coda_model.errors import InputError
from coda_model.request import Hole, InfillOptions, Priority, Progress, Segment, Snippet

MAX_HOLES = 64
_HOLE_FIELDS = tuple(field.name for field in fields(Hole))
_SNIPPET_FIELDS = tuple(field.name for field in fields(Snippet))
_OPTION_FIELDS = tuple(field.name for field in fields(InfillOptions))
_LONGEST_MESSAGE = 300
_Built = TypeVar("_Built", Hole, InfillOptions, Snippet)


def parse_infill(body: bytes) -> tuple[tuple[Segment, ...], InfillOptions, Priority]:
    """Read the body of POST /v1/infill. Raises InputError with one sentence that names the field."""
    document = _fields_of(_parse_json(body), "The body", ("segments", "priority", *_OPTION_FIELDS))
    if "segments" not in document:
        raise InputError("segments is missing: a list of texts and holes.")
    segments = document.pop("segments")
    if not isinstance(segments, list):
        raise InputError(f"segments must be a list, not {_kind(segments)}.")
    parsed = tuple(_parse_segment(value, f"segments[{index}]") for index, value in enumerate(segments))
    holes = sum(isinstance(segment, Hole) for segment in parsed)
    if not 1 <= holes <= MAX_HOLES:
        raise InputError(f"segments must hold from 1 to {MAX_HOLES} holes, not {holes}.")
    priority: Priority = document.pop("priority", "typed")
    if priority not in get_args(Priority):
        raise InputError(_shortened(f"priority must be typed or background, not {priority!r}."))
    if "snippets" in document:
        document["snippets"] = _parse_snippets(document["snippets"])
    return parsed, _build(InfillOptions, document, ""), priority


def event_line(event: Event) -> bytes:
    """Write an engine event as one line of the answer."""
    match event:
        case Started(queue_ms):
            line = {"event": "started", "queue_ms": round(queue_ms, 3)}
        case Progress():
            line = {"event": "progress", **asdict(event)}
        case Finished(result, queue_ms, total_ms):
            timings = {"queue_ms": queue_ms, **asdict(result.timings), "total_ms": total_ms}
            line = {"event": "result", **asdict(result)}
            line["timings"] = {name: round(value, 3) for name, value in timings.items()}
        case Failed(message):
            line = {"event": "error", "message": message}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InputError(f"The body is not UTF-8: byte {error.start} is invalid.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    except RecursionError:
        raise InputError("The body is not usable: its JSON is nested too deeply.") from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise InputError("The body is not usable: it holds a number with too many digits.") from None


def _refuse_constant(name: str) -> None:
    raise InputError(f"The body is not JSON: {name} is no JSON number.")


def _parse_segment(value: Any, where: str) -> Segment:
    segment = _fields_of(value, where, ("text", "hole"))
    if len(segment) != 1:
        raise InputError(f"{where} must have either text or hole.")
    if "text" in segment:
        return _parse_text(segment["text"], f"{where}.text")
    hole = _fields_of(segment["hole"], f"{where}.hole", _HOLE_FIELDS)
    for name in ("hint", "draft"):
        if isinstance(hole.get(name), str):
            _parse_text(hole[name], f"{where}.hole.{name}")
    return _build(Hole, hole, f"{where}.hole.")


def _parse_snippets(value: Any) -> tuple[Snippet, ...]:
    if not isinstance(value, list):
        raise InputError(f"snippets must be a list, not {_kind(value)}.")
    snippets = []
    for index, item in enumerate(value):
        where = f"snippets[{index}]"
        snippet = _fields_of(item, where, _SNIPPET_FIELDS)
        for name in _SNIPPET_FIELDS:
            if name not in snippet:
                raise InputError(f"{where}.{name} is missing.")
            _parse_text(snippet[name], f"{where}.{name}")
        snippets.append(_build(Snippet, snippet, f"{where}."))
    return tuple(snippets)


def _parse_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where} must be a string, not {_kind(value)}.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where} holds half a surrogate pair at character {error.start}.") from None
    return value


def _fields_of(value: Any, where: str, allowed: Iterable[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object, not {_kind(value)}.")
    unknown = [name for name in value if name not in allowed]
    if unknown:
        raise InputError(f"{where} has an unknown field {unknown[0][:40]!r}; known are {', '.join(allowed)}.")
    return value


def _build(kind: type[_Built], values: dict[str, Any], prefix: str) -> _Built:
    """Make the dataclass, which checks its own fields, and put the path in front of the field it complains of."""
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(_shortened(f"{prefix}{error}")) from None


def _shortened(message: str) -> str:
    """A sentence that quotes a value, which may be the whole of the body."""
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
