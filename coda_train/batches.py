"""Batches for the loop, from a corpus folder and a tokenizer folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax.experimental import multihost_utils

from coda_train.config import TrainConfig
from coda_train.data.chat import chat_batches
from coda_train.data.infilling import TokenIds
from coda_train.data.loaders import infill_batches, packed_batches, special_ids
from coda_train.data.shards import tokenise_corpus
from coda_train.errors import ConfigError
from coda_train.tokenizer import load_tokenizer

Batch = dict[str, np.ndarray]
HELD_OUT_SEED = 20_251_003
"""Held-out batches are the same for every run."""


class Batches(Protocol):
    """An endless iterator whose position can be stored and set."""

    def __next__(self) -> Batch: ...

    def get_state(self) -> Any:
        """The position, as JSON."""
        ...

    def set_state(self, state: Any) -> None:
        """Go on with the batch after a position."""
        ...

    def close(self) -> None:
        """End the processes that make rows ahead, and give back what they share."""
        ...


def token_ids(tokenizer: Path, vocab_size: int) -> TokenIds:
    """The special ids of a tokenizer folder. Raises ConfigError if its vocabulary is over the model's."""
    loaded = load_tokenizer(tokenizer)
    size = loaded.get_vocab_size()
    if size > vocab_size:
        raise ConfigError(
            f"the tokenizer in {tokenizer} has {size} tokens, the model only {vocab_size}: set model.vocab_size={size}"
        )
    return special_ids(loaded)


def open_batches(
    config: TrainConfig,
    corpus: Path,
    tokenizer: Path,
    split: str,
    progress: Callable[[str, int, int], None] | None = None,
    workers: int = 0,
    rows: np.ndarray | None = None,
) -> Batches:
    """Batches of `split` ("train" or "held_out"), as `config.stage` wants them.

    `corpus` is a corpus folder, for chats the conversations (see `read_conversations`). Tokenised documents are kept in
    `corpus/shards/VOCABULARY` and reused. Of each batch the numbered `rows` are made, or all of them.
    """
    stage = config.stage
    seed = stage.seed if split == "train" else HELD_OUT_SEED
    if stage.batches == "infill":
        return infill_batches(
            corpus, split, tokenizer, stage.batch_size, stage.length, seed, config.infill, workers, rows
        )
    if stage.batches == "chat":
        return chat_batches(corpus, split, tokenizer, stage.batch_size, stage.length, seed, workers, rows)
    loaded = load_tokenizer(tokenizer)
    shards = corpus / "shards" / str(loaded.get_vocab_size())
    if jax.process_index() == 0:
        tokenise_corpus(corpus, tokenizer, shards, split, progress)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"{split} tokenised")  # the corpus lies where every process sees it
    return packed_batches(shards / split, stage.batch_size, stage.length, seed, special_ids(loaded).end, rows)
