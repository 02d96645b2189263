"""Presets, overrides and their errors."""

import dataclasses
import json
from typing import Any

import pytest

from coda_train.config import STAGES, NoiseConfig, from_dict, load_preset, preset_names, split_preset
from coda_train.errors import ConfigError


def stages_of(name: str) -> list[str]:
    """The stages a shipped preset describes."""
    return ["sft"] if name == "adapt" else list(STAGES)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_survives_json(name):
    chats = name in ("paper", "released")
    for stage in stages_of(name):
        config = load_preset(name, stage)
        assert config.name == stage
        kinds = {"base": "causal", "sft": "chat" if chats else "infill"}
        assert config.stage.batches == kinds.get(stage, "packed")
        assert from_dict(json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_stages_of_a_preset_share_the_model():
    for name in preset_names():
        assert len({load_preset(name, stage).model for stage in stages_of(name)}) == 1


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("optimizer.peak=3e-4", lambda c: c.optimizer.peak, 3e-4),
        ("optimizer.peak=1", lambda c: c.optimizer.peak, 1.0),
        ("stage.steps=5_000", lambda c: c.stage.steps, 5000),
        ("stage.steps=2e3", lambda c: c.stage.steps, 2000),
        ("optimizer.name=muon", lambda c: c.optimizer.name, "muon"),
        ("model.unroll_layers=true", lambda c: c.model.unroll_layers, True),
        ("noise.prefix=0.25", lambda c: c.noise.prefix, (0.25,)),
        ("noise.block_sizes=[3, 5]", lambda c: c.noise.block_sizes, (3, 5)),
        ("infill.max_delete=3", lambda c: c.infill.max_delete, 3),
        ("infill.holes.max_lines=2", lambda c: c.infill.holes.max_lines, 2),
    ],
)
def test_overrides(override, read, value):
    got = read(load_preset("nano", "pretrain", [override]))
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.peek=1", r"unknown setting optimizer\.peek \(did you mean peak\?\)"),
        ("optimiser.peak=1", r"unknown setting optimiser \(did you mean optimizer\?\)"),
        ("model.num_layer=1", r"did you mean num_layers\?"),
        ("peak", "key=value"),
        ("=1", "key=value"),
        ("optimizer=1", "group of settings"),
        ("optimizer.peak.deep=1", "peak holds a value"),
        ("optimizer.peak=high", r"optimizer\.peak takes a value of type float, not 'high'"),
        ("stage.steps=1.5", "type int"),
        ("stage.steps=true", "type int"),
        ("stage.steps=0", "1 or more"),
        ("stage.length=1", "2 or more"),
        ("stage.length=100000", "over model.max_positions"),
        ("stage.ema=1", "lie in"),
        ("optimizer.name=sgd", "one of adamw, adafactor, muon"),
        ("noise.schedule=linear", "needs 2 value"),
        ("noise.prefix=[]", "needs 1 value"),
        ("noise.prefix=2", "between 0 and 1"),
        ("noise.eps=0", "0 < eps < max_sigma <= 1"),
        ("noise.block_sizes=[]", "at least one size"),
        ("model.num_kv_heads=3", "multiple of model.num_kv_heads"),
        ("model.head_dim=7", "even"),
        ("optimizer.schedule_by=time", "needs stage.minutes"),
    ],
)
def test_wrong_overrides_say_what_is_wrong(override, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_preset("nano", "pretrain", [override])
    assert "\n" not in str(error.value)


def test_unknown_preset_and_stage():
    with pytest.raises(ConfigError, match=r"did you mean nano\?"):
        load_preset("nana", "pretrain")
    with pytest.raises(ConfigError, match="no preset file"):
        load_preset("missing.toml", "pretrain")
    with pytest.raises(ConfigError, match="unknown stage"):
        load_preset("nano", "posttrain")


def test_a_stage_that_a_preset_lacks():
    with pytest.raises(ConfigError, match="does not describe the stage base: it has sft"):
        load_preset("adapt", "base")


# Section 3 of arXiv 2510.03270, and the released recipe files where these differ.
PUBLISHED = {
    ("paper", "pretrain"): {
        "stage": {"steps": 50_000, "batch_size": 512, "length": 8192, "segments": True},
        "optimizer": {"name": "adafactor", "peak": 3e-4, "schedule": "linear", "warmup": 0.04},
        "noise": {"schedule": "constant", "per": "batch", "prefix": (0.01,), "suffix": (0.01,), "block": (0.01,)},
        "mesh": {"fsdp": 512},
    },
    ("paper", "midtrain"): {
        "stage": {"steps": 50_000, "batch_size": 256, "length": 8192, "segments": False},
        "optimizer": {"name": "adafactor", "peak": 2e-4, "schedule": "linear", "warmup": 0.04},
        "noise": {
            "schedule": "table",
            "per": "sequence",
            "prefix": (0.01, 0.05, 0.1, 0.15, 0.2),
            "suffix": (0.01, 0.05, 0.1, 0.15, 0.2),
            "block": (0.05, 0.1, 0.15, 0.2, 0.25),
            "block_sizes": (2, 4, 8),
        },
        "mesh": {"fsdp": 256},
    },
    ("paper", "sft"): {
        "stage": {"batch_size": 176, "length": 1024},
        "optimizer": {"name": "adamw", "peak": 2e-5, "schedule": "cosine", "warmup": 0.1, "clip": 1.0},
        "noise": {"prompt_ramp": 0.1, "prefix": (0.0,), "suffix": (0.0,), "block": (0.0,)},
    },
    ("released", "pretrain"): {
        "model": {"tie_word_embeddings": False},
        "stage": {"steps": 210_000, "batch_size": 512, "length": 8192},
        "optimizer": {"name": "adafactor", "peak": 3e-4, "schedule": "cosine"},
        "noise": {"edges": "window", "block_rows": "all", "prefix": (0.01,), "suffix": (0.01,), "block": (0.01,)},
    },
    ("released", "midtrain"): {
        "stage": {"steps": 50_000, "batch_size": 256, "segments": False},
        "noise": {"schedule": "constant", "block_rows": "all", "prefix": (0.25,), "suffix": (0.25,), "block": (0.3,)},
    },
}


@pytest.mark.parametrize(("preset", "stage"), PUBLISHED)
def test_published_recipes(preset, stage):
    config: dict[str, Any] = dataclasses.asdict(load_preset(preset, stage))
    for group, settings in PUBLISHED[preset, stage].items():
        assert {key: config[group][key] for key in settings} == settings
    steps = config["stage"]["steps"]
    assert config["optimizer"]["warmup"] * steps == pytest.approx(2480 if stage == "sft" else 2000, rel=1e-3)


def test_names_of_a_stage_and_its_preset():
    assert split_preset("pretrain-1.7b") == ("pretrain", "1.7b")
    assert split_preset("sft-small-cpu") == ("sft", "small-cpu")
    for wrong in ("1.7b", "pretrain", "pretrain-", "posttrain-1.7b"):
        with pytest.raises(ConfigError, match=r"such as pretrain-1\.7b"):
            split_preset(wrong)


def test_a_preset_may_be_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[pretrain.stage]\nsteps = 7\n")
    assert load_preset(str(path), "pretrain").stage.steps == 7
    path.write_text("[pretrain.stage\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_preset(str(path), "pretrain")


@pytest.mark.parametrize(
    ("config", "progress", "expected"),
    [
        (NoiseConfig(prefix=(0.1,), suffix=(0.2,), block=(0.3,)), 0.7, (0.1, 0.2, 0.3, 1.0)),
        (
            NoiseConfig(schedule="linear", prefix=(0.0, 1.0), suffix=(0.0, 0.5), block=(1.0, 0.0)),
            0.5,
            (0.5, 0.25, 0.5, 1.0),
        ),
        (
            NoiseConfig(schedule="linear", prefix=(0.0, 1.0), suffix=(0.0, 0.5), block=(1.0, 0.0)),
            1.5,
            (1.0, 0.5, 0.0, 1.0),
        ),
        (
            NoiseConfig(schedule="table", prefix=(0.0, 1.0), suffix=(0.5,), block=(0.1, 0.2, 0.3)),
            0.5,
            (1.0, 0.5, 0.2, 1.0),
        ),
        (
            NoiseConfig(schedule="table", prefix=(0.0, 1.0), suffix=(0.5,), block=(0.1, 0.2, 0.3)),
            1.0,
            (1.0, 0.5, 0.3, 1.0),
        ),
    ],
)
def test_noise_schedules(config, progress, expected):
    assert config.probabilities(progress) == pytest.approx(expected)
