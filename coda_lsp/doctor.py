"""`coda-lsp doctor`: is everything there that a suggestion needs, and how long does one take?"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coda_lsp.engine.connection import open_engine
from coda_lsp.engine.errors import EngineError
from coda_lsp.engine.request import Hole, InfillRequest
from coda_lsp.explain import Explanation, explain
from coda_lsp.languages import LANGUAGES, load_grammar
from coda_lsp.settings import Settings, parse_settings

PACKAGES = ("coda-lsp", "pygls", "lsprotocol", "tree-sitter", "httpx", "torch", "transformers", "tokenizers")
_EXAMPLE_PREFIX = "def add(a, b):\n    return "
_EXAMPLE_SUFFIX = "\n\n\nprint(add(1, 2))\n"


@dataclass
class Findings:
    """What was found; times in milliseconds. `problems` keep suggestions from working, `remarks` do not."""

    python: str = field(default_factory=lambda: f"{platform.python_version()} ({sys.executable})")
    packages: dict[str, str | None] = field(default_factory=dict)
    languages: dict[str, bool] = field(default_factory=dict)
    engine: dict[str, Any] | None = None
    start_ms: float | None = None
    first_ms: float | None = None
    second_ms: float | None = None
    example: str | None = None
    there: Explanation | None = None
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """A place in a file: line from 1, column from 0 in UTF-16 units."""

    path: Path
    line: int
    column: int


def run_doctor(raw_settings: Mapping[str, object], as_json: bool, place: Place | None = None) -> int:
    """Examine the installation with these settings, print the findings, and return the exit status.

    With a place it is explained as well what shows there, or why nothing does.
    """
    settings, problems = parse_settings(raw_settings)
    findings = Findings(problems=list(problems))
    _examine_packages(findings)
    _examine_languages(findings)
    if not findings.problems:
        with Console(stderr=True).status(f"Starting the engine with the model {escape(settings.model)} …"):
            asyncio.run(_examine_engine(settings, findings, place))
    if as_json:
        typer.echo(json.dumps(asdict(findings), indent=2, ensure_ascii=False))
    else:
        _print(findings)
    return 1 if findings.problems else 0


def _examine_packages(findings: Findings) -> None:
    for name in PACKAGES:
        try:
            findings.packages[name] = version(name)
        except PackageNotFoundError:
            findings.packages[name] = None
            findings.remarks.append(f"The package {name} is not installed here; run pip install coda-lsp.")


def _examine_languages(findings: Findings) -> None:
    for language in LANGUAGES:
        try:
            load_grammar(language)
            findings.languages[language.name] = True
        except (ImportError, ValueError) as error:
            findings.languages[language.name] = False
            findings.remarks.append(f"{language.name} files are treated as plain lines: {error}.")


async def _examine_engine(settings: Settings, findings: Findings, place: Place | None) -> None:
    hole = Hole(single_line=True, max_tokens=settings.max_tokens)
    request = InfillRequest.of(settings, _EXAMPLE_PREFIX, hole, _EXAMPLE_SUFFIX)
    since_s = time.perf_counter()
    try:
        async with open_engine(settings) as connection:
            findings.start_ms = _milliseconds_since(since_s)
            findings.engine = (await connection.client.info()).details
            since_s = time.perf_counter()
            answer = await connection.client.infill(request)
            findings.first_ms = _milliseconds_since(since_s)
            since_s = time.perf_counter()
            answer = await connection.client.infill(request)
            findings.second_ms = _milliseconds_since(since_s)
            findings.example = answer.candidates[0].fills[0] if answer.candidates else None
            if place is not None:
                findings.there = await explain(connection.client, settings, place.path, place.line, place.column)
    except EngineError as error:
        findings.problems.append(str(error))


def _milliseconds_since(since_s: float) -> float:
    return round((time.perf_counter() - since_s) * 1e3, 1)


def _print(findings: Findings) -> None:
    console = Console(highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Python", escape(findings.python))
    table.add_row("Packages", ", ".join(f"{name} {found or 'missing'}" for name, found in findings.packages.items()))
    table.add_row("Languages", ", ".join(name for name, found in findings.languages.items() if found))
    if findings.engine is not None:
        engine = findings.engine
        parameters = f"{engine.get('parameters', 0) / 1e6:.1f} M parameters"
        table.add_row("Model", escape(f"{engine.get('model')}, {parameters}, {engine.get('path')}"))
        table.add_row("Device", escape(f"{engine.get('device')}, {engine.get('dtype')}"))
    if findings.start_ms is not None:
        table.add_row("Engine start", f"{findings.start_ms:.0f} ms")
    if findings.first_ms is not None and findings.second_ms is not None:
        table.add_row("A suggestion", f"{findings.first_ms:.0f} ms the first time, then {findings.second_ms:.0f} ms")
    if findings.example is not None:
        table.add_row("Example", f"{escape(_EXAMPLE_PREFIX)}[green]{escape(findings.example)}[/]")
    if findings.there is not None:
        table.add_row("There", "\n".join(map(escape, [*findings.there.steps, findings.there.outcome])))
        for suggestion in findings.there.suggestions:
            table.add_row("", f"[green]{escape(suggestion)}[/]")
    console.print(table)
    for remark in findings.remarks:
        console.print(f"[yellow]Remark[/]: {escape(remark)}", soft_wrap=True)
    for problem in findings.problems:
        console.print(f"[red]Problem[/]: {escape(problem)}", soft_wrap=True)
    if not findings.problems:
        console.print("[green]Suggestions work.[/]")
