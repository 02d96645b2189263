"""What Python's own parser makes of the code around a fill.

Tree-sitter forgives a `try` without its `except`, a body that is not indented, a line indented by three: a model that
is sure of nothing finds these first.
"""

import ast
import re
import warnings
from collections.abc import Sequence

from coda_model.names import Place, unbound_names

# Characters that are parsed on each side of the holes: Python needs about 0.4 ms for 2,000.
_REACH = 3_000
# A line that begins a statement of the module: not indented, no comment, closing bracket or end of a string, and not
# the next clause of the statement before.
_TOP_LEVEL = re.compile(r"^(?!else\b|elif\b|except\b|finally\b|case\b)(?=[^\s)\]}#\"'`*])", re.MULTILINE)
_DEFINITION = re.compile(r"^([ \t]*)(?:async[ \t]+def|def|class|@)\b", re.MULTILINE)

# Stands before lines that are indented.
_LETS_BE = "async def _():\n"
_INDENTED = re.compile(r"^([ \t]*)\S", re.MULTILINE)
_DECORATORS = re.compile(r"(?:^[ \t]*@.*\n)+\Z", re.MULTILINE)


class PythonBlock:
    """The statements of the module, or the methods of a long class, that the holes between the n + 1 `texts` are in.

    `lines_before` is the number of line ends in it before the first hole.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [_head(texts[0]), *texts[1:-1], _tail(texts[-1])]
        self.lines_before = self._texts[0].count("\n")
        inside = len(self._texts[0].removeprefix(_LETS_BE))
        self._outside = texts[0][: len(texts[0]) - inside], texts[-1][len(self._texts[-1]) :]
        self._is_outside: dict[str, bool] = {}
        self._trees: dict[tuple[str, ...], ast.Module | None] = {}

    def parse(self, fills: Sequence[str]) -> ast.Module | None:
        """Its tree with the n fills; None where Python does not compile it.

        It takes none where the block has an error of its own, or was cut where it should not be.
        """
        if (key := tuple(fills)) not in self._trees:
            self._trees[key] = _compiled(joined(self._texts, fills))
        return self._trees[key]

    def missing_names(self, tree: ast.AST) -> dict[str, Place]:
        """The names that one of its trees reads before it binds them, and the rest of the document does not say."""
        return {name: place for name, place in unbound_names(tree).items() if not self._stands_outside(name)}

    def _stands_outside(self, name: str) -> bool:
        if name not in self._is_outside:
            word = re.compile(rf"\b{re.escape(name)}\b")
            self._is_outside[name] = any(word.search(text) for text in self._outside)
        return self._is_outside[name]


def joined(texts: Sequence[str], fills: Sequence[str]) -> str:
    """The n + 1 texts with the n fills between them."""
    return "".join(part for pair in zip(texts, (*fills, ""), strict=True) for part in pair)


def _compiled(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of the user's code, which is not the server's to judge
            tree = ast.parse(code)
            compile(tree, "<fill>", "exec", dont_inherit=True)  # a return outside of functions, an argument twice
            return tree
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _head(text: str) -> str:
    """The end of a text, from where a statement begins; where that is indented, with a line that lets it be."""
    near = text[-_REACH:]
    begin = 0 if near == text else near.find("\n") + 1
    starts = [match.start() for match in _TOP_LEVEL.finditer(near, begin)]
    if starts:
        return near[starts[-1] :]
    if near == text:
        return near
    lines = [*_DEFINITION.finditer(near, begin)] or [*_INDENTED.finditer(near, begin)]
    indentation, start = min(((len(match[1]), match.start()) for match in lines), default=(0, begin))
    return (_LETS_BE if indentation else "") + near[start:]


def _tail(text: str) -> str:
    """The start of a text, up to the next statement of the module, or to the last definition that is near."""
    near = text[:_REACH]
    first_line = near.find("\n") + 1
    if first_line and (following := _TOP_LEVEL.search(near, first_line)):
        return near[: following.start()]
    if near == text:
        return near
    definitions = [match.start() for match in _DEFINITION.finditer(near, first_line)]
    end = definitions[-1] if definitions and first_line else near.rfind("\n") + 1
    return _DECORATORS.sub("", near[:end])
