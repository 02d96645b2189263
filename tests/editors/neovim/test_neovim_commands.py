"""Set-up, commands and health, and the whole way with the real server and model."""

import re
from pathlib import Path
from typing import Any

import pytest

from coda_lsp import __version__

README = Path(__file__).parents[3] / "README.md"
HELP = Path(__file__).parents[3] / "editors" / "neovim" / "doc" / "coda.txt"
FILL, SECOND_FILL = "alpha + beta * gamma", "omega + beta * gamma"
CODE = "def add(a, b):\n    total = qzx9\n    return total\n\n\nprint(add(1, 2))\n"


def test_file_types_are_languages_that_the_server_knows(neovim: Any, language_ids: set[str]) -> None:
    ids = neovim.lua("return vim.tbl_map(require('coda.config').language_id, require('coda.config').options.filetypes)")
    assert set(ids) <= language_ids
    assert {"python", "csharp", "shellscript", "typescriptreact"} <= set(ids)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"comand": []}, 'there is no option "comand"'),
        ({"cmd": "coda-lsp"}, "cmd must be a table"),
        ({"keymaps": {"acept": "<Tab>"}}, 'there is no key map "acept"'),
        ({"keymaps": {"accept": 1}}, "accept must be a string"),
    ],
)
def test_wrong_options_are_refused_with_one_sentence(neovim: Any, options: dict[str, Any], complaint: str) -> None:
    fine, message = neovim.lua("return { pcall(require('coda').setup, ...) }", options)
    assert not fine
    assert complaint in message
    assert "\n" not in message


def test_a_missing_program_is_told_once(neovim: Any) -> None:
    neovim.setup(cmd=["/nowhere/coda-lsp"])
    for name in ("first.py", "second.py"):
        neovim.rpc.command(f"edit {neovim.folder / name}")
        neovim.rpc.command("setfiletype python")
    [note] = neovim.notes()
    assert "/nowhere/coda-lsp is not found" in note
    neovim.rpc.command("checkhealth coda")
    assert "/nowhere/coda-lsp is not found" in neovim.text
    assert "pip install coda-lsp" in neovim.text


def test_fill_needs_a_selection_and_a_server(neovim: Any) -> None:
    neovim.rpc.command("CodaFill")
    neovim.rpc.command("1CodaFill")
    first, second = neovim.notes()
    assert "select what to fill first" in first
    assert "no server for this buffer" in second


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("wviw:CodaFill<CR>", "a BCD e\n🙂éß x🙃y z\nlast"),
        ("jfxv2l:CodaFill<CR>", "a bcd e\n🙂éß X🙃Y z\nlast"),
        ("jfxvj0:CodaFill<CR>", "a bcd e\n🙂éß X🙃Y Z\nLast"),
        ("jv:CodaFill<CR>", "a bcd e\n🙂éß x🙃y z\nlast"),
        ("V:CodaFill<CR>", "A BCD E\n🙂éß x🙃y z\nlast"),
        (":2,3CodaFill<CR>", "a bcd e\n🙂ÉSS X🙃Y Z\nLAST"),
        ("wviw<Esc>:1CodaFill<CR>", "a BCD e\n🙂éß x🙃y z\nlast"),
        ("Gv$gF", "a bcd e\n🙂éß x🙃y z\nLAST"),
    ],
)
def test_fill_takes_the_selection_and_is_one_undo_step(neovim: Any, keys: str, text: str) -> None:
    before = "a bcd e\n🙂éß x🙃y z\nlast"
    neovim.scripted(text=before + "\n", keymaps={"fill": "gF"})
    tick = neovim.rpc.eval("b:changedtick")
    neovim.type(keys)
    neovim.eventually(lambda: neovim.rpc.eval("b:changedtick") != tick)
    assert neovim.text == text
    neovim.type("u")
    neovim.await_text(before)


@pytest.mark.parametrize(
    ("commands", "text", "note"),
    [
        (["CodaHoles"], "one\nTwo\nLAST", None),
        (["1,2CodaHoles"], "ONE\nTWO\nLast", "1 of 2 holes were filled"),
        (["2CodaFill", "CodaRegenerate"], "one\ntwo\nLast", None),
    ],
)
def test_holes_and_regenerate(neovim: Any, commands: list[str], text: str, note: str | None) -> None:
    neovim.scripted(text="one\nTwo\nLast\n")
    for command in commands:
        tick = neovim.rpc.eval("b:changedtick")
        neovim.rpc.command(command)
        neovim.eventually(lambda tick=tick: neovim.rpc.eval("b:changedtick") != tick)
    neovim.await_text(text)
    if note is None:
        assert neovim.notes() == []
    else:
        neovim.eventually(lambda: any(note in each for each in neovim.notes()))


def test_statistics(neovim: Any) -> None:
    neovim.scripted({"after": "return ", "texts": ["a + b"]}, text="return \n")
    neovim.type("A")
    neovim.await_ghost("a + b")
    neovim.type("<Tab><Esc>")
    neovim.eventually(lambda: neovim.ask("test.accepted"))
    neovim.rpc.command("CodaStats")
    neovim.eventually(neovim.notes)
    [shown] = neovim.notes()
    for line in (
        "40, 10 from the cache",
        "accepted  1 (5%), and a part of 2",
        "p50 80 ms, p95 none yet",
        "repeats_suffix 4",
    ):
        assert line in shown
    neovim.rpc.command("CodaStats!")
    neovim.eventually(lambda: any("accepted  0 (0%)" in note for note in neovim.notes()))


def test_a_block_is_not_filled(neovim: Any) -> None:
    neovim.scripted(text="abc\ndef\n")
    neovim.type("<C-v>jl:CodaFill<CR>")
    neovim.eventually(lambda: any("block" in note for note in neovim.notes()))
    assert neovim.text == "abc\ndef"


