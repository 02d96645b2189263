"""The number format that `auto` takes on a CPU."""

import pytest
import torch

from coda_model import placement
from coda_model.errors import CodaError
from coda_model.placement import NumberFormat

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "times_ms", "expected", "measured"),
    [
        ({"amx_bf16": True}, {"bfloat16": 1.0, "float32": 2.0}, "bfloat16", {"float32", "bfloat16"}),
        ({"avx512_bf16": True}, {"bfloat16": 1.0, "float32": 2.0}, "bfloat16", {"float32", "bfloat16"}),
        ({"amx_bf16": True}, {"bfloat16": 2.0, "float32": 1.0}, "float32", {"float32", "bfloat16"}),
        ({"avx512_vnni": True}, {"int8": 1.0, "float32": 2.0}, "int8", {"float32", "int8"}),
        ({"avx_vnni": True}, {"int8": 3.0, "float32": 2.0}, "float32", {"float32", "int8"}),
        (
            {"avx512_bf16": True, "avx512_vnni": True},
            {"int8": 1.0, "bfloat16": 2.0, "float32": 3.0},
            "int8",
            {"float32", "bfloat16", "int8"},
        ),
        ({"avx512_f": True}, {}, "float32", set()),
        ({}, {}, "float32", set()),
    ],
)
def test_auto_takes_the_fastest_format_the_cpu_has(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict, times_ms: dict, expected: str, measured: set[str]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(placement, "has_int8_kernels", lambda: True)
    monkeypatch.setattr(placement, "_product_ms", lambda number_format: times_ms[number_format.name])
    chosen = placement.resolve_format("auto", CPU)
    assert (chosen.name, set(chosen.measured_ms)) == (expected, measured)
    monkeypatch.setattr(placement, "has_int8_kernels", lambda: False)
    assert placement.resolve_format("auto", CPU).name != "int8"


@pytest.mark.parametrize("name", ["float32", "bfloat16", "int8"])
def test_a_product_takes_time(name: str) -> None:
    if name == "int8" and not placement.has_int8_kernels():
        pytest.skip("PyTorch has no int8 kernels for this processor")
    assert 0 < placement._product_ms(NumberFormat(name)) < 5000


@pytest.mark.parametrize(
    ("most", "times_ms", "expected"),
    [
        (1, {1: 5.0}, 1),
        (2, {2: 6.0, 1: 4.0}, 1),
        (2, {2: 3.0, 1: 4.0}, 2),
        (2, {2: 4.0, 1: 4.0}, 2),
        (8, {8: 6.0, 4: 3.0, 2: 4.0}, 4),  # and one thread is not tried
        (6, {6: 6.0, 3: 5.0, 1: 4.0}, 1),
    ],
)
def test_a_step_gets_the_threads_that_are_fastest(
    monkeypatch: pytest.MonkeyPatch, most: int, times_ms: dict[int, float], expected: int
) -> None:
    before, model = torch.get_num_threads(), torch.nn.Embedding(1, 1)
    monkeypatch.setattr(placement, "_step_ms", lambda measured, threads: times_ms[threads])
    try:
        torch.set_num_threads(most)
        placement.use_fastest_threads(model)
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)


def test_a_step_takes_time_with_the_threads_that_are_asked_for() -> None:
    before, seen = torch.get_num_threads(), set()

    class Model(torch.nn.Embedding):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            seen.add(torch.get_num_threads())
            return super().forward(input)

    try:
        assert 0 < placement._step_ms(Model(1, 8), 1) < 5000
    finally:
        torch.set_num_threads(before)
    assert seen == {1}


def test_int8_needs_a_cpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CodaError, match="only on a CPU"):
        placement.resolve_format("int8", torch.device("cuda"))
    monkeypatch.setattr(placement, "has_int8_kernels", lambda: False)
    with pytest.raises(CodaError, match="only on a CPU"):
        placement.resolve_format("int8", CPU)
