"""Settings as frozen dataclasses: built from nested tables, changed by `key=value`, with errors that name the key."""

import dataclasses
import difflib
import tomllib
import typing
from typing import Any

from coda_train.errors import ConfigError


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one `group.key=value` in nested tables; the value is read as TOML, or else as text."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"an override reads key=value, such as optimizer.peak=3e-4, not {override!r}")
    *parents, leaf = key.strip().split(".")
    node = tree
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{key} does not name a setting: {parent} holds a value")
    try:
        node[leaf] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        node[leaf] = text


def build(cls: Any, tree: dict[str, Any], where: str = "") -> Any:
    """A dataclass from nested tables, `where` being their name.

    Raises ConfigError for an unknown key or a value of the wrong kind.
    """
    hints = typing.get_type_hints(cls)
    names = [entry.name for entry in dataclasses.fields(cls)]
    values = {}
    for key, value in tree.items():
        path = f"{where}{key}"
        if key not in names:
            raise ConfigError(f"unknown setting {path}{nearest(key, names)}")
        values[key] = _coerce(value, hints[key], path)
    return cls(**values)


def _coerce(value: Any, hint: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{path} is a group of settings: set one of them, such as {path}.{_first_field(hint)}")
        return build(hint, value, f"{path}.")
    if typing.get_origin(hint) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_coerce(item, typing.get_args(hint)[0], path) for item in items)
    if hint is bool or isinstance(value, bool):
        fits = hint is bool and isinstance(value, bool)
    elif hint is float:
        fits = isinstance(value, int | float)
    elif hint is int:
        fits = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    else:
        fits = isinstance(value, hint)
    if not fits:
        raise ConfigError(f"{path} takes a value of type {hint.__name__}, not {value!r}")
    return hint(value)


def _first_field(cls: Any) -> str:
    return dataclasses.fields(cls)[0].name


def nearest(name: str, names: typing.Sequence[str]) -> str:
    """A question about the most similar name, or nothing."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def one_of(path: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless a setting has one of its values."""
    if value not in allowed:
        raise ConfigError(f"{path} is one of {', '.join(allowed)}, not {value!r}")
