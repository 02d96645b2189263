"""The settings in force: the session's, and those of each workspace folder for the documents in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from coda_lsp.settings import Settings, parse_settings

# One engine serves the session, so no folder has its own.
OF_THE_SESSION = ("model", "device", "dtype", "server_url", "server_token", "python", "counters", "log_level")


class Configuration:
    """What the editor has said so far, on top of its start options."""

    def __init__(self, *, may_choose_python: bool) -> None:
        """`may_choose_python`: whether the client is trusted to name a program that is run as the engine's Python."""
        self.session = self._start = Settings()
        self._may_choose_python = may_choose_python
        self._folders: dict[str, Settings] = {}

    def of(self, uri: str) -> Settings:
        """The settings for a document: those of the innermost folder that holds it, or the session's."""
        holding = [folder for folder in self._folders if uri == folder or uri.startswith(folder.rstrip("/") + "/")]
        return self._folders[max(holding, key=len)] if holding else self.session

    def start(self, raw: object) -> tuple[str, ...]:
        """Take over `initializationOptions`; the sentences are for the user, one for each thing that is wrong."""
        problems = self.update(raw)
        self._start = self.session
        return problems

    def update(self, raw: object, folders: Mapping[str, object] | None = None) -> tuple[str, ...]:
        """Take over the configuration, of the session and by folder; what it does not say is as at the start."""
        self.session, problems = parse_settings(raw, self._start)
        if self.session.python is not None and not self._may_choose_python:
            self.session = replace(self.session, python=None)
            problems += ("coda.python is not taken from clients that connect over TCP.",)
        shared: dict[str, Any] = {name: getattr(self.session, name) for name in OF_THE_SESSION}
        self._folders = {}
        for uri, raw_folder in (folders or {}).items():
            settings, more = parse_settings(raw_folder, self._start)
            self._folders[uri] = replace(settings, **shared)
            problems += more
        return tuple(dict.fromkeys(problems))
