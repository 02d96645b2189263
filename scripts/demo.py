"""`make demo`: the main job from end to end, on the bundled model, offline.

Starts the real language server over stdio, drives it with a real LSP client (pygls'), asks for an inline completion in
the middle of a method, then rewrites three lines with "Fill selection with CoDA", and prints the file before and after.
Exits with status 1, and says why, when the server gives no suggestion. `--save-svg FILE` keeps a picture of the
terminal: the README's is made so.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import sys
import time
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

EXAMPLE = Path(__file__).parent.parent / "examples" / "account.py"
CURSOR_AFTER = "        return "  # the line that is not finished yet
SELECTED = ("    result = 0", "        result += account.balance")  # first and last of the three lines
READY_TIMEOUT_S = 120.0

console = Console(record=True)


def position_after(lines: list[str], line_text: str) -> lsp.Position:
    """End of the first line that is exactly `line_text`; 0-based line, UTF-16 column (the example is ASCII)."""
    return lsp.Position(line=lines.index(line_text), character=len(line_text))


def apply_edits(text: str, edits: list[lsp.TextEdit]) -> str:
    """The text after non-overlapping edits; columns are counted as in ASCII text."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(position: lsp.Position) -> int:
        return min(starts[position.line] + position.character, len(text))

    for edit in sorted(edits, key=lambda edit: offset(edit.range.start), reverse=True):
        text = text[: offset(edit.range.start)] + edit.new_text + text[offset(edit.range.end) :]
    return text


def show(title: str, before: str, after: str, note: str) -> None:
    """The changed region as a coloured diff, four lines of context around it."""
    diff = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=4, lineterm=""))[2:]
    body = Text()
    for line in diff:
        style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "")
        body.append(line + "\n", style=style)
    console.print(Panel(body or Text("(no change)"), title=title, subtitle=note, expand=False))


