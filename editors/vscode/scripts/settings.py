"""Write the server's settings into package.json, so that VS Code offers the same ones.

Run it from anywhere, in the environment of the server: `python editors/vscode/scripts/settings.py`.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from coda_lsp.configuration import OF_THE_SESSION
from coda_lsp.settings import Settings, json_schema

MANIFEST = Path(__file__).resolve().parents[1] / "package.json"

# A workspace must not choose what is run, or where the text of its files is sent, before the user trusts it.
RESTRICTED = ("interpreter", "model", "python", "serverUrl", "serverToken")
# These belong to a machine: they are not carried to others by settings sync, and serverToken not to a workspace.
SCOPES = {"interpreter": "machine-overridable", "python": "machine-overridable", "serverToken": "machine"}
OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "interpreter": {
        "type": ["string", "null"],
        "default": None,
        "description": "The Python interpreter that runs the language server, for example "
        "'${workspaceFolder}/.venv/bin/python'. Unset, the first that has coda-lsp is taken: the one chosen in the "
        "Python extension, the workspace's .venv, CoDA's own, the one on PATH.",
    },
    "trace.server": {
        "type": "string",
        "enum": ["off", "messages", "verbose"],
        "default": "off",
        "description": "Write the messages between VS Code and the language server to the output.",
    },
}


def with_settings(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the settings that the server has now."""
    of_the_server = json_schema()["properties"]
    # What a document's folder may say of its own; the others are one for the window.
    by_folder = {
        key for key, item in zip(of_the_server, fields(Settings), strict=True) if item.name not in OF_THE_SESSION
    }
    scopes = {**dict.fromkeys(by_folder, "resource"), **SCOPES}
    properties = {**OWN_SETTINGS, **of_the_server}
    for order, (key, schema) in enumerate(properties.items()):
        scope = {"scope": scopes[key]} if key in scopes else {}
        properties[key] = {**schema, **scope, "order": order}
    configuration = {"title": "CoDA", "properties": {f"coda.{key}": value for key, value in properties.items()}}
    trust = {**manifest["capabilities"]["untrustedWorkspaces"]}
    trust["restrictedConfigurations"] = [f"coda.{key}" for key in RESTRICTED]
    return {
        **manifest,
        "capabilities": {**manifest["capabilities"], "untrustedWorkspaces": trust},
        "contributes": {**manifest["contributes"], "configuration": configuration},
    }


def main() -> None:
    """Bring package.json up to date."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    text = json.dumps(with_settings(manifest), indent=2, ensure_ascii=False) + "\n"
    fresh = MANIFEST.with_suffix(".json.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(MANIFEST)


if __name__ == "__main__":
    main()
