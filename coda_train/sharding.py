"""How arrays lie on devices: one table from the names of axes to the axes of the mesh of devices."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from coda_train.config import MeshConfig, TrainConfig
from coda_train.errors import ConfigError

MESH_AXES = ("data", "fsdp", "tensor")
RULES: dict[str | None, str | tuple[str, ...] | None] = {
    "batch": ("data", "fsdp"),
    "hidden": "fsdp",  # of parameters: it divides by 512, which the vocabulary of Qwen (2^7 * 1187) does not
    "heads": "tensor",
    "kv_heads": "tensor",
    "inner": "tensor",
    "vocabulary": "tensor",
    None: None,
}
"""Axes by name -> axes of the mesh."""

PARAMETERS = {
    "embed": ("vocabulary", "hidden"),
    "head": ("vocabulary", "hidden"),
    "q_proj": ("hidden", "heads"),
    "k_proj": ("hidden", "kv_heads"),
    "v_proj": ("hidden", "kv_heads"),
    "o_proj": ("heads", "hidden"),
    "gate_proj": ("hidden", "inner"),
    "up_proj": ("hidden", "inner"),
    "down_proj": ("inner", "hidden"),
}
"""Axes of each parameter, without the leading one of stacked layers. Norms are not split."""


@dataclass(frozen=True)
class Layout:
    """A mesh of devices with the axes `MESH_AXES`."""

    mesh: Mesh

    @property
    def platform(self) -> str:
        """cpu, gpu or tpu."""
        return {"cuda": "gpu", "rocm": "gpu"}.get(kind := self.mesh.devices.flat[0].platform, kind)

    @property
    def batch_shards(self) -> int:
        """Parts that a batch is split into."""
        return self.mesh.shape["data"] * self.mesh.shape["fsdp"]

    def sharding(self, *axes: str | None) -> NamedSharding:
        """Placement of an array whose axes have these names; the rest is not split."""
        return NamedSharding(self.mesh, PartitionSpec(*(RULES[axis] for axis in axes)))

    def constrain(self, x: jax.Array, *axes: str | None) -> jax.Array:
        """Ask XLA to place an intermediate, and its gradient, so."""
        return self.constrain_to(x, self.sharding(*axes))

    def constrain_to(self, x: jax.Array, place: NamedSharding) -> jax.Array:
        """The same for a placement."""
        return x if self.mesh.size == 1 else jax.lax.with_sharding_constraint(x, place)

    def parameters(self, params: Any, stacked: bool = True) -> Any:
        """The tree of placements of parameters, or of one layer's parameters without their leading axis."""

        def placement(path: tuple, _leaf: Any) -> NamedSharding:
            names = _name(path).split("/")
            axes = PARAMETERS.get(names[-1], ())
            return self.sharding(*((None, *axes) if axes and stacked and names[0] == "layers" else axes))

        return jax.tree_util.tree_map_with_path(placement, params)

    def like_parameters(self, tree: Any, params: Any) -> Any:
        """Placements of a tree such as an optimizer's state: leaves shaped as the parameter that their path ends in lie
        as it does, others (factored moments, counts) are small and stand on every device."""
        flat = jax.tree_util.tree_flatten_with_path(params)[0]
        placements = jax.tree.leaves(self.parameters(params))
        known = {_name(path): (leaf.shape, place) for (path, leaf), place in zip(flat, placements, strict=True)}

        def placement(path: tuple, leaf: Any) -> NamedSharding:
            names = _name(path).split("/")
            for start in range(len(names)):
                shape, place = known.get("/".join(names[start:]), (None, None))
                if place is not None and shape == leaf.shape:
                    return place
            return self.sharding()

        return jax.tree_util.tree_map_with_path(placement, tree)

    def process_rows(self, batch_size: int) -> np.ndarray:
        """Numbers of the rows of a batch that this process's devices hold, in order."""
        places = self.sharding("batch").addressable_devices_indices_map((batch_size,))
        parts = [index[0] for index in places.values() if index is not None]
        held = {row for part in parts for row in range(*part.indices(batch_size))}
        return np.array(sorted(held))

    def place(self, batch: Mapping[str, np.ndarray], batch_size: int) -> dict[str, jax.Array]:
        """A batch on its devices, from the rows of this process (see `process_rows`)."""
        rows = self.process_rows(batch_size)

        def whole(part: np.ndarray) -> jax.Array:
            def shard(index: tuple[slice, ...] | None) -> np.ndarray:
                first, last, _ = (index or (slice(None),))[0].indices(batch_size)
                return part[slice(*np.searchsorted(rows, (first, last)))]

            return jax.make_array_from_callback((batch_size, *part.shape[1:]), self.sharding("batch"), shard)

        return {name: whole(part) for name, part in batch.items()}


