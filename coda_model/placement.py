"""Where a model runs and in which number format."""

import time

import torch

from coda_model.errors import CodaError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """`float32`, `bfloat16`, `float16`, or `auto`. Raises CodaError for any other name.

    `auto` is bfloat16 where the hardware multiplies it faster than fp32 (an accelerator, a CPU with AMX or AVX512-BF16
    where a short measurement agrees), fp32 elsewhere.
    """
    if name != "auto":
        if name not in DTYPES:
            raise CodaError(f"There is no dtype {name!r}: use {', '.join(DTYPES)} or auto.")
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        return torch.bfloat16 if cpu_multiplies_bfloat16() else torch.float32
    return torch.float16


def cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16 (AMX tiles or AVX512-BF16) and they are the faster ones here.

    A short measurement (some ms) of a matrix product of a hole's size decides: what an emulated or throttled processor
    says of itself is not always so.
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if not (capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")):
        return False
    return _product_s(torch.bfloat16) < _product_s(torch.float32)


def _product_s(dtype: torch.dtype) -> float:
    """The time of 32 rows times a matrix of 1024 x 1024, the best of several, since others use the machine too."""
    rows, weight = torch.ones(32, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    times_s = []
    for _ in range(8):
        started = time.perf_counter()
        torch.nn.functional.linear(rows, weight)
        times_s.append(time.perf_counter() - started)
    return min(times_s)
