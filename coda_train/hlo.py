"""What a program does, counted in its text: operations of its products, and bytes that its collectives move.

XLA's own cost analysis counts the body of a loop once; a step is mostly loops, over layers and over rows of logits.
"""

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from jax.extend.core import Jaxpr
from jax.interpreters.partial_eval import dce_jaxpr

_KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_BITS = {"pred": 8, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16, "bf16": 16, "f16": 16, "s32": 32}
_BITS |= {"u32": 32, "f32": 32, "s64": 64, "u64": 64, "f64": 64}
_SHAPE = re.compile(r"\b(" + "|".join(_BITS) + r")\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = (.*?[\])}]) ([a-z][\w-]*)\((.*)$")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_CONSTANT = re.compile(r"^(\d+)\)")
_GROUP = re.compile(r"replica_groups=(?:\{\{([\d,]*)\}|\[\d+,(\d+)\]|mesh\[([^\]]*)\][^{]*\{([^}]*)\})")


@dataclass(frozen=True)
class Collective:
    """One kind of collective in a step of one chip."""

    count: int
    payload_bytes: int
    """Of the whole arrays gathered, summed or exchanged."""
    sent_bytes: int
    """Over the links, by a ring: (n-1)/n of the payload for n chips, twice for a sum that all receive."""


def program_flops(jaxpr: Any, loop_trips: int) -> float:
    """Operations of the products in a jaxpr, over all devices; a multiply-add counts as two.

    Args:
        jaxpr: of the train step.
        loop_trips: turns of the loops whose number is only known at run time (the chunks of the cross-entropy).
    """
    live, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))  # a remat policy leaves behind what it saved
    return _products(live, loop_trips)


def _products(jaxpr: Any, loop_trips: int) -> float:
    total = 0.0
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            depth = math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
            total += 2.0 * math.prod(eqn.outvars[0].aval.shape) * depth
            continue
        inner = [_products(each, loop_trips) for each in _inside(eqn.params)]
        if name == "cond":
            total += max(inner)
        else:
            total += sum(inner) * _repeats(name, eqn.params, loop_trips)
    return total


def _repeats(name: str, params: dict[str, Any], loop_trips: int) -> int:
    if name == "scan":
        return params["length"]
    if name == "while":
        return loop_trips
    if name == "shard_map":
        return params["mesh"].size
    if name == "pallas_call":
        return math.prod(params["grid_mapping"].grid)
    return 1


def _inside(params: dict[str, Any]) -> list[Any]:
    found = []
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else [value]:
            closed = getattr(item, "jaxpr", item)
            if isinstance(closed, Jaxpr):
                found.append(closed)
    return found


def collectives(text: str, loop_trips: int) -> dict[str, Collective]:
    """The collectives of compiled HLO text by kind, with those in loops as often as the loops turn.

    Args:
        text: of one device's program, after optimisation.
        loop_trips: as in `program_flops`.
    """
    bodies, entry = _computations(text)
    runs: dict[str, int] = defaultdict(int)

    def visit(name: str, times: int) -> None:
        runs[name] += times
        for _, opcode, rest in bodies.get(name, ()):
            called = [*_CALLED.findall(rest), *(b.strip(" %") for m in _BRANCHES.findall(rest) for b in m.split(","))]
            trips = _trips(bodies, rest, loop_trips) if opcode == "while" else 1
            for each in called:
                visit(each, times * trips)

    visit(entry, 1)
    found: dict[str, list[int]] = {}
    for name, times in runs.items():
        for shape, opcode, rest in bodies.get(name, ()):
            kind = opcode.removesuffix("-start")
            if kind not in _KINDS:
                continue
            size = _group_size(rest)
            payload = _payload(kind, shape, opcode.endswith("-start"), size)
            if name.startswith("all-reduce-scatter"):  # how a TPU's program spells it: a fused sum and slice
                kind = "reduce-scatter"
            sent = payload * (size - 1) // size * (2 if kind == "all-reduce" else 1) if size else payload
            sums = found.setdefault(kind, [0, 0, 0])
            for place, value in enumerate((times, times * payload, times * sent)):
                sums[place] += value
    return {kind: Collective(*sums) for kind, sums in sorted(found.items())}


def _computations(text: str) -> tuple[dict[str, list[tuple[str, str, str]]], str]:
    """({computation: [(shape, opcode, the rest of the line)]}, name of the entry)."""
    bodies: dict[str, list[tuple[str, str, str]]] = {}
    current, entry = "", ""
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            current = head[2]
            bodies[current] = []
            entry = current if head[1] else entry
        elif current and (match := _INSTRUCTION.match(line)):
            bodies[current].append((match[1], match[2], match[3]))
    return bodies, entry


def _trips(bodies: dict[str, list[tuple[str, str, str]]], loop: str, otherwise: int) -> int:
    """Turns of a loop: the one number its condition compares the counter with."""
    condition = re.search(r"condition=%?([\w.-]+)", loop)
    numbers = [
        int(number[1])
        for _, opcode, rest in bodies.get(condition[1] if condition else "", ())
        if opcode == "constant" and (number := _CONSTANT.match(rest))
    ]
    return numbers[0] if len(numbers) == 1 else otherwise


def _payload(kind: str, shape: str, started: bool, group: int) -> int:
    sizes = [
        _BITS[dtype] * math.prod(int(size) for size in sizes.split(",") if size) // 8
        for dtype, sizes in _SHAPE.findall(shape)
    ]
    if started and kind in ("all-gather", "collective-permute"):
        return max(sizes, default=0)  # operand and result stand side by side
    return sum(sizes) * (group if kind == "reduce-scatter" else 1)


def _group_size(rest: str) -> int:
    """How many chips take part, 0 if the text does not say."""
    if not (match := _GROUP.search(rest)):
        return 0
    listed, size, mesh, axes = match.groups()
    if listed is not None:
        return len(listed.split(","))
    if size is not None:
        return int(size)
    sizes = dict(re.findall(r"'([\w.]+)'=(\d+)", mesh))
    return math.prod(int(sizes[axis]) for axis in re.findall(r"'([\w.]+)'", axes) if axis in sizes)
