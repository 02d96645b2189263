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
from coda_train.imports import load_initial, shape_of
from coda_train.model import init_params

MODEL = ModelConfig(vocab_size=512, hidden_size=32, num_layers=2, head_dim=8, intermediate_size=48)


@pytest.mark.parametrize("tied", [True, False])
def test_several_files(material, tmp_path, monkeypatch, tied):
    model = dataclasses.replace(MODEL, tie_word_embeddings=tied)
    params = init_params(model, 1)
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(7, {"params": params, "step": jnp.zeros(())}, {"config": {"model": dataclasses.asdict(model)}})
    shutil.copytree(material.tokenizer, tmp_path / "run" / "tokenizer")
    monkeypatch.setattr(export, "SHARD_BYTES", 40_000)
    count = export.export_run(tmp_path / "run", tmp_path / "out")
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
