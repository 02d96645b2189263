"""One session with one editor: its settings, its engine, its features."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.exceptions import FeatureRequestError
from pygls.lsp.server import LanguageServer

from coda_lsp import __version__
from coda_lsp.backend import Backend, Status
from coda_lsp.configuration import Configuration
from coda_lsp.counters import Counters
from coda_lsp.engine.errors import EngineError
from coda_lsp.features.code_actions import CodeActions
from coda_lsp.features.inline_completion import InlineCompletion
from coda_lsp.features.work_progress import work_progress
from coda_lsp.logs import ROOT, EditorLog, set_level
from coda_lsp.protocol import CodaProtocol
from coda_lsp.settings import Settings
from coda_lsp.snippets.collect import SnippetCollector

logger = logging.getLogger(__name__)

SECTION = "coda"
STATUS_NOTIFICATION = "coda/status"
# An editor that never answers must not keep the model from being loaded.
CONFIGURATION_TIMEOUT_S = 3.0


class CodaServer(LanguageServer):
    """The state of a session; `handlers.create_server` connects it to the messages."""

    protocol: CodaProtocol  # pyrefly: ignore[bad-override-mutable-attribute]

    def __init__(self, *, may_choose_python: bool) -> None:
        """`may_choose_python`: whether the client is trusted to name a program that is run as the engine's Python."""
        super().__init__("coda-lsp", __version__, protocol_cls=CodaProtocol)
        self.configuration = Configuration(may_choose_python=may_choose_python)
        self.counters = Counters()
        self.backend = Backend(self._show_status)
        documents, settings = self.protocol.documents, self.configuration.of
        self._snippets = SnippetCollector(lambda: documents, settings, self._folders)
        self.protocol.on_edit = self._snippets.edits.add
        self.inline = InlineCompletion(self.backend, settings, self._snippets.collect, self.counters)
        self.actions = CodeActions(self, documents, self.backend, settings, self._snippets.collect)
        self._loaded: tuple[object, ...] | None = None
        self._editor_log = EditorLog(self.window_log_message)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Start the session's own work, once the client is ready for requests from us."""
        logging.getLogger(ROOT).addHandler(self._editor_log)
        self._in_background(self._begin())

    async def close(self) -> None:
        """End what runs for this session, the engine too."""
        logging.getLogger(ROOT).removeHandler(self._editor_log)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.backend.close()

    def set_start_options(self, raw: object) -> None:
        """Take over `initializationOptions`; what the editor's configuration does not say stays as it is there."""
        experimental = self.client_capabilities.experimental
        self.counters.reports_shown = isinstance(experimental, dict) and bool(experimental.get("codaShown"))
        self._take_over(self.configuration.start(raw))

    def reconfigure(self, raw: object = None) -> None:
        """Take over settings that have changed; they are fetched where the editor can be asked for them."""
        self._in_background(self._reconfigure(raw))

    def forget(self, uri: str) -> None:
        """Drop what is kept of a document that was closed."""
        self.inline.forget(uri)
        self.actions.forget(uri)

    async def load_engine(self) -> None:
        """Start the engine, or start it again, with a progress bar until it is ready."""
        self.inline.clear()
        self._loaded = _engine_settings(self.configuration.session)
        await self.backend.restart(self.configuration.session)
        async with work_progress(self, "CoDA", self.backend.status.message):
            with contextlib.suppress(EngineError):  # it is shown with the status
                await self.backend.ready()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log what went wrong outside of any request; pygls would show a popup for each."""
        if isinstance(error, ValueError):  # JSONDecodeError and UnicodeDecodeError: bytes that are no message
            self.protocol.refuse_unparsable(error)
        # A request that failed has been answered with the error; one that broke is logged by pygls, with a traceback.
        logger.log(logging.DEBUG if source is FeatureRequestError else logging.ERROR, "%s", error)

    def _take_over(self, problems: tuple[str, ...]) -> None:
        for problem in problems:
            self._show(types.MessageType.Warning, problem)
        self.inline.clear()
        self.counters.enabled = self.configuration.session.counters
        set_level(self.configuration.session.log_level)

    def _folders(self) -> list[str]:
        return list(self.protocol.workspace.folders) or [uri for uri in [self.protocol.workspace.root_uri] if uri]

    async def _begin(self) -> None:
        if get_capability(self.client_capabilities, "workspace.did_change_configuration.dynamic_registration", False):
            options = types.DidChangeConfigurationRegistrationOptions(section=SECTION)
            registration = types.Registration("coda-settings", types.WORKSPACE_DID_CHANGE_CONFIGURATION, options)
            self.client_register_capability(types.RegistrationParams([registration]))
        if self._can_pull:
            await self._pull_configuration()
        await self.load_engine()

    async def _reconfigure(self, raw: object) -> None:
        if self._can_pull:
            await self._pull_configuration()
        elif isinstance(raw, dict):
            self._take_over(self.configuration.update(raw.get(SECTION)))
        # Editors send this at the start as well, when `_begin` has still to load the engine for the first time.
        if self._loaded not in (None, _engine_settings(self.configuration.session)):
            await self.load_engine()

    @property
    def _can_pull(self) -> bool:
        return get_capability(self.client_capabilities, "workspace.configuration", False)

    async def _pull_configuration(self) -> None:
        folders = list(self.protocol.workspace.folders)
        scopes = [types.ConfigurationItem(section=SECTION, scope_uri=uri) for uri in folders]
        params = types.ConfigurationParams([types.ConfigurationItem(section=SECTION), *scopes])
        answer = asyncio.ensure_future(self.workspace_configuration_async(params))
        # Not wait_for: a late answer to a cancelled request would raise in pygls.
        await asyncio.wait([answer], timeout=CONFIGURATION_TIMEOUT_S)
        if not answer.done() or answer.exception() is not None:
            logger.warning("The editor did not say how coda is configured; its start options are used.")
            return
        session, *by_folder = answer.result() or [None]
        self._take_over(self.configuration.update(session, dict(zip(folders, by_folder, strict=False))))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Work in the background failed.", exc_info=error)

    def _show(self, kind: types.MessageType, message: str) -> None:
        self.window_show_message(types.ShowMessageParams(kind, message))

    def _show_status(self, status: Status) -> None:
        logger.log(logging.DEBUG if status.state == "busy" else logging.INFO, "%s: %s", status.state, status.message)
        if status.state == "error":
            advice = "When that is mended, run the command coda.restart or change the settings."
            self._show(types.MessageType.Error, f"CoDA can't make suggestions. {status.message} {advice}")
        experimental = self.client_capabilities.experimental
        if isinstance(experimental, dict) and experimental.get("codaStatus"):
            self.protocol.notify(STATUS_NOTIFICATION, asdict(status))


def _engine_settings(settings: Settings) -> tuple[object, ...]:
    """What a change of needs another engine."""
    engine = (settings.model, settings.device, settings.dtype, settings.python)
    return (settings.enable == "off", settings.server_url, settings.server_token, *engine)
