"""What a document imports from files of the workspace, found by the rules of its language.

Modules of Python, relative paths of JavaScript and TypeScript, quoted headers of C and C++, `crate` and
`super` of Rust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from coda_lsp.snippets.definitions import Definition, definitions_in

_MOST_IMPORTS = 40
_LONGEST_HEAD = 20_000  # characters; imports stand at the top
_PYTHON_FROM = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\r\n]+)", re.MULTILINE)
_PYTHON_IMPORT = re.compile(r"^[ \t]*import[ \t]+([\w., \t]+)", re.MULTILINE)
_SCRIPT = re.compile(r"""^[ \t]*import\b([^'"]*?)\bfrom[ \t]*['"](\.[^'"]*)['"]""", re.MULTILINE)
_REQUIRE = re.compile(r"""^[ \t]*(?:const|let|var)\b([^=]*)=[ \t]*require\(['"](\.[^'"]*)['"]\)""", re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\r\n]+)"', re.MULTILINE)
_USE = re.compile(r"^[ \t]*(?:pub[ \t]+)?use[ \t]+(crate|super|self)::([\w:]*\w)(?:::\{([^}]*)\})?", re.MULTILINE)
_SCRIPT_ENDINGS = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", "/index.ts", "/index.tsx", "/index.js")


@dataclass(frozen=True)
class Import:
    """A file that is imported from and the names taken from it; None is all of them."""

    path: Path
    names: frozenset[str] | None

    def definitions(self) -> tuple[Definition, ...]:
        """The definitions of the names, in the file's order."""
        return tuple(each for each in definitions_in(self.path) if self.names is None or each.name in self.names)


def imports_of(text: str, language_id: str, path: Path, roots: Sequence[Path]) -> list[Import]:
    """The imports of a document that lead to a file below one of the workspace's roots; at most 40."""
    find = _FINDERS.get(language_id)
    if find is None:
        return []
    found = islice(find(text[:_LONGEST_HEAD], path, roots), _MOST_IMPORTS)
    return [each for each in found if any(each.path.is_relative_to(root) for root in roots)]


def _of_python(text: str, path: Path, roots: Sequence[Path]) -> Iterator[Import]:
    for dots, module, what in _PYTHON_FROM.findall(text):
        bases = [_up(path.parent, len(dots) - 1)] if dots else _python_bases(path, roots)
        names = {part.split()[0] for part in re.sub(r"#[^\n]*|[()]", "", what).split(",") if part.strip()}
        file = _python_file(bases, module.split(".") if module else [])
        if file is not None:
            yield Import(file, None if "*" in names else frozenset(names))
        for name in sorted(names - {"*"}):  # a module of a package
            file = _python_file(bases, [*(module.split(".") if module else []), name])
            if file is not None:
                yield Import(file, None)
    for modules in _PYTHON_IMPORT.findall(text):
        for module in modules.split(","):
            if module.strip() and (file := _python_file(_python_bases(path, roots), module.split()[0].split("."))):
                yield Import(file, None)


def _python_bases(path: Path, roots: Sequence[Path]) -> list[Path]:
    return [*(base for root in roots for base in (root, root / "src")), path.parent]


def _python_file(bases: Sequence[Path], parts: Sequence[str]) -> Path | None:
    files = (base.joinpath(*parts[:-1], *ending) for base in bases if parts for ending in _python_endings(parts[-1]))
    inits = (base / "__init__.py" for base in bases if not parts)
    return _first_file((*files, *inits))


def _python_endings(name: str) -> tuple[tuple[str, ...], ...]:
    return ((f"{name}.py",), (f"{name}.pyi",), (name, "__init__.py"))


def _of_script(text: str, path: Path, roots: Sequence[Path]) -> Iterator[Import]:
    for what, target in (*_SCRIPT.findall(text), *_REQUIRE.findall(text)):
        base = str(path.parent / target)
        stems = (base, base.removesuffix(".js")) if base.endswith(".js") else (base,)  # TypeScript writes .js for .ts
        file = _first_file([Path(stem + ending) for stem in stems for ending in _SCRIPT_ENDINGS])
        names = frozenset(re.findall(r"(\w+)(?:\s+as\s+\w+)?\s*(?=[,}])", what))
        if file is not None:
            yield Import(file, names if "{" in what and "*" not in what else None)


def _of_c(text: str, path: Path, roots: Sequence[Path]) -> Iterator[Import]:
    for target in _INCLUDE.findall(text):
        bases = (path.parent, *(base for root in roots for base in (root, root / "include", root / "src")))
        file = _first_file([base / target for base in bases])
        if file is not None:
            yield Import(file, None)


def _of_rust(text: str, path: Path, roots: Sequence[Path]) -> Iterator[Import]:
    crate = next((folder for folder in path.parents if folder.name == "src"), path.parent)
    for start, middle, group in _USE.findall(text):
        bases = {"crate": crate, "super": path.parent, "self": path.parent / path.stem}
        parts = middle.strip(":").split("::")
        names = frozenset(re.findall(r"\w+", group)) if group else frozenset(parts[-1:])
        for depth in range(len(parts), 0, -1):
            base = bases[start].joinpath(*parts[:depth])
            file = _first_file([base.with_suffix(".rs"), base / "mod.rs"])
            if file is not None:
                yield Import(file, names if group or depth < len(parts) else None)
                break


def _up(folder: Path, levels: int) -> Path:
    for _ in range(levels):
        folder = folder.parent
    return folder


def _first_file(paths: Sequence[Path]) -> Path | None:
    return next((path.resolve() for path in paths if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


_FINDERS = {
    "python": _of_python,
    **dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact"), _of_script),
    **dict.fromkeys(("c", "cpp"), _of_c),
    "rust": _of_rust,
}
