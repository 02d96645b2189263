import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coda_model import cli
from coda_model.cli import app

SOURCE = "def f(a):\n    x = \n    return x  # 🙂 é\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "code.py").write_text(SOURCE)
    return tmp_path / "code.py"


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_the_fill_alone_is_printed(file: Path, tiny_checkpoint: Path) -> None:
    position = ("--line", 2, "--column", 8, "--model", tiny_checkpoint, "--dtype", "float32")
    status, plain, errors = run("infill", file, *position)
    assert (status, errors) == (0, "")
    status, text, _ = run("infill", file, *position, "--json", "--candidates", 3)
    answer = json.loads(text)
    assert status == 0
    assert plain == answer["candidates"][0]["fills"][0] + "\n"
    assert 1 <= len(answer["candidates"]) <= 3
    assert answer["model"] == "tiny"
    assert answer["steps"] > 0
    assert answer["timings"].keys() == {"tokenize_ms", "model_ms", "total_ms"}
    status, text, _ = run("infill", file, *position, "--json", "--length", 3)
    answer = json.loads(text)
    assert (status, answer["length_policy"]) == (0, "fixed")
    assert len(answer["candidates"][0]["token_confidences"][0]) == 3
    assert file.read_text() == SOURCE


@pytest.mark.parametrize(
    ("position", "single_line", "hint"),
    [
        (("-l", 2, "-c", 8), True, None),
        (("-l", 4, "-c", 0), False, None),
        (("-l", 4, "-c", 0, "--single-line"), True, None),
        (("-l", 2, "-c", 8, "--block"), False, None),
        (("-l", 2, "-c", 4, "--end-line", 2, "--end-column", 7), True, "x ="),
        (("-l", 3, "-c", 16, "--end-line", 3, "--end-column", 18), True, "🙂"),
        (("-l", 1, "-c", 9, "--end-line", 3, "--end-column", 4), False, "\n    x = \n    "),
    ],
)
def test_the_hole_that_is_asked_for(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_checkpoint: Path,
    position: tuple,
    single_line: bool,
    hint: str | None,
) -> None:
    asked: list = []
    original = cli.fill_with_progress

    def spy(infiller: object, segments: list, options: object) -> object:
        asked.extend(segments)
        return original(infiller, segments, options)  # type: ignore[arg-type]

    monkeypatch.setattr(cli, "fill_with_progress", spy)
    status, text, errors = run("infill", file, *position, "-m", tiny_checkpoint, "--max-tokens", 6, "--json")
    assert (status, errors) == (0, "")
    prefix, hole, suffix = asked
    assert (hole.single_line, hole.hint, hole.max_tokens) == (single_line, hint, 6)
    assert prefix + (hole.hint or "") + suffix == SOURCE
    assert len(json.loads(text)["candidates"][0]["token_confidences"][0]) <= 8  # one opened again on each side


@pytest.mark.parametrize(
    "content", ["", "x = 1\n" * 900_000, "y" * 1_000_000], ids=["an empty file", "5 MB", "a line of 1 MB"]
)
def test_files_of_any_size(tmp_path: Path, tiny_checkpoint: Path, content: str) -> None:
    (tmp_path / "big.py").write_text(content)
    column = 500_000 if content.startswith("y") else 0
    arguments = ("-l", 1, "-c", column, "-m", tiny_checkpoint, "--max-tokens", 4, "--json")
    status, text, errors = run("infill", tmp_path / "big.py", *arguments)
    assert (status, errors) == (0, "")
    assert json.loads(text)["timings"]["tokenize_ms"] < 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-l", 9, "-c", 0), "Line 9 is outside the document, which has 4 lines."),
        (("-l", 2, "-c", 99), "Column 99 is outside line 2, which has 8 UTF-16 units."),
        (("-l", 3, "-c", 17), "Column 17 of line 3 is in the middle of a character."),
        (("-l", 2, "-c", 8, "--end-line", 3), "A selection needs both --end-line and --end-column."),
        (("-l", 2, "-c", 8, "--end-line", 1, "--end-column", 0), "The selection ends before it starts."),
        (("-l", 2, "-c", 8, "--candidates", 99), "candidates must be an integer from 1 to 8, not 99."),
        (("-l", 2, "-c", 8, "--max-tokens", 0), "max_tokens must be an integer from 1 to 512, not 0."),
        (("-l", 2, "-c", 8, "-m", "/no/model"), "There is no checkpoint folder /no/model"),
        (("-l", 2, "-c", 8, "-m", os.devnull), f"{os.devnull} is a file, but a checkpoint is a folder"),
        (("-l", 2, "-c", 8, "--dtype", "int3"), "There is no dtype 'int3'"),
        (("-l", 2, "-c", 8, "--device", "cuda:77"), "The device 'cuda:77'"),
    ],
)
def test_what_is_wrong_is_one_sentence(file: Path, tiny_checkpoint: Path, arguments: tuple, message: str) -> None:
    status, text, errors = run("infill", file, "-m", tiny_checkpoint, *arguments)
    assert (status, text) == (1, "")
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "There is no file"), (b"\xff\xfe\x00", "is not UTF-8 text")],
)
def test_files_that_cannot_be_filled(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "code.py").write_bytes(content)
    status, text, errors = run("infill", tmp_path / "code.py", "-l", 1, "-c", 0)
    assert (status, text) == (1, "")
    assert message in errors


