"""languages.toml in a real Helix: it is accepted, finds the server, and its code action rewrites what is selected."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .terminal import Terminal

HELIX = Path(os.environ["CODA_TEST_HELIX"])
LANGUAGES = Path(__file__).parents[3] / "editors" / "helix" / "languages.toml"
SETTINGS = "config.coda = { maxTokens = 96 }"


@pytest.fixture
def environment(tmp_path: Path, server_on_path: dict[str, str], known_model: dict[str, Any]) -> dict[str, str]:
    """With our configuration as the user's, the model that is known apart."""
    text = LANGUAGES.read_text()
    assert text.count(SETTINGS) == 1
    inline = ", ".join(f"{name} = {json.dumps(value)}" for name, value in known_model.items())
    folder = tmp_path / "config" / "helix"
    folder.mkdir(parents=True)
    (folder / "languages.toml").write_text(text.replace(SETTINGS, f"config.coda = {{ {inline} }}"))
    runtime = HELIX.parents[1] / "lib" / "hx" / "runtime"
    folders = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return {**server_on_path, **folders, "HELIX_RUNTIME": str(runtime)}


def test_health_finds_the_server(environment: dict[str, str]) -> None:
    for language in ("python", "javascript", "typescript", "go", "rust"):
        said = subprocess.run(
            [HELIX, "--health", language], env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
        assert "coda-lsp" in said.stdout, said.stdout


def test_fill_selection(environment: dict[str, str], edited: Path) -> None:
    helix = Terminal([str(HELIX), str(edited)], edited.parent, environment)
    try:
        helix.until(lambda: "return" in helix.drawn)
        helix.type("jx")
        helix.until(lambda: "Fill selection" in helix.drawn, keys=" a", every_s=3.0)
        helix.type("\r")
        helix.until(lambda: "alpha" in helix.drawn)
        helix.type(":write\r")
        helix.until(lambda: "alpha" in edited.read_text())
        assert edited.read_text() == "def add(a, b):\n    alpha + beta * gamma\n        # delta\n\n\nprint(add(1, 2))\n"
    finally:
        helix.close()
