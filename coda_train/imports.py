"""What a run starts from: a run folder, or a checkpoint directory of Qwen3 or CoDA, read slice by slice.

Each process reads only the slices that its own devices hold, so a model larger than a host's memory can be read.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from coda_train.checkpoint import has_checkpoint, read_meta, restore_arrays
from coda_train.config import ModelConfig, from_dict
from coda_train.data.hub import fetch_model
from coda_train.errors import ConfigError
from coda_train.layout import STACK, TOP_NAMES, tensor_names
from coda_train.model import init_params

BUNDLED, HUB = "bundled", "hub:"
_HEAD = TOP_NAMES["head"]
_SCALE = "_scale"
"""Behind the name of an int8 matrix: its rows' scales, as `coda-model quantize` writes them."""
_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "intermediate_size": "intermediate_size",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "rms_norm_eps",
    "max_positions": "max_position_embeddings",
    "tie_word_embeddings": "tie_word_embeddings",
}
"""The settings that make a model's shape, ours to those of a Hugging Face `config.json`."""


def find_initial(source: str) -> Path:
    """The folder behind `bundled` (the model that ships), `hub:OWNER/NAME` (fetched from the Hub), or a path.

    Raises ConfigError without the model that ships, SourceError if the Hub does not give the other.
    """
    if source == BUNDLED:
        package = importlib.util.find_spec("coda_model")
        places = list(package.submodule_search_locations or ()) if package else []
        if not places or not (Path(places[0]) / BUNDLED / "config.json").is_file():
            raise ConfigError("there is no bundled model: the package coda_model is not installed beside this one")
        return Path(places[0]) / BUNDLED
    if source.startswith(HUB):
        return fetch_model(source.removeprefix(HUB))
    return Path(source).expanduser()


def shape_of(source: Path) -> dict[str, Any]:
    """The settings of `ModelConfig` that make up the shape of the model in a run folder or checkpoint directory.

    The head counts as tied exactly when the files hold none, whatever `config.json` says (the released CoDA says tied
    and is not). Raises ConfigError if `source` is neither, or holds a model of another kind.
    """
    if has_checkpoint(source):
        model = from_dict(read_meta(source)[1]["config"]).model
        return {name: getattr(model, name) for name in _KEYS}
    if not (source / "config.json").is_file():
        raise ConfigError(f"{source} is neither a run folder with a checkpoint nor a checkpoint directory")
    try:
        table = json.loads((source / "config.json").read_text("utf-8"))
        kind = table.get("model_type")
        if kind not in ("qwen3", "CoDA") or table.get("attention_bias"):
            raise ConfigError(f"{source} holds a model of type {kind}: only Qwen3 and CoDA can be read")
        rope = table.get("rope_parameters") or table.get("rope_scaling") or {}
        if rope.get("rope_type", "default") != "default":
            raise ConfigError(f"{source} scales its rotary positions ({rope['rope_type']}): that can't be read")
        table = {"rope_theta": rope.get("rope_theta", 1e6), "head_dim": 128, "rms_norm_eps": 1e-6} | table
        shape = {ours: table[theirs] for ours, theirs in _KEYS.items() if ours != "tie_word_embeddings"}
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{source / 'config.json'} is damaged: {error}") from None
    except KeyError as error:
        raise ConfigError(f"{source / 'config.json'} lacks {error.args[0]}") from None
    return shape | {"tie_word_embeddings": _HEAD not in Tensors(source)}


def load_initial(source: Path, config: ModelConfig, shardings: Any = None) -> Any:
    """Parameters to start a stage from, float32: a run folder's (averaged, if kept) or a checkpoint directory's.

    Args:
        source: what `find_initial` gives.
        config: the model to make; its shape must be that of the source.
        shardings: a `jax.sharding.Sharding` for each parameter, as a tree like `init_params`'; None puts all of them
            on the first device.

    Raises ConfigError if the shapes are not those of `config`, or tensors are missing or damaged.
    """
    template = jax.eval_shape(lambda: init_params(config, 0))
    paths, tree = jax.tree_util.tree_flatten_with_path(template)
    names = [jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value") for path, _ in paths]
    alone = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    places = [alone] * len(names) if shardings is None else jax.tree.leaves(shardings)
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, jnp.float32, sharding=place)
        for name, (_, leaf), place in zip(names, paths, places, strict=True)
    }
    if has_checkpoint(source):
        averaged = from_dict(read_meta(source)[1]["config"]).stage.ema > 0
        arrays = restore_arrays(source, "ema/" if averaged else "params/", wanted)
    else:
        tensors = Tensors(source)
        arrays = {name: tensors.array(name, struct) for name, struct in wanted.items()}
    return jax.tree.unflatten(tree, [arrays[name] for name in names])


class Tensors:
    """The tensors in the `model*.safetensors` of a checkpoint directory; nothing is read until it is asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        files = sorted(folder.glob("model*.safetensors"))
        if not files:
            raise ConfigError(f"{folder} holds no model*.safetensors")
        self._file_of: dict[str, Any] = {}
        for file in files:
            try:
                opened = safe_open(file, framework="numpy")
                self._file_of |= dict.fromkeys(opened.keys(), opened)
            except (SafetensorError, OSError) as error:
                raise ConfigError(f"{file} is damaged or truncated: {error}") from None

    def __contains__(self, name: str) -> bool:
        return name in self._file_of

    def array(self, name: str, struct: jax.ShapeDtypeStruct) -> jax.Array:
        """A parameter by our name, with the shape, type and sharding of `struct`; only the local slices are read."""
        self._check(name, struct.shape)

        def read(index: tuple[slice, ...] | None) -> np.ndarray:
            assert index is not None
            return self.part(name, struct.shape, index).astype(struct.dtype)

        return jax.make_array_from_callback(struct.shape, struct.sharding, read)

    def part(self, name: str, shape: tuple[int, ...], index: tuple[slice, ...]) -> np.ndarray:
        """What `index` selects of the parameter `name` of `shape`; nothing else is read.

        In the type of the file, or in float32 where that is int8 with a scale for each row.
        """
        if not name.startswith(STACK):
            return self._read(TOP_NAMES[name], index)
        return np.stack([self._read(theirs, index[:0:-1]).T for theirs in tensor_names(name, shape[0])[index[0]]])

    def _read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        values = self._slice(name)[index]
        if name + _SCALE not in self:
            return values
        return values.astype(np.float32) * self._slice(name + _SCALE)[index[:1]][:, None]

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        wanted = shape[:0:-1] if name.startswith(STACK) else shape
        for theirs in tensor_names(name, shape[0]):
            there = tuple(self._slice(theirs).get_shape())
            if there != wanted:
                raise ConfigError(f"{self.folder} has {theirs} of shape {there}, the configuration {wanted}")

    def _slice(self, name: str) -> Any:
        if name not in self:
            raise ConfigError(f"{self.folder} has no tensor {name}")
        return self._file_of[name].get_slice(name)
