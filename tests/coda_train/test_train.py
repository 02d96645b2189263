"""The loop: it resumes exactly, stops when asked, and refuses what is no number."""

import dataclasses
import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from coda_train.batches import open_batches, token_ids
from coda_train.checkpoint import Checkpoints, has_checkpoint, read_arrays, read_meta
from coda_train.clock import Clock
from coda_train.config import from_dict, load_preset
from coda_train.errors import CheckpointError, ConfigError, TrainingError
from coda_train.evaluate import open_evaluation
from coda_train.interrupts import Stop
from coda_train.sharding import make_layout
from coda_train.train import train

pytestmark = pytest.mark.usefixtures("collected")
SMALL = [
    "model.num_layers=2", "model.hidden_size=32", "stage.length=32", "stage.batch_size=4", "stage.steps=10",
    "stage.eval_every=5", "stage.eval_batches=1", "stage.checkpoint_every=4", "stage.log_every=2", "stage.ema=0.9",
]  # fmt: skip


class Interrupting:
    """Batches that ask the run to stop when the given one is taken."""

    def __init__(self, batches, at: int, stop: Stop):
        self._batches, self._left, self._stop = batches, at, stop

    def __next__(self):
        self._left -= 1
        if self._left == 0:
            self._stop.signal = 15
        return next(self._batches)

    def get_state(self):
        return self._batches.get_state()

    def set_state(self, state):
        self._batches.set_state(state)

    def close(self):
        self._batches.close()


def run_stage(material, run, stage="pretrain", interrupt_at=None, overrides=()):
    config = load_preset("nano", stage, [*SMALL, *overrides])
    batches = open_batches(config, material.corpus, material.tokenizer, "train")
    ids = token_ids(material.tokenizer, config.model.vocab_size)
    layout = make_layout(config.mesh)
    evaluation = open_evaluation(config, layout, material.corpus, material.tokenizer, ids)
    stop = Stop()
    if interrupt_at:
        batches = Interrupting(batches, interrupt_at, stop)
    return train(config, layout, batches, evaluation, ids, run, Console(file=io.StringIO()), stop=stop)


def rows_of(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_an_interrupted_run_ends_bit_for_bit_like_one_that_was_not(material, tmp_path, stage):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert run_stage(material, straight, stage) == 10
    assert run_stage(material, broken, stage, interrupt_at=7) == 7
    assert run_stage(material, broken, stage) == 10
    expected, got = read_arrays(straight, ""), read_arrays(broken, "")
    assert {name.split("/")[0] for name in expected} == {"step", "params", "optimizer", "ema"}
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, got[name], err_msg=name)
    for run in (straight, broken):
        rows = rows_of(run)
        assert [row["step"] for row in rows if row["kind"] == "held_out"] == [5, 10]
        assert [row["step"] for row in rows if row["kind"] == "train"][-1] == 10
    first, second = ([row["loss"] for row in rows_of(run) if row["kind"] == "held_out"] for run in (straight, broken))
    assert first == second


def test_a_finished_run_stays_as_it_is(material, tmp_path):
    run_stage(material, tmp_path)
    before = read_meta(tmp_path)
    assert run_stage(material, tmp_path) == 10
    assert read_meta(tmp_path) == before


def test_the_configuration_is_saved(material, tmp_path):
    run_stage(material, tmp_path, overrides=["stage.steps=1"])
    step, meta = read_meta(tmp_path)
    assert step == 1
    assert from_dict(meta["config"]) == load_preset("nano", "pretrain", [*SMALL, "stage.steps=1"])


def test_no_number_no_checkpoint(material, tmp_path):
    with pytest.raises(TrainingError, match=r"not a number at step \d+: lower optimizer\.peak"):
        run_stage(material, tmp_path, overrides=["optimizer.peak=1e38", "optimizer.warmup=0", "stage.ema=0"])
    assert not has_checkpoint(tmp_path)
    with np.load(next(tmp_path.glob("failed-batch-*.npz"))) as batch:
        assert batch["inputs"].shape == batch["targets"].shape == (4, 32)


def test_another_shape_can_not_go_on(material, tmp_path):
    run_stage(material, tmp_path, overrides=["stage.steps=1"])
    with pytest.raises(CheckpointError, match="does not fit this configuration") as error:
        run_stage(material, tmp_path, overrides=["model.intermediate_size=64"])
    assert "\n" not in str(error.value)


def test_a_tokenizer_larger_than_the_model_is_refused(material):
    with pytest.raises(ConfigError, match=r"set model\.vocab_size=512"):
        token_ids(material.tokenizer, 300)


@pytest.mark.parametrize(
    ("overrides", "elapsed_s", "step", "progress", "left_s"),
    [
        ([], 30.0, 5, 0.5, 2.5),
        (["stage.minutes=1"], 45.0, 5, 0.75, 2.5),
        (["stage.minutes=1", "optimizer.schedule_by=time"], 45.0, 1000, 0.75, 15.0),
    ],
)
def test_the_clock(monkeypatch, overrides, elapsed_s, step, progress, left_s):
    monkeypatch.setattr("time.monotonic", lambda: 100.0 + elapsed_s)
    clock = Clock(load_preset("nano", "pretrain", [*SMALL, *overrides]), 100.0)
    assert clock.progress(step) == pytest.approx(progress)
    assert clock.left_s(step, 2.0) == pytest.approx(left_s)


def test_checkpoints_hold_any_tree(tmp_path):
    tree = {"a": jax.numpy.arange(3), "b": (jax.numpy.ones((2, 2)), None)}
    with Checkpoints(tmp_path, kept=1) as checkpoints:
        assert checkpoints.latest() is None
        for step in (1, 2):
            checkpoints.save(step, jax.tree.map(lambda leaf, step=step: leaf * step, tree), {"step": step})
    with Checkpoints(tmp_path, kept=1) as checkpoints:
        restored, meta = checkpoints.restore(2, tree)
        assert checkpoints.latest() == 2
    assert meta == {"step": 2}
    np.testing.assert_array_equal(restored["a"], [0, 2, 4])
    assert restored["b"][1] is None
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        read_meta(tmp_path / "elsewhere")


def test_presets_differ_between_stages_only_where_they_should():
    configs = [load_preset("nano", stage) for stage in ("pretrain", "midtrain")]
    same = [dataclasses.replace(config, noise=configs[0].noise, name="") for config in configs]
    assert same[0].model == same[1].model
    assert configs[0].noise != configs[1].noise
