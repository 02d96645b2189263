"""Which files there are to learn from, and for each the package, version and licence it belongs to.

A source is any folder. Walking it, a standard library (`os.py` beside `site-packages`) and a folder of installed
distributions (`*.dist-info`) are recognised wherever they lie; every other folder with a licence file is a project.
"""

import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Protocol

from coda_train.data import filters, licences

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "build", "dist"})
_LICENCE_FILE = re.compile(r"(licen[sc]e|copying|unlicense)([._-].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Package:
    """What a file belongs to; `licence` is an SPDX expression, None when nobody states one."""

    name: str
    version: str = ""
    licence: str | None = None


class SourceError(ValueError):
    """A source that is missing, damaged or not of the kind it is said to be."""


@dataclass(frozen=True)
class Text:
    """One document as it was read: `text`, or the `fault` for which there is none."""

    path: str
    package: Package
    text: str | None
    fault: str = ""


class Unit(Protocol):
    """What one worker reads at a time: a file, or a block of rows."""

    def read(self, max_bytes: int) -> Iterator[Text]:
        """Its documents, the same ones in the same order whenever it is read. Raises SourceError if it is damaged."""
        ...


@dataclass(frozen=True)
class SourceFile:
    """A file found in a source; `relative` is its path below the folder that holds its package."""

    path: Path
    relative: str
    package: Package

    def read(self, max_bytes: int) -> Iterator[Text]:
        """The file's one document."""
        try:
            if self.path.stat().st_size > max_bytes:
                yield Text(self.relative, self.package, None, "too large")
                return
            text = filters.decode(self.path.read_bytes())
        except OSError:
            yield Text(self.relative, self.package, None, "unreadable")
            return
        yield Text(self.relative, self.package, text, "" if text is not None else "not UTF-8")


def canonical_name(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_files(source: Path, extensions: Collection[str]) -> Iterator[SourceFile]:
    """All files below `source` with one of `extensions` (".py"), in a stable order.

    Raises: NotADirectoryError if `source` is no folder.
    """
    if not source.is_dir():
        raise NotADirectoryError(f"{source} is not a folder")
    yield from _walk(source.resolve(), source.resolve(), _project(source.resolve()), frozenset(extensions))


def _walk(folder: Path, root: Path, package: Package, extensions: frozenset[str]) -> Iterator[SourceFile]:
    entries = sorted(folder.iterdir())
    names = {entry.name for entry in entries}
    if "os.py" in names and names & {"site-packages", "lib-dynload"}:
        root, package = folder, Package("cpython", folder.name.removeprefix("python"), "PSF-2.0")
    elif any(name.endswith((".dist-info", ".egg-info")) for name in names):
        yield from _installed(folder, extensions)
        return
    elif folder != root:
        package = _nested(folder, names, package)
        if package.name == canonical_name(folder.name):
            root = folder.parent
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            foreign = entry.name in _SKIPPED_FOLDERS or (entry / "pyvenv.cfg").is_file()
            if not foreign and not entry.name.startswith("."):
                yield from _walk(entry, root, package, extensions)
        elif entry.suffix in extensions:
            yield SourceFile(entry, str(entry.relative_to(root)), package)


def _installed(folder: Path, extensions: frozenset[str]) -> Iterator[SourceFile]:
    """The files of every distribution in a site-packages folder, as its RECORD lists them."""
    seen: set[Path] = set()
    for distribution in sorted(distributions(path=[str(folder)]), key=lambda d: d.metadata["Name"] or ""):
        name = distribution.metadata["Name"]
        if not name:
            continue
        package = Package(canonical_name(name), distribution.version, _distribution_licence(distribution))
        nested: dict[Path, Package] = {folder: package}
        for path in sorted(_recorded(distribution, folder)):
            if path.suffix not in extensions or path in seen or not path.is_relative_to(folder) or not path.is_file():
                continue
            seen.add(path)
            relative = path.relative_to(folder)
            yield SourceFile(path, str(relative), _owner_below(path.parent, nested))


def _recorded(distribution: Distribution, folder: Path) -> Iterator[Path]:
    for recorded in distribution.files or ():
        yield folder / recorded
    if not distribution.files:  # Debian's packages keep no RECORD, only the names of the top-level modules.
        for top in (distribution.read_text("top_level.txt") or "").split():
            yield folder / f"{top}.py"
            yield from (folder / top).rglob("*") if (folder / top).is_dir() else ()


def _owner_below(folder: Path, known: dict[Path, Package]) -> Package:
    """The package of a folder inside a distribution: its own unless a vendored part brings a stricter licence."""
    if folder not in known:
        parent = _owner_below(folder.parent, known)
        own = _licence_file(folder, {entry.name for entry in folder.iterdir()})
        stricter = own is not None and not licences.is_permissive(own)
        known[folder] = replace(parent, licence=own) if stricter else parent
    return known[folder]


def _nested(folder: Path, names: set[str], package: Package) -> Package:
    """A project's sub-folder with a licence of its own is a package of its own, except in the standard library."""
    own = _licence_file(folder, names)
    if own is None or (package.name == "cpython" and licences.is_permissive(own)):
        return package
    return Package(canonical_name(folder.name), package.version if own == package.licence else "", own)


def _project(folder: Path) -> Package:
    """The package that a plain project folder is, from its pyproject.toml and licence file."""
    table: dict = {}
    pyproject = folder / "pyproject.toml"
    if pyproject.is_file():
        try:
            table = tomllib.loads(pyproject.read_text("utf-8")).get("project", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            table = {}  # a broken pyproject.toml only costs the name; the licence file still decides
    stated = table.get("license")
    text = stated.get("text", "") if isinstance(stated, dict) else stated or ""
    licence = (
        (licences.from_name(text) if text else None)
        or licences.from_classifiers(table.get("classifiers", ()))
        or _licence_file(folder, {entry.name for entry in folder.iterdir()})
    )
    return Package(canonical_name(table.get("name") or folder.name), str(table.get("version", "")), licence)


def _licence_file(folder: Path, names: set[str]) -> str | None:
    for name in sorted(names):
        path = folder / name
        if _LICENCE_FILE.fullmatch(name) and path.suffix != ".py" and path.is_file():
            found = licences.from_text(path.read_text("utf-8", errors="replace"))
            if found:
                return found
    return None


def _distribution_licence(distribution: Distribution) -> str | None:
    metadata = distribution.metadata
    if expression := metadata["License-Expression"]:
        return licences.from_expression(expression)
    if found := licences.from_classifiers(metadata.get_all("Classifier") or ()):
        return found
    stated = metadata["License"] or ""
    if found := licences.from_name(stated) if len(stated) < 100 else licences.from_text(stated):
        return found
    for recorded in distribution.files or ():
        if ".dist-info" in recorded.parts[0] and _LICENCE_FILE.fullmatch(recorded.name):
            path = Path(str(distribution.locate_file(recorded)))
            if path.is_file() and (found := licences.from_text(path.read_text("utf-8", errors="replace"))):
                return found
    return None
