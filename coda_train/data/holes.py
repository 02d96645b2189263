"""Where a person would want code filled in: lines, expressions, statements, blocks and bodies of a window."""

import re
from dataclasses import dataclass

import numpy as np

from coda_train.data.syntax import Span, Syntax, parse


@dataclass(frozen=True)
class HolesConfig:
    """How holes are chosen.

    Attributes:
        line_end, line, expression, statement, block, documented, span, empty: relative weights of the kinds of hole:
            the rest of a line from anywhere in it, a whole line, an argument list or right-hand side, a statement, a
            body, a body whose function says in words what it does, any characters, nothing at all at the end of a
            line: where nothing is missing nothing should be suggested.
        counts: relative weights of 1, 2, … holes a window.
        max_chars: longest hole.
        max_lines: most lines in a statement or block.
        prose: probability with which a hole that begins in a comment or docstring is kept; where there is nothing else,
            such a hole is chosen all the same.
    """

    line_end: float = 0.45
    line: float = 0.15
    expression: float = 0.12
    statement: float = 0.1
    block: float = 0.08
    documented: float = 0.0
    span: float = 0.1
    empty: float = 0.04
    counts: tuple[float, ...] = (0.75, 0.17, 0.08)
    max_chars: int = 400
    max_lines: int = 6
    prose: float = 0.15


def choose_holes(
    window: str, config: HolesConfig, rng: np.random.Generator, prose_end: int = 0, suffix: str = ".py"
) -> list[Span]:
    """Between one and `len(config.counts)` spans of `window`, in order, with at least a character between them.

    Args:
        window: part of a document, beginning at the start of a line.
        config: which holes.
        rng: source of randomness.
        prose_end: where the docstring ends that the window begins in, 0 if it does not begin in one.
        suffix: of the document's file name, which tells its language.

    Returns: the holes; none only for a window without visible text.
    """
    lines = [match.span() for match in re.finditer(r"[^\n]*\S[^\n]*", window)]
    if not lines:
        return []
    syntax = parse(window, suffix, config.max_lines, prose_end)
    weights_and_kinds = (
        (config.line_end, _line_end),
        (config.line, _line),
        (config.expression, _expression),
        (config.statement, _statement),
        (config.block, _block),
        (config.documented, _documented),
        (config.span, _span),
        (config.empty, _empty),
    )
    weights = np.array([weight for weight, _ in weights_and_kinds])
    wanted = 1 + int(rng.choice(len(config.counts), p=np.divide(config.counts, sum(config.counts))))
    tries = rng.choice(len(weights), size=8 * wanted, p=weights / weights.sum())
    holes: list[Span] = []
    for number in tries:
        choose = weights_and_kinds[number][1]
        start, end = choose(window, lines, syntax, rng)
        if end - start > config.max_chars or not (window[start:end].strip() or choose is _empty):
            continue
        if any(start <= other_end and other_start <= end for other_start, other_end in holes):
            continue
        visible = start + _indentation(window[start:end])
        if any(a <= visible < b for a, b in syntax.prose) and rng.random() >= config.prose:
            continue
        holes.append((start, end))
        if len(holes) == wanted:
            break
    if not holes:  # nothing but prose, or lines longer than a hole may be
        start, end = lines[int(rng.integers(len(lines)))]
        holes.append((max(start, end - config.max_chars), end))
    return sorted(holes)


def _line_end(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    start, end = _pick(lines, rng)
    start += _indentation(window[start:end])
    return int(rng.integers(start, end)), end


def _line(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    start, end = _pick(lines, rng)
    if rng.random() < 0.5:
        start += _indentation(window[start:end])
    return start, end + int(end < len(window) and rng.random() < 0.5)


def _expression(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    return _pick(syntax.expressions, rng)


def _statement(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    return _pick(syntax.statements, rng)


def _block(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    return _body(window, syntax.blocks, rng)


def _documented(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    return _body(window, syntax.documented, rng)


def _body(window: str, bodies: list[Span], rng: np.random.Generator) -> Span:
    start, end = _pick(bodies, rng)
    if rng.random() < 0.5:  # with the line end and indentation that lead to it
        start = len(window[:start].rstrip())
    return start, end


def _span(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    start = int(rng.integers(len(window)))
    return start, min(len(window), start + int(np.exp(rng.uniform(0, np.log(160)))))


def _empty(window: str, lines: list[Span], syntax: Syntax, rng: np.random.Generator) -> Span:
    _, end = _pick(lines, rng)
    return end, end


def _pick(spans: list[Span], rng: np.random.Generator) -> Span:
    return spans[int(rng.integers(len(spans)))] if spans else (0, 0)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
