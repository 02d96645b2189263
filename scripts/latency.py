"""Latency as an editor sees it: from the keystroke to its answer, through the real server, engine and model.

A typist writes lines of a real file anew, in the middle of it: each keystroke is a `didChange` and an automatic
`textDocument/inlineCompletion`, as editors send them. Three ways of typing:

- idle: the next key comes once the answer is there;
- ten a second: the next key comes after 100 ms, answered or not; a request that a newer key supersedes is no answer;
- along: the keys are those of the suggestion that is shown, so the answers come from what the server keeps.

    python scripts/latency.py                              # the bundled model
    python scripts/latency.py --keys 300 --model ./my-model --json > latency.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient
from rich.console import Console
from rich.table import Table

FILE = Path(__file__).parent.parent / "coda_lsp" / "holes.py"
READY_TIMEOUT_S = 600.0
RATE_HZ = 10.0


@dataclass
class Way:
    """What came of one way of typing; times in milliseconds. The engine's are the answers that it was asked for."""

    name: str
    answers_ms: list[float] = field(default_factory=list)
    engine_ms: list[float] = field(default_factory=list)
    shown: int = 0
    superseded: int = 0

    def summary(self) -> dict[str, Any]:
        p50_ms, p95_ms = _percentiles(self.answers_ms)
        engine_p50_ms, engine_p95_ms = _percentiles(self.engine_ms)
        return {
            "keys": len(self.answers_ms) + self.superseded,
            "answered": len(self.answers_ms),
            "superseded": self.superseded,
            "shown": self.shown,
            "p50_ms": p50_ms,
            "p95_ms": p95_ms,
            "by_engine": len(self.engine_ms),
            "engine_p50_ms": engine_p50_ms,
            "engine_p95_ms": engine_p95_ms,
        }


def _percentiles(values: list[float]) -> tuple[float | None, float | None]:
    """The 50th and the 95th."""
    if len(values) < 2:
        return None, None
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return round(cuts[9], 1), round(cuts[18], 1)


class Typist:
    """An editor with one document open, in which a part is missing that is typed again."""

    def __init__(self, path: Path, keys: int) -> None:
        self.client = LanguageClient("coda-latency", "1")
        self.uri = path.resolve().as_uri()
        lines = path.read_text(encoding="utf-8").split("\n")
        first = len(lines) // 2
        last = first
        while sum(len(line) + 1 for line in lines[first:last]) < keys and last < len(lines):
            last += 1
        self.to_type = ("\n".join(lines[first:last]) + "\n")[:keys]
        self.text = "\n".join([*lines[:first], "", *lines[last:]])
        self.line, self.character, self.version = first, 0, 1
        self.state, self.busy = "loading", False  # what the engine does now, and whether it was busy since the last key
        self.status: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        @self.client.feature("coda/status")
        def on_status(status: Any) -> None:
            self.state = status.state
            self.busy |= status.state == "busy"
            if status.state in ("ready", "error") and not self.status.done():
                self.status.set_result(status)

        for ignored in (lsp.WINDOW_SHOW_MESSAGE, lsp.WINDOW_LOG_MESSAGE):
            self.client.feature(ignored)(lambda params: None)

    async def start(self, options: dict[str, Any]) -> tuple[float, float, Any]:
        """Start the server: milliseconds to the answer to `initialize` and to a loaded model, and the status."""
        since_s = time.perf_counter()
        await self.client.start_io(sys.executable, "-P", "-m", "coda_lsp", "--stdio")
        capabilities = lsp.ClientCapabilities(
            text_document=lsp.TextDocumentClientCapabilities(
                inline_completion=lsp.InlineCompletionClientCapabilities()
            ),
            experimental={"codaStatus": True},
        )
        params = lsp.InitializeParams(capabilities, process_id=None, root_uri=None, initialization_options=options)
        await self.client.initialize_async(params)
        initialize_ms = (time.perf_counter() - since_s) * 1e3
        self.client.initialized(lsp.InitializedParams())
        status = await asyncio.wait_for(self.status, READY_TIMEOUT_S)
        ready_ms = (time.perf_counter() - since_s) * 1e3
        item = lsp.TextDocumentItem(uri=self.uri, language_id="python", version=1, text=self.text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return initialize_ms, ready_ms, status

    def press(self, key: str) -> asyncio.Future[Any]:
        """Type one character and ask for a suggestion there."""
        place = lsp.Position(self.line, self.character)
        change = lsp.TextDocumentContentChangePartial(lsp.Range(place, place), key)
        self.version += 1
        document = lsp.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [change]))
        if key == "\n":
            self.line, self.character = self.line + 1, 0
        else:
            self.character += len(key.encode("utf-16-le")) // 2
        context = lsp.InlineCompletionContext(lsp.InlineCompletionTriggerKind.Automatic)
        asked = lsp.InlineCompletionParams(
            context,
            text_document=lsp.TextDocumentIdentifier(self.uri),
            position=lsp.Position(self.line, self.character),
        )
        return asyncio.ensure_future(self.client.text_document_inline_completion_async(asked))

    async def timed(self, key: str, way: Way) -> str:
        """Press a key and wait for the answer; returns what it suggests, empty where nothing."""
        since_s, self.busy = time.perf_counter(), self.state == "busy"
        try:
            answer = await self.press(key)
        except JsonRpcException:
            way.superseded += 1
            return ""
        elapsed_ms = (time.perf_counter() - since_s) * 1e3
        way.answers_ms.append(elapsed_ms)
        if self.busy:
            way.engine_ms.append(elapsed_ms)
        way.shown += bool(answer.items)
        return str(answer.items[0].insert_text) if answer.items else ""

    async def stop(self) -> None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()


