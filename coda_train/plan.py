"""The train step compiled ahead of time for a TPU slice, with no TPU present: does it fit, and how fast could it be?"""

import math
import os
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from coda_train.config import TrainConfig
from coda_train.errors import ConfigError, TrainingError
from coda_train.flops import chip_of, step_flops
from coda_train.hlo import Collective, collectives, program_flops
from coda_train.optimizer import make_optimizer
from coda_train.sharding import check_layout, make_layout
from coda_train.step import make_steps, param_shapes, state_shapes

TARGET_SHARE = 0.5
"""Of the tokens of a batch: what uniform noise levels mask on average."""

_QUIET = {
    # No TPU and no metadata server of a cloud here: say so, or libtpu looks for them and complains.
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v4-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_MIN_LOG_LEVEL": "4",
    "TPU_STDERR_LOG_LEVEL": "4",
    "TF_CPP_MIN_LOG_LEVEL": "4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # nothing here takes hold of a TPU, so several plans may run at once
    "JAX_PLATFORMS": "cpu",
}
_VARIANTS = {"v4": {"chip_config_name": "megacore"}}
"""Both cores of a v4 chip as one device, as JAX runs on one."""


@dataclass(frozen=True)
class Roofline:
    """Seconds that one step takes at least, by what limits it; the step takes as long as the longest."""

    compute_s: float
    memory_s: float
    """Every argument read, every result written, every temporary byte written and read once."""
    links_s: float
    """Collectives at the full bandwidth of a chip's links, none hidden behind computation."""

    @property
    def step_s(self) -> float:
        """The longest of the three."""
        return max(self.compute_s, self.memory_s, self.links_s)


@dataclass(frozen=True)
class Plan:
    """A compiled step. Bytes and collectives are those of one chip, operations those of all."""

    preset: str
    topology: str
    chip: str
    chips: int
    mesh: dict[str, int]
    tokens: int
    """Of a step."""
    argument_bytes: int
    temporary_bytes: int
    total_bytes: int
    """Arguments, results that do not reuse them, temporaries and the program."""
    available_bytes: int
    model_flops: float
    """What the model needs (see flops.py)."""
    program_flops: float
    """What the program computes: with recomputation, and the head at every chunk."""
    collectives: dict[str, Collective]
    roofline: Roofline

    @property
    def fits(self) -> bool:
        """Whether a chip's memory holds it."""
        return self.total_bytes <= self.available_bytes

    @property
    def mfu(self) -> float:
        """The best MFU that the roofline allows."""
        chip = chip_of(self.chip)
        assert chip is not None
        return self.model_flops / (self.roofline.step_s * self.chips * chip.flops)


def plan(config: TrainConfig, preset: str, topology: str) -> Plan:
    """Compile the train step of `config` for a topology such as v4:8x8x8.

    Raises ConfigError for an unknown topology, a missing libtpu or an indivisible mesh, TrainingError if the compiler
    refuses the step, for one because it is far too large.
    """
    devices = _devices(topology)
    layout = make_layout(config.mesh, devices)
    check_layout(config, layout)
    optimizer = make_optimizer(config.optimizer, param_shapes(config))
    train_step, _ = make_steps(config, optimizer, layout)
    shape = (config.stage.batch_size, config.stage.length)

    def rows(dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=layout.sharding("batch"))

    integers = {name: rows(jnp.int32) for name in ("inputs", "targets", "segment_ids")}
    rate = jax.ShapeDtypeStruct((), jnp.float32, sharding=layout.sharding())
    traced = train_step.trace(state_shapes(config, optimizer, layout), {**integers, "weights": rows(jnp.float32)}, rate)
    try:
        compiled = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the TPU compiler refuses the step ({reason}): try model.remat=full") from error

    try:
        text = compiled.as_text()
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"libtpu is not the one this JAX names ({reason}): pip install 'coda-lsp[tpu]'") from error
    memory, chip = compiled.memory_analysis(), chip_of(devices[0].device_kind)
    assert chip is not None
    tokens = math.prod(shape)
    chunks = math.ceil(tokens / layout.batch_shards / config.stage.loss_chunk)
    program = program_flops(traced.jaxpr.jaxpr, chunks)
    moved = collectives(text, chunks)
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    outside = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return Plan(
        preset=preset,
        topology=topology,
        chip=devices[0].device_kind,
        chips=len(devices),
        mesh=dict(layout.mesh.shape),
        tokens=tokens,
        argument_bytes=memory.argument_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        total_bytes=memory.argument_size_in_bytes
        + results
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes,
        available_bytes=int(chip.memory_bytes),
        model_flops=step_flops(config.model, tokens, config.stage.length, tokens * TARGET_SHARE),
        program_flops=program,
        collectives=moved,
        roofline=Roofline(
            compute_s=program / (len(devices) * chip.flops),
            memory_s=(outside + 2 * memory.temp_size_in_bytes) / chip.memory_bytes_per_s,
            links_s=sum(kind.sent_bytes for kind in moved.values()) / chip.link_bytes_per_s,
        ),
    )


def _devices(topology: str) -> list[Any]:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    generation = topology.partition(":")[0]
    try:
        found = topologies.get_topology_desc(
            topology_name=topology, platform="tpu", **_VARIANTS.get(generation, {})
        ).devices
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        if "TPU support not installed" in reason:
            raise ConfigError("the TPU's compiler is not installed: pip install 'coda-lsp[tpu]'") from None
        raise ConfigError(f"no topology {topology!r}: such as v4:8x8x8, v5p:4x4x4 or v5e:4x4 ({reason})") from None
    return list(found)
