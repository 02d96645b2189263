"""Recipes of mixtures: TOML files that name sources, say how they are read and weigh them."""

import difflib
import math
import re
import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from coda_train.data.examine import CONTENTS
from coda_train.errors import ConfigError

KINDS = ("folder", "jsonl", "parquet", "hub")


@dataclass(frozen=True)
class SourceRecipe:
    """One source of a mixture.

    Attributes:
        weight: its part of the tokens trained on; any unit does, for only the ratios count.
        kind: "folder" of source files, "jsonl" or "parquet" rows, or "hub" for a dataset of the Hugging Face Hub.
        paths: files or folders, relative to the recipe's folder.
        dataset: name on the Hub.
        revision: branch, tag or commit of the dataset; empty for the main branch.
        files: shell patterns of the dataset's files to take, all Parquet or all JSON lines.
        text_column: holds the document.
        path_column: holds its path, or is left out, as the next two may be.
        package_column: holds the project it belongs to.
        licence_column: holds its licence, or a list of licences that all apply.
        extensions: suffixes of the source files to take, for kind "folder".
        content: "code", "python" or "text", see `Rules`.
        licence: SPDX expression for documents that state none.
        licences: those accepted: "permissive", "any", or SPDX expressions.
        max_bytes: larger documents are dropped.
        held_out: share of the text kept for evaluation.
        package_share: most that one package may be of the text.
    """

    weight: float
    kind: str
    paths: tuple[str, ...] = ()
    dataset: str = ""
    revision: str = ""
    files: tuple[str, ...] = ("*.parquet",)
    text_column: str = "text"
    path_column: str = ""
    package_column: str = ""
    licence_column: str = ""
    extensions: tuple[str, ...] = (".py",)
    content: str = "code"
    licence: str = ""
    licences: tuple[str, ...] = ("permissive",)
    max_bytes: int = 200_000
    held_out: float = 0.001
    package_share: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ConfigError(f"weight must be above 0, not {self.weight}")
        for name, value, allowed in (("kind", self.kind, KINDS), ("content", self.content, CONTENTS)):
            if value not in allowed:
                raise ConfigError(f"{name} is one of {', '.join(allowed)}, not {value}{_nearest(value, allowed)}")
        if self.kind == "hub" and not (self.dataset and self.files):
            raise ConfigError("kind hub needs dataset and files")
        if self.kind != "hub" and not self.paths:
            raise ConfigError(f"kind {self.kind} needs paths")
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out must be in [0, 1), not {self.held_out}")
        if not 0 < self.package_share <= 1:
            raise ConfigError(f"package_share must be in (0, 1], not {self.package_share}")
        if self.max_bytes < 1:
            raise ConfigError(f"max_bytes must be 1 or more, not {self.max_bytes}")


@dataclass(frozen=True)
class Mixture:
    """A recipe: its sources by name, and the folder that their paths are relative to."""

    sources: dict[str, SourceRecipe]
    folder: Path


def mixture_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("coda_train") / "mixtures"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_mixture(name: str) -> Mixture:
    """Read a recipe: a shipped one by its name, with paths relative to the working folder, or a TOML file.

    Raises: ConfigError for a file that is missing or no TOML, an unknown key, or a value that does not fit.
    """
    if name in mixture_names():
        folder, text = Path(), (resources.files("coda_train") / "mixtures" / f"{name}.toml").read_text("utf-8")
    else:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"there is no mixture {name}: give a TOML file or one of {', '.join(mixture_names())}")
        folder, text = path.parent, path.read_text("utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from None
    sources = data.pop("sources", None)
    if data:
        raise ConfigError(f"{name}: unknown key {next(iter(data))}; a recipe holds [sources.NAME] tables alone")
    if not isinstance(sources, dict) or not sources:
        raise ConfigError(f"{name} names no source: add a table [sources.NAME]")
    return Mixture({key: _source(f"{name}, source {key}", key, table) for key, table in sources.items()}, folder)


def _source(where: str, key: str, table: Any) -> SourceRecipe:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", key) or key == "shards":
        raise ConfigError(f"{where}: the name becomes a folder: letters, digits, _, - and . only, and not shards")
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table")
    known = {entry.name: entry.type for entry in fields(SourceRecipe)}
    values = {}
    for name, value in table.items():
        if name not in known:
            raise ConfigError(f"{where}: unknown key {name}{_nearest(name, tuple(known))}")
        values[name] = _value(f"{where}: {name}", value, known[name])
    for name in ("weight", "kind"):
        if name not in values:
            raise ConfigError(f"{where}: {name} is missing")
    try:
        return SourceRecipe(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _value(where: str, value: Any, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in items):
            raise ConfigError(f"{where} takes texts, not {value!r}")
        return tuple(items)
    fits = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
    if not fits:
        raise ConfigError(f"{where} takes a value of type {kind.__name__}, not {value!r}")
    return kind(value)


def _nearest(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
