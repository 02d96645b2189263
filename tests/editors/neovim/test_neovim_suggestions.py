"""What is on the screen, and what a key makes of it, in each Neovim."""

from typing import Any

import pytest

SUM = {"after": "return ", "texts": ["a + b"]}
CODE = "def add(a, b):\n    return \n"


def test_a_suggestion_appears_and_tab_puts_it_in_place(neovim: Any) -> None:
    neovim.scripted(SUM, text=CODE)
    neovim.type("jA")
    neovim.await_ghost("a + b")
    assert neovim.text == CODE.rstrip("\n"), "a ghost is no text"
    neovim.type("<Tab>")
    neovim.await_text("def add(a, b):\n    return a + b")
    assert neovim.ghost() is None
    assert neovim.rpc.current.window.cursor == (2, len("    return a + b"))


def test_typing_along_keeps_it_and_what_is_shown_is_accepted(neovim: Any) -> None:
    neovim.scripted(SUM, text=CODE)
    neovim.type("jA")
    neovim.await_ghost("a + b")
    neovim.type("a ")
    neovim.await_ghost("+ b")
    neovim.type("<Tab>")
    neovim.await_text("def add(a, b):\n    return a + b")


def test_a_key_that_disagrees_hides_it(neovim: Any) -> None:
    neovim.scripted(SUM, text=CODE)
    neovim.type("jA")
    neovim.await_ghost("a + b")
    neovim.type("x")
    neovim.await_text("def add(a, b):\n    return x")
    neovim.eventually(lambda: neovim.ghost() is None)
    neovim.type("<Tab>y")
    neovim.await_text("def add(a, b):\n    return x\ty")


@pytest.mark.parametrize(
    ("keys", "text", "left"),
    [
        ("<M-w>", "    return a", " + b * c"),
        ("<M-w><M-w>", "    return a +", " b * c"),
        ("<M-l>", "    return a + b * c", None),
    ],
)
def test_a_piece_is_accepted_and_the_rest_stays(neovim: Any, keys: str, text: str, left: str | None) -> None:
    neovim.scripted({"after": "return ", "texts": ["a + b * c"]}, text=CODE)
    neovim.type("jA")
    neovim.await_ghost("a + b * c")
    neovim.type(keys)
    neovim.await_text("def add(a, b):\n" + text)
    neovim.eventually(lambda: neovim.ghost() == left)
    neovim.type("<Tab>" if left else "")
    neovim.await_text("def add(a, b):\n    return a + b * c")


def test_lines_are_accepted_one_by_one(neovim: Any) -> None:
    block = "b):\n    c = a + b\n    return c"
    neovim.scripted({"after": "def add(a, ", "texts": [block]}, text="def add(a, \n")
    neovim.type("A")
    neovim.await_ghost(block)
    neovim.type("<M-l>")
    neovim.await_text("def add(a, b):")
    neovim.await_ghost("\n    c = a + b\n    return c")
    neovim.type("<M-l>")
    neovim.await_text("def add(a, b):\n    c = a + b")
    assert neovim.rpc.current.window.cursor == (2, len("    c = a + b"))


def test_tab_is_a_tab_where_nothing_is_shown(neovim: Any) -> None:
    neovim.scripted(SUM, text="x\n")
    neovim.type("A<Tab>y<Esc>")
    neovim.await_text("x\ty")


@pytest.mark.parametrize(
    "mapping",
    [
        "vim.keymap.set('i', '<Tab>', 'mine')",
        "vim.keymap.set('i', '<Tab>', function() return 'mine' end, { expr = true })",
        "vim.keymap.set('i', '<Tab>', function() vim.api.nvim_put({ 'mine' }, 'c', false, true) end)",
        "vim.keymap.set('i', '<Plug>(mine)', 'mine'); vim.keymap.set('i', '<Tab>', '<Plug>(mine)', { remap = true })",
        "vim.cmd([[inoremap <expr> <Tab> 'mi' . 'ne']])",
    ],
)
def test_tab_does_what_the_user_mapped_it_to_where_nothing_is_shown(neovim: Any, mapping: str) -> None:
    neovim.lua(mapping)
    neovim.scripted(SUM, text="x\n" + CODE)
    neovim.type("A<Tab>")
    neovim.await_text("xmine\n" + CODE.rstrip("\n"))
    neovim.type("<Esc>jjA")
    neovim.await_ghost("a + b")
    neovim.type("<Tab>")
    neovim.await_text("xmine\n" + CODE.rstrip("\n") + "a + b")