def test_a_server_that_died_is_started_by_the_restart_command(neovim: Any) -> None:
    neovim.scripted({"after": "return ", "texts": ["a + b"]}, text="return \n")
    neovim.lua("require('coda.client').current().rpc.terminate()")
    neovim.eventually(lambda: neovim.lua("return require('coda.client').current() == nil"))
    neovim.type("A<Tab><Esc>")
    neovim.await_text("return \t")
    neovim.type("ccreturn <Esc>")
    neovim.await_text("return ")
    neovim.rpc.command("CodaStatus")
    assert any("does not run" in note for note in neovim.notes())
    neovim.rpc.command("CodaRestart")
    neovim.eventually(lambda: neovim.lua("return require('coda.client').of(vim.fn.bufnr()) ~= nil"))
    neovim.type("A")
    neovim.await_ghost("a + b")


def test_help_has_what_the_code_has(neovim: Any) -> None:
    documents = neovim.folder / "doc"
    documents.mkdir()
    (documents / "coda.txt").write_text(HELP.read_text())
    neovim.rpc.command(f"set rtp+={neovim.folder}")
    neovim.rpc.command(f"helptags {documents}")
    for tag in ("coda", "coda-install", "coda-options", "coda-keymaps", ":CodaFill", ":CodaStatus", "coda.accept()"):
        neovim.rpc.command(f"help {tag}")
        assert neovim.rpc.current.buffer.name.endswith("coda.txt")
    text = neovim.text
    for action in neovim.lua("return vim.tbl_keys(require('coda.config').options.keymaps)"):
        assert action in text
    for command in neovim.lua("return vim.tbl_keys(vim.api.nvim_get_commands({}))"):
        assert not command.startswith("Coda") or f"*:{command}*" in text


def test_with_the_real_server(neovim: Any, real_server: dict[str, Any]) -> None:
    """A suggestion, fills that are one undo step, the state, the health report, and a restart: one start of a model."""
    neovim.setup(**real_server)
    neovim.open(CODE)
    neovim.type("jA -")
    neovim.await_ghost(FILL)  # though the model was still loaded after the last key
    neovim.type("<M-w>")
    neovim.eventually(lambda: "total = qzx9 -alpha\n" in neovim.text)
    neovim.await_ghost(FILL.removeprefix("alpha"))
    neovim.type("<Tab>")
    neovim.eventually(lambda: f"total = qzx9 -{FILL}\n" in neovim.text)
    neovim.type("<Esc>uuu")
    neovim.await_text(CODE.rstrip("\n"))

    neovim.type("2GV:CodaFill<CR>")
    filled = f"def add(a, b):\n    {FILL}\n        # delta\n    return total\n\n\nprint(add(1, 2))"
    neovim.await_text(filled)
    neovim.type("u")
    neovim.await_text(CODE.rstrip("\n"))
    neovim.type("<C-r>")
    neovim.await_text(filled)

    neovim.type("u")
    neovim.await_text(CODE.rstrip("\n"))
    unfilled = CODE + "\n\ndef later():\n    ..."
    neovim.rpc.current.buffer[:] = unfilled.split("\n")
    neovim.rpc.command("CodaHoles")
    neovim.await_text(unfilled.replace("...", f"{FILL}\n        # delta"))
    neovim.rpc.command("CodaRegenerate")
    neovim.await_text(unfilled.replace("...", f"{SECOND_FILL}\n        # delta"))
    neovim.type("uu")
    neovim.await_text(unfilled)

    neovim.rpc.command("CodaStats")
    neovim.eventually(lambda: any("accepted  1 (" in note for note in neovim.notes()))
    neovim.rpc.command("CodaStatus")
    neovim.eventually(lambda: any("Last request: " in note for note in neovim.notes()))
    neovim.rpc.command("checkhealth coda")
    assert "ERROR" not in neovim.text
    assert f"coda-lsp {__version__}" in neovim.text
    assert "CoDA: ready" in neovim.text
    neovim.rpc.command("bdelete")

    old = neovim.lua("return require('coda.client').current().id")
    neovim.rpc.command("CodaRestart")
    neovim.eventually(
        lambda: neovim.lua("return (require('coda.client').of(vim.fn.bufnr()) or {}).id") not in (None, old)
    )
    neovim.eventually(lambda: neovim.lua("return require('coda').status().state") == "ready")


def test_the_lines_in_the_readme_do_without_the_plugin(
    neovim: Any, real_server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not neovim.lua("return vim.lsp.inline_completion ~= nil"):
        pytest.skip("they are for 0.12")
    [lines] = re.findall(r"```lua\n(vim\.lsp\.config.*?)```", README.read_text(), re.DOTALL)
    neovim.lua("vim.env.PATH = ... .. ':' .. vim.env.PATH", str(Path(real_server["cmd"][0]).parent))
    neovim.lua(lines)
    neovim.lua("vim.lsp.config('coda', { init_options = ... })", real_server["settings"])
    (neovim.folder / "edited.py").write_text(CODE)
    neovim.rpc.command(f"edit {neovim.folder / 'edited.py'}")
    restart = "return #vim.lsp.buf_request_sync(0, 'workspace/executeCommand', { command = 'coda.restart' }, 180000)"
    neovim.eventually(lambda: neovim.lua("return vim.lsp.get_clients({ bufnr = 0 })[1] ~= nil"))
    assert neovim.lua(restart) == 1, "answered once the model is loaded"
    neovim.type("jA -")
    neovim.await_ghost(FILL)
    neovim.type("<Tab>")
    neovim.eventually(lambda: f"total = qzx9 -{FILL}\n" in neovim.text)
