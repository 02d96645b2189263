import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from coda_model.checkpoint import INDEX, WEIGHTS, load_model, save_checkpoint
from coda_model.config import ModelConfig
from coda_model.errors import CodaError
from coda_model.transformer import CodaTransformer

from .conftest import random_model

IDS = torch.arange(8, 40)[None]


@pytest.mark.parametrize("max_shard_bytes", [10**9, 20_000])
@pytest.mark.parametrize("tied", [True, False])
def test_save_then_load_gives_the_same_logits(
    tiny_config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path, tied: bool, max_shard_bytes: int
) -> None:
    model = random_model(replace(tiny_config, tie_word_embeddings=tied))
    save_checkpoint(model, model.config, tokenizer, tmp_path / "saved", max_shard_bytes)
    shards = list((tmp_path / "saved").glob("*.safetensors"))
    assert (tmp_path / "saved" / INDEX).exists() == (len(shards) > 1) == (max_shard_bytes < 10**9)
    assert {path.name for path in tmp_path.iterdir()} == {"saved"}
    loaded = load_model(tmp_path / "saved")
    assert loaded.config == model.config
    assert not loaded.training
    torch.testing.assert_close(loaded(IDS), model(IDS), atol=0, rtol=0)


def test_the_released_layout_sharded_and_untied_although_the_config_says_tied(
    tiny_config: ModelConfig, tmp_path: Path
) -> None:
    model = random_model(replace(tiny_config, tie_word_embeddings=False, expand_token_id=None, delete_token_id=None))
    save_checkpoint(model, replace(model.config, tie_word_embeddings=True), None, tmp_path / "released", 20_000)
    assert json.loads((tmp_path / "released" / "config.json").read_text())["tie_word_embeddings"] is True
    loaded = load_model(tmp_path / "released")
    assert loaded.lm_head is not None
    assert not loaded.config.tie_word_embeddings
    torch.testing.assert_close(loaded(IDS), model(IDS), atol=0, rtol=0)


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_files_of_another_dtype(
    tiny_checkpoint: Path, tiny_model: CodaTransformer, tmp_path: Path, stored: torch.dtype, wanted: str
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    save_file({name: value.to(stored) for name, value in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    loaded = load_model(folder, dtype=wanted)
    assert {str(parameter.dtype) for parameter in loaded.parameters()} == {f"torch.{wanted}"}
    expected = tiny_model.state_dict()["model.norm.weight"].to(stored).to(getattr(torch, wanted))
    torch.testing.assert_close(loaded.state_dict()["model.norm.weight"], expected, atol=0, rtol=0)


def test_stored_rotary_buffers_are_not_read(tiny_checkpoint: Path, tiny_model: CodaTransformer, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    edit_weights(lambda tensors: tensors | {"model.rotary_emb.inv_freq": torch.full((8,), 9.0)})(folder)
    torch.testing.assert_close(load_model(folder)(IDS), tiny_model(IDS), atol=0, rtol=0)


def edit_weights(edit: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    return lambda folder: save_file(edit(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(values))

    return edit


def only_pickle(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def index_naming(file: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": file}}))

    return write


def truncated(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), "holds no weights"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not valid JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json holds no JSON object"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"\x80\x04not safetensors"), "model.safetensors is damaged"),
        (truncated, "model.safetensors is damaged"),
        (only_pickle, r"pickle \(pytorch_model.bin\)"),
        (edit_config(hidden_size=64), r"embed_tokens.weight has the shape \[369, 32\].*\[369, 64\]"),
        (edit_config(num_hidden_layers=3), "model.layers.2.*is in none of the weight files"),
        (edit_config(num_hidden_layers=1), "model.layers.1.*does not belong"),
        (edit_config(tie_word_embeddings=False), "lm_head.weight is missing"),
        (edit_config(hidden_act="gelu"), "config.json: .*hidden_act"),
        (edit_weights(lambda t: {k: v for k, v in t.items() if k != DOWN}), f"{DOWN} is in none of the weight files"),
        (edit_weights(lambda t: t | {DOWN: t[DOWN].T.contiguous()}), rf"{DOWN} has the shape \[48, 32\]"),
        (edit_weights(lambda t: t | {"extra": t[DOWN].clone()}), "extra does not belong"),
        (edit_weights(lambda t: t | {DOWN: t[DOWN].to(torch.int8)}), f"{DOWN} is stored as torch.int8"),
        (index_naming("model-00001-of-00002.safetensors"), "model-00001-of-00002.safetensors is missing"),
        (index_naming("../model.safetensors"), "no safetensors file of this folder"),
        (index_naming("model.bin"), "no safetensors file of this folder"),
        (lambda folder: (folder / INDEX).write_text("{}"), "holds no weight_map"),
    ],
)
def test_damage_is_named_in_one_sentence(
    tiny_checkpoint: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    damage(folder)
    with pytest.raises(CodaError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_saving_never_overwrites(
    tiny_model: CodaTransformer, tiny_config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CodaError, match="not an empty folder"):
        save_checkpoint(tiny_model, tiny_config, tokenizer, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failed_save_leaves_nothing(tiny_model: CodaTransformer, tiny_config: ModelConfig, tmp_path: Path) -> None:
    class Failing:
        def save(self, path: str) -> None:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(tiny_model, tiny_config, Failing(), tmp_path / "saved")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
