"""Types that JSON lost: MBPP+ keeps its inputs as JSON, and as Python literals in the text of its assertions."""

import ast
from contextlib import suppress
from typing import Any


def restore_types(inputs: list[Any], entry_point: str, assertions: str) -> list[Any]:
    """The lists of arguments with tuples, sets, complex numbers and so on where the assertions have them.

    What stands at one place of the arguments (elements of a list share theirs) has one type: that of the literals.
    """
    calls = [call for call in ast.walk(ast.parse(assertions)) if _calls(call, entry_point)]
    shapes: list[Any] = []
    for call in calls:
        assert isinstance(call, ast.Call)
        arguments = [_literal(argument) for argument in call.args]
        shapes = [_merge(*pair) for pair in zip(shapes, map(_shape, arguments), strict=False)] or [
            _shape(argument) for argument in arguments
        ]
    if not shapes:
        return inputs
    return [
        [_cast(value, shape) for value, shape in zip(arguments, shapes, strict=True)]
        if len(arguments) == len(shapes)
        else arguments
        for arguments in inputs
    ]


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _literal(node: ast.expr) -> Any:
    """A literal's value; `complex(1, 2)` and the like count as one. Anything else gives None: no type is known."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        pass
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("complex", "set", "float"):
        make = {"complex": complex, "set": set, "float": float}[node.func.id]
        return make(*[_literal(argument) for argument in node.args])
    return None


Shape = tuple[type | None, Any]
"""The type of a value, and the shapes of what it holds: one for all elements, or for a tuple one an element."""


def _shape(value: Any) -> Shape:
    if isinstance(value, list | set | frozenset):
        return type(value), _merged([_shape(item) for item in value])
    if isinstance(value, tuple):
        return tuple, tuple(_shape(item) for item in value)
    if isinstance(value, dict):
        keys, values = [_shape(key) for key in value], [_shape(item) for item in value.values()]
        return dict, (_merged(keys), _merged(values))
    return (None if value is None else type(value)), None


def _merged(shapes: list[Shape]) -> Shape:
    merged: Shape = (None, None)
    for shape in shapes:
        merged = _merge(merged, shape)
    return merged


def _merge(one: Shape, other: Shape) -> Shape:
    """The shape that fits both; where they differ in type, the one that JSON can't show, then text."""
    if one[0] is None or other[0] is None:
        return other if one[0] is None else one
    if one[0] is not other[0]:
        return one if one[0] in (tuple, set, frozenset, complex) or (one[0] is str and other[0] is not tuple) else other
    if one[0] is tuple:
        if len(one[1]) == len(other[1]):
            return tuple, tuple(map(_merge, one[1], other[1]))
        return tuple, (_merged([*one[1], *other[1]]),)
    if one[0] is dict:
        return dict, (_merge(one[1][0], other[1][0]), _merge(one[1][1], other[1][1]))
    if one[0] in (list, set, frozenset):
        return one[0], _merge(one[1], other[1])
    return one


def _cast(value: Any, shape: Shape, in_tuple: bool = False) -> Any:
    kind, inner = shape
    if isinstance(value, list):
        if kind is tuple:
            shapes = inner if len(inner) == len(value) else [_merged(list(inner))] * len(value)
            return tuple(_cast(item, each, True) for item, each in zip(value, shapes, strict=True))
        if kind in (list, set, frozenset):
            return kind([_cast(item, inner) for item in value])
        # Deeper than any literal: what nests in tuples is nested tuples.
        return tuple(_cast(item, (None, None), True) for item in value) if in_tuple else value
    if isinstance(value, dict) and kind is dict:
        return {_cast(key, inner[0]): _cast(item, inner[1]) for key, item in value.items()}
    if isinstance(value, str) and kind in (int, float, complex):
        with suppress(ValueError):  # text that only this input has there
            return complex(value) if kind is complex else float(value)
    return value
