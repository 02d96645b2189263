"""int8 weights: how far off they are, the folder they are stored in, and what is said of a damaged one."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from coda_model.checkpoint import load_model
from coda_model.cli import app
from coda_model.errors import CodaError
from coda_model.quantize import Int8Linear, dequantize_rows, has_int8_kernels, quantize_rows, use_int8
from coda_model.transformer import CodaTransformer

from .conftest import random_model

needs_kernels = pytest.mark.skipif(
    not has_int8_kernels(),
    reason="PyTorch has no int8 kernels for this processor",
)


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_no_entry_is_off_by_more_than_half_a_scale(rows: list[list[float]]) -> None:
    weight = torch.tensor(rows)
    quantized, scale = quantize_rows(weight)
    assert quantized.dtype == torch.int8
    assert (scale > 0).all()
    assert ((dequantize_rows(quantized, scale) - weight).abs() <= 0.5001 * scale[:, None]).all()


@needs_kernels
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_a_product_is_near_the_exact_one(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(48, 96, generator=generator), torch.randn(1, rows, 96, generator=generator)
    exact = torch.nn.functional.linear(x, weight)
    assert (Int8Linear(weight)(x) - exact).std() < 0.02 * exact.std()


@needs_kernels
def test_an_int8_model_says_nearly_the_same(tiny_model: CodaTransformer) -> None:
    ids = torch.arange(20, 60)[None]
    exact = tiny_model(ids)
    found = use_int8(random_model(tiny_model.config))(ids)
    assert torch.corrcoef(torch.stack((exact.flatten(), found.flatten())))[0, 1] > 0.995


def quantize(source: Path, out: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["quantize", str(source), str(out)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


@pytest.fixture
def quantized(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    assert quantize(tiny_checkpoint, tmp_path / "int8") == (0, f"Wrote {tmp_path / 'int8'}.\n")
    return tmp_path / "int8"


def test_the_folder_holds_int8_and_scales_and_loads_in_every_format(
    quantized: Path, tiny_checkpoint: Path, tiny_model: CodaTransformer
) -> None:
    tensors = load_file(quantized / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    assert tensors[name].dtype == torch.int8
    assert tensors[name + "_scale"].shape == tensors[name].shape[:1]
    assert tensors["model.norm.weight"].dtype == torch.float32
    assert {file.stat().st_mode & 0o777 for file in quantized.iterdir()} == {0o644}
    for file in ("tokenizer.json", "generation_config.json"):
        assert (quantized / file).read_bytes() == (tiny_checkpoint / file).read_bytes()
    own = json.loads((tiny_checkpoint / "config.json").read_text())
    assert json.loads((quantized / "config.json").read_text()) == own | {"coda_weights": "int8"}
    weight = dict(load_model(quantized).named_parameters())[name]
    original = dict(tiny_model.named_parameters())[name]
    assert (weight - original).abs().max() <= 0.5001 * tensors[name + "_scale"].max()
    ids = torch.arange(20, 40)[None]
    for dtype in ("float32", "bfloat16"):
        assert load_model(quantized, dtype=dtype)(ids).isfinite().all()


@needs_kernels
def test_stored_int8_is_the_int8_that_is_multiplied(quantized: Path, tiny_checkpoint: Path) -> None:
    ids = torch.arange(20, 40)[None]
    stored, made = load_model(quantized, dtype="int8"), load_model(tiny_checkpoint, dtype="int8")
    # The embedding's rows are int8 in one and not in the other.
    made.model.embed_tokens.weight = stored.model.embed_tokens.weight
    torch.testing.assert_close(stored(ids), made(ids), atol=0.05, rtol=0.01)


def test_what_was_changed_is_not_loaded(quantized: Path) -> None:
    tensors = load_file(quantized / "model.safetensors")
    tensors["model.norm.weight"] += 1
    save_file(tensors, quantized / "model.safetensors")
    with pytest.raises(CodaError, match=r"model\.safetensors is not the file that SHA256SUMS describes"):
        load_model(quantized)
    (quantized / "SHA256SUMS").write_text("")
    with pytest.raises(CodaError, match=r"has no line for model\.safetensors"):
        load_model(quantized)
    (quantized / "SHA256SUMS").unlink()
    load_model(quantized)


def test_a_scale_that_does_not_fit_is_named(quantized: Path) -> None:
    tensors = load_file(quantized / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight_scale"] = torch.ones(3)
    save_file(tensors, quantized / "model.safetensors")
    (quantized / "SHA256SUMS").unlink()
    with pytest.raises(CodaError, match=r"up_proj\.weight_scale does not hold one scale a row"):
        load_model(quantized)


def test_transformers_is_told_that_it_can_not_read_them(quantized: Path) -> None:
    from transformers import AutoModel

    with pytest.raises(CodaError, match=r"use coda_model\.load_model"):
        AutoModel.from_pretrained(quantized)


def test_nothing_is_overwritten_and_nothing_half_written(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    status, errors = quantize(tiny_checkpoint, tmp_path / "full")
    assert status == 1
    assert "already exists and is not an empty folder" in errors
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    (broken / "model.safetensors").write_bytes(b"no tensors")
    assert quantize(broken, tmp_path / "out")[0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "full"]
