"""Run folders: asynchronous Orbax checkpoints of the whole training state, each with its configuration.

A run folder holds `checkpoints/STEP/`, `tokenizer/` and `metrics.jsonl`. A checkpoint is complete or absent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp

from coda_train.errors import CheckpointError

FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, run: Path, kept: int = 2):
        self.folder = (run / FOLDER).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=kept, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._manager.close()

    def latest(self) -> int | None:
        """The last complete step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
        """Start writing `state` (any pytree of arrays) and `meta` (JSON); returns when the arrays are copied."""
        if step != self.latest():
            arguments = ocp.args.Composite(state=ocp.args.StandardSave(_flatten(state)), meta=ocp.args.JsonSave(meta))
            self._manager.save(step, args=arguments)

    def restore(self, step: int, template: Any) -> tuple[Any, dict[str, Any]]:
        """(state, meta) of a step; `template` gives the structure, shapes, types and placement of the state.

        Raises CheckpointError if the checkpoint holds other arrays than the template.
        """
        flat = _flatten(template)
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, flat)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(wanted), meta=ocp.args.JsonRestore())
        try:
            restored = self._manager.restore(step, args=arguments)
        except (ValueError, KeyError, FileNotFoundError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(f"{self.folder}/{step} does not fit this configuration: {first}") from None
        return jax.tree.unflatten(jax.tree.structure(template), [restored["state"][key] for key in flat]), dict(
            restored["meta"]
        )


def has_checkpoint(run: Path) -> bool:
    """Whether a folder is a run folder with a complete checkpoint."""
    folder = run / FOLDER
    return folder.is_dir() and any(entry.name.isdigit() for entry in folder.iterdir())


def read_meta(run: Path) -> tuple[int, dict[str, Any]]:
    """(step, meta) of the last checkpoint. Raises CheckpointError if there is none."""
    with _last(run) as (manager, step):
        restored = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
    return step, dict(restored["meta"])


def read_arrays(run: Path, prefix: str) -> dict[str, np.ndarray]:
    """The last checkpoint's arrays whose name starts with `prefix`, by the rest of their names.

    Raises CheckpointError if there is no checkpoint.
    """
    with _last(run) as (manager, step):
        restored = manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore()))
    return {
        name.removeprefix(prefix).removesuffix("/value"): np.asarray(array)
        for name, array in restored["state"].items()
        if name.startswith(prefix)
    }


@contextmanager
def _last(run: Path) -> Iterator[tuple[ocp.CheckpointManager, int]]:
    if not has_checkpoint(run):
        raise CheckpointError(f"{run} holds no checkpoint: train a stage into it first")
    with ocp.CheckpointManager((run / FOLDER).absolute()) as manager:
        step = manager.latest_step()
        if step is None:
            raise CheckpointError(f"{run} holds no complete checkpoint")
        yield manager, step


def _flatten(tree: Any) -> dict[str, Any]:
    """{path in the tree: array}: plain names, whatever containers Flax and Optax use."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }
