"""Real Neovims, driven over their RPC: those that CODA_TEST_NEOVIM names, separated by ":"; without it, no tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = [Path(path) for path in os.environ.get("CODA_TEST_NEOVIM", "").split(":") if path]
collect_ignore_glob = [] if PROGRAMS else ["test_*.py"]

PLUGIN = Path(__file__).parents[3] / "editors" / "neovim"
SCRIPTED_SERVER = [sys.executable, str(Path(__file__).with_name("scripted_server.py"))]
REAL_SERVER = [str(Path(sys.executable).with_name("coda-lsp")), "--stdio"]
PATIENCE_S = 180.0  # only a test that fails waits so long

# The text that the ghost adds, whoever draws it, with the place where it stands.
GHOST = """
for name, id in pairs(vim.api.nvim_get_namespaces()) do
  if name == 'coda.ghost' or name == 'nvim.lsp.inline_completion' then
    local mark = vim.api.nvim_buf_get_extmarks(0, id, 0, -1, { details = true })[1]
    if mark then
      local lines = {}
      for _, chunks in ipairs({ mark[4].virt_text, unpack(mark[4].virt_lines or {}) }) do
        local line = ''
        for _, chunk in ipairs(chunks) do
          line = line .. (chunk[2] ~= 'ComplHintMore' and chunk[1] or '')
        end
        table.insert(lines, line)
      end
      return { text = table.concat(lines, '\\n'), row = mark[2], col = mark[3] }
    end
  end
end
"""


class Neovim:
    """A Neovim with the plugin on its path and no configuration."""

    def __init__(self, program: Path, folder: Path, *, native: bool) -> None:
        import pynvim  # pyrefly: ignore[missing-import]

        environment = {
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",  # the model is so small that a second thread only waits
        }
        options = ["--embed", "--headless", "-u", "NONE", "-i", "NONE", "-n", "--cmd", f"set rtp^={PLUGIN}"]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            self.rpc: Any = pynvim.attach("child", argv=[str(program), *options])
        self.rpc.ui_attach(80, 24, rgb=True)
        self.lua("_G.notes = {}; vim.notify = function(text) table.insert(_G.notes, text) end")
        self.rpc.command("runtime plugin/coda.lua")
        self.rpc.command("filetype on")
        self.folder = folder
        self.native = native

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.rpc.exec_lua(code, *arguments)

    def setup(self, **options: Any) -> None:
        self.lua("require('coda').setup(...)", {"native": self.native, **options})

    def scripted(self, *answers: dict[str, Any], text: str, name: str = "edited.py", **options: Any) -> None:
        """Open a file, with a server that answers so."""
        self.setup(cmd=SCRIPTED_SERVER, settings={"answers": list(answers)}, **options)
        self.open(text, name)

    def open(self, text: str, name: str = "edited.py") -> Path:
        path = self.folder / name
        path.write_bytes(text.encode())
        self.rpc.command(f"edit {path}")
        self.eventually(lambda: self.lua("return require('coda.client').of(vim.fn.bufnr()) ~= nil"))
        return path

    def type(self, keys: str) -> None:
        self.rpc.input(keys)

    def eventually(self, fits: Callable[[], Any]) -> Any:
        """Poll until it is so: what is on a screen can't be waited on."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := fits()):
            assert time.monotonic() < deadline_s, f"never; {self.describe()}"
            time.sleep(0.01)
        return found

    def describe(self) -> str:
        return f"text {self.text!r}, ghost {self.ghost()!r}, notes {self.notes()!r}, {self.rpc.api.get_mode()}"

    @property
    def text(self) -> str:
        return "\n".join(self.rpc.current.buffer[:])

    def ghost(self) -> str | None:
        """What the ghost adds; None where nothing is shown."""
        found = self.lua(GHOST)
        return found["text"] if found else None

    def await_ghost(self, text: str) -> None:
        self.eventually(lambda: self.ghost() == text)

    def await_text(self, text: str) -> None:
        self.eventually(lambda: self.text == text)

    def notes(self) -> list[str]:
        return self.lua("return _G.notes")

    def requests(self) -> list[dict[str, Any]]:
        """What the scripted server was asked for."""
        return self.ask("test.requests")

    def ask(self, command: str) -> Any:
        """What the server answers to a command."""
        return self.lua(
            "local done; require('coda.lsp').execute(require('coda.client').current(), ..., {},"
            "function(result) done = result end, 0); vim.wait(5000, function() return done end, 5); return done",
            command,
        )

    def close(self) -> None:
        self.lua("vim.schedule(function() vim.cmd('qall!') end)")
        self.rpc.close()


@cache
def _version(program: Path) -> str:
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return printed.split()[1].lstrip("v")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each Neovim; what is shown is tested once more with the plugin's own ghost text in those that need none.

    That is the way of 0.11, whose other functions are those of 0.12.
    """
    if "neovim" not in metafunc.fixturenames:
        return
    ways = [pytest.param((program, True), id=_version(program)) for program in PROGRAMS]
    if "suggestions" in metafunc.definition.path.name or "real_server" in metafunc.fixturenames:
        newer = [program for program in PROGRAMS if tuple(map(int, _version(program).split(".")[:2])) >= (0, 12)]
        ways += [pytest.param((program, False), id=f"{_version(program)}-own-ghost") for program in newer]
    metafunc.parametrize("neovim", ways, indirect=True)


@pytest.fixture
def neovim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Neovim]:
    program, native = request.param
    neovim = Neovim(program, tmp_path, native=native)
    yield neovim
    neovim.close()


@pytest.fixture
def language_ids() -> set[str]:
    from coda_lsp.languages import LANGUAGES

    return {language_id for language in LANGUAGES for language_id in language.ids}


@pytest.fixture
def real_server(known_model: dict[str, Any]) -> dict[str, Any]:
    """Options for the product's own server and engine, with a model whose fills are known."""
    return {"cmd": REAL_SERVER, "settings": known_model}
