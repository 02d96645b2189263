"""The extension's manifest agrees with the server: the same settings, the same version, commands that exist."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import coda_lsp
from coda_lsp.settings import json_schema

EXTENSION = Path(__file__).resolve().parents[3] / "editors" / "vscode"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vscode_settings", EXTENSION / "scripts" / "settings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_manifest_is_what_the_script_writes(manifest: dict[str, Any], generator: ModuleType) -> None:
    assert manifest == generator.with_settings(manifest), "run python editors/vscode/scripts/settings.py"


@pytest.mark.parametrize(("name", "schema"), json_schema()["properties"].items())
def test_a_setting_of_the_server_is_offered_as_it_is(
    manifest: dict[str, Any], name: str, schema: dict[str, Any]
) -> None:
    offered = manifest["contributes"]["configuration"]["properties"][f"coda.{name}"]
    assert {key: offered[key] for key in schema} == schema


def test_settings_that_only_the_extension_knows_are_kept_from_the_server(generator: ModuleType) -> None:
    session = (EXTENSION / "src" / "session.ts").read_text(encoding="utf-8")
    found = re.search(r"OWN_SETTINGS: readonly string\[\] = (\[.*?\]);", session)
    assert found is not None
    assert set(json.loads(found[1])) == {name.partition(".")[0] for name in generator.OWN_SETTINGS}


def test_the_extension_has_the_version_of_the_server(manifest: dict[str, Any]) -> None:
    assert manifest["version"] == coda_lsp.__version__


def test_every_command_is_implemented(manifest: dict[str, Any]) -> None:
    source = (EXTENSION / "src" / "commands.ts").read_text(encoding="utf-8")
    implemented = set(re.findall(r'"(coda\.[a-zA-Z.]+)": \(', source)) | set(re.findall(r'MENU = "([^"]+)"', source))
    assert implemented == {command["command"] for command in manifest["contributes"]["commands"]}


def test_every_page_of_the_walkthrough_is_there(manifest: dict[str, Any]) -> None:
    steps = manifest["contributes"]["walkthroughs"][0]["steps"]
    assert all((EXTENSION / step["media"]["markdown"]).is_file() for step in steps)
