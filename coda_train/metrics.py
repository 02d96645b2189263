"""What a run says: a line every few steps, a progress bar on a terminal, `metrics.jsonl`, and the dashboards."""

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from coda_train.dashboards import Dashboard
from coda_train.files import write_whole

BUCKETS = 4
"""Noise levels are reported in this many equal ranges."""


class Metrics:
    """Writes metrics of one run; use as a context manager."""

    def __init__(
        self, run: Path, console: Console, stage: str, resumed_from: int = 0, dashboards: Sequence[Dashboard] = ()
    ):
        # The processes of one run see the same numbers: the first one writes.
        self._path = run / "metrics.jsonl" if jax.process_index() == 0 else Path(os.devnull)
        self._dashboards = dashboards
        self._console = console
        _forget_after(self._path, resumed_from)
        self._file = self._path.open("a", encoding="utf-8")
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(stage, total=1.0, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()
        self._file.close()
        for dashboard in self._dashboards:
            dashboard.close()

    def say(self, text: str) -> None:
        """One line for the person."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def train(self, step: int, progress: float, values: dict[str, Any], eta_s: float) -> None:
        """Report a training step."""
        self._write(step, "train", values)
        parts = [
            f"step {step}  loss {values['loss']:.4f}",
            f"nll {values['nll']:.3f}{_by_noise(values['nll_by_noise'])}",
            f"grad {values['grad_norm']:.2f}  lr {values['lr']:.2e}  {values['tokens_per_s']:,.0f} tok/s",
            *([f"mfu {values['mfu']:.1%}"] if values.get("mfu") is not None else []),
            f"eta {_clock(eta_s)}",
        ]
        self.say("  ".join(parts))
        self._bar.update(self._task, completed=progress, note=f"loss {values['loss']:.3f} eta {_clock(eta_s)}")

    def held_out(self, step: int, values: dict[str, Any]) -> None:
        """Report an evaluation on held-out text."""
        self._write(step, "held_out", values)
        parts = [f"step {step}  held-out loss {values['loss']:.4f}", f"nll {values['nll']:.3f}"]
        if "elbo" in values:
            parts.append(f"elbo {values['elbo']:.3f} ({' '.join(f'{nll:.2f}' for nll in values['nll_at'])})")
        if "fill_exact" in values:
            parts.append(f"exact lines {values['fill_exact']:.1%} ({values['fill_length']} length)")
        self.say("  ".join(parts))
        for fill in values.get("fills", ()):
            self.say(f"    {fill}")

    def _write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        rounded = {key: _rounded(value) for key, value in values.items()}
        row = {"step": step, "kind": kind, **rounded, "time": round(time.time(), 1)}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for dashboard in self._dashboards:
            dashboard.write(step, {f"{kind}/{key}": value for key, value in values.items()})


def _forget_after(path: Path, step: int) -> None:
    """Drop the rows of steps that a resumed run will do again."""
    if path.is_file():
        rows = [line for line in path.read_text("utf-8").splitlines() if line and _step(line) <= step]
        write_whole(path, "".join(f"{row}\n" for row in rows))


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return math.inf  # a line cut short by a kill


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _by_noise(means: list[float]) -> str:
    """The cross-entropy by noise level, low to high; a level without targets reads 0 and shows as a dash."""
    if sum(map(bool, means)) < 2:
        return ""  # a causal model has one level alone
    return f" ({' '.join(f'{mean:.2f}' if mean else '-' for mean in means)})"


def _clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "--:--"
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
