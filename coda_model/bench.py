"""`coda-model bench`: ways to fill the same holes with the same weights on the same machine, side by side.

Every way is given the true number of tokens, so that all of them produce as many: the similarities to what stood in the
hole are those of an oracle length, and compare the ways with each other, not with other models.
"""

import asyncio
import importlib
import resource
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coda_model.bench_ways import (
    BenchHole,
    Sample,
    autoregressive,
    cancel_to_idle,
    cold_start_ms,
    infill,
    keystroke,
    released,
)
from coda_model.config import ModelConfig
from coda_model.errors import InputError
from coda_model.infill import Infiller
from coda_model.locate import locate_checkpoint
from coda_model.placement import resolve_device, resolve_format
from coda_model.request import InfillOptions
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer


@dataclass(frozen=True)
class Row:
    """One way of filling, over all holes. Times in ms: of the clock (p50, p95) and of the processor (p50).

    `similarity` is the mean edit ratio with the text that stood there, `same_as_exact` the share of fills that equal
    those of exact steps; both are None where the weights are random or the way is no infilling.
    """

    way: str
    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float
    steps: float
    tokens_per_step: float
    similarity: float | None
    same_as_exact: float | None


@dataclass(frozen=True)
class Report:
    """`cancel_ms` is from a cancel to the engine's being idle; `cold_start_ms` from the start of a process to its
    answer (None for random weights); `peak_memory_mb` is of this process, and of the device where it is CUDA."""

    model: dict[str, Any]
    holes: int
    hole_tokens: int
    context_tokens: int
    threads: int
    rows: list[Row]
    cancel_ms: float
    cold_start_ms: float | None
    peak_memory_mb: float


# Files every Python has, long enough for holes with context on both sides.
_DEFAULT_MODULES = ("argparse", "difflib", "pathlib", "tarfile", "zipfile")


def run_bench(
    files: Sequence[Path] | None,
    model: str | None,
    device: str,
    dtype: str,
    holes: int,
    tokens: int,
    context: int,
    threads: int | None,
) -> Iterator[str | Report]:
    """Load `model` (None for random weights of CoDA-1.7B's shape) and measure; yields what is under way, then the
    report. Raises CodaError where the model or a file does not serve."""
    if threads is not None:
        torch.set_num_threads(threads)
    if not files:
        files = [Path(str(importlib.import_module(name).__file__)) for name in _DEFAULT_MODULES]
    if model is None:
        infiller = random_infiller(device, dtype)
    else:
        infiller = Infiller.from_pretrained(model, device, dtype, kept_documents=1)
    cut = cut_holes(files, holes, tokens, infiller.tokenizer)
    cold = None if model is None else partial(cold_start_ms, model, device, dtype, files[0])
    yield from bench(infiller, cut, tokens, context, cold)


def show_report(report: Report) -> RenderableType:
    """A table of the ways, and what holds for all of them."""
    table = Table("way", "p50 ms", "p95 ms", "CPU ms", "steps", "tokens/step", "similar", "as exact")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in report.rows:
        numbers = [row.p50_ms, row.p95_ms, row.cpu_p50_ms, row.steps]
        shares = ["" if share is None else f"{share:.2f}" for share in (row.similarity, row.same_as_exact)]
        table.add_row(row.way, *[f"{number:.0f}" for number in numbers], f"{row.tokens_per_step:.1f}", *shares)
    cold = "" if report.cold_start_ms is None else f", cold start {report.cold_start_ms:.0f} ms"
    facts = (
        f"{report.model['model']} on {report.model['device']} in {report.model['dtype']}, {report.threads} threads: "
        f"{report.holes} holes of {report.hole_tokens} tokens (oracle length) in {report.context_tokens} of context; "
        f"cancel to idle {report.cancel_ms:.1f} ms{cold}, peak memory {report.peak_memory_mb:.0f} MB"
    )
    return Group(table, Text(facts, style="dim", overflow="fold"))


