"""Whether a fill fits the syntax of its document: tree-sitter's errors, counted."""

import re
from collections.abc import Iterator, Sequence

import tree_sitter

from coda_lsp.languages import language_for, load_grammar
from coda_model.length import unbalanced_brackets
from coda_model.python_block import PythonBlock, joined

# Characters of the document that are parsed on each side of the holes; 16,000 of them take about 1 ms.
_REACH = 8_000
# Where a text may be cut without leaving half a statement: before a line that is not indented and closes nothing.
_TOP_LEVEL = re.compile(r"^(?=[^\s)\]}#\"'`*])", re.MULTILINE)


class DocumentSyntax:
    """The syntax of a document with holes, for one set of fills after the other.

    `has_grammar` says whether it is parsed; of another only the brackets are counted, those in its strings too.

    Args:
        texts: the n + 1 texts around the n holes; of the outer ones only what is near the holes counts.
        language: LSP language id; brackets are counted for one whose grammar is not known or not installed.
    """

    def __init__(self, texts: Sequence[str], language: str | None) -> None:
        self._texts = [_near_end(texts[0]), *texts[1:-1], _near_start(texts[-1])]
        self._language = language
        self._python = PythonBlock(texts) if language == "python" else None
        self.has_grammar = language is not None and count_errors("", language) is not None

    def errors(self, fills: Sequence[str]) -> int:
        """Places where the document does not parse with the n fills, those that are not the fills' fault included.

        In Python one more where its own parser does not take the code around them.
        """
        text = joined(self._texts, fills)
        count = count_errors(text, self._language) if self._language is not None else None
        count = unbalanced_brackets(text) if count is None else count
        return count + int(self._python is not None and self._python.parse(fills) is None)

    def missing_names(self, fills: Sequence[str]) -> int:
        """Names that the code around the holes reads with the n fills, and nothing binds; 0 where it does not parse.

        Of Python only; of another language it is 0.
        """
        if self._python is None or (tree := self._python.parse(fills)) is None:
            return 0
        return len(self._python.missing_names(tree))


def count_errors(text: str, language_id: str) -> int | None:
    """Places where a text does not parse: error nodes, and tokens the parser had to invent.

    None for a language (an LSP language id) whose grammar is not known or not installed.
    """
    language = language_for(language_id)
    if language is None:
        return None
    try:
        parser = tree_sitter.Parser(load_grammar(language))
    except ImportError:
        return None
    return sum(1 for _ in _errors(parser.parse(text.encode("utf-8", "replace")).root_node))


def _errors(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            yield node
        if node.has_error:
            waiting += node.children


def _near_end(text: str) -> str:
    if len(text) <= _REACH:
        return text
    start = len(text) - _REACH
    line = _TOP_LEVEL.search(text, start)
    return text[line.start() if line else text.find("\n", start) + 1 :]


def _near_start(text: str) -> str:
    return text if len(text) <= _REACH else text[: text.rfind("\n", 0, _REACH) + 1]
