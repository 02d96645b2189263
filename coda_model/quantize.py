"""int8 weights, one scale a row: made, stored beside their checksums, and multiplied on a CPU.

A matrix W [O, I] is stored as round(W / scale) with scale_o = max_i |W_oi| / 127, so no entry is off by more than half
a scale. Products quantise the rows they are given as they come (dynamic quantisation).
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from coda_model.config import WEIGHTS_KEY
from coda_model.errors import CodaError
from coda_model.files import new_folder
from coda_model.transformer import Attention, CodaTransformer, FeedForward

SCALE_SUFFIX = "_scale"
CHECKSUMS = "SHA256SUMS"
_LARGEST = 127
# Files of a checkpoint that go along unchanged.
_ALONG = ("*.json", "merges.txt", "README.md", "LICENSE*")


def has_int8_kernels() -> bool:
    """Whether this PyTorch multiplies int8 on this family of processors."""
    return "fbgemm" in torch.backends.quantized.supported_engines and hasattr(
        torch, "_make_per_channel_quantized_tensor"
    )


def quantize_rows(weight_OxI: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [O, I] and the scales fp32 [O]; a row of zeros has the scale 1."""
    largest_O = weight_OxI.float().abs().amax(dim=1)
    scale_O = torch.where(largest_O > 0, largest_O / _LARGEST, torch.ones_like(largest_O))
    scale_O = scale_O.clamp(min=torch.finfo(torch.float32).tiny)  # or numbers near the least there are would have none
    return (weight_OxI.float() / scale_O[:, None]).round().clamp(-_LARGEST, _LARGEST).to(torch.int8), scale_O


def dequantize_rows(weight_OxI: Tensor, scale_O: Tensor) -> Tensor:
    """fp32 [O, I]."""
    return weight_OxI.float() * scale_O[:, None]


class Int8Linear(nn.Module):
    """x W^T of int8 weights and fp32 rows, which are quantised together to 8 bits for each product."""

    def __init__(self, weight_OxI: Tensor) -> None:
        super().__init__()
        quantized, scale_O = quantize_rows(weight_OxI)
        zeros_O = torch.zeros(len(scale_O), dtype=torch.int64)
        with warnings.catch_warnings():
            # PyTorch means to remove these tensors one day; `has_int8_kernels` then says no, and auto takes bfloat16.
            warnings.filterwarnings("ignore", message="torch.quantize_per_tensor")
            wrapped = torch._make_per_channel_quantized_tensor(quantized, scale_O.double(), zeros_O, 0)
        self._packed = torch.ops.quantized.linear_prepack(wrapped, None)
        # The kernel itself: to find it among its overloads at each call costs as much as a small product.
        self._multiply = torch.ops.quantized.linear_dynamic.default

    def forward(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed)


def use_int8(model: CodaTransformer) -> CodaTransformer:
    """Replace every matrix of an fp32 model that is multiplied, the head's too; the embedding's rows stay."""
    model.int8_head = Int8Linear(model.model.embed_tokens.weight if model.lm_head is None else model.lm_head.weight)
    model.lm_head = None
    for module in list(model.model.layers.modules()):
        if isinstance(module, Attention):
            module.int8_projection = _taken(module, "q_proj", "k_proj", "v_proj")
            module.o_proj = _taken(module, "o_proj")
        elif isinstance(module, FeedForward):
            module.int8_gate_up = _taken(module, "gate_proj", "up_proj")
            module.down_proj = _taken(module, "down_proj")
    return model


def _taken(module: nn.Module, *names: str) -> Int8Linear:
    """One product for the matrices of these names, which are let go."""
    product = Int8Linear(torch.cat([getattr(module, name).weight for name in names]))
    for name in names:
        delattr(module, name)
    return product


def quantize_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's tensors with every matrix as int8 and, under its name and `_scale`, its scales."""
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.dim() == 2:
            stored[name], stored[name + SCALE_SUFFIX] = quantize_rows(tensor)
        else:
            stored[name] = tensor.contiguous()
    return stored


def write_quantized(source: Path, state: Mapping[str, Tensor], out: Path) -> None:
    """Write the checkpoint `source` with int8 weights; `out` appears complete or not at all.

    Raises CodaError where `out` already holds files.
    """
    with new_folder(out) as partial:
        for file in sorted({file for pattern in _ALONG for file in source.glob(pattern)}):
            if not file.name.endswith(".index.json"):
                shutil.copy(file, partial / file.name)
        config = json.loads((source / "config.json").read_text("utf-8"))
        marked = json.dumps(config | {WEIGHTS_KEY: "int8"}, indent=2) + "\n"
        (partial / "config.json").write_text(marked, "utf-8")
        save_file(quantize_state(state), partial / "model.safetensors", metadata={"format": "pt"})
        (partial / CHECKSUMS).write_text(f"{_sha256(partial / 'model.safetensors')}  model.safetensors\n")


def check_sums(folder: Path, files: Iterable[Path]) -> None:
    """Compare the files with `SHA256SUMS`, where there is one. Raises CodaError naming the file that differs."""
    record = folder / CHECKSUMS
    if not record.is_file():
        return
    lines = (line.split(maxsplit=1) for line in record.read_text("utf-8", errors="replace").split("\n"))
    expected = {line[1].lstrip("*"): line[0] for line in lines if len(line) == 2}
    for file in files:
        if file.name not in expected:
            raise CodaError(f"{record} has no line for {file.name}.")
        if _sha256(file) != expected[file.name]:
            raise CodaError(f"{file} is not the file that {CHECKSUMS} describes: it is damaged or was changed.")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
