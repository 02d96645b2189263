"""`coda-model bench`: ways to fill the same holes with the same weights on the same machine, side by side.

Where the length of a hole is to be found, the ways that cannot find it are given the true one; each row says which.
"""

import asyncio
import importlib
import importlib.util
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coda_model.bench_holes import BenchHole, Kind, Length, cut_lines, cut_spans
from coda_model.bench_ways import (
    Sample,
    autoregressive,
    cancel_to_idle,
    cold_start_ms,
    held_mb,
    infill,
    keystroke,
    memory_of_documents_mb,
    released,
)
from coda_model.config import ModelConfig
from coda_model.errors import CodaError, InputError
from coda_model.infill import Infiller
from coda_model.locate import locate_checkpoint
from coda_model.placement import INT8, resolve_device, resolve_format
from coda_model.quantize import use_int8
from coda_model.request import InfillOptions
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer


@dataclass(frozen=True)
class Settings:
    """What is measured. `length` is the true one (`oracle`), one to be found (`auto`), or a number of tokens; `kind`
    `span` cuts `tokens` tokens anywhere, `line` the rest of a code line."""

    holes: int = 10
    kind: Kind = "span"
    length: Length = "oracle"
    tokens: int = 32
    context_tokens: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"kind must be span or line, not {self.kind!r}.")


@dataclass(frozen=True)
class Quality:
    """Shares of holes: filled exactly as they were, parsing with the fill (of those that do not without), filled as by
    exact steps; and the mean edit similarity."""

    exact_match: float
    similarity: float
    parses: float | None
    same_as_exact: float


@dataclass(frozen=True)
class Row:
    """One way of filling, over all holes. Times in ms: of the clock (p50, p95) and of the processor (p50).

    `quality` is None where the weights are random or the way is no infilling.
    """

    way: str
    length: str
    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float
    steps: float
    tokens_per_step: float
    quality: Quality | None


@dataclass(frozen=True)
class Report:
    """`cancel_ms` is from a cancel to the engine's being idle, beside the step it waited for; `cold_start_ms` from the
    start of a process to its answer (None for random weights); `peak_memory_mb` of this process, or of a CUDA device;
    `documents_memory_mb` what it grew by while four documents were filled and kept."""

    model: dict[str, Any]
    settings: Settings
    threads: int
    rows: list[Row]
    ratios_to_released: dict[str, float]
    cancel_ms: float
    cancelled_step_ms: float
    cold_start_ms: float | None
    weights_mb: float
    documents_memory_mb: float
    peak_memory_mb: float


# Files every Python has, long enough for holes with context on both sides.
_DEFAULT_MODULES = ("argparse", "difflib", "pathlib", "tarfile", "zipfile")
KEPT_DOCUMENTS = 4


def run_bench(
    files: Sequence[Path] | None, model: str | None, device: str, dtype: str, settings: Settings, threads: int | None
) -> Iterator[str | Report]:
    """Load `model` (None for random weights of CoDA-1.7B's shape) and measure; yields what is under way, then the
    report. Raises CodaError where the model or a file does not serve."""
    if importlib.util.find_spec("rapidfuzz") is None:
        raise CodaError("Fills are compared with the library rapidfuzz: pip install 'coda-lsp[eval]' brings it.")
    if threads is not None:
        torch.set_num_threads(threads)
    if not files:
        files = [Path(str(importlib.import_module(name).__file__)) for name in _DEFAULT_MODULES]
    if model is None:
        infiller = random_infiller(device, dtype)
    else:
        infiller = Infiller.from_pretrained(model, device, dtype, KEPT_DOCUMENTS, fastest_threads=threads is None)
    if settings.kind == "line":
        cut = cut_lines(files, settings.holes, settings.seed, infiller.tokenizer)
    else:
        cut = cut_spans(files, settings.holes, settings.tokens, infiller.tokenizer)
    cold = None if model is None else partial(cold_start_ms, model, device, dtype, files[0])
    yield from bench(infiller, cut, settings, cold)


