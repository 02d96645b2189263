"""Set-up, commands and health, and the whole way with the real server and model."""

from typing import Any

import pytest

CODE = "def add(a, b):\n    total = a\n    return total\n\n\nprint(add(1, 2))\n"


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


def test_help_has_what_the_code_has(neovim: Any) -> None:
    neovim.rpc.command("helptags " + neovim.lua("return vim.api.nvim_get_runtime_file('doc/coda.txt', false)[1]:sub(1, -10)"))
    for tag in ("coda", "coda-install", "coda-options", "coda-keymaps", ":CodaFill", ":CodaStatus", "coda.accept()"):
        neovim.rpc.command(f"help {tag}")
        assert neovim.rpc.current.buffer.name.endswith("coda.txt")
    text = neovim.text
    for action in neovim.lua("return vim.tbl_keys(require('coda.config').options.keymaps)"):
        assert action in text
    for command in neovim.lua("return vim.tbl_keys(vim.api.nvim_get_commands({}))"):
        assert not command.startswith("Coda") or f"*:{command}*" in text


def test_with_the_real_server(neovim: Any, real_server: dict[str, Any]) -> None:
    """A suggestion, a fill that is one undo step, the state, the health report, and a restart: one start of a model."""
    neovim.setup(**real_server)
    neovim.open(CODE)
    neovim.eventually(lambda: neovim.lua("return require('coda').status().state") == "ready")

    neovim.type("jA + ")
    neovim.type("<M-\\>")
    ghost = neovim.eventually(neovim.ghost)
    neovim.type("<Tab>")
    neovim.eventually(lambda: neovim.ghost() is None)
    neovim.eventually(lambda: f"total = a + {ghost}" in neovim.text)
    neovim.type("<Esc>uu")
    neovim.await_text(CODE.rstrip("\n"))

    neovim.type("2GV:CodaFill<CR>")
    neovim.eventually(lambda: neovim.text != CODE.rstrip("\n"))
    filled = neovim.text
    assert filled.startswith("def add(a, b):\n")
    assert filled.endswith("\n    return total\n\n\nprint(add(1, 2))")
    neovim.type("u")
    neovim.await_text(CODE.rstrip("\n"))
    neovim.type("<C-r>")
    neovim.await_text(filled)

    neovim.rpc.command("CodaStatus")
    neovim.eventually(lambda: any("Last request: " in note for note in neovim.notes()))
    neovim.rpc.command("checkhealth coda")
    assert "ERROR" not in neovim.text
    assert "coda-lsp 0" in neovim.text or "--version" in neovim.text
    assert "CoDA: ready" in neovim.text
    neovim.rpc.command("bdelete")

    old = neovim.lua("return require('coda.client').current().id")
    neovim.rpc.command("CodaRestart")
    neovim.eventually(lambda: neovim.lua("return (require('coda.client').of(vim.fn.bufnr()) or {}).id") not in (None, old))
    neovim.eventually(lambda: neovim.lua("return require('coda').status().state") == "ready")
