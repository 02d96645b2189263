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
from coda_train.config import NoiseConfig, TrainConfig
from coda_train.data.infilling import TokenIds
from coda_train.loss import shift_targets, weighted_cross_entropy
from coda_train.metrics import BUCKETS
from coda_train.model import matmul_dtype
from coda_train.optimizer import average


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that a step changes. `ema` is None where no average is kept."""

    step: jax.Array
    params: Any
    optimizer: Any
    ema: Any


def make_steps(config: TrainConfig, graph: nnx.GraphDef, optimizer: optax.GradientTransformation) -> tuple:
    """(train step, evaluation step), compiled on first use.

    The train step maps (state, batch, learning rate) to (state, values) and reuses the state's memory; the evaluation
    step maps (params, batch) to values. A batch holds inputs, targets, weights and segment ids (see noise.py).
    """

    def loss_of(params: Any, batch: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        model = nnx.merge(graph, params)
        hidden = model(batch["inputs"], batch["segment_ids"], causal=config.stage.batches == "causal")
        rows = shift_targets(batch["targets"], batch["weights"], hidden)
        head, chunk = model.head_weight(), config.stage.loss_chunk
        total, losses_N = weighted_cross_entropy(rows[0], head, rows[1], rows[2], chunk, matmul_dtype(config.model))
        return total / rows[2].size, _statistics(losses_N, rows[2])

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state: TrainState, batch: dict[str, jax.Array], rate: jax.Array) -> tuple:
        (loss, values), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params, batch)
        updates, rules = optimizer.update(gradients, state.optimizer, state.params)
        params = jax.tree.map(lambda param, update: param + rate * update, state.params, updates)
        ema = average(state.ema, params, config.stage.ema, state.step) if config.stage.ema else None
        values = {**values, "loss": loss, "grad_norm": optax.global_norm(gradients)}
        return TrainState(state.step + 1, params, rules, ema), values

    @jax.jit
    def eval_step(params: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        loss, values = loss_of(params, batch)
        return {**values, "loss": loss}

    return train_step, eval_step


def make_targets(batches: str, settings: NoiseConfig, ids: TokenIds) -> Callable:
    """What turns a loaded batch into one with targets, compiled: (key, batch, [3] probabilities) -> batch.

    Infilling rows come with theirs.
    """
    if batches == "infill":
        return lambda key, batch, probabilities: batch
    if batches == "causal":
        return jax.jit(lambda key, batch, probabilities: noise.next_token(batch))
    return jax.jit(
        functools.partial(
            noise.corrupt,
            eps=settings.eps,
            max_sigma=settings.max_sigma,
            antithetic=settings.antithetic,
            per=settings.per,
            block_sizes=settings.block_sizes,
            edges=settings.edges,
            mask_id=ids.mask,
            pad_id=ids.pad,
        )
    )


def _statistics(losses_N: jax.Array, weights_N: jax.Array) -> dict[str, jax.Array]:
    """Sums that add up over batches: cross-entropy and count of targets, in all and by noise level."""
    counted = weights_N > 0
    sigma = jnp.where(counted, 1.0 / jnp.where(counted, weights_N, 1.0), 0.0)
    bucket = jnp.clip((sigma * BUCKETS).astype(jnp.int32), 0, BUCKETS - 1)
    member = (bucket[:, None] == jnp.arange(BUCKETS)) & counted[:, None]
    return {"nll_sums": losses_N @ member.astype(losses_N.dtype), "counts": jnp.sum(member, axis=0)}


def report(values: dict[str, jax.Array]) -> dict[str, Any]:
    """A step's values as plain numbers: loss, mean cross-entropy of the targets, and the same by noise level."""
    values = jax.device_get(values)
    sums, counts = values.pop("nll_sums"), values.pop("counts")
    means = sums / np.maximum(counts, 1)
    return {
        **{name: float(value) for name, value in values.items()},
        "nll": float(sums.sum() / max(counts.sum(), 1)),
        "nll_by_noise": [float(mean) for mean in means],
    }
