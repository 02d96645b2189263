"""What the engine's process says about itself: JSON lines for the program that started it, or a panel for a person."""

import json
import logging
import sys

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

logger = logging.getLogger(__name__)


class Announcer:
    """Write each event as one JSON line on standard output, or for a person on standard error."""

    def __init__(self, json_lines: bool) -> None:
        self._json_lines = json_lines
        self._console = Console(stderr=True, highlight=False)

    def listening(self, url: str, token: str, pid: int) -> None:
        if self._json_lines:
            self._line(event="listening", url=url, token=token, pid=pid)
        else:
            body = f"[bold]URL[/]    {escape(url)}\n[bold]Token[/]  {escape(token)}"
            self._console.print(Panel(body, title="coda-model serve", title_align="left", expand=False))
            ask = f"curl -H 'Authorization: Bearer {token}' {url}/v1/health"
            self._console.print(f"[dim]{escape(ask)}[/]", soft_wrap=True)
            self._console.print("Loading the model … (Ctrl-C stops)")

    def ready(self, model: str, device: str, load_ms: float) -> None:
        if self._json_lines:
            self._line(event="ready", model=model, device=device, load_ms=round(load_ms, 1))
        else:
            self._console.print(f"[green]Ready[/]: {escape(model)} on {escape(device)}, loaded in {load_ms:.0f} ms.")

    def error(self, message: str) -> None:
        if self._json_lines:
            self._line(event="error", message=message)
        self._console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)

    def warning(self, message: str) -> None:
        self._console.print(f"[bold yellow]warning:[/] {escape(message)}", soft_wrap=True)

    def _line(self, **event: object) -> None:
        try:
            sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        except OSError as error:  # the reader has gone; --exit-with-parent is what ends the process then
            logger.warning("Standard output is closed: %s", error)