def test_accepting_is_an_undo_step_of_its_own(neovim: Any) -> None:
    neovim.scripted(SUM, text="def add(a, b):\n    \n")
    neovim.type("jAreturn ")
    neovim.await_ghost("a + b")
    neovim.type("<Tab>")
    neovim.await_text("def add(a, b):\n    return a + b")
    neovim.type("<Esc>u")
    neovim.await_text("def add(a, b):\n    return ")
    neovim.type("u")
    neovim.await_text("def add(a, b):\n    ")


def test_brackets_after_the_cursor_are_replaced(neovim: Any) -> None:
    neovim.scripted({"after": "print(", "texts": ["a, b)"], "replaces": 1}, text="print()\n")
    neovim.type("f)i")
    neovim.eventually(neovim.ghost)
    neovim.type("<Tab>")
    neovim.await_text("print(a, b)")
    assert neovim.rpc.current.window.cursor == (1, len("print(a, b)"))


def test_characters_outside_the_basic_plane(neovim: Any) -> None:
    neovim.scripted({"after": 's = "🙂éß" + ', "texts": ['"🙃ü"']}, text='s = "🙂éß" + \n')
    neovim.type("A")
    neovim.await_ghost('"🙃ü"')
    neovim.type('"🙃')
    neovim.await_ghost('ü"')
    neovim.type("<Tab>")
    neovim.await_text('s = "🙂éß" + "🙃ü"')


def test_windows_line_ends(neovim: Any) -> None:
    neovim.scripted({"after": "if a:", "texts": ["\r\n    b()\r\n    c()"]}, text="if a:\r\nd()\r\n")
    neovim.type("A")
    neovim.await_ghost("\n    b()\n    c()")
    neovim.type("<Tab>")
    neovim.await_text("if a:\n    b()\n    c()\nd()")
    neovim.rpc.command("write")
    assert (neovim.folder / "edited.py").read_bytes() == b"if a:\r\n    b()\r\n    c()\r\nd()\r\n"


def test_candidates_are_cycled_and_the_one_on_the_screen_is_accepted(neovim: Any) -> None:
    neovim.scripted({"after": "return ", "texts": ["a + b", "a - b", "a * b"]}, text=CODE)
    neovim.type("jA")
    for keys, text in (("", "a + b"), ("<M-n>", "a - b"), ("<M-n>", "a * b"), ("<M-n>", "a + b"), ("<M-p>", "a * b")):
        neovim.type(keys)
        neovim.await_ghost(text)
    neovim.type("<Tab>")
    neovim.await_text("def add(a, b):\n    return a * b")


def test_dismissing(neovim: Any) -> None:
    neovim.scripted(SUM, text=CODE)
    neovim.type("jA")
    neovim.await_ghost("a + b")
    neovim.type("<C-]>")
    neovim.eventually(lambda: neovim.ghost() is None)
    assert not neovim.lua("return require('coda').accept()")
    neovim.type("<M-\\>")
    neovim.await_ghost("a + b")
    assert neovim.requests()[-1]["invoked"], "the user asked for it"


def test_a_newer_request_cancels_the_older_and_leaving_insert_mode_the_last(neovim: Any) -> None:
    neovim.scripted({"after": "return ", "texts": ["a + b"], "hold": True}, text=CODE)
    neovim.type("jA")
    neovim.eventually(lambda: len(neovim.requests()) == 1)
    neovim.type("a")
    neovim.eventually(lambda: len(neovim.requests()) == 2)
    neovim.eventually(lambda: neovim.requests()[0]["cancelled"])
    neovim.type("<Esc>")
    neovim.eventually(lambda: neovim.requests()[1]["cancelled"])
    assert neovim.ghost() is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("<Tab>", [{"id": "s:é + 🙂b"}]),
        ("<M-w>", [{"id": "s:é + 🙂b", "length": 1}]),
        ("<M-w><M-w>", [{"id": "s:é + 🙂b", "length": 1}, {"id": "s:é + 🙂b", "length": 3}]),
        ("<M-w><M-w><M-w>", [*({"id": "s:é + 🙂b", "length": length} for length in (1, 3)), {"id": "s:é + 🙂b"}]),
        ("<C-]>", []),
    ],
)
def test_the_server_is_told_what_was_accepted(neovim: Any, keys: str, said: list[dict[str, Any]]) -> None:
    neovim.scripted({"after": "return ", "texts": ["é + 🙂b"]}, text=CODE)
    neovim.type("jA")
    neovim.await_ghost("é + 🙂b")
    neovim.type(keys)
    neovim.eventually(lambda: neovim.ask("test.accepted") == said)
