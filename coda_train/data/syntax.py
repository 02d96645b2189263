"""What tree-sitter sees in a window of source: the spans that can become holes, and the prose among them.

The window may begin and end anywhere: tree-sitter's trees survive missing ends.
"""

import re
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

Span = tuple[int, int]
"""Start and end in characters, end exclusive."""


@dataclass(frozen=True)
class Syntax:
    """Spans of a window by kind; `documented` are bodies of functions whose purpose is said in words before them."""

    expressions: list[Span] = field(default_factory=list)
    statements: list[Span] = field(default_factory=list)
    blocks: list[Span] = field(default_factory=list)
    documented: list[Span] = field(default_factory=list)
    prose: list[Span] = field(default_factory=list)


@dataclass(frozen=True)
class _Grammar:
    """Names of a language's nodes. `values` maps nodes to the field that holds a right-hand side."""

    blocks: frozenset[str]
    scopes: frozenset[str]
    statement_endings: tuple[str, ...]
    lists: frozenset[str]
    subscripts: frozenset[str]
    values: dict[str, str]
    conditions: frozenset[str]
    functions: frozenset[str]


_PYTHON = _Grammar(
    blocks=frozenset({"block"}),
    scopes=frozenset({"block", "module"}),
    statement_endings=("statement", "definition"),
    lists=frozenset({"argument_list", "return_statement", "list", "tuple", "dictionary"}),
    subscripts=frozenset({"subscript"}),
    values={
        "assignment": "right",
        "augmented_assignment": "right",
        "named_expression": "value",
        "keyword_argument": "value",
    },
    conditions=frozenset({"if_statement", "while_statement", "elif_clause"}),
    functions=frozenset({"function_definition"}),
)
_JAVASCRIPT = _Grammar(
    blocks=frozenset({"statement_block", "class_body"}),
    scopes=frozenset({"statement_block", "program"}),
    statement_endings=("statement", "declaration"),
    lists=frozenset({"arguments", "return_statement", "array", "object"}),
    subscripts=frozenset({"subscript_expression"}),
    values={"assignment_expression": "right", "augmented_assignment_expression": "right"}
    | {"variable_declarator": "value", "pair": "value"},
    conditions=frozenset({"if_statement", "while_statement"}),
    functions=frozenset({"function_declaration", "generator_function_declaration", "method_definition"}),
)
_LANGUAGES = {
    ".py": (_PYTHON, tree_sitter_python.language),
    ".pyi": (_PYTHON, tree_sitter_python.language),
    ".js": (_JAVASCRIPT, tree_sitter_javascript.language),
    ".jsx": (_JAVASCRIPT, tree_sitter_javascript.language),
    ".mjs": (_JAVASCRIPT, tree_sitter_javascript.language),
    ".cjs": (_JAVASCRIPT, tree_sitter_javascript.language),
    ".ts": (_JAVASCRIPT, tree_sitter_typescript.language_typescript),
    ".mts": (_JAVASCRIPT, tree_sitter_typescript.language_typescript),
    ".tsx": (_JAVASCRIPT, tree_sitter_typescript.language_tsx),
}


def parse(window: str, suffix: str, max_lines: int, prose_end: int = 0) -> Syntax:
    """The spans of a window.

    Args:
        window: part of a document.
        suffix: of its file name; with one that no grammar here reads, the window has no spans.
        max_lines: longer expressions, statements and bodies are left out.
        prose_end: where the docstring ends that the window begins in, 0 if it does not begin in one.
    """
    syntax = Syntax(prose=[(0, prose_end)])
    if suffix not in _LANGUAGES:
        return syntax
    grammar = _LANGUAGES[suffix][0]
    code = re.sub(r"[^\n]", " ", window[:prose_end]) + window[prose_end:]
    raw = code.encode("utf-8", errors="surrogatepass")
    if len(raw) == len(window):
        to_char = range(len(raw) + 1)
    else:
        starts = (np.frombuffer(raw, np.uint8) & 0xC0) != 0x80
        to_char = np.concatenate([[0], np.cumsum(starts)]).tolist()

    def add(spans: list[Span], first: Node, last: Node) -> None:
        if first.start_byte < last.end_byte and last.end_point.row - first.start_point.row < max_lines:
            spans.append((to_char[first.start_byte], to_char[last.end_byte]))

    pending = [_parser(suffix).parse(raw).root_node]
    while pending:
        node = pending.pop()
        kind = node.type
        if kind in ("comment", "string", "template_string"):
            is_statement = node.parent is not None and node.parent.type in ("expression_statement", *grammar.scopes)
            if kind == "comment" or is_statement:
                syntax.prose.append((to_char[node.start_byte], to_char[node.end_byte]))
            continue
        children = node.named_children
        if not children:
            continue
        if kind in grammar.blocks:
            add(syntax.blocks, children[0], children[-1])
        if kind in grammar.scopes:
            for child in children:
                if child.type.endswith(grammar.statement_endings):
                    add(syntax.statements, child, child)
        elif kind in grammar.lists:
            add(syntax.expressions, children[0], children[-1])
        elif kind in grammar.subscripts:
            add(syntax.expressions, children[-1], children[-1])
        elif kind in grammar.values:
            _add_field(add, syntax.expressions, node, grammar.values[kind])
        elif kind in grammar.conditions:
            _add_field(add, syntax.expressions, node, "condition")
        elif kind in grammar.functions and (statements := _documented_body(node)):
            add(syntax.documented, statements[0], statements[-1])
        pending.extend(children)
    return syntax


def _add_field(add, spans: list[Span], node: Node, name: str) -> None:
    value = node.child_by_field_name(name)
    if value is not None and value.type == "parenthesized_expression" and value.named_children:
        value = value.named_children[0]  # JavaScript's conditions bring their own brackets
    if value is not None:
        add(spans, value, value)


def _documented_body(function: Node) -> list[Node]:
    """The statements after a function's docstring, or those of a function that a comment stands before; else none."""
    body = function.child_by_field_name("body")
    statements = [child for child in body.named_children if child.type != "comment"] if body is not None else []
    if not statements:
        return []
    first, *rest = statements
    if first.type == "expression_statement" and first.named_children and first.named_children[0].type == "string":
        return rest
    before = function.prev_named_sibling
    return statements if before is not None and before.type == "comment" else []


@cache
def _parser(suffix: str) -> Parser:
    return Parser(Language(_LANGUAGES[suffix][1]()))
