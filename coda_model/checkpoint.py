"""Checkpoint folders: `config.json`, `model*.safetensors` with an index where sharded, and the tokenizer's files."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor

from coda_model.config import ModelConfig
from coda_model.errors import CodaError
from coda_model.files import new_folder
from coda_model.locate import locate_checkpoint
from coda_model.placement import INT8, NumberFormat, resolve_device, resolve_format
from coda_model.quantize import SCALE_SUFFIX, check_sums, dequantize_rows, use_int8, write_quantized
from coda_model.transformer import CodaTransformer

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_HEAD = "lm_head.weight"


def load_model(path: str | Path = "bundled", device: str = "cpu", dtype: str = "float32") -> CodaTransformer:
    """The model of a checkpoint (bundled, a folder or a Hub id), ready for inference.

    Called with ids [B, L] int64 it gives logits [B, L, V] fp32, whose row i - 1 predicts token i. The head is tied to
    the embedding exactly when the files hold no `lm_head.weight`, whatever `config.json` says: the released checkpoint
    says tied and is not. Raises CodaError naming the file and the tensor that does not fit.
    """
    folder = locate_checkpoint(str(path))
    place = resolve_device(device)
    return read_weights(folder, read_config(folder), place, resolve_format(dtype, place))


def read_config(folder: Path) -> ModelConfig:
    """Raises CodaError where `config.json` is missing, is not JSON, or describes another kind of model."""
    try:
        return ModelConfig.from_dict(_read_json(folder / "config.json"))
    except CodaError as error:
        raise CodaError(f"{folder / 'config.json'}: {error}") from None


def read_weights(
    folder: Path, config: ModelConfig, device: torch.device, number_format: NumberFormat
) -> CodaTransformer:
    """Build the model without memory of its own, then give it the tensors of the files, each cast as it is read."""
    files = _weight_files(folder)
    check_sums(folder, files)
    stored = {name: file for file in files for name in _names(file)}
    untied = _HEAD in stored
    if not untied and not config.tie_word_embeddings:
        raise CodaError(f"{folder}: the tensor {_HEAD} is missing, and config.json says the head is not tied.")
    config = replace(config, tie_word_embeddings=not untied)
    with torch.device("meta"):
        model = CodaTransformer(config)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    for name in shapes:
        if name not in stored:
            raise CodaError(f"{folder}: the tensor {name} is in none of the weight files.")
    state: dict[str, Tensor] = {}
    for file in files:
        state.update(_read_tensors(file, shapes, device, number_format.dtype))
    model.load_state_dict(state, assign=True)
    model.requires_grad_(False).eval()
    return use_int8(model) if number_format.name == INT8 else model


def quantize_checkpoint(source: str | Path, out: str | Path) -> None:
    """Write the checkpoint `source` (bundled, a folder or a Hub id) with int8 weights to the folder `out`.

    Raises CodaError where `source` cannot be read or `out` already holds files.
    """
    folder = locate_checkpoint(str(source))
    model = read_weights(folder, read_config(folder), torch.device("cpu"), NumberFormat("float32"))
    write_quantized(folder, model.state_dict(), Path(out))


def save_checkpoint(
    model: CodaTransformer,
    config: ModelConfig,
    tokenizer: Tokenizer | None,
    folder: str | Path,
    max_shard_bytes: int = 5_000_000_000,
) -> None:
    """Write a checkpoint folder; it appears complete or not at all. Raises CodaError if it already holds files."""
    with new_folder(Path(folder)) as partial:
        save_torch_state_dict(model.state_dict(), partial, max_shard_size=max_shard_bytes)
        ids = {name: value for name, value in config.to_dict().items() if name.endswith("_token_id")}
        _write_json(partial / "config.json", config.to_dict())
        _write_json(partial / "generation_config.json", ids)
        if tokenizer is not None:
            tokenizer.save(str(partial / "tokenizer.json"))
            names = {name.removesuffix("_id"): tokenizer.id_to_token(value) for name, value in ids.items()}
            _write_json(partial / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"} | names)


def _weight_files(folder: Path) -> list[Path]:
    index = folder / INDEX
    if index.is_file():
        weight_map = _read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CodaError(f"{index} holds no weight_map.")
        files = []
        for name in sorted({str(name) for name in weight_map.values()}):
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise CodaError(f"{index} names the file {name!r}, which is no safetensors file of this folder.")
            if not (folder / name).is_file():
                raise CodaError(f"{folder / name} is missing, although {INDEX} names it.")
            files.append(folder / name)
        return files
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise CodaError(
            f"{folder} holds its weights as pickle ({pickles[0]}), which can run code when opened and is never loaded: "
            "convert them to safetensors."
        )
    raise CodaError(f"{folder} holds no weights: neither {WEIGHTS} nor {INDEX} is there.")


def _names(file: Path) -> list[str]:
    with _opened(file) as tensors:
        # Old exports stored the rotary frequencies; they follow from the configuration and are never read.
        return [name for name in tensors.keys() if not name.endswith("rotary_emb.inv_freq")]  # noqa: SIM118


def _read_tensors(
    file: Path, shapes: dict[str, tuple[int, ...]], device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[str, Tensor]]:
    with _opened(file) as tensors:
        names = _names(file)
        for name in names:
            if name.endswith(SCALE_SUFFIX) and name.removesuffix(SCALE_SUFFIX) in names:
                continue
            if name not in shapes:
                raise CodaError(f"{file}: the tensor {name} does not belong to this model.")
            shape = tuple(tensors.get_slice(name).get_shape())
            if shape != shapes[name]:
                raise CodaError(
                    f"{file}: the tensor {name} has the shape {list(shape)}, but the configuration asks for "
                    f"{list(shapes[name])}."
                )
            tensor = tensors.get_tensor(name)
            if tensor.dtype == torch.int8 and name + SCALE_SUFFIX in names:
                scale = tensors.get_tensor(name + SCALE_SUFFIX)
                if tuple(scale.shape) != shape[:1] or not scale.is_floating_point():
                    raise CodaError(f"{file}: the tensor {name + SCALE_SUFFIX} does not hold one scale a row.")
                tensor = dequantize_rows(tensor, scale)
            if not tensor.is_floating_point():
                raise CodaError(f"{file}: the tensor {name} is stored as {tensor.dtype}, not as floating point.")
            yield name, tensor.to(device=device, dtype=dtype)


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt", device="cpu")
    except SafetensorError as error:
        raise CodaError(f"{file} is damaged or no safetensors file ({error}).") from None
    except OSError as error:
        raise CodaError(f"{file} cannot be read ({error.strerror or error}).") from None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise CodaError(f"{file} is missing.") from None
    except OSError as error:
        raise CodaError(f"{file} cannot be read ({error.strerror or error}).") from None
    except ValueError as error:
        raise CodaError(f"{file} is not valid JSON ({error}).") from None
    if not isinstance(values, dict):
        raise CodaError(f"{file} holds no JSON object.")
    return values


def _write_json(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
