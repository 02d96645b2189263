"""The configurations that are kept for editors without a plugin of ours."""

import json
import re
import tomllib
from pathlib import Path

from coda_lsp.features.fill_selection import KIND
from coda_lsp.languages import language_for
from coda_lsp.settings import parse_settings

EDITORS = Path(__file__).parents[2] / "editors"
COMMAND = ["coda-lsp", "--stdio"]


def test_helix() -> None:
    found = tomllib.loads((EDITORS / "helix" / "languages.toml").read_text())
    server = found["language-server"]["coda"]
    assert [server["command"], *server["args"]] == COMMAND
    assert parse_settings(server["config"])[1] == ()
    for language in found["language"]:
        assert language_for(language["name"])
        assert language["language-servers"][-1] == "coda"


def test_sublime() -> None:
    found = json.loads((EDITORS / "sublime" / "LSP.sublime-settings").read_text())
    server = found["clients"]["coda"]
    assert server["command"] == COMMAND
    assert parse_settings(server["initializationOptions"])[1] == ()


def test_emacs() -> None:
    for file in (EDITORS / "emacs").glob("*.el"):
        text = file.read_text()
        assert '("coda-lsp" "--stdio")' in text
        settings = re.search(r"\(:([^()]+)\)\n\s+\"The server's settings", text)
        assert settings
        words = settings[1].split()
        assert (
            parse_settings({key.lstrip(":"): int(value) for key, value in zip(words[::2], words[1::2], strict=True)})[1]
            == ()
        )
        assert f'"{KIND}"' in text
