"""The ways of filling a hole that `coda-model bench` compares, each timed by itself."""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from coda_model.bench_holes import BenchHole, Length
from coda_model.engine import Engine
from coda_model.engine_request import Failed, Progress
from coda_model.generate import generate
from coda_model.infill import Infiller
from coda_model.request import Hole, InfillOptions


@dataclass(frozen=True)
class Sample:
    """One hole filled once."""

    fill: str
    steps: int
    wall_ms: float
    cpu_ms: float


def _timed(device: torch.device, run: Callable[[], tuple[str, int]]) -> Sample:
    wall, cpu = time.perf_counter(), time.process_time()
    fill, steps = run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Sample(fill, steps, (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)


def infill(infiller: Infiller, hole: BenchHole, length: Length, options: InfillOptions) -> Sample:
    def run() -> tuple[str, int]:
        result = infiller.fill([hole.prefix, hole.asked(length), hole.suffix], **vars(options))
        return result.candidates[0].fills[0], result.steps

    return _timed(infiller.model.model.embed_tokens.weight.device, run)


def keystroke(infiller: Infiller, hole: BenchHole, length: Length, options: InfillOptions) -> Sample:
    """The request after the prefix's last character was typed, while the one before it was being answered."""
    before = infiller.run([hole.prefix[:-1], hole.asked(length), hole.suffix], options)
    next(before)
    before.close()  # type: ignore[attr-defined]
    return infill(infiller, hole, length, options)


def _context_ids(infiller: Infiller, hole: BenchHole, context: int) -> tuple[list[int], list[int]]:
    before, after = infiller.tokenizer.encode(hole.prefix), infiller.tokenizer.encode(hole.suffix)
    behind = min(len(after), max(context // 3, context - len(before)))
    return before[-(context - behind) :], after[:behind]


def released(infiller: Infiller, hole: BenchHole, length: Length, context: int) -> Sample:
    """Full recomputation with the published schedule, one token a step, at temperature 0."""
    model, tokens = infiller.model, hole.count(length)
    device = model.model.embed_tokens.weight.device
    before, after = _context_ids(infiller, hole, context)
    ids = torch.tensor([[*before, *[model.config.mask_token_id] * tokens, *after]], device=device)

    def run() -> tuple[str, int]:
        filled = generate(model, ids, max_new_tokens=0, steps=tokens, temperature=0.0, top_p=None)
        return infiller.tokenizer.decode(filled[0, len(before) : len(before) + tokens].tolist()), tokens

    return _timed(device, run)


def autoregressive(infiller: Infiller, holes: Sequence[BenchHole], length: Length, context: int) -> list[Sample]:
    """A causal Qwen3 of the same shape (random weights) in transformers, with its K/V cache and as many tokens."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    shape = infiller.model.config.to_dict()
    weight = infiller.model.model.norm.weight
    config = Qwen3Config(**{key: value for key, value in shape.items() if key not in ("architectures", "model_type")})
    config.use_cache = True
    with weight.device:
        peer = Qwen3ForCausalLM._from_config(config, dtype=weight.dtype).eval()

    def fill(hole: BenchHole) -> Sample:
        before, after = _context_ids(infiller, hole, context)
        ids = torch.tensor([[*before, *after]], device=weight.device)
        tokens = hole.count(length)

        def run() -> tuple[str, int]:
            peer.generate(  # pyrefly: ignore[bad-argument-type]
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                pad_token_id=infiller.model.config.pad_token_id,
            )
            return "", tokens

        return _timed(weight.device, run)

    fill(holes[0])
    return [fill(hole) for hole in holes]


def memory_of_documents_mb(infiller: Infiller, holes: Sequence[BenchHole], length: Length, context: int) -> float:
    """What the process (or the CUDA device) holds more at its highest, after the holes were filled as documents that
    are kept, than before."""
    device = infiller.model.model.norm.weight.device
    before = held_mb(device)
    for hole in holes:
        infill(infiller, hole, length, InfillOptions(context_tokens=context))
    return held_mb(device) - before


def held_mb(device: torch.device) -> float:
    """Peak memory in MB: of the CUDA device, else of this process (Linux counts it in KiB, macOS in bytes)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


async def cancel_to_idle(infiller: Infiller, hole: BenchHole, context: int) -> tuple[float, float]:
    """The time from a request's cancel, in the middle of its steps, to the engine's last word on it, and that of the
    step before it; both in ms."""
    engine = Engine(lambda: infiller)
    engine.start()
    await asyncio.wrap_future(engine.loaded)
    asked = [hole.prefix, Hole(length=64), hole.suffix]
    request = engine.submit(asked, InfillOptions(context_tokens=context - 64, refresh=1, algorithm="entropy"))
    times_s = []
    cancelled_s = 0.0
    async for event in request.events():
        if isinstance(event, Progress | Failed):
            times_s.append(time.perf_counter())
        if len(times_s) == 3 and not cancelled_s:
            request.cancel()
            cancelled_s = time.perf_counter()
    engine.stop()
    return (times_s[-1] - cancelled_s) * 1e3, (times_s[2] - times_s[1]) * 1e3


def cold_start_ms(model: str, device: str, dtype: str, file: Path) -> float:
    """From the start of `coda-model infill` to its end, with an answer."""
    command = [sys.executable, "-m", "coda_model", "infill", str(file), "--line", "1", "--column", "0"]
    started = time.perf_counter()
    subprocess.run(
        [*command, "--model", model, "--device", device, "--dtype", dtype], check=True, stdout=subprocess.DEVNULL
    )
    return (time.perf_counter() - started) * 1e3
