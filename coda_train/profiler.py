"""A trace of a few steps, for TensorBoard's profile tab, xprof or Perfetto."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax

WARM_UP = 5
"""Steps after a start that are not traced: they compile."""


class Profiler:
    """Traces some steps of a run into `RUN/profile`; use as a context manager.

    Args:
        run: run folder.
        first: the step the run starts from.
        steps: how many to trace, 0 for none.
    """

    def __init__(self, run: Path, first: int, steps: int):
        self._folder = run / "profile"
        self._begin, self._end = (first + WARM_UP, first + WARM_UP + steps) if steps else (-1, -1)
        self._running = False

    def after(self, step: int, values: Any) -> None:
        """Begin or end the trace after a step, whose results are waited for at its ends alone."""
        if step == self._begin:
            jax.block_until_ready(values)
            jax.profiler.start_trace(str(self._folder))
            self._running = True
        elif step == self._end:
            jax.block_until_ready(values)
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
