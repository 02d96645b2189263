"""The loop of all stages: base, pretrain, midtrain and sft differ in configuration alone."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from coda_train.batches import Batches
from coda_train.checkpoint import Checkpoints
from coda_train.config import TrainConfig
from coda_train.data.infilling import TokenIds
from coda_train.errors import TrainingError
from coda_train.metrics import Metrics
from coda_train.model import graph_of, init_params
from coda_train.optimizer import learning_rate, make_optimizer
from coda_train.step import TrainState, make_steps, make_targets, report


@dataclass
class Stop:
    """Set by a signal; the loop saves and ends after the step in flight."""

    signal: int | None = None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """SIGINT and SIGTERM ask the loop to end; a second one ends at once."""
    stop = Stop()

    def ask(number: int, _frame: object) -> None:
        if stop.signal is not None:
            raise KeyboardInterrupt
        stop.signal = number

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what to change where XLA can't run the step on this machine."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        hint = ""
        if "BF16" in reason:
            hint = ": set model.matmul_dtype=float32"
        elif "RESOURCE_EXHAUSTED" in reason:
            hint = ": lower stage.batch_size, or set model.remat=full"
        raise TrainingError(f"XLA could not run the training step ({reason}){hint}") from error


@dataclass(frozen=True)
class Clock:
    """Where a run stands, by steps and by time added up over resumes."""

    config: TrainConfig
    started_s: float
    """The `time.monotonic()` at which this run would have started had it never stopped."""

    def elapsed_s(self) -> float:
        """Seconds of training so far."""
        return time.monotonic() - self.started_s

    def progress(self, step: int) -> float:
        """How much of the run is over, 0 to 1: by steps or by the time budget, whichever is further."""
        minutes = self.config.stage.minutes
        by_time = self.elapsed_s() / (60 * minutes) if minutes else 0.0
        if self.config.optimizer.schedule_by == "time":
            return by_time
        return max(step / self.config.stage.steps, by_time)

    def learning_rate(self, step: int) -> float:
        """Learning rate of the step after `step` steps."""
        if self.config.optimizer.schedule_by == "time":
            return learning_rate(self.config.optimizer, self.progress(step))
        return learning_rate(self.config.optimizer, (step + 1) / self.config.stage.steps)

    def left_s(self, step: int, steps_per_s: float) -> float:
        """Seconds until the run ends."""
        stage = self.config.stage
        by_time = 60 * stage.minutes - self.elapsed_s() if stage.minutes else math.inf
        if self.config.optimizer.schedule_by == "time":
            return by_time
        return min(by_time, (stage.steps - step) / steps_per_s)


def train(
    config: TrainConfig,
    batches: Batches,
    held_out: Batches | None,
    ids: TokenIds,
    run: Path,
    console: Console,
    initial: Any = None,
    stop: Stop | None = None,
) -> int:
    """Train one stage into a run folder, going on from its last checkpoint if it has one.

    Args:
        config: the run's configuration.
        batches: training batches; the position is stored with every checkpoint.
        held_out: batches of held-out text, read from its start; None for no evaluation.
        ids: special tokens.
        run: folder of checkpoints and metrics.
        console: where lines and the progress bar go.
        initial: parameters to start from, as `init_params` makes them; None draws new ones.
        stop: ends the run early, with a checkpoint, when its signal is set.

    Returns:
        The last step.

    Raises:
        TrainingError when the loss is no longer a number, CheckpointError when the run folder's checkpoint has
        another shape; TrainingError too where XLA can't run the step.
    """
    stage, stop = config.stage, stop or Stop()
    params = init_params(config.model, stage.seed) if initial is None else initial
    optimizer = make_optimizer(config.optimizer, params)
    average = jax.tree.map(jnp.copy, params) if stage.ema else None
    state = TrainState(jnp.zeros((), jnp.int32), params, jax.jit(optimizer.init)(params), average)
    train_step, eval_step = make_steps(config, graph_of(config.model), optimizer)
    with_targets = make_targets(stage.batches, config.noise, ids)

    with Checkpoints(run, stage.checkpoints_kept) as checkpoints, _explained():
        first, elapsed_s = 0, 0.0
        if (latest := checkpoints.latest()) is not None:
            state, meta = checkpoints.restore(latest, state)
            batches.set_state(meta["data"])
            first, elapsed_s = latest, float(meta["elapsed_s"])
        clock = Clock(config, time.monotonic() - elapsed_s)
        key = jax.random.key(stage.seed)
        eval_set = _eval_set(config, held_out, with_targets) if held_out is not None else []

        def save(step: int) -> None:
            meta = {"config": dataclasses.asdict(config), "data": batches.get_state(), "elapsed_s": clock.elapsed_s()}
            checkpoints.save(step, state, meta)

        with Metrics(run, console, config.name, first) as metrics:
            count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
            metrics.say(f"{config.name}: {count:,} parameters, {'on from' if first else 'from'} step {first}")
            step, pending, window = first, None, (clock.elapsed_s(), first)
            while (progress := clock.progress(step)) < 1.0 and stop.signal is None:
                probabilities = np.asarray(config.noise.probabilities(progress), np.float32)
                batch = with_targets(jax.random.fold_in(key, step), jax.device_put(next(batches)), probabilities)
                rate = clock.learning_rate(step)
                state, values = train_step(state, batch, np.float32(rate))
                step += 1
                # The step just sent off runs while the one before it is read.
                if pending is not None:
                    _check(*pending[:2])
                    if pending[0] % stage.log_every == 0:
                        now = clock.elapsed_s()
                        speed = (step - window[1]) / max(now - window[0], 1e-9)
                        window = (now, step)
                        tokens_per_s = speed * stage.batch_size * stage.length
                        row = report(pending[1]) | {"lr": pending[2], "tokens_per_s": tokens_per_s, "elapsed_s": now}
                        metrics.train(pending[0], progress, row, clock.left_s(step, speed))
                pending = (step, values, rate)
                if eval_set and step % stage.eval_every == 0:
                    metrics.held_out(step, _evaluate(eval_step, state, eval_set))
                if step % stage.checkpoint_every == 0:
                    _check(step, values)
                    save(step)
            if pending is not None:
                _check(*pending[:2])
                if eval_set and stop.signal is None and step % stage.eval_every:
                    metrics.held_out(step, _evaluate(eval_step, state, eval_set))
                save(step)
    return step


def _eval_set(config: TrainConfig, held_out: Batches, with_targets: Callable) -> list[dict[str, Any]]:
    """The same held-out batches and, for packed ones, the same masks, in every evaluation of every run."""
    plain, keys = np.zeros(3, np.float32), map(jax.random.key, range(config.stage.eval_batches))
    return [jax.device_get(with_targets(key, next(held_out), plain)) for key in keys]


def _evaluate(eval_step: Callable, state: TrainState, eval_set: list[dict[str, Any]]) -> dict[str, Any]:
    params = state.params if state.ema is None else state.ema
    results = jax.device_get([eval_step(params, batch) for batch in eval_set])
    total = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *results)
    return report({**total, "loss": total["loss"] / len(results)})


def _check(step: int, values: dict[str, jax.Array]) -> None:
    if not math.isfinite(float(values["loss"])):
        raise TrainingError(
            f"the loss is not a number after step {step}: lower optimizer.peak, then run again to go on from the last "
            "checkpoint"
        )
