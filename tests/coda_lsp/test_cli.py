"""The command line, as processes."""

import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import coda_lsp

COMMAND = [sys.executable, "-P", "-m", "coda_lsp"]


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"coda-lsp {coda_lsp.__version__}\n"
    assert coda_lsp.__version__ == version("coda-lsp")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["--stdio", "--tcp", "--log-file", "doctor", "Examples"]),
        (["doctor", "--help"], ["--model", "--json"]),
    ],
)
def test_help_teaches(arguments: list[str], words: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 0
    for word in words:
        assert word in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--stdio", "--tcp"], 2, "exclude"),
        (["--tcp", "--port", "70000"], 2, "port"),
        (["--nonsense"], 2, "nonsense"),
        (["--stdio", "--log-file", "/nowhere/at/all/coda.log"], 1, "/nowhere/at/all/coda.log: No such file"),
        (["--tcp", "--host", "no.such.host.invalid"], 1, "no.such.host.invalid"),
        (["doctor", "--dtype", "float7"], 1, "coda.dtype"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, message: str) -> None:
    result = run(*arguments)
    assert result.returncode == status
    assert message in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--tcp", "--port", str(port))
    assert result.returncode == 1
    assert result.stderr == f"Can't listen on 127.0.0.1:{port}: Address already in use.\n"


def test_no_input_is_a_session_that_ends_at_once(tmp_path: Path) -> None:
    log = tmp_path / "coda.log"
    result = run("--stdio", "--log-file", str(log))
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")
    assert log.exists()


def test_the_server_starts_without_anything_heavy() -> None:
    heavy = ["torch", "transformers", "jax", "httpx", "typer", "rich", "numpy", "tree_sitter", "coda_model"]
    code = f"import sys, coda_lsp.cli, coda_lsp.transport; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"


def test_ctrl_c_at_the_tcp_port_is_130() -> None:
    process = subprocess.Popen([*COMMAND, "--tcp"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "Listening on 127.0.0.1:" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert process.stderr.read() == ""


def test_closed_streams_get_one_sentence() -> None:
    command = ["sh", "-c", 'exec "$0" -m coda_lsp --stdio <&-', sys.executable]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "Standard input and output must be open: the editor talks over them.\n"