def make_layout(config: MeshConfig, devices: Sequence[Any] | None = None) -> Layout:
    """The mesh of a configuration, over all devices of the run unless told otherwise.

    Raises ConfigError if the numbers of the mesh do not make up the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes, count = [getattr(config, axis) for axis in MESH_AXES], len(devices)
    named = math.prod(size for size in sizes if size)
    text = " x ".join(f"mesh.{axis} {size}" for axis, size in zip(MESH_AXES, sizes, strict=True) if size)
    if 0 in sizes:
        if count % named:
            raise ConfigError(f"{text} does not divide the number of devices ({count})")
        sizes[sizes.index(0)] = count // named
    elif named != count:
        raise ConfigError(f"{text} is {named} devices, but there are {count}: set one of them to 0 to take the rest")
    try:
        return Layout(jax.make_mesh(sizes, MESH_AXES, axis_types=(AxisType.Auto,) * 3, devices=devices))
    except NotImplementedError as error:  # the sides of a TPU's torus can't be grouped into such axes
        raise ConfigError(f"{text} does not fit how the devices are wired: {error}") from None


def check_layout(config: TrainConfig, layout: Layout) -> None:
    """Raise ConfigError, with the setting to change, if the mesh does not divide the model or the batch."""
    model, stage, shape = config.model, config.stage, layout.mesh.shape
    part = "stage.batch_size" if stage.accumulate == 1 else "stage.batch_size / stage.accumulate"
    parts = [
        ("stage.batch_size", stage.batch_size, "stage.accumulate", stage.accumulate),
        (part, stage.batch_size // stage.accumulate, "mesh.data x mesh.fsdp", layout.batch_shards),
        ("model.hidden_size", model.hidden_size, "mesh.fsdp", shape["fsdp"]),
        ("model.num_heads", model.num_heads, "mesh.tensor", shape["tensor"]),
        ("model.num_kv_heads", model.num_kv_heads, "mesh.tensor", shape["tensor"]),
        ("model.intermediate_size", model.intermediate_size, "mesh.tensor", shape["tensor"]),
        ("model.vocab_size", model.vocab_size, "mesh.tensor", shape["tensor"]),
    ]
    if jax.process_count() > 1 and config.stage.minutes:
        raise ConfigError("stage.minutes follows one machine's clock: several processes need stage.steps alone")
    for setting, size, axes, count in parts:
        if size % count:
            raise ConfigError(f"{setting} ({size}) is no multiple of {axes} ({count}): change one of them")


def join_processes() -> None:
    """Become one run with the other processes that were started for it, if any (`jax.distributed`).

    They are found by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, by Slurm's variables, or, with
    CODA_TRAIN_DISTRIBUTED=1, by whatever JAX knows of the machine, such as a TPU pod slice. Call before anything else
    of JAX. Raises ConfigError for variables that are no numbers.
    """
    environment = os.environ
    if "JAX_NUM_PROCESSES" in environment:
        try:
            count, index = int(environment["JAX_NUM_PROCESSES"]), int(environment.get("JAX_PROCESS_ID", "0"))
        except ValueError:
            raise ConfigError("JAX_NUM_PROCESSES and JAX_PROCESS_ID must be numbers") from None
        if count > 1:
            jax.distributed.initialize(environment.get("JAX_COORDINATOR_ADDRESS"), count, index)
    elif int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1 or environment.get("CODA_TRAIN_DISTRIBUTED") == "1":
        jax.distributed.initialize()


def any_process(flag: bool) -> bool:
    """Whether the flag is set on one of the run's processes: all must call this at the same step."""
    return flag if jax.process_count() == 1 else bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value")
