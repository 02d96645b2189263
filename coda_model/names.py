"""Names of Python code that are read before anything binds them."""

import ast
import builtins
from collections.abc import Iterator

_ALWAYS_THERE = frozenset(dir(builtins)) | {"__class__", "__file__", "__module__", "__path__", "__qualname__"}

Place = tuple[int, int]
"""A line, from 1, and a UTF-8 byte of it, from 0."""


def unbound_names(tree: ast.AST) -> dict[str, Place]:
    """Each name that is read before it is bound, and where it is read first, in order.

    The text's order stands for that of execution, and all scopes are one: a function that is defined behind its call
    counts as missing, a local name of an earlier function as bound. Builtin names are never missing.
    """
    bound: dict[str, Place] = {}
    read: dict[str, Place] = {}
    late: dict[int, Place] = {}  # names that are bound to a value that stands behind them
    for node in ast.walk(tree):
        for target, value in _behind(node):
            late |= dict.fromkeys(map(id, ast.walk(target)), _end(value))
        for name, place in _bindings(node):
            place = late.get(id(node), place)
            bound[name] = min(place, bound.get(name, place))
        for name, place in _reads(node):
            read[name] = min(place, read.get(name, place))
    missing = {name: place for name, place in read.items() if name not in bound or place < bound[name]}
    ordered = sorted(missing.items(), key=lambda item: item[1])
    return {name: place for name, place in ordered if name not in _ALWAYS_THERE}


def _end(node: ast.expr) -> Place:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _behind(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((target, value) for target in targets)
        case ast.For(target=target, iter=value) | ast.AnnAssign(target=target, value=value) if value is not None:
            yield target, value


def _reads(node: ast.AST) -> Iterator[tuple[str, Place]]:
    match node:
        case ast.Name(id=name, ctx=ast.Load()) | ast.AugAssign(target=ast.Name(id=name)):
            yield name, (node.lineno, node.col_offset)


def _bindings(node: ast.AST) -> Iterator[tuple[str, Place]]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name, _end(node)
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, (node.lineno, node.col_offset)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, (node.lineno, node.col_offset)
        case ast.MatchMapping(rest=str(name)):
            yield name, (node.lineno, node.col_offset)
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            for alias in aliases:
                yield (alias.asname or alias.name).partition(".")[0], (node.lineno, node.col_offset)
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            for name in names:
                yield name, (node.lineno, node.col_offset)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            for generator in node.generators:  # bound in what stands before them
                for target in ast.walk(generator.target):
                    if isinstance(target, ast.Name):
                        yield target.id, (node.lineno, node.col_offset)
