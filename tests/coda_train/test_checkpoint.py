"""Run folders: the last good checkpoint outlives a full disk and a kill at any moment."""

import os
import resource
import signal
import subprocess
import sys
import types
from contextlib import contextmanager

import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from coda_train.checkpoint import Checkpoints, read_arrays, read_meta, run_folder
from coda_train.cli import app
from coda_train.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("collected")


@contextmanager
def small_files():
    """No file may grow over 20 kB, as on a disk that is full. Ends inside the test: pytest's own log is a file too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tree(value):
    noise = np.random.default_rng(int(value)).random((300, 300)).astype(np.float32)  # nothing that compresses
    return {"step": jnp.float32(value), "params": {"weight": jnp.asarray(noise)}}


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, capfd):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, tree(1), {"step": 1})
    with (
        pytest.raises(CheckpointError, match="step 2 could not be saved") as error,
        small_files(),
        Checkpoints(tmp_path) as checkpoints,
    ):
        checkpoints.save(2, tree(2), {"step": 2})
    assert "\n" not in str(error.value)
    assert "Traceback" not in "".join(capfd.readouterr())
    assert read_meta(tmp_path) == (1, {"step": 1})
    np.testing.assert_array_equal(read_arrays(tmp_path, "params/")["weight"], tree(1)["params"]["weight"])


def test_a_disk_without_room_is_known_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=100_000))
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(CheckpointError, match="GB free, a checkpoint takes"):
        checkpoints.check_room(tree(1))


def test_a_damaged_checkpoint_is_named(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, tree(3), {"step": 3})
    for path in (tmp_path / "checkpoints" / "3" / "state").rglob("*"):
        if path.is_file() and path.stat().st_size > 10_000:
            path.write_bytes(path.read_bytes()[:5_000])
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(CheckpointError, match="checkpoints/3 ") as error:
        checkpoints.restore(3, tree(0))
    assert "\n" not in str(error.value)


def test_only_leftovers_of_failed_writes_are_dropped(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda fault: seen.append(str(fault.exc_value)))
    with Checkpoints(tmp_path):
        for text in ("Event loop is closed", "another"):
            sys.unraisablehook(types.SimpleNamespace(exc_value=RuntimeError(text)))
    assert seen == ["another"]


def test_one_training_at_a_time(tmp_path):
    with run_folder(tmp_path), pytest.raises(CheckpointError, match="another training writes to"), run_folder(tmp_path):
        pass
    with run_folder(tmp_path):
        pass


@pytest.mark.parametrize("moment", ["step 3 ", "step 7 "])
def test_kill_9_and_the_same_command_end_like_a_run_that_was_not_killed(material, tmp_path, moment):
    """Checkpoints are written at every other step, so the kill meets one on its way to the disk."""

    def arguments(run):
        return [
            "pretrain", "--preset", "nano", "--data", str(material.corpus), "--tokenizer", str(material.tokenizer),
            "--out", str(run), "model.num_layers=2", "model.hidden_size=32", "stage.length=32", "stage.batch_size=4",
            "stage.steps=10", "stage.eval_every=100", "stage.eval_batches=1", "stage.checkpoint_every=2",
            "stage.log_every=1", "stage.ema=0.9",
        ]  # fmt: skip

    cache = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_train", *arguments(tmp_path / "killed")],
        stderr=subprocess.PIPE,
        text=True,
        env=cache,
    )
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if line.startswith(moment):
                process.send_signal(signal.SIGKILL)
                break
    assert process.wait() == -signal.SIGKILL
    for run in ("killed", "whole"):
        result = CliRunner().invoke(app, arguments(tmp_path / run))
        assert result.exit_code == 0, result.output
    killed, whole = (read_arrays(tmp_path / run, "") for run in ("killed", "whole"))
    assert killed.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(killed[name], array, err_msg=name)
