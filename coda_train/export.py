"""From training to inference: the checkpoint directory, in the Hugging Face layout of the released CoDA."""

import filecmp
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors.numpy import save_file

from coda_train.batches import token_ids
from coda_train.checkpoint import read_arrays, read_meta
from coda_train.config import ModelConfig, TrainConfig, from_dict
from coda_train.data.infilling import TokenIds
from coda_train.errors import ConfigError
from coda_train.layout import to_tensors
from coda_train.tokenizer import TOKENIZER_FILES

DTYPES = ("float32", "bfloat16", "float16")
SHARD_BYTES = 5_000_000_000
"""Largest weight file, as the Hub advises."""


def export_runs(
    runs: Sequence[Path], out: Path, dtype: str = "float32", averaged: bool = True, overwrite: bool = False
) -> int:
    """Write the last checkpoint of a run, or the mean of several, as a checkpoint directory, whole or not at all.

    Runs that went on from one another, each with a rate that fell to 0, lie about one minimum, and their mean is closer
    to it than each of them (stochastic weight averaging, arXiv 1803.05407).

    Args:
        runs: run folders of any stage, of one model and tokenizer; one at least. Those of the last are what
            `training.json` says.
        out: the new directory.
        dtype: type of the stored weights.
        averaged: take the averaged weights where the run kept them.
        overwrite: replace an existing `out`.

    Returns:
        The number of parameters.

    Raises:
        CheckpointError without a checkpoint, ConfigError for a wrong type, an `out` that is in the way, or runs that
        have no mean.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"the type of stored weights is one of {', '.join(DTYPES)}, not {dtype}")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists: choose another folder, or replace it with --overwrite")
    metas = [read_meta(run) for run in runs]
    configs = [from_dict(meta["config"]) for _, meta in metas]
    _check_alike(runs, configs)
    run, (step, meta), config = runs[-1], metas[-1], configs[-1]
    tensors: dict[str, np.ndarray] = {}
    for number, (one, of_one) in enumerate(zip(runs, configs, strict=True)):
        arrays = read_arrays(one, "ema/" if averaged and of_one.stage.ema > 0 else "params/")
        for name, array in to_tensors(arrays.items()):
            tensors[name] = tensors[name] + (array - tensors[name]) / (number + 1) if number else array
    ids = token_ids(run / "tokenizer", config.model.vocab_size)
    partial = out.parent / f".{out.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_weights(tensors, partial, dtype)
        _write_json(partial / "config.json", hub_config(config.model, ids, dtype))
        _write_json(partial / "generation_config.json", _generation_config(ids))
        for name in TOKENIZER_FILES:
            shutil.copyfile(run / "tokenizer" / name, partial / name)
        _write_json(partial / "training.json", {"step": step, "mean_of": len(runs), "config": meta["config"]})
        if out.exists():
            shutil.rmtree(out)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(array.size for array in tensors.values())


def _check_alike(runs: Sequence[Path], configs: Sequence[TrainConfig]) -> None:
    for run, config in zip(runs[1:], configs[1:], strict=True):
        if config.model != configs[0].model:
            raise ConfigError(f"{runs[0]} and {run} are of different models, which have no mean")
        same, *_ = filecmp.cmpfiles(runs[0] / "tokenizer", run / "tokenizer", TOKENIZER_FILES, shallow=False)
        if len(same) < len(TOKENIZER_FILES):
            raise ConfigError(f"{runs[0]} and {run} have different tokenizers: their weights have no mean")


def hub_config(config: ModelConfig, ids: TokenIds, dtype: str) -> dict[str, Any]:
    """`config.json`: the Qwen3 keys of Hugging Face and the ids of the special tokens."""
    return {
        "architectures": ["CoDALanguageModel"],
        "model_type": "CoDA",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": ids.pad,
        "eos_token_id": ids.end,
        "pad_token_id": ids.pad,
        "mask_token_id": ids.mask,
        "expand_token_id": ids.expand,
        "delete_token_id": ids.delete,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_positions,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "num_key_value_heads": config.num_kv_heads,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": config.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": dtype,
        "use_cache": False,
        "use_sliding_window": False,
        "vocab_size": config.vocab_size,
    }


def _generation_config(ids: TokenIds) -> dict[str, Any]:
    return {
        "bos_token_id": ids.pad,
        "eos_token_id": ids.end,
        "pad_token_id": ids.pad,
        "mask_token_id": ids.mask,
    }


def _write_weights(tensors: dict[str, np.ndarray], folder: Path, dtype: str) -> None:
    """One file, or several of at most SHARD_BYTES with an index."""
    kind = jnp.dtype(dtype)
    plan = split_state_dict_into_shards_factory(
        tensors,
        get_storage_size=lambda array: array.size * kind.itemsize,
        get_storage_id=lambda array: None,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=SHARD_BYTES,
    )
    for file, names in plan.filename_to_tensors.items():
        # Safetensors reads the buffer of a transposed view in the wrong order: hence contiguous.
        part = {name: np.ascontiguousarray(tensors[name].astype(kind)) for name in names}
        save_file(part, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)  # safetensors writes it for its owner alone
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        _write_json(folder / "model.safetensors.index.json", index)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
