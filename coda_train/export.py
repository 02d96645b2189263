"""Between training and inference: the checkpoint directory, in the Hugging Face layout of the released CoDA."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from coda_train.checkpoint import has_checkpoint, read_arrays, read_meta
from coda_train.config import ModelConfig, from_dict
from coda_train.data.infilling import TokenIds
from coda_train.errors import ConfigError

if TYPE_CHECKING:
    from flax import nnx

LAYER_NAMES = {
    "input_norm": "input_layernorm",
    "attention/q_proj": "self_attn.q_proj",
    "attention/k_proj": "self_attn.k_proj",
    "attention/v_proj": "self_attn.v_proj",
    "attention/o_proj": "self_attn.o_proj",
    "attention/q_norm": "self_attn.q_norm",
    "attention/k_norm": "self_attn.k_norm",
    "post_norm": "post_attention_layernorm",
    "mlp/gate_proj": "mlp.gate_proj",
    "mlp/up_proj": "mlp.up_proj",
    "mlp/down_proj": "mlp.down_proj",
}
"""Names in one layer, ours to Hugging Face's. Matrices are [in, out] here and [out, in] there."""

TOP_NAMES = {"embed": "model.embed_tokens.weight", "norm": "model.norm.weight", "head": "lm_head.weight"}
DTYPES = ("float32", "bfloat16", "float16")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def export_run(run: Path, out: Path, dtype: str = "float32", averaged: bool = True, overwrite: bool = False) -> int:
    """Write a run's last checkpoint as a checkpoint directory, whole or not at all.

    Args:
        run: run folder of any stage.
        out: the new directory.
        dtype: type of the stored weights.
        averaged: take the averaged weights where the run kept them.
        overwrite: replace an existing `out`.

    Returns:
        The number of parameters.

    Raises:
        CheckpointError without a checkpoint, ConfigError for a wrong type or an `out` that is in the way.
    """
    from safetensors.numpy import save_file

    if dtype not in DTYPES:
        raise ConfigError(f"the type of stored weights is one of {', '.join(DTYPES)}, not {dtype}")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists: choose another folder, or replace it with --overwrite")
    step, meta = read_meta(run)
    config = from_dict(meta["config"])
    tensors = to_tensors(_run_arrays(run, averaged and config.stage.ema > 0), config.model)
    # Safetensors reads the buffer of a transposed view in the wrong order: hence contiguous.
    tensors = {name: np.ascontiguousarray(array.astype(jnp.dtype(dtype))) for name, array in tensors.items()}
    from coda_train.batches import token_ids

    ids = token_ids(run / "tokenizer", config.model.vocab_size)
    partial = out.parent / f".{out.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
        (partial / "model.safetensors").chmod(0o644)  # safetensors writes it for its owner alone
        _write_json(partial / "config.json", hub_config(config.model, ids, dtype))
        _write_json(partial / "generation_config.json", _generation_config(ids))
        for name in TOKENIZER_FILES:
            shutil.copyfile(run / "tokenizer" / name, partial / name)
        _write_json(partial / "training.json", {"step": step, "config": meta["config"]})
        if out.exists():
            shutil.rmtree(out)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sum(array.size for array in tensors.values())


def load_initial(source: Path, config: ModelConfig) -> "nnx.State":
    """Parameters to start a stage from: a run folder (its averaged weights, if kept) or a checkpoint directory.

    Raises ConfigError if the shapes are not those of `config` or `source` is neither.
    """
    from coda_train.model import init_params

    if has_checkpoint(source):
        _, meta = read_meta(source)
        arrays = _run_arrays(source, from_dict(meta["config"]).stage.ema > 0)
    elif (source / "config.json").is_file():
        arrays = from_tensors(read_tensors(source), config)
    else:
        raise ConfigError(f"{source} is neither a run folder with a checkpoint nor a checkpoint directory")
    template = jax.eval_shape(lambda: init_params(config, 0))
    paths, tree = jax.tree_util.tree_flatten_with_path(template)
    leaves = []
    for path, leaf in paths:
        name = jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value")
        if name not in arrays:
            raise ConfigError(f"{source} has no weights for {name}: its model has another shape")
        if arrays[name].shape != leaf.shape:
            raise ConfigError(f"{source} has {name} of shape {arrays[name].shape}, the configuration {leaf.shape}")
        leaves.append(jnp.asarray(arrays[name], jnp.float32))
    return jax.tree.unflatten(tree, leaves)


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of a checkpoint directory, of one file or several."""
    from safetensors.flax import load_file

    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ConfigError(f"{folder} holds no model*.safetensors")
    return {name: np.asarray(array) for file in files for name, array in load_file(file).items()}


def to_tensors(arrays: dict[str, np.ndarray], config: ModelConfig) -> dict[str, np.ndarray]:
    """Our arrays by name (layers stacked) to Hugging Face tensors by name."""
    tensors = {TOP_NAMES[name]: arrays[name] for name in TOP_NAMES if name in arrays}
    for ours, theirs in LAYER_NAMES.items():
        for layer in range(config.num_layers):
            array = arrays[f"layers/{ours}"][layer]
            tensors[f"model.layers.{layer}.{theirs}.weight"] = array.T if array.ndim == 2 else array
    return tensors


def from_tensors(tensors: dict[str, np.ndarray], config: ModelConfig) -> dict[str, np.ndarray]:
    """The inverse of `to_tensors`. Raises ConfigError for a missing tensor."""
    wanted = [name for name in TOP_NAMES if name != "head" or not config.tie_word_embeddings]
    try:
        arrays = {name: tensors[TOP_NAMES[name]] for name in wanted}
        for ours, theirs in LAYER_NAMES.items():
            names = [f"model.layers.{layer}.{theirs}.weight" for layer in range(config.num_layers)]
            arrays[f"layers/{ours}"] = np.stack([tensors[name].T for name in names])
    except KeyError as error:
        raise ConfigError(f"the checkpoint directory has no tensor {error.args[0]}") from None
    return arrays


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


def _run_arrays(run: Path, averaged: bool) -> dict[str, np.ndarray]:
    return read_arrays(run, "ema/" if averaged else "params/")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
