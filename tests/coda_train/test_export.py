"""Large models are written as several files with an index, which the engine and the trainer read back."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coda_model.checkpoint import load_model
from coda_train import export
from coda_train.checkpoint import Checkpoints
from coda_train.config import ModelConfig
from coda_train.errors import ConfigError
from coda_train.imports import load_initial, shape_of
from coda_train.model import init_params

MODEL = ModelConfig(vocab_size=512, hidden_size=32, num_layers=2, head_dim=8, intermediate_size=48)


def save_run(folder, tokenizer, model, seed):
    params = init_params(model, seed)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(7, {"params": params, "step": jnp.zeros(())}, {"config": {"model": dataclasses.asdict(model)}})
    shutil.copytree(tokenizer, folder / "tokenizer")
    return params


@pytest.mark.parametrize("tied", [True, False])
def test_several_files(material, tmp_path, monkeypatch, tied):
    model = dataclasses.replace(MODEL, tie_word_embeddings=tied)
    params = save_run(tmp_path / "run", material.tokenizer, model, 1)
    monkeypatch.setattr(export, "SHARD_BYTES", 40_000)
    count = export.export_runs([tmp_path / "run"], tmp_path / "out")
    assert count == sum(leaf.size for leaf in jax.tree.leaves(params))
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = {path.name for path in (tmp_path / "out").glob("model*.safetensors")}
    assert files == set(index["weight_map"].values())
    assert len(files) > 2
    assert shape_of(tmp_path / "out") == {name: getattr(model, name) for name in shape_of(tmp_path / "out")}
    jax.tree.map(np.testing.assert_array_equal, load_initial(tmp_path / "out", model), params)
    engine = load_model(tmp_path / "out")
    stacked = params["layers"]["mlp"]["up_proj"][...]
    ours = engine.state_dict()["model.layers.1.mlp.up_proj.weight"].numpy()
    np.testing.assert_array_equal(ours.T, stacked[1])


def test_the_mean_of_several_runs(material, tmp_path):
    runs = [tmp_path / str(seed) for seed in range(3)]
    params = [save_run(run, material.tokenizer, MODEL, seed) for seed, run in enumerate(runs)]
    export.export_runs(runs, tmp_path / "out")
    mean = jax.tree.map(lambda *leaves: sum(map(np.asarray, leaves)) / 3, *params)
    found = load_initial(tmp_path / "out", MODEL)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-6), found, mean)
    assert json.loads((tmp_path / "out" / "training.json").read_text())["mean_of"] == 3


def test_runs_that_have_no_mean(material, tmp_path):
    wider = dataclasses.replace(MODEL, intermediate_size=64)
    for name, model in (("one", MODEL), ("wider", wider), ("other", MODEL)):
        save_run(tmp_path / name, material.tokenizer, model, 1)
    with (tmp_path / "other" / "tokenizer" / "tokenizer.json").open("a") as file:
        file.write("\n")
    for name, message in (("wider", "different models"), ("other", "different tokenizers")):
        with pytest.raises(ConfigError, match=message):
            export.export_runs([tmp_path / "one", tmp_path / name], tmp_path / "out")
    assert not (tmp_path / "out").exists()
