"""One command on one device, on a mesh of eight, and as two processes of four: the same numbers."""

import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from coda_train.batches import open_batches
from coda_train.config import MeshConfig, load_preset
from coda_train.errors import ConfigError
from coda_train.sharding import check_layout, make_layout

STEPS = 20
LAYOUTS = {
    "one device": (1, 1, []),
    "mesh of eight": (1, 8, ["mesh.data=2", "mesh.fsdp=0", "mesh.tensor=2"]),
    "two processes": (2, 4, ["mesh.fsdp=4", "mesh.tensor=0"]),
}
"""Processes, devices of each, and overrides."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(material, run, processes, devices, overrides) -> list[subprocess.Popen]:
    """The same command as that many processes, which find each other by JAX's variables."""
    command = [
        sys.executable, "-m", "coda_train", "pretrain", "--preset", "nano", "--data", str(material.corpus),
        "--tokenizer", str(material.tokenizer), "--out", str(run), f"stage.steps={STEPS}", "stage.log_every=1",
        "stage.eval_every=20", "stage.eval_batches=1", "stage.checkpoint_every=20", *overrides,
    ]  # fmt: skip
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
        "JAX_NUM_PROCESSES": str(processes),
    }
    return [
        subprocess.Popen(
            command, env=environment | {"JAX_PROCESS_ID": str(index)}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for index in range(processes)
    ]  # fmt: skip


def rows_of(run) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def curves(material, tmp_path_factory):
    """{layout: (run folder, rows of metrics.jsonl)}."""
    rows = {}
    for name, layout in LAYOUTS.items():
        run = tmp_path_factory.mktemp("run") / "out"
        started = start(material, run, *layout)
        outputs = [process.communicate(timeout=600)[0] for process in started]
        assert [process.returncode for process in started] == [0] * len(started), "\n".join(outputs)
        assert not any("loss" in output for output in outputs[1:])  # the first process speaks for all
        rows[name] = run, rows_of(run)
    return rows


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "one device"])
def test_loss_curves_agree(curves, name):
    (_, single), (_, several) = curves["one device"], curves[name]
    assert [(row["step"], row["kind"]) for row in single] == [(row["step"], row["kind"]) for row in several]
    assert max(row["step"] for row in single) == STEPS
    for key in ("loss", "nll", "grad_norm"):
        expected, got = ([row[key] for row in rows if key in row] for rows in (single, several))
        np.testing.assert_allclose(got, expected, rtol=1e-4, err_msg=key)
    losses = [row["loss"] for row in single if row["kind"] == "train"]
    assert losses[-1] < losses[0]


def test_one_device_goes_on_where_two_processes_ended(curves, material):
    run, before = curves["two processes"]
    command = start(material, run, 1, 1, [f"stage.steps={STEPS + 1}"])[0]
    output = command.communicate(timeout=600)[0]
    assert f"on from step {STEPS}" in output
    rows = rows_of(run)
    assert rows[: len(before)] == before
    assert rows[-1]["step"] == STEPS + 1
    assert abs(rows[-1]["loss"] - before[-2]["loss"]) < 2  # its parameters are those, and not new ones


@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_a_process_makes_its_rows_of_each_batch(material, stage):
    config = load_preset("nano", stage, ["stage.length=32"])
    whole = open_batches(config, material.corpus, material.tokenizer, "train")
    part = open_batches(config, material.corpus, material.tokenizer, "train", rows=np.array([1, 4, 5]))
    for _ in range(3):
        expected, got = next(whole), next(part)
        for name, rows in expected.items():
            np.testing.assert_array_equal(got[name], rows[[1, 4, 5]])


@pytest.mark.parametrize(
    ("mesh", "devices", "shape"),
    [
        (MeshConfig(), 8, (1, 8, 1)),
        (MeshConfig(data=0, fsdp=2, tensor=2), 8, (2, 2, 2)),
        (MeshConfig(data=2, fsdp=2, tensor=2), 8, (2, 2, 2)),
    ],
)
def test_the_rest_of_the_devices(mesh, devices, shape):
    layout = make_layout(mesh, jax.devices() * devices)
    assert tuple(layout.mesh.shape.values()) == shape


@pytest.mark.parametrize(
    ("overrides", "devices", "message"),
    [
        (["mesh.tensor=3"], 8, r"mesh\.data 1 x mesh\.tensor 3 does not divide the number of devices \(8\)"),
        (["mesh.fsdp=4"], 8, r"is 4 devices, but there are 8: set one of them to 0"),
        (["mesh.data=0"], 8, "one may be 0"),
        (["mesh.data=-1"], 8, "one may be 0"),
        (["stage.batch_size=6"], 4, r"stage\.batch_size \(6\) is no multiple of mesh\.data x mesh\.fsdp \(4\)"),
        (["stage.accumulate=3"], 1, r"stage\.batch_size \(8\) is no multiple of stage\.accumulate \(3\)"),
        (["mesh.fsdp=1", "mesh.tensor=4"], 4, r"model\.num_kv_heads \(2\) is no multiple of mesh\.tensor \(4\)"),
        (["model.hidden_size=68", "stage.batch_size=8"], 8, r"model\.hidden_size \(68\)"),
    ],
)
def test_an_indivisible_mesh_is_refused(overrides, devices, message):
    with pytest.raises(ConfigError, match=message):
        config = load_preset("nano", "pretrain", overrides)
        check_layout(config, make_layout(config.mesh, jax.devices() * devices))
