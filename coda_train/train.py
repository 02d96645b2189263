"""The loop of all stages: base, pretrain, midtrain and sft differ in configuration alone."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from coda_train.batches import Batches
from coda_train.checkpoint import Checkpoints
from coda_train.clock import Clock
from coda_train.config import TrainConfig
from coda_train.dashboards import open_dashboards
from coda_train.data.infilling import TokenIds
from coda_train.errors import TrainingError
from coda_train.evaluate import Evaluation
from coda_train.interrupts import Stop
from coda_train.metrics import Metrics
from coda_train.model import graph_of, init_params
from coda_train.optimizer import make_optimizer
from coda_train.profiler import Profiler
from coda_train.step import TrainState, make_steps, make_targets
from coda_train.watch import Watch


def train(
    config: TrainConfig,
    batches: Batches,
    evaluation: Evaluation | None,
    ids: TokenIds,
    run: Path,
    console: Console,
    initial: Any = None,
    stop: Stop | None = None,
    profiled_steps: int = 0,
) -> int:
    """Train one stage into a run folder, going on from its last checkpoint if it has one.

    The random numbers of a step are a function of `stage.seed` and its number, so the step stands for their state.

    Args:
        config: the run's configuration.
        batches: training batches; the position is stored with every checkpoint.
        evaluation: what is measured on held-out text; None for nothing.
        ids: special tokens.
        run: folder of checkpoints and metrics.
        console: where lines and the progress bar go.
        initial: parameters to start from, as `init_params` makes them; None draws new ones.
        stop: ends the run early, with a checkpoint, when its signal is set.
        profiled_steps: how many steps to trace (see `Profiler`).

    Returns:
        The last step.

    Raises:
        TrainingError when the loss is no longer a number or training diverges, or where XLA can't run the step;
        CheckpointError when the run folder's checkpoint has another shape, or a new one can't be written.
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
        else:
            checkpoints.check_room(state)
        clock = Clock(config, time.monotonic() - elapsed_s)
        key = jax.random.key(stage.seed)
        watch, profiler = Watch(config.model.vocab_size, run), Profiler(run, first, profiled_steps)
        settings = dataclasses.asdict(config)
        dashboards = open_dashboards(run, config.name, settings, first)

        def save(step: int) -> None:
            meta = {"config": settings, "data": batches.get_state(), "elapsed_s": clock.elapsed_s()}
            checkpoints.save(step, state, meta)

        def evaluate(step: int) -> None:
            if evaluation is not None:
                metrics.held_out(step, evaluation(eval_step, state.params if state.ema is None else state.ema))

        with Metrics(run, console, config.name, first, dashboards) as metrics, profiler:
            count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
            metrics.say(f"{config.name}: {count:,} parameters, {'on from' if first else 'from'} step {first}")
            step, sent, window = first, None, (first, clock.elapsed_s())

            def settle(last: bool = False) -> None:
                """Wait for the step that was sent off last, look at its values, and report them if it is their turn."""
                nonlocal sent, window
                if sent is None:
                    return
                (number, values, batch, rate), sent = sent, None
                row = watch.check(number, values, batch)
                if number % stage.log_every == 0 or last:
                    now = clock.elapsed_s()
                    speed = (number - window[0]) / max(now - window[1], 1e-9)
                    window = (number, now)
                    row |= {"lr": rate, "tokens_per_s": speed * stage.batch_size * stage.length, "elapsed_s": now}
                    metrics.train(number, clock.progress(number), row, clock.left_s(number, speed))

            while (progress := clock.progress(step)) < 1.0 and stop.signal is None:
                probabilities = np.asarray(config.noise.probabilities(progress), np.float32)
                batch = with_targets(jax.random.fold_in(key, step), jax.device_put(next(batches)), probabilities)
                rate = clock.learning_rate(step)
                state, values = train_step(state, batch, np.float32(rate))
                step += 1
                settle()  # the step before, while this one runs
                sent = (step, values, batch, rate)
                profiler.after(step, values)
                if step % stage.eval_every == 0:
                    evaluate(step)
                if step % stage.checkpoint_every == 0:
                    settle()
                    save(step)
            settle(last=True)
            if step > first:
                if stop.signal is None and step % stage.eval_every:
                    evaluate(step)
                save(step)
    return step


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
