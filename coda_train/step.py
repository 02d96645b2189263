"""The compiled parts of training: the train step, the evaluation step and the targets of packed batches."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from coda_train import noise
from coda_train.config import TrainConfig
from coda_train.data.infilling import TokenIds
from coda_train.loss import shift_targets, weighted_cross_entropy
from coda_train.metrics import BUCKETS
from coda_train.model import graph_of, init_params, resolve
from coda_train.optimizer import average
from coda_train.sharding import Layout


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that a step changes. `ema` is None where no average is kept."""

    step: Any
    params: Any
    optimizer: Any
    ema: Any


def init_state(
    config: TrainConfig, optimizer: optax.GradientTransformation, layout: Layout, initial: Any = None
) -> Any:
    """The state before the first step, each device holding its part alone; `initial` parameters, or new ones."""
    shapes = state_shapes(config, optimizer, layout)
    placements = jax.tree.map(lambda leaf: leaf.sharding, shapes)
    if initial is None:
        return jax.jit(lambda: _fresh_state(config, optimizer, init_params(config.model, config.stage.seed)),
                       out_shardings=placements)()  # fmt: skip
    params = jax.device_put(initial, placements.params)
    return jax.jit(lambda params: _fresh_state(config, optimizer, params), out_shardings=placements)(params)


def state_shapes(config: TrainConfig, optimizer: optax.GradientTransformation, layout: Layout) -> Any:
    """The state's shapes, types and placements, without its numbers."""
    params = param_shapes(config)
    state = jax.eval_shape(lambda params: _fresh_state(config, optimizer, params), params)
    placements = TrainState(
        layout.sharding(),
        layout.parameters(params),
        layout.like_parameters(state.optimizer, params),
        layout.parameters(params) if config.stage.ema else None,
    )
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), state, placements
    )


def param_shapes(config: TrainConfig) -> Any:
    """The parameters' shapes and types."""
    return jax.eval_shape(lambda: init_params(config.model, 0))


def _fresh_state(config: TrainConfig, optimizer: optax.GradientTransformation, params: Any) -> TrainState:
    average = jax.tree.map(jnp.copy, params) if config.stage.ema else None
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), average)