async def type_idle(typist: Typist) -> Way:
    way = Way("idle")
    for key in typist.to_type:
        await typist.timed(key, way)
    return way


async def type_steadily(typist: Typist) -> Way:
    way, since_s = Way("ten a second"), time.perf_counter()
    pressed = []
    for number, key in enumerate(typist.to_type):
        await asyncio.sleep(max(since_s + number / RATE_HZ - time.perf_counter(), 0))
        pressed.append(asyncio.ensure_future(typist.timed(key, way)))
    await asyncio.gather(*pressed)
    return way


async def type_along(typist: Typist) -> Way:
    """Type the reference until something is shown, then the suggestion itself, its keys alone counted."""
    way, other = Way("along"), Way("other")
    for key in typist.to_type:
        suggestion = await typist.timed(key, other)
        for follows in suggestion[:-1]:
            await typist.timed(follows, way)
    return way


async def measure(path: Path, keys: int, options: dict[str, Any]) -> dict[str, Any]:
    """All three ways, each in a session of its own after a warm-up of ten keys."""
    found: dict[str, Any] = {"file": str(path), "options": options, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    for way in (type_idle, type_steadily, type_along):
        typist = Typist(path, keys)
        initialize_ms, ready_ms, status = await typist.start(options)
        if status.state != "ready":
            raise SystemExit(f"There is nothing to measure: {status.message}")
        warm_up = Way("warm-up")
        for key in "value = 12":
            await typist.timed(key, warm_up)
        await typist.timed("\n", warm_up)
        done = await way(typist)
        await typist.stop()
        found.setdefault("model", asdict_of(status))
        found.setdefault("initialize_ms", round(initialize_ms, 1))
        found.setdefault("ready_ms", round(ready_ms, 1))
        found.setdefault("first_ms", round(warm_up.answers_ms[0], 1))
        found[done.name] = done.summary()
    return found


def asdict_of(status: Any) -> dict[str, Any]:
    return {name: getattr(status, name) for name in ("model", "device")}


def show(found: dict[str, Any], context_tokens: int) -> None:
    console = Console(highlight=False, width=110)
    table = Table(
        "typing", "keys", "answered", "superseded", "shown", "p50 ms", "p95 ms", "by engine", "p50 ms", "p95 ms"
    )
    for name in ("idle", "ten a second", "along"):
        row = found[name]
        columns = ("keys", "answered", "superseded", "shown", "p50_ms", "p95_ms")
        columns += ("by_engine", "engine_p50_ms", "engine_p95_ms")
        table.add_row(name, *(str(row[column]) for column in columns))
    console.print(table)
    console.print(
        f"{found['model']['model']} on {found['model']['device']}, up to {context_tokens} tokens of context; "
        f"{found['cores']} cores at a load of {found['load']:.1f}. "
        f"Cold: initialize {found['initialize_ms']:.0f} ms, model ready {found['ready_ms']:.0f} ms, "
        f"first answer {found['first_ms']:.0f} ms."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, default=FILE, help="the file in which is typed")
    parser.add_argument("--keys", type=int, default=150, help="keystrokes of each way")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--context-tokens", type=int, default=512)
    parser.add_argument("--server-url", help="measure a team server (its token in CODA_SERVER_TOKEN)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    options: dict[str, Any] = {"model": arguments.model, "contextTokens": arguments.context_tokens}
    if arguments.server_url:
        options |= {"serverUrl": arguments.server_url, "serverToken": os.environ.get("CODA_SERVER_TOKEN")}
    found = asyncio.run(measure(arguments.file, arguments.keys, options))
    if arguments.json:
        found["options"].pop("serverToken", None)
        print(json.dumps(found, indent=2))
    else:
        show(found, arguments.context_tokens)


if __name__ == "__main__":
    main()
