"""Values as JSON between the code under test and its tests, so that only plain data crosses, never an object's methods.

An always-equal object, or a list whose `__iter__` lies, arrives as what its built-in part holds, or as a mere number.
"""

import json
from collections.abc import Callable
from typing import Any

MAX_LINE = 1 << 27
"""Bytes of the longest message, either way."""
_LARGE = 1 << 63


def encode(value: Any, opaque: Callable[[Any], int]) -> Any:
    """A JSON value. Subclasses of built-in types become those; `opaque` gives a number to anything else."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        plain = int.__int__(value)
        # Digits of a decimal number are limited, those of a hexadecimal one are not.
        return plain if -_LARGE < plain < _LARGE else {"int": hex(plain)}
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, complex):
        return {"complex": [complex.__complex__(value).real, complex.__complex__(value).imag]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, list):
        items = list(list.__iter__(value))
        return items if _all_plain(items) else [encode(item, opaque) for item in items]
    if isinstance(value, tuple):
        items = list(tuple.__iter__(value))
        return {"tuple": items if _all_plain(items) else [encode(item, opaque) for item in items]}
    if isinstance(value, set):
        return {"set": [encode(item, opaque) for item in set.__iter__(value)]}
    if isinstance(value, frozenset):
        return {"frozenset": [encode(item, opaque) for item in frozenset.__iter__(value)]}
    if isinstance(value, dict):
        return {"dict": [[encode(key, opaque), encode(item, opaque)] for key, item in dict.items(value)]}
    return {"opaque": opaque(value)}


def decode(value: Any, opaque: Callable[[int], Any]) -> Any:
    """What `encode` wrote. Raises ValueError, TypeError or KeyError for anything it can't have written."""
    if isinstance(value, list):
        return [decode(item, opaque) if isinstance(item, list | dict) else item for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "int":
            return int(content, 16)
        case "complex":
            return complex(*content)
        case "bytes":
            return bytes.fromhex(content)
        case "tuple":
            return tuple(decode(content, opaque))
        case "set":
            return {decode(item, opaque) for item in content}
        case "frozenset":
            return frozenset(decode(item, opaque) for item in content)
        case "dict":
            return {decode(key, opaque): decode(item, opaque) for key, item in content}
        case "opaque":
            return opaque(content)
    raise ValueError(f"no value of the kind {kind!r} is known")


def _all_plain(items: list[Any]) -> bool:
    """Whether JSON has them as they are: long lists of numbers and texts are what takes time."""
    return all(
        type(item) is str or type(item) is float or (type(item) is int and -_LARGE < item < _LARGE) for item in items
    )


def write(stream: Any, message: Any) -> None:
    stream.write(json.dumps(message).encode() + b"\n")
    stream.flush()


def read(stream: Any) -> Any:
    """The next message. Raises EOFError at the end, ValueError where it is damaged or too long."""
    line = stream.readline(MAX_LINE + 1)
    if not line:
        raise EOFError("the other side has ended")
    if len(line) > MAX_LINE:
        raise ValueError("the message is too long")
    return json.loads(line)