def make_steps(config: TrainConfig, optimizer: optax.GradientTransformation, layout: Layout) -> tuple:
    """(train step, evaluation step), compiled on first use.

    The train step maps (state, batch, learning rate) to (state, values) and reuses the state's memory; the evaluation
    step maps (params, batch) to values. A batch holds inputs, targets, weights and segment ids (see noise.py).
    """
    graph = graph_of(config.model, layout.platform)
    products = jnp.dtype(resolve(config.model, layout.platform).matmul_dtype)
    causal, parts = config.stage.batches == "causal", config.stage.accumulate
    tail = config.stage.batches in ("infill", "chat") or not config.stage.segments
    placements = jax.tree.map(lambda leaf: leaf.sharding, state_shapes(config, optimizer, layout))

    def loss_of(params: Any, batch: dict[str, jax.Array], tail: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        model = nnx.merge(graph, params)
        hidden = model(batch["inputs"], batch["segment_ids"], causal, tail, layout)
        hidden_N, targets_N, weights_N = shift_targets(batch["targets"], batch["weights"], hidden)
        chunk, head = config.stage.loss_chunk, model.head_weight()
        total, losses_N = weighted_cross_entropy(hidden_N, head, targets_N, weights_N, chunk, products, layout)
        return total / weights_N.size, _statistics(losses_N, weights_N)

    def gradients_of(params: Any, batch: dict[str, jax.Array]) -> tuple:
        (loss, values), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, batch, tail)
        return loss, values, jax.tree.map(layout.constrain_to, gradients, placements.params)

    def gradients_by_parts(params: Any, batch: dict[str, jax.Array]) -> tuple:
        def split(rows: jax.Array) -> jax.Array:
            # Every parts-th row, so that each device's rows are in all parts alike.
            apart = rows.reshape(-1, parts, *rows.shape[1:]).swapaxes(0, 1)
            return layout.constrain(apart, None, "batch")

        def add(sums: tuple, part: dict[str, jax.Array]) -> tuple[tuple, None]:
            return jax.tree.map(jnp.add, sums, gradients_of(params, part)), None

        pieces = jax.tree.map(split, batch)
        shapes = jax.eval_shape(gradients_of, params, jax.tree.map(lambda rows: rows[0], pieces))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        (loss, values, gradients), _ = jax.lax.scan(add, zeros, pieces)
        return loss / parts, values, jax.tree.map(lambda gradient: gradient / parts, gradients)

    @functools.partial(jax.jit, donate_argnums=0, out_shardings=(placements, layout.sharding()))
    def train_step(state: TrainState, batch: dict[str, jax.Array], rate: jax.Array) -> tuple:
        loss, values, gradients = (gradients_of if parts == 1 else gradients_by_parts)(state.params, batch)
        updates, rules = optimizer.update(gradients, state.optimizer, state.params)
        params = jax.tree.map(lambda param, update: param + rate * update, state.params, updates)
        ema = average(state.ema, params, config.stage.ema, state.step) if config.stage.ema else None
        values = {**values, "loss": loss, "grad_norm": optax.global_norm(gradients)}
        return TrainState(state.step + 1, params, rules, ema), values

    @functools.partial(jax.jit, out_shardings=layout.sharding())
    def eval_step(params: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        loss, values = loss_of(params, batch, False)  # evaluations take rows of several documents in every stage
        return {**values, "loss": loss}

    return train_step, eval_step


def make_targets(config: TrainConfig, ids: TokenIds, layout: Layout) -> Callable:
    """What turns a loaded batch into one with targets, compiled: (key, batch, [4] probabilities) -> batch.

    Infilling rows come with theirs.
    """
    settings = config.noise
    if config.stage.batches == "infill":
        return lambda key, batch, probabilities: batch
    compiled = functools.partial(jax.jit, out_shardings=layout.sharding("batch"))
    if config.stage.batches == "causal":
        return compiled(lambda key, batch, probabilities: noise.next_token(batch))

    def corrupt(key: jax.Array, batch: noise.Batch, probabilities: jax.Array) -> noise.Batch:
        if not config.stage.segments:
            batch = {**batch, "segment_ids": jnp.minimum(batch["segment_ids"], 1)}
        return noise.corrupt(
            key,
            batch,
            probabilities,
            eps=settings.eps,
            max_sigma=settings.max_sigma,
            antithetic=settings.antithetic,
            per=settings.per,
            block_rows=settings.block_rows,
            block_sizes=settings.block_sizes,
            edges=settings.edges,
            mask_id=ids.mask,
            pad_id=ids.pad,
        )

    return compiled(corrupt)


def _statistics(losses_N: jax.Array, weights_N: jax.Array) -> dict[str, jax.Array]:
    """Sums that add up over batches: cross-entropy and count of targets, in all and by noise level."""
    counted = weights_N > 0
    sigma = jnp.where(counted, 1.0 / jnp.where(counted, weights_N, 1.0), 0.0)
    bucket = jnp.clip((sigma * BUCKETS).astype(jnp.int32), 0, BUCKETS - 1)
    member = (bucket[:, None] == jnp.arange(BUCKETS)) & counted[:, None]
    return {"nll_sums": losses_N @ member.astype(losses_N.dtype), "counts": jnp.sum(member, axis=0)}


def report(values: dict[str, jax.Array]) -> dict[str, Any]:
    """A step's values as plain numbers: loss, targets and their mean cross-entropy, in all and by noise level."""
    values = jax.device_get(values)
    sums, counts = values.pop("nll_sums"), values.pop("counts")
    means = sums / np.maximum(counts, 1)
    return {
        **{name: float(value) for name, value in values.items()},
        "targets": int(counts.sum()),
        "nll": float(sums.sum() / max(counts.sum(), 1)),
        "nll_by_noise": [float(mean) for mean in means],
    }
