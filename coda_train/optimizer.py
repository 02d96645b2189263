"""Optimizers and the learning-rate schedule.

An optimizer here makes updates for a learning rate of 1; the train step multiplies them by the rate, which comes in as
a traced number. So a schedule may follow steps or elapsed time and nothing compiles anew.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from coda_train.config import OptimizerConfig

WSD_DECAY = 0.2


def learning_rate(config: OptimizerConfig, progress: float) -> float:
    """Learning rate at `progress` through the run, 0 to 1: linear warm-up, then the schedule's decay."""
    if progress < config.warmup:
        return config.peak * progress / config.warmup
    after = min((progress - config.warmup) / max(1.0 - config.warmup, 1e-9), 1.0)
    if config.schedule == "cosine":
        left = 0.5 * (1.0 + math.cos(math.pi * after))
    elif config.schedule == "linear":
        left = 1.0 - after
    elif config.schedule == "wsd":
        left = min(1.0, (1.0 - after) / WSD_DECAY)
    else:
        left = 1.0
    return config.peak * (config.final + (1.0 - config.final) * left)


def make_optimizer(config: OptimizerConfig, params: Any) -> optax.GradientTransformation:
    """The optimizer for `params`, whose `layers` leaves are stacked on a leading axis."""
    stacked = jax.tree_util.tree_map_with_path(lambda path, _: _is_stacked(path), params)
    matrices = jax.tree.map(lambda leaf, stack: leaf.ndim - stack >= 2, params, stacked)
    decay = optax.add_decayed_weights(config.weight_decay, mask=matrices)
    clip = [optax.clip_by_global_norm(config.clip)] if config.clip else []
    if config.name == "adafactor":
        # Factoring and clipping belong to one matrix: over a stack they would span the layers.
        single = optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0))
        labels = jax.tree.map(lambda stack: "stacked" if stack else "single", stacked)
        rule = optax.partition({"stacked": _over_layers(single), "single": single}, labels)
        return optax.chain(*clip, rule, decay, optax.scale(-1.0))
    if config.name == "muon":
        return optax.chain(
            *clip,
            optax.contrib.muon(
                1.0,
                beta=0.95,
                weight_decay=config.weight_decay,
                adam_b1=config.b1,
                adam_b2=config.b2,
                eps=config.eps,
                adam_learning_rate=1.0,
                consistent_rms=0.2,
                muon_weight_dimension_numbers=_muon_dimensions,
            ),
        )
    return optax.chain(*clip, optax.scale_by_adam(config.b1, config.b2, config.eps), decay, optax.scale(-1.0))


def _is_stacked(path: tuple) -> bool:
    return getattr(path[0], "key", None) == "layers"


def _muon_dimensions(params: Any) -> Any:
    """Layers' matrices are orthogonalised, one by one along the stack; embedding, head and norms are not."""

    def dimensions(path: tuple, leaf: jax.Array):
        if _is_stacked(path) and leaf.ndim == 3:
            return optax.contrib.MuonDimensionNumbers(reduction_axis=1, output_axis=2)
        return None

    return jax.tree_util.tree_map_with_path(dimensions, params)


def _over_layers(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    def update(updates, state, params=None):
        return jax.vmap(rule.update)(updates, state, params)

    return optax.GradientTransformation(lambda params: jax.vmap(rule.init)(params), update)


def average(ema: Any, params: Any, decay: float, step: jax.Array) -> Any:
    """Exponential moving average of the weights; the decay grows from 0 so that the start is forgotten."""
    kept = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda old, new: old + (1.0 - kept) * (new - old), ema, params)
