"""Signatures of what a file defines, by its syntax tree: what a person would look up in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from coda_lsp.languages import language_for, language_id_for_path
from coda_lsp.syntax import parser_for

if TYPE_CHECKING:
    import tree_sitter

LONGEST_FILE_BYTES = 300_000
_LONGEST_SIGNATURE = 400
_MOST_MEMBERS = 12
# What stands around a definition without being one.
_WRAPPERS = ("decorated_definition", "export_statement", "declaration_list", "linkage_specification", "preproc_ifdef")
_DEFINITIONS = (
    "_definition",  # Python, C, C++
    "declaration",  # JavaScript, TypeScript, Go, Java, C#
    "_item",  # Rust
    "method",
    "class",
    "module",
)
_NO_DEFINITIONS = (
    "use_declaration",
    "import_declaration",
    "package_declaration",
    "use_item",
    "extern_crate_declaration",
)


@dataclass(frozen=True)
class Definition:
    """A name that a file defines, and the head of its definition; a class has its members' heads below."""

    name: str
    text: str


def definitions_in(path: Path) -> tuple[Definition, ...]:
    """What a file defines at its top level; nothing where it can't be read or its language is not known."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    if status.st_size > LONGEST_FILE_BYTES:
        return ()
    return _definitions_in(path, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _definitions_in(path: Path, changed_ns: int) -> tuple[Definition, ...]:
    del changed_ns  # a part of the cache's key
    try:
        source = path.read_bytes()
    except OSError:
        return ()
    return definitions_of(source, language_id_for_path(str(path)) or "")


def definitions_of(source: bytes, language_id: str) -> tuple[Definition, ...]:
    """What a source text in UTF-8 defines at its top level."""
    language = language_for(language_id)
    parser = parser_for(language) if language is not None else None
    return tuple(_definitions(parser.parse(source).root_node)) if parser is not None else ()


def _definitions(root: tree_sitter.Node) -> Iterator[Definition]:
    for node in root.named_children:
        if node.type in _WRAPPERS:
            yield from _definitions(node)
        elif _is_definition(node) and (name := _name(node)):
            yield Definition(name, _signature(node))


def _is_definition(node: tree_sitter.Node) -> bool:
    kind = node.type
    return kind.endswith(_DEFINITIONS) and kind not in _NO_DEFINITIONS


def _name(node: tree_sitter.Node) -> str | None:
    """The name that a node defines: in C it stands inside of a declarator, a constant's of JavaScript too."""
    found = node.child_by_field_name("name")
    inner = node
    while found is None:
        deeper = inner.child_by_field_name("declarator")
        if deeper is None:
            declarators = [child for child in inner.named_children if child.type.endswith(("declarator", "_spec"))]
            deeper = declarators[0] if declarators else None
        if deeper is None:
            return _text(inner) if inner.type.endswith("identifier") else None
        inner, found = deeper, deeper.child_by_field_name("name")
    return _text(found)


def _signature(node: tree_sitter.Node) -> str:
    body = _body(node)
    if body is None:
        return _cut(_text(node))
    indentation = b" " * node.start_point.column
    head = (indentation + _between(node, body)).decode("utf-8", "replace").strip().rstrip("{").rstrip()
    found = (
        _field(member) if member.type == "expression_statement" else _member(member) for member in _unwrapped(body)
    )
    members = ["    " + member.replace("\n", "\n    ") for member in found if member]
    return "\n".join([_cut(head), *members[:_MOST_MEMBERS]])


def _member(node: tree_sitter.Node) -> str:
    return _signature(node) if _is_definition(node) else ""


def _field(node: tree_sitter.Node) -> str:
    """A field of a Python class: a name with a type."""
    assignment = node.named_children[0] if node.named_children else None
    kind = assignment.child_by_field_name("type") if assignment is not None else None
    left = assignment.child_by_field_name("left") if assignment is not None else None
    return f"{_text(left)}: {_text(kind)}" if kind is not None and left is not None else ""


def _body(node: tree_sitter.Node) -> tree_sitter.Node | None:
    body = node.child_by_field_name("body")
    if body is None and node.type == "lexical_declaration":  # const f = () => { ... }
        for declarator in node.named_children:
            value = declarator.child_by_field_name("value")
            body = value.child_by_field_name("body") if value is not None else None
    return body


def _unwrapped(body: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    for node in body.named_children:
        if node.type in _WRAPPERS:
            yield from _unwrapped(node)
        else:
            yield node


def _between(node: tree_sitter.Node, body: tree_sitter.Node) -> bytes:
    text = node.text or b""
    return text[: body.start_byte - node.start_byte]


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _cut(text: str) -> str:
    lines = text.split("\n")
    short = "\n".join(lines[:6])
    return short if len(short) <= _LONGEST_SIGNATURE else short[:_LONGEST_SIGNATURE].rsplit("\n", 1)[0]
