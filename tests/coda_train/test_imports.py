"""Qwen3 and the released CoDA become our parameters: torch computes the same, and each device reads its part alone."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import Qwen3Config, Qwen3ForCausalLM

from coda_model.checkpoint import load_model, quantize_checkpoint
from coda_train.checkpoint import Checkpoints
from coda_train.config import ModelConfig
from coda_train.errors import CheckpointError, ConfigError
from coda_train.imports import Tensors, find_initial, load_initial, shape_of
from coda_train.model import graph_of, init_params
from coda_train.tokenizer import adopt_tokenizer, read_tokenizer

ONE_PART = (slice(1, 2), slice(4, 20), slice(8, 12))
SHAPE = {
    "vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 8, "intermediate_size": 48, "max_position_embeddings": 64, "rope_theta": 5e4,
}  # fmt: skip


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """A Qwen3 as `transformers` writes it, in several files."""
    folder = tmp_path_factory.mktemp("checkpoints") / "qwen3"
    torch.manual_seed(0)
    network = Qwen3ForCausalLM(Qwen3Config.from_dict(SHAPE | {"tie_word_embeddings": True}))
    for parameter in network.parameters():  # norms other than one, weights large enough to matter
        parameter.data = parameter.data + 0.1 * torch.randn_like(parameter)
    network.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model*.safetensors"))) > 1
    return folder


@pytest.fixture(scope="module")
def coda(qwen):
    """The same in the layout of the released CoDA: bfloat16, an untied head, and a configuration that denies it."""
    folder = qwen.with_name("coda")
    folder.mkdir()
    tensors = {name: tensor for file in qwen.glob("*.safetensors") for name, tensor in load_file(file).items()}
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].flip(0).contiguous()
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, folder / "model.safetensors")
    more = {"model_type": "CoDA", "architectures": ["CoDALanguageModel"], "mask_token_id": 90}
    more |= {"bos_token_id": 91, "eos_token_id": 92, "pad_token_id": 93}
    (folder / "config.json").write_text(json.dumps(SHAPE | more | {"tie_word_embeddings": True, "rms_norm_eps": 1e-6}))
    return folder


def torch_logits(folder, ids, dtype, causal):
    tensors = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}
    tied = "lm_head.weight" not in tensors
    network = Qwen3ForCausalLM(Qwen3Config.from_dict(SHAPE | {"tie_word_embeddings": tied})).eval()
    network.load_state_dict(tensors, strict=not tied)
    network = network.to(dtype)
    both = None if causal else torch.zeros(ids.shape[0], 1, ids.shape[1], ids.shape[1], dtype=dtype)
    with torch.no_grad():
        return network(torch.from_numpy(ids), attention_mask=both).logits.float().numpy()


def jax_logits(folder, ids, dtype, causal):
    config = ModelConfig(**shape_of(folder), compute_dtype=dtype)
    params = load_initial(folder, config)
    model = nnx.merge(graph_of(config), params)
    return np.asarray(model.logits(model(jnp.asarray(ids), jnp.ones_like(ids), causal=causal)))


@pytest.mark.parametrize(("name", "causal"), [("qwen", True), ("qwen", False), ("coda", False)])
def test_torch_computes_the_same(request, name, causal):
    folder = request.getfixturevalue(name)
    ids = np.random.default_rng(0).integers(0, 96, (2, 20))
    exact = torch_logits(folder, ids, torch.float32, causal)
    np.testing.assert_allclose(jax_logits(folder, ids, "float32", causal), exact, atol=2e-4)
    # In bfloat16 both round, each in its own order: neither may be further from the exact result than the other allows.
    narrow = torch_logits(folder, ids, torch.bfloat16, causal)
    ours = jax_logits(folder, ids, "bfloat16", causal)
    error, allowed = np.sqrt(np.mean((ours - exact) ** 2)), np.sqrt(np.mean((narrow - exact) ** 2))
    assert error < 1.5 * allowed
    assert allowed < 0.05 * exact.std(), "bfloat16 is close at all"


def test_int8_weights_are_read_as_the_engine_reads_them(coda, tmp_path):
    quantize_checkpoint(coda, tmp_path / "int8")
    logits = []
    for folder in (coda, tmp_path / "int8"):
        ids = np.random.default_rng(1).integers(0, 96, (2, 20))
        ours = jax_logits(folder, ids, "float32", False)
        engine = load_model(folder)(torch.from_numpy(ids)).numpy()
        np.testing.assert_allclose(ours, engine, atol=2e-4)
        logits.append(ours)
    assert 0 < np.abs(logits[0] - logits[1]).mean() < 0.05 * logits[0].std()
    (row,) = np.asarray(Tensors(tmp_path / "int8").part("layers/attention/o_proj", (3, 32, 32), ONE_PART))
    (whole,) = np.asarray(Tensors(coda).part("layers/attention/o_proj", (3, 32, 32), ONE_PART)).astype(np.float32)
    np.testing.assert_allclose(row, whole, atol=0.01)


def test_the_shape_is_read(qwen, coda):
    assert shape_of(qwen) == {
        "vocab_size": 96, "hidden_size": 32, "num_layers": 3, "num_heads": 4, "num_kv_heads": 2, "head_dim": 8,
        "intermediate_size": 48, "rope_theta": 5e4, "rms_norm_eps": 1e-6, "max_positions": 64,
        "tie_word_embeddings": True,
    }  # fmt: skip
    assert shape_of(coda)["tie_word_embeddings"] is False


def test_only_the_wanted_slices_are_read(qwen, monkeypatch):
    read = []

    class Spy:
        def __init__(self, source):
            self.source = source

        def get_shape(self):
            return self.source.get_shape()

        def __getitem__(self, index):
            part = self.source[index]
            read.append(part.size)
            return part

    tensors, original, shape = Tensors(qwen), Tensors._slice, (3, 32, 48)
    whole = tensors.part("layers/mlp/up_proj", shape, (slice(None),) * 3)
    monkeypatch.setattr(Tensors, "_slice", lambda self, name: Spy(original(self, name)))
    part = tensors.part("layers/mlp/up_proj", shape, (slice(1, 3), slice(None), slice(12, 24)))
    assert read == [32 * 12] * 2
    np.testing.assert_array_equal(part, whole[1:3, :, 12:24])
    placed = tensors.array("embed", struct((96, 32)))
    assert placed.dtype == jnp.float32
    np.testing.assert_array_equal(placed, tensors.part("embed", (96, 32), (slice(None),) * 2))


def struct(shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0]))


def test_a_run_folder_gives_what_it_holds(tmp_path):
    config = ModelConfig(vocab_size=96, hidden_size=32, num_layers=2, head_dim=8, intermediate_size=48)
    params = init_params(config, 3)
    state = {"params": params, "ema": jax.tree.map(lambda leaf: leaf + 1, params), "step": jnp.zeros(())}
    for ema in (0.0, 0.9):
        run = tmp_path / str(ema)
        meta = {"config": {"model": {"vocab_size": 96, "hidden_size": 32, "num_layers": 2}, "stage": {"ema": ema}}}
        with Checkpoints(run) as checkpoints:
            checkpoints.save(1, state, meta)
        got = load_initial(run, config)
        jax.tree.map(np.testing.assert_array_equal, got, state["ema" if ema else "params"])
    wider = ModelConfig(vocab_size=96, hidden_size=32, num_layers=2, head_dim=8, intermediate_size=64)
    with pytest.raises(CheckpointError, match=r"mlp/\w+ is of shape"):
        load_initial(run, wider)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.update(model_type="llama"), "a model of type llama: only Qwen3 and CoDA"),
        (lambda config: config.pop("hidden_size"), "lacks hidden_size"),
        (lambda config: config.update(rope_parameters={"rope_type": "yarn"}), "scales its rotary positions"),
    ],
)
def test_other_models_are_refused(coda, tmp_path, change, message):
    config = json.loads((coda / "config.json").read_text())
    change(config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=message):
        shape_of(tmp_path)


def test_a_truncated_file_is_refused(coda, tmp_path):
    (tmp_path / "config.json").write_text((coda / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((coda / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(ConfigError, match="damaged or truncated"):
        shape_of(tmp_path)


def test_a_checkpoint_of_another_shape_is_refused(qwen):
    config = ModelConfig(**shape_of(qwen) | {"intermediate_size": 64})
    with pytest.raises(ConfigError, match="of shape"):
        load_initial(qwen, config)


def test_where_a_start_is_found(tmp_path):
    assert (find_initial("bundled") / "config.json").is_file()
    assert find_initial(str(tmp_path)) == tmp_path


def test_a_tokenizer_gets_the_tokens_it_lacks(tmp_path):
    """As Qwen3's does: the new ones stand where the released CoDA has its mask."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.add_tokens([chr(97 + i) for i in range(10)])
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    (tmp_path / "qwen").mkdir()
    tokenizer.save(str(tmp_path / "qwen" / "tokenizer.json"))
    adopt_tokenizer(read_tokenizer(tmp_path / "qwen"), tmp_path / "qwen", tmp_path / "adopted")
    adopted = read_tokenizer(tmp_path / "adopted")
    assert [adopted.token_to_id(f"<|{name}|>") for name in ("endoftext", "mask", "expand", "delete")] == [
        10,
        13,
        14,
        15,
    ]
    adopt_tokenizer(adopted, tmp_path / "adopted", tmp_path / "again")
    names = ("tokenizer.json", "tokenizer_config.json")
    assert all((tmp_path / "again" / name).read_bytes() == (tmp_path / "adopted" / name).read_bytes() for name in names)
