"""The command line from source folders to a checkpoint directory, and its errors."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from typer.testing import CliRunner

import coda_model
from coda_train.checkpoint import has_checkpoint, run_folder
from coda_train.cli import app
from coda_train.config import load_preset
from coda_train.imports import load_initial
from coda_train.model import graph_of

FAST = ["stage.eval_every=30", "stage.checkpoint_every=30", "stage.ema=0.9"]


def call(*arguments, code=0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def trained(material, tmp_path_factory):
    """A folder with everything the commands of the manual make."""
    folder = tmp_path_factory.mktemp("trained")
    held_out = ["--held-out", "0.4"]
    call("data", *material.sources, "--out", folder / "corpus", *held_out)
    call("tokenizer", folder / "corpus", "--out", folder / "tokenizer", "--vocab-size", 512)
    common = ["--preset", "nano", "--data", folder / "corpus"]
    call("base", *common, "--tokenizer", folder / "tokenizer", "--out", folder / "base", *FAST)
    call("pretrain", *common, "--init", folder / "base", "--out", folder / "pre", *FAST)
    call("midtrain", *common, "--init", folder / "pre", "--out", folder / "mid", *FAST)
    call("sft", *common, "--init", folder / "mid", "--out", folder / "sft", *FAST)
    call("export", folder / "sft", "--out", folder / "model")
    return folder


def held_out_rows(run) -> list[dict]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == "held_out"]


def held_out_nll(run) -> list[float]:
    return [row["nll"] for row in held_out_rows(run)]


def transformers_logits(model, ids, causal=False) -> np.ndarray:
    settings = json.loads((model / "config.json").read_text()) | {"model_type": "qwen3"}
    network = Qwen3ForCausalLM(Qwen3Config(**settings))
    missing = network.load_state_dict(load_file(model / "model.safetensors"), strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == (["lm_head.weight"], [])
    # An additive mask of zeros: attention sees both sides.
    everything = None if causal else torch.zeros(ids.shape[0], 1, ids.shape[1], ids.shape[1])
    with torch.no_grad():
        return network(torch.from_numpy(ids), attention_mask=everything).logits.numpy()


def jax_logits(source, ids, causal=False) -> np.ndarray:
    config = load_preset("nano", "sft").model

    @jax.jit
    def logits(params, ids):
        model = nnx.merge(graph_of(config), params)
        return model.logits(model(ids, jnp.ones_like(ids), causal=causal))

    return np.asarray(logits(load_initial(source, config), ids))


def test_held_out_text_is_measured(trained):
    rows = {stage: held_out_rows(trained / stage)[-1] for stage in ("base", "pre", "mid", "sft")}
    assert "elbo" not in rows["base"]
    for stage, length in {"pre": "oracle", "mid": "oracle", "sft": "free"}.items():
        row = rows[stage]
        assert 0 < row["elbo"] < 2 * np.log(512)
        assert len(row["nll_at"]) == 5
        assert 0 <= row["fill_exact"] <= 1
        assert row["fill_length"] == length
        assert all("⟧ for ⟦" in sample for sample in row["fills"])


def test_conversations_train_too(trained, tmp_path):
    rows = ({"instruction": f"Add {n}.", "output": f"def f(x):\n    return x + {n}"} for n in range(40))
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = [
        "--preset",
        "nano",
        "--data",
        tmp_path / "chat.jsonl",
        "--init",
        trained / "mid",
        "--out",
        tmp_path / "run",
    ]
    assert "is not a folder" in call("sft", *common, code=1)
    call("sft", *common, "stage.batches=chat", "noise.prompt_ramp=0.5", "stage.steps=4", *FAST)
    assert held_out_rows(tmp_path / "run")[-1]["nll"] < 2 * np.log(512)


def test_the_stages_learn(trained):
    uniform = np.log(512)
    assert held_out_nll(trained / "base")[-1] < uniform - 0.3
    assert held_out_nll(trained / "pre")[-1] < uniform - 0.3
    assert held_out_nll(trained / "mid")[-1] < held_out_nll(trained / "pre")[-1] + 0.2
    assert held_out_nll(trained / "sft")[-1] < held_out_nll(trained / "sft")[0]


def test_the_exported_model_is_the_trained_one(trained):
    ids = np.random.default_rng(0).integers(0, 512, (2, 24))
    expected = jax_logits(trained / "sft", ids)
    np.testing.assert_allclose(transformers_logits(trained / "model", ids), expected, atol=1e-4)
    np.testing.assert_allclose(jax_logits(trained / "model", ids), expected, atol=1e-6)


def test_the_base_is_a_causal_qwen3(trained, tmp_path):
    call("export", trained / "base", "--out", tmp_path / "base")
    ids = np.random.default_rng(1).integers(0, 512, (2, 24))
    expected = jax_logits(trained / "base", ids, causal=True)
    np.testing.assert_allclose(transformers_logits(tmp_path / "base", ids, causal=True), expected, atol=1e-4)


def test_the_checkpoint_directory_is_complete(trained):
    model = trained / "model"
    config = json.loads((model / "config.json").read_text())
    assert config["model_type"] == "CoDA"
    assert config["architectures"] == ["CoDALanguageModel"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    for key, token in {"mask": "<|mask|>", "expand": "<|expand|>", "delete": "<|delete|>", "eos": "<|im_end|>"}.items():
        assert config[f"{key}_token_id"] == tokenizer.convert_tokens_to_ids(token)
    assert json.loads((model / "generation_config.json").read_text())["pad_token_id"] == config["pad_token_id"]
    record = json.loads((model / "training.json").read_text())
    assert record["config"]["name"] == "sft"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_exports(trained, tmp_path, dtype):
    call("export", trained / "sft", "--out", tmp_path / "narrow", "--dtype", dtype)
    exact = load_file(trained / "model" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "narrow" / "model.safetensors").items():
        assert tensor.dtype == getattr(torch, dtype)
        torch.testing.assert_close(tensor, exact[name].to(tensor.dtype))


def test_raw_weights_differ_from_averaged_ones(trained, tmp_path):
    call("export", trained / "sft", "--out", tmp_path / "raw", "--no-averaged")
    name = "model.embed_tokens.weight"
    averaged, raw = (load_file(p / "model.safetensors")[name] for p in (trained / "model", tmp_path / "raw"))
    assert not torch.equal(averaged, raw)


def test_a_stage_starts_from_a_checkpoint_directory(trained, tmp_path):
    common = ["--preset", "nano", "--data", trained / "corpus", "--out", tmp_path / "more"]
    call("sft", *common, "--init", trained / "model", *FAST, "optimizer.peak=1e-9")
    before, after = held_out_nll(trained / "sft")[-1], held_out_nll(tmp_path / "more")[0]
    assert after == pytest.approx(before, rel=2e-3)


def test_max_minutes_ends_a_run_with_a_finished_schedule(trained, tmp_path):
    common = ["--preset", "nano", "--data", trained / "corpus", "--tokenizer", trained / "tokenizer"]
    call("pretrain", *common, "--out", tmp_path / "run", "--max-minutes", "0.05", "stage.log_every=1", *FAST)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rates = [row["lr"] for row in rows if row["kind"] == "train"]
    assert rates[-1] < 0.1 * max(rates) or len(rates) == 1


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_same_command_goes_on(trained, tmp_path, sent, code):
    """In its own process, with the settings and optimisations of the model that ships."""
    command = [
        sys.executable, "-m", "coda_train", "pretrain", "--preset", "nano", "--data", str(trained / "corpus"),
        "--tokenizer", str(trained / "tokenizer"), "--out", str(tmp_path / "run"), "stage.log_every=1",
        "model.matmul_dtype=bfloat16", "model.unroll_layers=true", *FAST,
    ]  # fmt: skip
    process = subprocess.Popen([*command, "stage.steps=1000000"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step "):
            process.send_signal(sent)
            break
    _, rest = process.communicate(timeout=120)
    assert process.returncode == code
    assert "Traceback" not in rest
    stopped = re.search(r"stopped at step (\d+); run the same command to go on", rest)
    assert stopped is not None, rest
    reached = int(stopped[1])
    output = call(*command[3:], f"stage.steps={reached + 2}")
    assert f"on from step {reached}" in output
    assert f"finished at step {reached + 2}" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pretrain", "--data", "c", "--out", "r"], "--tokenizer is needed"),
        (["pretrain", "--data", "c", "--out", "r", "--tokenizer", "t"], "holds no tokenizer.json"),
        (["pretrain", "--data", "c", "--out", "r", "--preset", "nono"], "did you mean nano?"),
        (["pretrain", "--data", "c", "--out", "r", "stage.step=1"], "did you mean steps?"),
        (["sft", "--data", "c", "--out", "r", "--init", "nowhere"], "nowhere"),
        (["midtrain", "--data", "c", "--out", "r"], "midtrain needs --init"),
        (["export", "nowhere", "--out", "m"], "holds no checkpoint"),
        (["export", "nowhere", "--out", "m", "--dtype", "int4"], "one of float32, bfloat16, float16"),
        (["data", "nowhere", "--out", "c"], "nowhere"),
        (["tokenizer", "nowhere", "--out", "t"], "nowhere"),
    ],
)
def test_errors_are_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = call(*arguments, code=1)
    assert message in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_export_does_not_overwrite_unasked(trained):
    assert "exists" in call("export", trained / "sft", "--out", trained / "model", code=1)
    assert (trained / "model" / "config.json").is_file()


def test_another_shape_is_refused(trained, tmp_path):
    common = ["--preset", "nano", "--data", trained / "corpus", "--out", tmp_path / "run"]
    output = call("sft", *common, "--init", trained / "mid", "model.intermediate_size=64", code=1)
    assert "of shape" in output or "has (2" in output


def test_two_trainings_in_one_run_folder_are_refused(trained, tmp_path):
    common = ["--preset", "nano", "--data", trained / "corpus", "--out", tmp_path / "run"]
    with run_folder(tmp_path / "run"):
        output = call("sft", *common, "--init", trained / "mid", code=1)
    assert "another training writes to" in output
    assert not has_checkpoint(tmp_path / "run")


def test_the_shape_comes_from_the_model_to_start_from():
    arguments = ["sft", "--preset", "nano", "--data", "c", "--init", "bundled", "--print-config", "stage.steps=3"]
    config = json.loads(call(*arguments))
    assert config["stage"]["steps"] == 3
    shipped = json.loads((Path(coda_model.__file__).parent / "bundled" / "config.json").read_text())
    assert config["model"]["num_layers"] == shipped["num_hidden_layers"]
    assert config["model"]["vocab_size"] == shipped["vocab_size"]
