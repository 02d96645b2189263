"""The configurations that are kept for editors without a plugin of ours."""

import json
import re
import tomllib
from pathlib import Path

import coda_lsp
from coda_lsp.features.code_actions import SELECTION
from coda_lsp.languages import language_for
from coda_lsp.settings import parse_settings

EDITORS = Path(__file__).parents[3] / "editors"
COMMAND = ["coda-lsp", "--stdio"]


def test_helix() -> None:
    found = tomllib.loads((EDITORS / "helix" / "languages.toml").read_text())
    server = found["language-server"]["coda"]
    assert [server["command"], *server["args"]] == COMMAND
    assert parse_settings(server["config"])[1] == ()
    for language in found["language"]:
        assert language_for(language["name"])
        assert language["language-servers"][-1] == "coda"


def test_zed() -> None:
    """By Zed's documented manifest and settings: there is no Zed to run here."""
    folder = EDITORS / "zed"
    manifest = tomllib.loads((folder / "extension.toml").read_text())
    assert {"id", "name", "version", "schema_version", "authors", "description"} <= set(manifest)
    assert manifest["version"] == coda_lsp.__version__
    server = manifest["language_servers"]["coda"]
    assert list(server["language_ids"]) == server["languages"]
    assert all(language_for(language_id) for language_id in server["language_ids"].values())
    crate = tomllib.loads((folder / "Cargo.toml").read_text())
    assert crate["lib"]["crate-type"] == ["cdylib"]
    assert crate["package"]["version"] == coda_lsp.__version__
    source = (folder / "src" / "lib.rs").read_text()
    assert re.findall(r'const \w+: &str = "([^"]+)";', source) == COMMAND
    settings = json.loads((folder / "settings.json").read_text())["lsp"]["coda"]
    assert set(settings) <= {"binary", "initialization_options", "settings"}
    assert settings["binary"]["arguments"] == COMMAND[1:]
    assert parse_settings(settings["settings"])[1] == ()


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
        assert f'"{SELECTION.kind}"' in text
