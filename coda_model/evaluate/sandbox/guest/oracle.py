"""Whether an output is right: the reference's output, up to rounding, or what a problem with several answers allows.

Which problems need a rule of their own is EvalPlus' finding (arXiv 2305.01210); the rules are written anew.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

RELATIVE_TOLERANCE = 1e-7
FLOAT_TOLERANCE = 1e-6


def check_inputs(
    candidate: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: Sequence[Sequence[Any]],
    tolerance: float,
    rule: str,
) -> None:
    """Call both with each list of arguments. Raises AssertionError naming the first input whose outputs differ."""
    for number, arguments in enumerate(inputs):
        expected = None if rule == "root" else reference(*copy.deepcopy(arguments))
        output = candidate(*arguments)
        assert _fits(output, expected, arguments, tolerance, rule), f"input {number} gives a wrong output"


def _fits(output: Any, expected: Any, arguments: Sequence[Any], tolerance: float, rule: str) -> bool:
    match rule:
        case "root":  # any root of the polynomial will do
            return abs(sum(factor * output**power for power, factor in enumerate(arguments[0]))) <= (tolerance or 1e-4)
        case "set":  # the order of the result is not specified
            return set(output) == set(expected)
        case "found":  # a match object or None, true or false
            return (output if isinstance(output, bool) else output is not None) == (expected is not None)
        case "any":  # the problem's text contradicts its tests
            return True
        case "or zero" if output == 0:
            return True
        case "pyramid" if abs(output - _pyramid_surface(*arguments)) <= tolerance:
            return True
        case "padded digits" if output == _padded_distance(*arguments):
            return True
    return same(output, expected, tolerance)


def same(output: Any, expected: Any, tolerance: float) -> bool:
    """Equal; or where a tolerance is given or the reference gives floats, of one shape and close in each number."""
    if type(output) is type(expected) and output == expected:
        return True
    if not tolerance and not _is_float(expected):
        return bool(output == expected)
    return _close(output, expected, tolerance or FLOAT_TOLERANCE)


def _is_float(value: Any) -> bool:
    return isinstance(value, float) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(item, float) for item in value)
    )


def _close(output: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, list | tuple):
        pairs = zip(output, expected, strict=True) if type(output) is type(expected) else ()
        return bool(
            type(output) is type(expected)
            and len(output) == len(expected)
            and all(_close(a, b, tolerance) for a, b in pairs)
        )
    if isinstance(expected, int | float) and isinstance(output, int | float):
        if math.isnan(expected) or math.isinf(expected):
            return output == expected or (math.isnan(expected) and math.isnan(output))
        return abs(output - expected) <= tolerance + RELATIVE_TOLERANCE * abs(expected)
    return output == expected


def _pyramid_surface(edge: float, height: float) -> int:
    """With the height read as the one above the base; the reference reads it as the slant height."""
    return round(edge**2 + 2 * edge * math.hypot(edge / 2, height))


def _padded_distance(first: int, second: int) -> int:
    """Sum of the digits' distances, the shorter number padded with zeros."""
    width = max(len(str(first)), len(str(second)))
    pairs = zip(str(first).zfill(width), str(second).zfill(width), strict=True)
    return sum(abs(int(a) - int(b)) for a, b in pairs)