def show_report(report: Report) -> RenderableType:
    """A table of the ways, and what holds for all of them."""
    numbers = ("p50 ms", "p95", "CPU", "steps", "a step", "exact", "similar", "parses", "same")
    table = Table("way", "length", *numbers, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in table.columns[2:]:
        column.justify = "right"
    for row in report.rows:
        quality = row.quality
        shares = (quality.exact_match, quality.similarity, quality.parses, quality.same_as_exact) if quality else ()
        table.add_row(
            row.way,
            row.length,
            *[f"{number:.0f}" for number in (row.p50_ms, row.p95_ms, row.cpu_p50_ms, row.steps)],
            f"{row.tokens_per_step:.1f}",
            *["" if share is None else f"{share:.3f}" for share in shares],
        )
    settings = report.settings
    cold = "" if report.cold_start_ms is None else f", cold start {report.cold_start_ms:.0f} ms"
    ratios = ", ".join(f"{way} {ratio:.1f}x" for way, ratio in report.ratios_to_released.items())
    facts = (
        f"{report.model['model']} on {report.model['device']} in {report.model['dtype']}, {report.threads} threads: "
        f"{settings.holes} holes ({settings.kind}, {settings.length} length) in {settings.context_tokens} tokens of "
        f"context. Exact and similar: to the text that stood there; same: as by exact steps. "
        f"Processor time less than released: {ratios}. Cancel to idle {report.cancel_ms:.1f} ms, where a step "
        f"takes {report.cancelled_step_ms:.1f} ms{cold}. Weights {report.weights_mb:.0f} MB, "
        f"{report.documents_memory_mb:.0f} MB more for {KEPT_DOCUMENTS} documents, peak {report.peak_memory_mb:.0f} MB."
    )
    return Group(table, Text(facts, style="dim", overflow="fold"))


def random_infiller(device: str, dtype: str) -> Infiller:
    """CoDA-1.7B's shape (the defaults of ModelConfig) with random weights and the bundled model's tokenizer."""
    place = resolve_device(device)
    number_format = resolve_format(dtype, place)
    config = ModelConfig()
    with torch.device("meta"):
        model = CodaTransformer(config)
    model = model.to(number_format.dtype).to_empty(device=place)
    for parameter in model.requires_grad_(False).parameters():
        parameter.normal_(std=0.02) if parameter.dim() > 1 else parameter.fill_(1.0)
    if number_format.name == INT8:
        use_int8(model)
    tokenizer = CodeTokenizer.from_folder(locate_checkpoint("bundled"), config.vocab_size)
    return Infiller(model.eval(), tokenizer, "random-1.7b", "", KEPT_DOCUMENTS, number_format)


def bench(
    infiller: Infiller, holes: Sequence[BenchHole], settings: Settings, cold_start: Callable[[], float] | None
) -> Iterator[str | Report]:
    """Measure; yields the name of each way before it runs, and the report at last."""
    length = settings.length
    most = max(hole.asked(length).length or hole.asked(length).max_tokens for hole in holes)
    context = min(settings.context_tokens, infiller.model.config.max_position_embeddings - most)
    default = InfillOptions(context_tokens=context)
    exact = InfillOptions(context_tokens=context, refresh=1, algorithm="entropy")
    fresh = Infiller(infiller.model, infiller.tokenizer, infiller.name, infiller.path)
    ways: dict[str, Callable[[], list[Sample]]] = {
        "released": lambda: [released(fresh, hole, length, context) for hole in holes],
        "exact": lambda: [infill(fresh, hole, length, exact) for hole in holes],
        "default": lambda: [infill(fresh, hole, length, default) for hole in holes],
        "keystroke": lambda: [keystroke(infiller, hole, length, default) for hole in holes],
        "autoregressive": lambda: autoregressive(fresh, holes, length, context),
    }
    device = infiller.model.model.norm.weight.device
    yield "warming up"
    infill(fresh, holes[0], length, default)
    yield "four documents"
    documents_mb = memory_of_documents_mb(infiller, _documents(holes), length, context)
    samples = {}
    for way, run in ways.items():
        yield way
        samples[way] = run()
    yield "cancel"
    cancel_ms, step_ms = asyncio.run(cancel_to_idle(fresh, holes[0], context))
    yield "cold start"
    cold_ms = cold_start() if cold_start is not None else None
    rows = [_row(way, samples, holes, length, bool(infiller.path)) for way in ways]
    yield Report(
        model=infiller.info(),
        settings=settings,
        threads=torch.get_num_threads(),
        rows=rows,
        ratios_to_released={row.way: rows[0].cpu_p50_ms / row.cpu_p50_ms for row in rows[1:]},
        cancel_ms=cancel_ms,
        cancelled_step_ms=step_ms,
        cold_start_ms=cold_ms,
        weights_mb=_weights_mb(infiller),
        documents_memory_mb=documents_mb,
        peak_memory_mb=held_mb(device),
    )


def _documents(holes: Sequence[BenchHole]) -> list[BenchHole]:
    """As many holes as documents are kept, from one place each."""
    return [holes[i * len(holes) // KEPT_DOCUMENTS] for i in range(min(KEPT_DOCUMENTS, len(holes)))]


def _weights_mb(infiller: Infiller) -> float:
    number_format = infiller.number_format
    size = 1 if number_format.name == INT8 else number_format.dtype.itemsize
    return infiller.model.config.parameters * size / 2**20


def _row(way: str, samples: dict[str, list[Sample]], holes: Sequence[BenchHole], length: Length, trained: bool) -> Row:
    """Sum up a way."""
    own = samples[way]
    walls = sorted(sample.wall_ms for sample in own)
    steps = statistics.mean(sample.steps for sample in own)
    finds = length == "auto" and way not in ("released", "autoregressive")
    quality = None
    if trained and way != "autoregressive":
        quality = _quality([s.fill for s in own], [s.fill for s in samples["exact"]], holes)
    return Row(
        way=way,
        length="auto" if finds else ("oracle" if length == "auto" else str(length)),
        p50_ms=statistics.median(walls),
        p95_ms=walls[min(int(len(walls) * 0.95), len(walls) - 1)],
        cpu_p50_ms=statistics.median(sample.cpu_ms for sample in own),
        steps=steps,
        tokens_per_step=statistics.mean(hole.count(length) for hole in holes) / steps,
        quality=quality,
    )


def _quality(fills: Sequence[str], exact_fills: Sequence[str], holes: Sequence[BenchHole]) -> Quality:
    # Here and not above: they bring in rapidfuzz, which the service does without.
    from coda_model.evaluate.measures import edit_similarity, exact_match, needs_fill, parses
    from coda_model.evaluate.problems import Problem

    problems = [
        Problem("", "", hole.prefix, hole.suffix, hole.middle, hole.prefix, hole.suffix, hole.single_line)
        for hole in holes
    ]
    pairs = list(zip(fills, problems, strict=True))
    broken = [parses(problem, fill) for fill, problem in pairs if needs_fill(problem)]
    return Quality(
        exact_match=statistics.mean(exact_match(fill, one.reference, one.single_line) for fill, one in pairs),
        similarity=statistics.mean(edit_similarity(fill, one.reference) for fill, one in pairs),
        parses=statistics.mean(broken) if broken else None,
        same_as_exact=statistics.mean(map(str.__eq__, fills, exact_fills)),
    )
