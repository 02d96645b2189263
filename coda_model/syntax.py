"""Whether a fill fits the syntax of its document: tree-sitter's errors, counted."""

from collections.abc import Iterator

import tree_sitter

from coda_lsp.languages import language_for, load_grammar


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
