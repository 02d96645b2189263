"""The number format that `auto` takes on a CPU."""

import pytest
import torch

from coda_model import placement


@pytest.mark.parametrize(
    ("capabilities", "bfloat16_s", "float32_s", "expected"),
    [
        ({"amx_bf16": True}, 1.0, 2.0, torch.bfloat16),
        ({"avx512_bf16": True}, 1.0, 2.0, torch.bfloat16),
        ({"amx_bf16": True}, 2.0, 1.0, torch.float32),
        ({"avx512_f": True}, 1.0, 2.0, torch.float32),
        ({}, 1.0, 2.0, torch.float32),
    ],
)
def test_auto_takes_the_faster_format_the_cpu_has(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict, bfloat16_s: float, float32_s: float, expected: torch.dtype
) -> None:
    times_s = {torch.bfloat16: bfloat16_s, torch.float32: float32_s}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(placement, "_product_s", times_s.__getitem__)
    assert placement.resolve_dtype("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_takes_time(dtype: torch.dtype) -> None:
    assert 0 < placement._product_s(dtype) < 5
