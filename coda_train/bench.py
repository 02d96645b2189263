"""How fast a preset trains on this machine: the whole step, with its data on the way, on random tokens."""

import resource
import statistics
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from coda_train.config import TrainConfig
from coda_train.data.infilling import TokenIds
from coda_train.flops import chip_of, mfu, step_flops
from coda_train.model import resolve
from coda_train.optimizer import make_optimizer
from coda_train.sharding import Layout
from coda_train.step import init_state, make_steps, make_targets, param_shapes, report

_IDS = TokenIds(pad=0, end=1, mask=2, expand=3, delete=4)
_DOCUMENTS = 4
"""In a row of packed documents, so that segments are part of what is measured."""


@dataclass(frozen=True)
class Bench:
    """Medians over the measured steps; per second of all devices together."""

    device: str
    devices: int
    mesh: dict[str, int]
    attention: str
    parameters: int
    batch_size: int
    length: int
    steps: int
    compile_s: float
    step_s: float
    tokens_per_s: float
    target_share: float
    """Of the tokens: those with a loss."""
    flops_per_step: float
    mfu: float | None
    """None where the device's peak is not known."""
    peak_bytes: int
    """Of one device's memory, or of the process on a CPU."""
    loss: float


def bench(config: TrainConfig, layout: Layout, steps: int, warm_up: int = 3) -> Bench:
    """Train on random tokens and measure: moving the batch, noise, forward, backward, optimizer, metrics.

    Args:
        config: of any stage.
        layout: the devices.
        steps: to measure.
        warm_up: to leave out after the first, which compiles.
    """
    optimizer = make_optimizer(config.optimizer, param_shapes(config))
    state = init_state(config, optimizer, layout)
    train_step, _ = make_steps(config, optimizer, layout)
    with_targets = make_targets(config, _IDS, layout)
    probabilities = np.asarray(config.noise.probabilities(0.5), np.float32)
    rng, size = np.random.default_rng(0), config.stage.batch_size
    held, key = len(layout.process_rows(size)), jax.random.key(0)

    def step(number: int) -> tuple[float, dict[str, Any]]:
        nonlocal state
        began = time.monotonic()
        rows = layout.place(_random_rows(config, held, rng), size)
        batch = with_targets(jax.random.fold_in(key, number), rows, probabilities)
        state, values = train_step(state, batch, np.float32(1e-5))
        return time.monotonic() - began, values

    began = time.monotonic()
    jax.block_until_ready(step(0))
    compile_s = time.monotonic() - began
    for number in range(1, warm_up + 1):
        jax.block_until_ready(step(number))
    ends, rows, sent = [time.monotonic()], [], None
    for number in range(warm_up + 1, warm_up + 1 + steps):
        _, values = step(number)
        if sent is not None:  # as the loop does it: the step before is read while this one runs
            rows.append(report(sent))
            ends.append(time.monotonic())
        sent = values
    assert sent is not None
    rows.append(report(sent))
    ends.append(time.monotonic())

    step_s = statistics.median(np.diff(ends).tolist())
    tokens = size * config.stage.length
    targets = statistics.mean(row["targets"] for row in rows)
    flops = step_flops(config.model, tokens, config.stage.length, targets)
    device = layout.mesh.devices.flat[0]
    return Bench(
        device=device.device_kind,
        devices=layout.mesh.size,
        mesh=dict(layout.mesh.shape),
        attention=resolve(config.model, layout.platform).attention,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        batch_size=size,
        length=config.stage.length,
        steps=steps,
        compile_s=compile_s,
        step_s=step_s,
        tokens_per_s=tokens / step_s,
        target_share=targets / tokens,
        flops_per_step=flops,
        mfu=mfu(flops / step_s, device.device_kind, layout.mesh.size),
        peak_bytes=_peak_bytes(device),
        loss=rows[-1]["loss"],
    )


def formula(result: Bench) -> str:
    """How the MFU comes about, in words and numbers."""
    chip = chip_of(result.device)
    text = (
        "model FLOPs a step = 3 x (tokens x layers x (2 x weights of a layer + 4 x length x heads x head_dim) "
        f"+ targets x 2 x hidden x vocabulary) = {result.flops_per_step:.4g}"
    )
    if chip is None:
        return f"{text}; no MFU, for the peak of {result.device} is not known"
    return f"{text}; MFU = that / ({result.step_s:.4g} s x {result.devices} x {chip.flops / 1e12:.0f} TFLOP/s)"


def _random_rows(config: TrainConfig, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What the loader of the stage's batches gives, with random tokens."""
    shape = (rows, config.stage.length)
    tokens = rng.integers(5, config.model.vocab_size, shape, np.int32)
    one = np.ones(shape, np.int32)
    if config.stage.batches == "infill":
        masked = rng.random(shape) < 0.1
        inputs = np.where(masked, _IDS.mask, tokens).astype(np.int32)
        return {"inputs": inputs, "targets": tokens, "weights": masked * np.float32(10), "segment_ids": one}
    prompt = np.broadcast_to(np.arange(shape[1]) < shape[1] // 4, shape)
    if config.stage.batches == "chat":
        return {"tokens": tokens, "segment_ids": one, "maskable": ~prompt, "prompt": prompt}
    documents = np.broadcast_to(1 + np.arange(shape[1]) * _DOCUMENTS // shape[1], shape).astype(np.int32)
    return {"tokens": tokens, "segment_ids": documents, "maskable": np.ones(shape, bool)}


def _peak_bytes(device: Any) -> int:
    stats = device.memory_stats() if device.platform != "cpu" else None
    return stats["peak_bytes_in_use"] if stats else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