class Demo:
    """One editing session: the client, the document as the editor sees it, and the engine's last state."""

    def __init__(self) -> None:
        self.client = LanguageClient("coda-demo", "1")
        self.uri = EXAMPLE.as_uri()
        self.text = EXAMPLE.read_text(encoding="utf-8")
        self.version = 1
        self.ready = asyncio.Event()
        self.failure: str | None = None

        @self.client.feature("coda/status")
        def on_status(status: Any) -> None:
            if status.state == "error":
                self.failure = status.message
            if status.state in ("ready", "error"):
                self.ready.set()

        @self.client.feature(lsp.WINDOW_SHOW_MESSAGE)
        def on_message(message: lsp.ShowMessageParams) -> None:
            console.print(f"[yellow]server:[/] {message.message}")

        @self.client.feature(lsp.WINDOW_LOG_MESSAGE)
        def on_log(message: lsp.LogMessageParams) -> None:
            """The server's log is not part of the demo."""

        @self.client.feature(lsp.WINDOW_WORK_DONE_PROGRESS_CREATE)
        def on_create(params: lsp.WorkDoneProgressCreateParams) -> None:
            """Accepted: progress is only counted here."""

        @self.client.feature(lsp.PROGRESS)
        def on_progress(params: lsp.ProgressParams) -> None:
            """The editor would draw a bar."""

    async def start(self) -> None:
        started = time.perf_counter()
        await self.client.start_io(sys.executable, "-m", "coda_lsp", "--stdio")
        answer = await self.client.initialize_async(
            lsp.InitializeParams(
                process_id=None,
                root_uri=EXAMPLE.parent.as_uri(),
                capabilities=lsp.ClientCapabilities(
                    workspace=lsp.WorkspaceClientCapabilities(
                        workspace_edit=lsp.WorkspaceEditClientCapabilities(document_changes=True)
                    ),
                    text_document=lsp.TextDocumentClientCapabilities(
                        inline_completion=lsp.InlineCompletionClientCapabilities(),
                        code_action=lsp.CodeActionClientCapabilities(
                            data_support=True,
                            resolve_support=lsp.ClientCodeActionResolveOptions(properties=["edit"]),
                            code_action_literal_support=lsp.ClientCodeActionLiteralOptions(
                                code_action_kind=lsp.ClientCodeActionKindOptions(value_set=["", "refactor.rewrite"])
                            ),
                        ),
                    ),
                    window=lsp.WindowClientCapabilities(work_done_progress=True),
                    experimental={"codaStatus": True},
                ),
            )
        )
        initialize_ms = 1000 * (time.perf_counter() - started)
        name = answer.server_info.name if answer.server_info else "server"
        console.print(f"{name} answered [b]initialize[/] after {initialize_ms:.0f} ms (process start included)")
        self.client.initialized(lsp.InitializedParams())
        self.client.text_document_did_open(
            lsp.DidOpenTextDocumentParams(
                lsp.TextDocumentItem(uri=self.uri, language_id="python", version=1, text=self.text)
            )
        )
        try:
            await asyncio.wait_for(self.ready.wait(), READY_TIMEOUT_S)
        except TimeoutError:
            raise SystemExit(f"the engine was not ready after {READY_TIMEOUT_S:.0f} s") from None
        if self.failure:
            raise SystemExit(f"the engine could not start: {self.failure}")
        console.print(f"engine ready after {1000 * (time.perf_counter() - started):.0f} ms")

    def change(self, text: str) -> None:
        self.text, self.version = text, self.version + 1
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version),
                [lsp.TextDocumentContentChangeWholeDocument(text=text)],
            )
        )

    async def inline_completion(self) -> None:
        cursor = position_after(self.text.split("\n"), CURSOR_AFTER)
        started = time.perf_counter()
        answer = await self.client.text_document_inline_completion_async(
            lsp.InlineCompletionParams(
                context=lsp.InlineCompletionContext(trigger_kind=lsp.InlineCompletionTriggerKind.Invoked),
                text_document=lsp.TextDocumentIdentifier(self.uri),
                position=cursor,
            )
        )
        latency_ms = 1000 * (time.perf_counter() - started)
        items = answer.items if isinstance(answer, lsp.InlineCompletionList) else answer or []
        if not items:
            raise SystemExit("no inline completion came back; `coda-lsp doctor` tells why")
        insert = items[0].insert_text
        edit = lsp.TextEdit(
            range=items[0].range or lsp.Range(cursor, cursor),
            new_text=insert if isinstance(insert, str) else insert.value,
        )
        before = self.text
        self.change(apply_edits(before, [edit]))
        show("inline completion", before, self.text, f"{latency_ms:.0f} ms from request to answer")

    async def fill_selection(self) -> None:
        lines = self.text.split("\n")
        selection = lsp.Range(
            lsp.Position(line=lines.index(SELECTED[0]), character=0), position_after(lines, SELECTED[1])
        )
        started = time.perf_counter()
        actions = await self.client.text_document_code_action_async(
            lsp.CodeActionParams(
                text_document=lsp.TextDocumentIdentifier(self.uri),
                range=selection,
                context=lsp.CodeActionContext(diagnostics=[]),
            )
        )
        action = next((a for a in actions or [] if a.title == "Fill selection with CoDA"), None)
        if not isinstance(action, lsp.CodeAction):
            raise SystemExit("the server offered no “Fill selection with CoDA”")
        resolved = await self.client.code_action_resolve_async(action)
        latency_ms = 1000 * (time.perf_counter() - started)
        edits = [
            lsp.TextEdit(range=edit.range, new_text=edit.new_text)
            for change in (resolved.edit.document_changes or [] if resolved.edit else [])
            if isinstance(change, lsp.TextDocumentEdit)
            for edit in change.edits
            if isinstance(edit, lsp.TextEdit)
        ]
        if not edits:
            raise SystemExit("“Fill selection with CoDA” gave no edit")
        before = self.text
        self.change(apply_edits(before, edits))
        show("fill selection", before, self.text, f"{latency_ms:.0f} ms from request to edit")

    async def stop(self) -> None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()


async def main() -> None:
    demo = Demo()
    console.print(Panel(Syntax(demo.text.rstrip(), "python", line_numbers=True), title="before", expand=False))
    await demo.start()
    await demo.inline_completion()
    await demo.fill_selection()
    console.print(Panel(Syntax(demo.text.rstrip(), "python", line_numbers=True), title="after", expand=False))
    await demo.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--save-svg", type=Path, metavar="FILE", help="keep a picture of the terminal")
    arguments = parser.parse_args()
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if arguments.save_svg:
        console.save_svg(str(arguments.save_svg), title="make demo")
