"""Holes cut by syntax from any repository, or from the held-out packages of a corpus that `coda-train data` wrote."""

import ast
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tree_sitter import Node

from coda_model.errors import CodaError
from coda_model.evaluate.datafiles import read_rows
from coda_model.evaluate.languages import LANGUAGE_OF, nodes, parse
from coda_model.evaluate.problems import Problem

MAX_CHARS, MAX_LINES = 400, 6
_MAX_FILE_CHARS = 400_000
_SKIPPED = frozenset({"node_modules", "__pycache__", "build", "dist", "target", "vendor"})
_BLOCKS = frozenset({"block", "statement_block", "compound_statement", "body_statement", "declaration_list"})
_ARGUMENTS = frozenset({"argument_list", "arguments"})


@dataclass(frozen=True)
class Source:
    """A file's text; `group` is what it belongs to: its package, or itself."""

    path: str
    group: str
    text: str
    language: str


def read_sources(path: Path) -> list[Source]:
    """The files below a folder, or the held-out documents of a corpus, in a fixed order.

    Raises CodaError where there is nothing to cut holes from.
    """
    if not path.exists():
        raise CodaError(f"There is no folder or file {path}.")
    # Of the corpus itself, or of a mixture's members; further down lie tokenised shards.
    members = [*sorted(path.glob("held_out-*.parquet")), *sorted(path.glob("*/held_out-*.parquet"))]
    parquet = [path] if path.suffix == ".parquet" else members
    if parquet:
        rows = [row for file in parquet for row in read_rows(file, ("text", "path", "package"))]
        sources = [Source(f"{row['package']}/{row['path']}", row["package"], row["text"], _of(row)) for row in rows]
        return [source for source in sources if len(source.text) <= _MAX_FILE_CHARS]
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    sources = []
    for file in files:
        inner = file.relative_to(path).parts[:-1] if file != path else ()
        if file.suffix not in LANGUAGE_OF or any(part in _SKIPPED or part.startswith(".") for part in inner):
            continue
        try:
            text = file.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # what can't be read can't be completed either
        name = str(file.relative_to(path)) if file != path else file.name
        if len(text) <= _MAX_FILE_CHARS:
            sources.append(Source(name, name, text.replace("\r\n", "\n"), LANGUAGE_OF[file.suffix]))
    if not sources:
        raise CodaError(f"{path} holds no source file in a language that holes can be cut from.")
    return sources


def _of(row: dict) -> str:
    return LANGUAGE_OF.get(Path(row["path"]).suffix, "python")


def cut_problems(sources: list[Source], count: int, seed: int) -> list[Problem]:
    """`count` holes (fewer where the files are too few), spread over the files, the kinds taking turns.

    A file's holes depend on the seed and its name alone.
    """
    order = sorted(sources, key=lambda source: Random(f"{seed}:{source.path}").random())
    problems: list[Problem] = []
    for turn in range(8):
        for number, source in enumerate(order):
            if len(problems) >= count:
                return problems
            kind = list(_KINDS)[(number + turn) % len(_KINDS)]
            problem = _cut(source, kind, turn, Random(f"{seed}:{source.path}:{turn}"))
            if problem is not None:
                problems.append(problem)
    return problems


def _cut(source: Source, kind: str, turn: int, rng: Random) -> Problem | None:
    if source.language == "python" and not _is_python(source.text):
        return None
    raw = source.text.encode("utf-8", "surrogatepass")
    root = parse(source.text, source.language)
    spans = [span for span in _KINDS[kind](raw, root, rng) if _fits(raw[span[0] : span[1]])]
    if not spans:
        return None
    start, end = rng.choice(spans)
    prefix, reference, suffix = (
        part.decode("utf-8", "surrogatepass") for part in (raw[:start], raw[start:end], raw[end:])
    )
    # As the editor does: within a line that holds other text a fill stays on that line.
    around = prefix.rpartition("\n")[2] + suffix.partition("\n")[0]
    return Problem(
        id=f"{source.path}:{prefix.count(chr(10)) + 1}:{turn}",
        cluster=source.group,
        prefix=prefix,
        suffix=suffix,
        reference=reference,
        head=prefix,
        tail=suffix,
        single_line=bool(around.strip()) or kind == "line tail",
        kind=kind,
        language=source.language,
    )


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _fits(text: bytes) -> bool:
    return bool(text.strip()) and len(text) <= MAX_CHARS and text.count(b"\n") < MAX_LINES


Span = tuple[int, int]


def _line_tails(raw: bytes, root: Node, rng: Random) -> Iterator[Span]:
    """The rest of a line of code, from anywhere in it."""
    start = 0
    for line in raw.split(b"\n"):
        end = start + len(line.rstrip())
        first = start + len(line) - len(line.lstrip())
        if end > first:
            cut = rng.randrange(first, end)
            node = root.descendant_for_byte_range(cut, cut + 1)
            is_character = raw[cut] & 0xC0 != 0x80
            if is_character and node is not None and not _is_prose(node):
                yield cut, end
        start += len(line) + 1


def _is_prose(node: Node | None) -> bool:
    while node is not None:
        if "comment" in node.type or "string" in node.type:
            return True
        node = node.parent
    return False


def _expressions(raw: bytes, root: Node, rng: Random) -> Iterator[Span]:
    """Right-hand sides, values and conditions."""
    for node in nodes(root):
        for name in ("right", "value", "condition"):
            child = node.child_by_field_name(name)
            if child is not None and child.is_named and child.start_point.row == child.end_point.row:
                yield child.start_byte, child.end_byte
        if node.type == "return_statement" and node.named_children:
            child = node.named_children[0]
            if child.start_point.row == child.end_point.row:
                yield child.start_byte, child.end_byte


def _arguments(raw: bytes, root: Node, rng: Random) -> Iterator[Span]:
    """What stands between the parentheses of a call."""
    for node in nodes(root):
        if node.type in _ARGUMENTS and node.start_point.row == node.end_point.row and node.child_count >= 3:
            yield node.start_byte + 1, node.end_byte - 1


def _statements(raw: bytes, root: Node, rng: Random) -> Iterator[Span]:
    """Whole statements on lines of their own."""
    for node in nodes(root):
        if node.type.endswith(("_statement", "_declaration", "assignment")) and _alone(raw, node):
            yield node.start_byte, node.end_byte


def _blocks(raw: bytes, root: Node, rng: Random) -> Iterator[Span]:
    """The statements of a body."""
    for node in nodes(root):
        if node.type in _BLOCKS and node.named_children:
            first, last = node.named_children[0], node.named_children[-1]
            if _alone(raw, first) and raw[last.end_byte : last.end_byte + 1] in (b"\n", b""):
                yield first.start_byte, last.end_byte


def _alone(raw: bytes, node: Node) -> bool:
    before = raw[raw.rfind(b"\n", 0, node.start_byte) + 1 : node.start_byte]
    return not before.strip() and raw[node.end_byte : node.end_byte + 1] in (b"\n", b"")


_KINDS: dict[str, Callable[[bytes, Node, Random], Iterator[Span]]] = {
    "line tail": _line_tails,
    "statement": _statements,
    "arguments": _arguments,
    "block": _blocks,
    "expression": _expressions,
}
