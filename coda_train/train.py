"""The loop of all stages: base, pretrain, midtrain and sft differ in configuration alone."""

import dataclasses
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
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
from coda_train.flops import mfu, step_flops
from coda_train.interrupts import Stop
from coda_train.metrics import Metrics
from coda_train.optimizer import make_optimizer
from coda_train.patience import Patience
from coda_train.profiler import Profiler
from coda_train.sharding import Layout, any_process
from coda_train.step import init_state, make_steps, make_targets, param_shapes
from coda_train.watch import Watch


def train(
    config: TrainConfig,
    layout: Layout,
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
        layout: the devices; every process of a run calls this, with its own rows of the batches.
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
    optimizer = make_optimizer(config.optimizer, param_shapes(config))
    state = init_state(config, optimizer, layout, initial)
    train_step, eval_step = make_steps(config, optimizer, layout)
    with_targets = make_targets(config, ids, layout)
    devices, chip = layout.mesh.size, layout.mesh.devices.flat[0].device_kind

    with Checkpoints(run, stage.checkpoints_kept) as checkpoints, _explained():
        first, elapsed_s, patience = 0, 0.0, Patience(stage.patience)
        if (latest := checkpoints.latest()) is not None:
            state, meta = checkpoints.restore(latest, state)
            batches.set_state(meta["data"])
            first, elapsed_s = latest, float(meta["elapsed_s"])
            patience = Patience(stage.patience, meta.get("best", math.inf), meta.get("waited", 0))
        else:
            checkpoints.check_room(state)
        clock = Clock(config, time.monotonic() - elapsed_s)
        key = jax.random.key(stage.seed)
        watch, profiler = Watch(config.model.vocab_size, run), Profiler(run, first, profiled_steps)
        settings = dataclasses.asdict(config)
        dashboards = open_dashboards(run, config.name, settings, first) if jax.process_index() == 0 else []

        def save(step: int) -> None:
            meta = {"config": settings, "data": batches.get_state(), "elapsed_s": clock.elapsed_s()}
            meta |= {"best": patience.best, "waited": patience.waited}
            checkpoints.save(step, state, meta)

        def evaluate(step: int) -> None:
            if evaluation is not None:
                values = evaluation(eval_step, state.params if state.ema is None else state.ema)
                patience.see(values["loss"])
                metrics.held_out(step, values)

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
                    tokens = stage.batch_size * stage.length
                    flops = step_flops(config.model, tokens, stage.length, row["targets"])
                    row |= {"lr": rate, "tokens_per_s": speed * tokens, "elapsed_s": now}
                    row |= {"mfu": mfu(flops * speed, chip, devices)}
                    metrics.train(number, clock.progress(number), row, clock.left_s(number, speed))

            if initial is not None and not first:
                evaluate(0)  # what the stage starts from
            stopping = any_process(stop.signal is not None)
            while (progress := clock.progress(step)) < 1.0 and not stopping and not patience.over:
                probabilities = np.asarray(config.noise.probabilities(progress), np.float32)
                batch = with_targets(
                    jax.random.fold_in(key, step), layout.place(next(batches), stage.batch_size), probabilities
                )
                rate = clock.learning_rate(step)
                state, values = train_step(state, batch, np.float32(rate))
                step += 1
                settle()  # the step before, while this one runs
                checkpoints.check()
                sent = (step, values, batch, rate)
                profiler.after(step, values)
                if step % stage.eval_every == 0:
                    evaluate(step)
                if step % stage.checkpoint_every == 0:
                    settle()
                    save(step)
                if jax.process_count() == 1 or step % stage.log_every == 0:  # asking the others waits for the step
                    stopping = any_process(stop.signal is not None)
                    stop.signal = stop.signal or (signal.SIGTERM if stopping else None)
            settle(last=True)
            if patience.over:
                metrics.say(f"the held-out loss has not fallen for {patience.waited} evaluations: the run ends here")
            if step > first:
                if not stopping and step % stage.eval_every:
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
