"""Where numbers go beside the terminal and `metrics.jsonl`: TensorBoard, and Weights & Biases if it is installed."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tensorboardX import SummaryWriter

from coda_train.errors import ConfigError

Values = dict[str, Any]
"""Numbers, lists of numbers, and texts, by name."""


class Dashboard(Protocol):
    """What shows the numbers of a run."""

    def write(self, step: int, values: Values) -> None:
        """Show the values of a step, named such as `train/loss`."""
        ...

    def close(self) -> None:
        """Write what is pending."""
        ...


class TensorBoard:
    """Event files in `RUN/tensorboard`: `tensorboard --logdir RUN` shows them."""

    def __init__(self, run: Path, resumed_from: int):
        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_from + 1 if resumed_from else None)

    def write(self, step: int, values: Values) -> None:
        """Numbers as curves, texts in a fixed-width font."""
        for name, value in _flat(values):
            if isinstance(value, str):
                self._writer.add_text(name, "\n".join(f"    {line}" for line in value.splitlines()), step)
            else:
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases. It stays on this machine (`wandb sync` uploads it) unless WANDB_MODE asks."""

    def __init__(self, wandb: Any, run: Path, stage: str, config: dict[str, Any]):
        self._run = wandb.init(
            dir=str(run),
            id=_identity(run),
            resume="allow",
            name=f"{run.name} ({stage})",
            project=os.environ.get("WANDB_PROJECT", "coda"),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config=config,
            settings=wandb.Settings(console="off", silent=True),
        )

    def write(self, step: int, values: Values) -> None:
        """One row of the run's history."""
        self._run.log(dict(_flat(values)) | {"step": step})

    def close(self) -> None:
        """End the run."""
        self._run.finish()


def open_dashboards(run: Path, stage: str, config: dict[str, Any], resumed_from: int) -> list[Dashboard]:
    """TensorBoard, and Weights & Biases if it is installed.

    Raises ConfigError for an installation of the latter that does not work.
    """
    dashboards: list[Dashboard] = [TensorBoard(run, resumed_from)]
    found = importlib.util.find_spec("wandb")
    if found is None or found.origin is None:  # a mere folder of that name, such as it leaves behind
        return dashboards
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would report to its makers even when offline
    try:
        import wandb  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise ConfigError(f"Weights & Biases is installed but does not start ({error}): repair or remove it") from None
    return [*dashboards, WeightsAndBiases(wandb, run, stage, config)]


def _flat(values: Values) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, list):
            yield from ((f"{name}/{number}", item) for number, item in enumerate(value))
        elif value is not None:
            yield name, value


def _identity(run: Path) -> str:
    """An id that a resumed run finds again."""
    path = run / "wandb-id"
    if not path.exists():
        path.write_text(os.urandom(4).hex(), "utf-8")
    return path.read_text("utf-8")
