"""Where a model runs and in which number format."""

import time
from dataclasses import dataclass, field

import torch
from torch import nn

from coda_model.errors import CodaError
from coda_model.quantize import Int8Linear, has_int8_kernels

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
INT8 = "int8"
# Rows and width of the product that is measured: about a hole's, and wide enough for the format to matter.
_ROWS, _WIDTH = 32, 1024
# Rows of the forward that is measured with more and fewer threads: a step's, of the drafts of a line together.
_STEP_ROWS = 64
_MEASURED_S = 0.05


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are held: activations in `dtype`, and with the name `int8` matrices in 8 bits.

    `measured_ms` is what the choice among several rests on: the time of one product in each.
    """

    name: str
    measured_ms: dict[str, float] = field(default_factory=dict)

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES.get(self.name, torch.float32)


def resolve_device(name: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:1`, `mps`, or `auto`: an accelerator if there is one. Raises CodaError if it is absent."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise CodaError(f"There is no device {name!r}: use cpu, cuda, cuda:N, mps or auto.") from None
    if device.type == "cpu":
        return device
    if accelerator is None or accelerator.type != device.type:
        raise CodaError(f"The device {name!r} is not available to PyTorch on this machine: use cpu or auto.")
    if device.index is not None and device.index >= torch.accelerator.device_count():
        raise CodaError(f"The device {name!r} does not exist: there are {torch.accelerator.device_count()}.")
    return device


def resolve_format(name: str, device: torch.device) -> NumberFormat:
    """`float32`, `bfloat16`, `float16`, `int8` (on a CPU), or `auto`. Raises CodaError for any other name.

    `auto` is bfloat16 on an accelerator that has it; on a CPU the fastest of fp32, bfloat16 (with AMX or AVX512-BF16)
    and int8 (with VNNI or AMX), as a short measurement says.
    """
    if name == "auto":
        if device.type == "cpu":
            return fastest_on_cpu()
        if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
            return NumberFormat("bfloat16")
        return NumberFormat("float16")
    if name not in (*DTYPES, INT8):
        raise CodaError(f"There is no dtype {name!r}: use {', '.join(DTYPES)}, {INT8} or auto.")
    if name == INT8 and (device.type != "cpu" or not has_int8_kernels()):
        raise CodaError("int8 runs only on a CPU of the x86 family: use bfloat16, float32 or auto.")
    return NumberFormat(name)


def fastest_on_cpu() -> NumberFormat:
    """The format of the fastest product of a hole's size, among those the CPU has instructions for.

    It is measured (some ms), since what an emulated or throttled processor says of itself is not always so.
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = ["float32"]
    if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"):
        names.append("bfloat16")
    if (capabilities.get("amx_int8") or capabilities.get("avx512_vnni") or capabilities.get("avx_vnni")) and (
        has_int8_kernels()
    ):
        names.append(INT8)
    if len(names) == 1:
        return NumberFormat("float32")
    measured = {name: _product_ms(NumberFormat(name)) for name in names}
    return NumberFormat(min(names, key=lambda name: measured[name]), measured)


def use_fastest_threads(model: nn.Module) -> None:
    """Compute on a CPU with half as many threads, and half of these, as long as that makes a step faster.

    Threads that sleep while they wait for each other (coda_model/cli.py) take long to wake for a small model's
    products. The number is the calling thread's, and that of threads which start later.

    Args:
        model: takes ids [1, L] int64.
    """
    threads = torch.get_num_threads()
    fastest_ms = _step_ms(model, threads)
    while threads > 1 and (fewer_ms := _step_ms(model, threads // 2)) < fastest_ms:
        threads, fastest_ms = threads // 2, fewer_ms
    torch.set_num_threads(threads)


@torch.inference_mode()
def _step_ms(model: nn.Module, threads: int) -> float:
    """The time of a step's forward with so many threads, the best of several, since others use the machine too."""
    torch.set_num_threads(threads)
    ids_1xL = torch.zeros(1, _STEP_ROWS, dtype=torch.int64)
    times_s: list[float] = []
    while len(times_s) < 2 or sum(times_s) < _MEASURED_S:
        started = time.perf_counter()
        model(ids_1xL)
        times_s.append(time.perf_counter() - started)
    return min(times_s) * 1e3


@torch.inference_mode()
def _product_ms(number_format: NumberFormat) -> float:
    """The time of one product, the best of several, since others use the machine too."""
    linear: nn.Module = nn.Linear(_WIDTH, _WIDTH, bias=False, dtype=number_format.dtype)
    if number_format.name == INT8:
        linear = Int8Linear(linear.weight)  # type: ignore[arg-type]
    rows = torch.ones(_ROWS, _WIDTH, dtype=number_format.dtype)
    times_ms = []
    for _ in range(8):
        started = time.perf_counter()
        linear(rows)
        times_ms.append((time.perf_counter() - started) * 1e3)
    return min(times_ms)
