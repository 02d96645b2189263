"""Run folders: asynchronous Orbax checkpoints of the whole training state, each with its configuration.

A run folder holds `checkpoints/STEP/`, `tokenizer/` and `metrics.jsonl`. A checkpoint is complete or absent.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from filelock import FileLock, Timeout

from coda_train.errors import CheckpointError

FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, run: Path, kept: int = 2):
        self.folder = (run / FOLDER).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=kept, enable_async_checkpointing=True)
        # Orbax logs the traceback of a failed write before it raises the error, which is said in one sentence here.
        logging.set_verbosity(logging.FATAL)
        self._saving: int | None = None
        self._hook = sys.unraisablehook
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Self:
        self._hook, sys.unraisablehook = sys.unraisablehook, self._without_leftovers
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        try:
            with self._explained():
                self._manager.close()
        finally:
            sys.unraisablehook = self._hook

    def _without_leftovers(self, fault: "sys.UnraisableHookArgs") -> None:
        """Drop what TensorStore's other writes complain of when one of them has failed: that is said already."""
        if str(fault.exc_value) != "Event loop is closed":
            self._hook(fault)

    def latest(self) -> int | None:
        """The last complete step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
        """Start writing `state` (any pytree of arrays) and `meta` (JSON); returns when the arrays are copied."""
        if step != self.latest():
            arguments = ocp.args.Composite(state=ocp.args.StandardSave(_flatten(state)), meta=ocp.args.JsonSave(meta))
            self.wait()
            self._saving = step
            with self._explained():
                self._manager.save(step, args=arguments)

    def wait(self) -> None:
        """Wait for the checkpoint that is being written. Raises CheckpointError if that fails."""
        with self._explained():
            self._manager.wait_until_finished()

    def check(self) -> None:
        """Raise CheckpointError if the checkpoint that was being written has failed meanwhile; does not wait for it."""
        if self._saving is not None and not self._manager.is_saving_in_progress():
            self.wait()
            self._saving = None

    def check_room(self, state: Any) -> None:
        """Raise CheckpointError if the disk has no room for one checkpoint of `state`."""
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        free = shutil.disk_usage(self.folder).free
        if free < size:
            raise CheckpointError(
                f"{self.folder} has {free / 1e9:.1f} GB free, a checkpoint takes {size / 1e9:.1f} GB: make room first"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say which checkpoint could not be written, and which one stands."""
        try:
            yield
        except (OSError, ValueError, RuntimeError) as error:
            last = self.latest()
            stands = f"the checkpoint of step {last} stands" if last is not None else "there is none yet"
            raise CheckpointError(
                f"the checkpoint of step {self._saving} could not be saved ({_reason(error)}): make room on the disk, "
                f"then run the same command to go on; {stands}"
            ) from error

    def restore(self, step: int, template: Any) -> tuple[Any, dict[str, Any]]:
        """(state, meta) of a step; `template` gives the structure, shapes, types and placement of the state.

        Raises CheckpointError if the checkpoint holds other arrays than the template.
        """
        flat = _flatten(template)
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, flat)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(wanted), meta=ocp.args.JsonRestore())
        try:
            restored = self._manager.restore(step, args=arguments)
        except Exception as error:  # Orbax and TensorStore raise bare Exception for a file they can't read
            raise CheckpointError(
                f"{self.folder}/{step} is damaged or does not fit this configuration: {_reason(error)}"
            ) from None
        return jax.tree.unflatten(jax.tree.structure(template), [restored["state"][key] for key in flat]), dict(
            restored["meta"]
        )


@contextmanager
def run_folder(run: Path) -> Iterator[Path]:
    """Make a run folder and keep it for this process. Raises CheckpointError while another one trains into it."""
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / ".lock")
    try:
        with lock.acquire(timeout=0):
            yield run
    except Timeout:
        raise CheckpointError(f"another training writes to {run}: wait for it, or choose another --out") from None


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
    """The last checkpoint's arrays whose name starts with `prefix`, by the rest of their names, in this host's memory.

    Raises CheckpointError if there is no checkpoint.
    """
    with _last(run) as (manager, step):
        names = {name for name in _stored(manager, step) if name.startswith(prefix)}
        kinds = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
        restored = _restore_some(manager, step, dict.fromkeys(names, 0), kinds)
    return {_bare(name, prefix): array for name, array in restored.items()}


def restore_arrays(run: Path, prefix: str, wanted: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
    """The last checkpoint's arrays of these names (without `prefix`), each with the sharding of its struct.

    Raises CheckpointError if there is no checkpoint, or it holds other names or shapes.
    """
    with _last(run) as (manager, step):
        stored = {_bare(name, prefix): name for name in _stored(manager, step) if name.startswith(prefix)}
        shapes = {name: _stored(manager, step)[full].shape for name, full in stored.items()}
        for name, struct in wanted.items():
            if shapes.get(name) != struct.shape:
                there = f"of shape {shapes[name]}" if name in shapes else "missing"
                raise CheckpointError(f"in {run} the parameter {name} is {there}, the configuration has {struct.shape}")
        items = {stored[name]: struct for name, struct in wanted.items()}
        restored = _restore_some(manager, step, items, ocp.checkpoint_utils.construct_restore_args(items))
    return {name: restored[stored[name]] for name in wanted}


def _stored(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
    """{name: what is known of the array} of a checkpoint's state."""
    return dict(manager.item_metadata(step)["state"].tree)


def _restore_some(manager: ocp.CheckpointManager, step: int, items: Any, kinds: Any) -> dict[str, Any]:
    some = ocp.args.PyTreeRestore(item=items, restore_args=kinds, partial_restore=True)
    return dict(manager.restore(step, args=ocp.args.Composite(state=some))["state"])


def _bare(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).removesuffix("/value")


@contextmanager
def _last(run: Path) -> Iterator[tuple[ocp.CheckpointManager, int]]:
    if not has_checkpoint(run):
        raise CheckpointError(f"{run} holds no checkpoint: train a stage into it first")
    handlers = {"state": ocp.PyTreeCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
    with ocp.CheckpointManager((run / FOLDER).absolute(), item_handlers=handlers) as manager:
        step = manager.latest_step()
        if step is None:
            raise CheckpointError(f"{run} holds no complete checkpoint")
        yield manager, step


def _reason(error: BaseException) -> str:
    """The first line of what an error says, its middle left out where it is long: the cause stands last."""
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return first if len(first) <= 200 else f"{first[:80]} … {first[-100:]}"


def _flatten(tree: Any) -> dict[str, Any]:
    """{path in the tree: array}: plain names, whatever containers Flax and Optax use."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }
