"""TensorBoard's files hold what was written; Weights & Biases stays on this machine unless told otherwise."""

import importlib.machinery
import struct
import sys
import types

import pytest
from tensorboardX.proto import event_pb2

from coda_train.dashboards import TensorBoard, open_dashboards
from coda_train.errors import ConfigError


def events(folder):
    """Every event of every file, by TensorFlow's record format: length, its checksum, bytes, their checksum."""
    for path in sorted(folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            yield event_pb2.Event.FromString(data[12 : 12 + size])  # pyrefly: ignore[missing-attribute]
            data = data[16 + size :]


def test_tensorboard_holds_numbers_lists_and_texts(tmp_path):
    board = TensorBoard(tmp_path, 0)
    board.write(3, {"train/loss": 1.5, "train/nll_by_noise": [1.0, 2.0], "fills": "a\nb", "train/mfu": None})
    board.close()
    written = [(event.step, value) for event in events(tmp_path / "tensorboard") for value in event.summary.value]
    numbers = {value.tag: value.simple_value for step, value in written if value.HasField("simple_value") and step == 3}
    assert numbers == {"train/loss": 1.5, "train/nll_by_noise/0": 1.0, "train/nll_by_noise/1": 2.0}
    texts = [value.tensor.string_val[0] for _, value in written if value.HasField("tensor")]
    assert texts == [b"    a\n    b"]


def test_a_resumed_run_hides_the_steps_it_does_again(tmp_path):
    TensorBoard(tmp_path, 20).close()
    starts = [event.step for event in events(tmp_path / "tensorboard") if event.HasField("session_log")]
    assert starts == [21]


@pytest.mark.parametrize(("asked", "mode"), [(None, "offline"), ("online", "online")])
def test_weights_and_biases_if_it_is_installed(tmp_path, monkeypatch, asked, mode):
    calls = []

    class Run:
        def log(self, row):
            calls.append(row)

        def finish(self):
            calls.append("finished")

    def init(**settings):
        calls.append(settings)
        return Run()

    fake = types.ModuleType("wandb")
    fake.__spec__ = importlib.machinery.ModuleSpec("wandb", None, origin="fake")
    fake.__dict__.update(init=init, Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if asked:
        monkeypatch.setenv("WANDB_MODE", asked)
    for _ in range(2):  # the second is a resumed run
        _, board = open_dashboards(tmp_path, "sft", {"seed": 1}, 0)
        board.write(5, {"train/loss": 1.0, "train/nll_by_noise": [2.0]})
        board.close()
    assert calls[0]["mode"] == mode
    assert calls[0]["config"] == {"seed": 1}
    assert calls[1:3] == [{"train/loss": 1.0, "train/nll_by_noise/0": 2.0, "step": 5}, "finished"]
    assert calls[3]["id"] == calls[0]["id"]


def test_a_folder_of_that_name_is_no_installation(tmp_path, monkeypatch):
    (tmp_path / "wandb" / "offline-run").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    assert len(open_dashboards(tmp_path / "run", "sft", {}, 0)) == 1


def test_a_broken_installation_is_said(tmp_path, monkeypatch):
    (tmp_path / "wandb.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(ConfigError, match="installed but does not start"):
        open_dashboards(tmp_path / "run", "sft", {}, 0)
