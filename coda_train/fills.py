"""How many held-out lines a model in training completes exactly, with a few to look at."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from coda_train.config import TrainConfig
from coda_train.data.infilling import TokenIds
from coda_train.data.problems import MAX_FILL, Problem
from coda_train.decode import Rows, fill, fills_of, is_exact, make_rows
from coda_train.model import graph_of
from coda_train.sharding import Layout
from coda_train.tokenizer import load_tokenizer

MIN_PROBLEMS = 32
MAX_LENGTH = 128
"""Tokens of a row: enough to see whether a model learns, and cheap beside a training step."""
SAMPLES = 3


class Fills:
    """Decodes the same problems whenever it is called.

    Args:
        config: the run's configuration.
        layout: the devices.
        ids: special tokens.
        tokenizer: folder with `tokenizer.json`.
        problems: what to complete (see `line_problems`), for rows of `row_length(config)` tokens.
    """

    def __init__(
        self, config: TrainConfig, layout: Layout, ids: TokenIds, tokenizer: Path, problems: Sequence[Problem]
    ):
        size = config.stage.batch_size
        self._problems, self._ids, self._tokenizer = problems, ids, load_tokenizer(tokenizer)
        self._oracle = config.stage.batches != "infill"
        held, parts = layout.process_rows(size), [problems[i : i + size] for i in range(0, len(problems), size)]
        rows = (make_rows(part, size, row_length(config), ids, self._oracle) for part in parts)
        self._rows = [layout.place({name: array[held] for name, array in part.items()}, size) for part in rows]
        graph = graph_of(config.model, layout.platform)

        @functools.partial(jax.jit, out_shardings=layout.sharding())
        def decode(params: Any, rows: Rows) -> jax.Array:
            model = nnx.merge(graph, params)
            return fill(lambda *row: model(*row, tail=True, layout=layout), model.logits, rows, ids, self._oracle)

        self._decode = decode

    def __call__(self, params: Any) -> dict[str, Any]:
        """`fill_exact`: share of the lines whose rest is exactly right; `fill_length`: whether its number of tokens was
        given (oracle) or found (free); `fills`: some of them as text, each fill in brackets before what stood there."""
        decoded = np.concatenate([jax.device_get(self._decode(params, rows)) for rows in self._rows])
        texts = [self._tokenizer.decode(tokens) for tokens in fills_of(decoded, self._ids, len(self._problems))]
        exact = [is_exact(text, problem.text) for text, problem in zip(texts, self._problems, strict=True)]
        samples = [
            f"{problem.before}⟦{text}⟧ for ⟦{problem.text}⟧"
            for text, problem in zip(texts[:SAMPLES], self._problems, strict=False)
        ]
        return {
            "fill_exact": float(np.mean(exact)),
            "fill_length": "oracle" if self._oracle else "free",
            "fills": [" ".join(sample.split("\n")) for sample in samples],
        }


def row_length(config: TrainConfig) -> int:
    """Tokens of a row with a problem; 0 where a row of the run is too short for one."""
    length = min(config.stage.length, MAX_LENGTH)
    return length if length >= 2 * MAX_FILL else 0