def random_infiller(device: str, dtype: str) -> Infiller:
    """CoDA-1.7B's shape (the defaults of ModelConfig) with random weights and the bundled model's tokenizer."""
    place, number_format = resolve_device(device), resolve_format(dtype, resolve_device(device))
    config = ModelConfig()
    with torch.device("meta"):
        model = CodaTransformer(config)
    model = model.to(number_format.dtype).to_empty(device=place)
    for parameter in model.requires_grad_(False).parameters():
        parameter.normal_(std=0.02) if parameter.dim() > 1 else parameter.fill_(1.0)
    tokenizer = CodeTokenizer.from_folder(locate_checkpoint("bundled"), config.vocab_size)
    return Infiller(model.eval(), tokenizer, "random-1.7b", "", kept_documents=1)


def cut_holes(files: Sequence[Path], count: int, tokens: int, tokenizer: CodeTokenizer) -> list[BenchHole]:
    """`count` spans of `tokens` tokens, spread evenly over the files. Raises InputError where a file is too short."""
    holes = []
    for number in range(count):
        file = files[number % len(files)]
        text = file.read_text("utf-8", errors="replace")
        ids = tokenizer.encode(text)
        share = (number // len(files) + 1) / (-(-count // len(files)) + 1)
        start = int(len(ids) * share)
        if start < 8 or start + tokens > len(ids):
            raise InputError(f"{file} has {len(ids)} tokens, too few for a hole of {tokens}.")
        parts = [tokenizer.decode(part) for part in (ids[:start], ids[start : start + tokens], ids[start + tokens :])]
        holes.append(BenchHole(*parts))
    return holes


def bench(
    infiller: Infiller, holes: Sequence[BenchHole], tokens: int, context: int, cold_start: Callable[[], float] | None
) -> Iterator[str | Report]:
    """Measure; yields the name of each way before it runs, and the report at last."""
    context = min(context, infiller.model.config.max_position_embeddings - tokens)
    default = InfillOptions(context_tokens=context)
    exact = InfillOptions(context_tokens=context, refresh=1, algorithm="entropy")
    fresh = Infiller(infiller.model, infiller.tokenizer, infiller.name, infiller.path)
    ways: dict[str, Callable[[], list[Sample]]] = {
        "released": lambda: [released(fresh, hole, tokens, context) for hole in holes],
        "exact": lambda: [infill(fresh, hole, tokens, exact) for hole in holes],
        "default": lambda: [infill(fresh, hole, tokens, default) for hole in holes],
        "keystroke": lambda: [keystroke(infiller, hole, tokens, default) for hole in holes],
        "autoregressive": lambda: autoregressive(fresh, holes, tokens, context),
    }
    yield "warming up"
    infill(fresh, holes[0], tokens, default)
    samples = {}
    for way, run in ways.items():
        yield way
        samples[way] = run()
    yield "cancel"
    cancel_ms = asyncio.run(cancel_to_idle(fresh, holes[0], context))
    yield "cold start"
    cold_ms = cold_start() if cold_start is not None else None
    device = infiller.model.model.embed_tokens.weight.device
    peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else _peak_rss_mb()
    exact_fills = [sample.fill for sample in samples["exact"]]
    rows = [
        _row(way, samples[way], tokens, holes if infiller.path and way != "autoregressive" else None, exact_fills)
        for way in ways
    ]
    yield Report(infiller.info(), len(holes), tokens, context, torch.get_num_threads(), rows, cancel_ms, cold_ms, peak)


def _row(
    way: str, samples: Sequence[Sample], tokens: int, holes: Sequence[BenchHole] | None, exact: Sequence[str]
) -> Row:
    """Sum up a way; `holes` is None where the fills mean nothing."""
    walls = sorted(sample.wall_ms for sample in samples)
    steps = statistics.mean(sample.steps for sample in samples)
    fills = [sample.fill for sample in samples]
    return Row(
        way=way,
        p50_ms=statistics.median(walls),
        p95_ms=walls[min(int(len(walls) * 0.95), len(walls) - 1)],
        cpu_p50_ms=statistics.median(sample.cpu_ms for sample in samples),
        steps=steps,
        tokens_per_step=tokens / steps,
        similarity=None if holes is None else statistics.mean(map(_similarity, fills, (h.middle for h in holes))),
        same_as_exact=None if holes is None else statistics.mean(map(str.__eq__, fills, exact)),
    )


def _similarity(fill: str, middle: str) -> float:
    """Twice the characters in common, in order, over those of both texts; from 0 to 1."""
    return SequenceMatcher(None, fill.strip(), middle.strip(), autojunk=False).ratio()


def _peak_rss_mb() -> float:
    """Peak resident memory of this process; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