@pytest.mark.parametrize(
    "arguments", [("infill",), ("infill", "x", "-l", "one", "-c", "0"), ("nonsense",), ("info", "-x")]
)
def test_wrong_usage_has_status_two(arguments: tuple[str, ...]) -> None:
    status, _, errors = run(*arguments)
    assert status == 2
    assert "Usage: " in errors


@pytest.mark.parametrize("command", [(), ("infill",), ("serve",), ("info",), ("bench",)])
def test_help_teaches_by_example(command: tuple[str, ...]) -> None:
    status, text, _ = run(*command, "--help")
    assert status == 0
    assert not command or f"coda-model {command[0]}" in text.split("Examples:")[1]


def test_info(tiny_checkpoint: Path) -> None:
    status, text, _ = run("info", "-m", tiny_checkpoint, "--json", "--dtype", "bfloat16")
    facts = json.loads(text)
    assert status == 0
    assert (facts["model"], facts["dtype"], facts["parameters"]) == ("tiny", "bfloat16", 33_536)
    status, text, _ = run("info", "-m", tiny_checkpoint)
    assert status == 0
    assert re.search(r"parameters\s+33,536", text)


def test_serve_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from coda_model.serve import server

    given: dict = {}
    monkeypatch.setattr(server, "run_server", lambda **options: given.update(options) or 3)
    status, _, _ = run("serve", "--port", 0, "--json", "--exit-with-parent", "--model", "m", "--dtype", "float32")
    assert status == 3
    assert given == {
        "model": "m",
        "host": "127.0.0.1",
        "port": 0,
        "device": "cpu",
        "dtype": "float32",
        "json_lines": True,
        "exit_with_parent": True,
    }


def on_terminal(*arguments: object, interrupt: bool = False) -> tuple[int, str]:
    """Run the real command on a pseudo-terminal; `interrupt` presses Ctrl-C once it denoises."""
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "coda_model", *map(str, arguments)]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment, close_fds=True)
    os.close(child)
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            seen += os.read(parent, 65536)
        except OSError:  # the other end is closed: the command has ended
            break
        if interrupt and b"Denoising" in seen:
            process.send_signal(signal.SIGINT)
            interrupt = False
    os.close(parent)
    return process.wait(10), seen.decode()


def test_a_terminal_sees_the_region_with_the_fill(file: Path, tiny_checkpoint: Path) -> None:
    status, text = on_terminal("infill", file, "-l", 3, "-c", 16, "-m", tiny_checkpoint, "--max-tokens", 4)
    assert status == 0
    assert "def f(a):" in text
    assert re.search(r"return x  # \x1b\[[\d;]*42m[^\x1b]+\x1b\[0m🙂 é", text)
    assert "candidate 1 of 1, confidence" in text
    assert re.search(r"\d+ ms .*steps, length by expand-delete", text)


def test_ctrl_c_ends_with_130_and_no_traceback(file: Path, tiny_checkpoint: Path) -> None:
    arguments = ("-l", 2, "-c", 8, "-m", tiny_checkpoint, "--max-tokens", 512, "--candidates", 8)
    selection = ("--end-line", 3, "--end-column", 4, "--context-tokens", 512)
    file.write_text("def f(a):\n    x = " + "a + " * 4000 + "\n    return x  # 🙂 é\n")
    status, text = on_terminal("infill", file, *arguments, *selection, interrupt=True)
    assert status == 130
    assert "Traceback" not in text
