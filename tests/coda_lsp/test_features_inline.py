"""What is asked of the engine, and what of its answers is shown; the engine here says what the test wants."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from lsprotocol import types

from coda_lsp.backend import Backend
from coda_lsp.counters import Counters
from coda_lsp.documents import DocumentStore, PositionError, Snapshot
from coda_lsp.engine.errors import EngineError
from coda_lsp.engine.request import Candidate, Hole, InfillAnswer, InfillRequest, Snippet
from coda_lsp.features.inline_completion import InlineCompletion
from coda_lsp.settings import DEFAULTS, Settings

UTF16 = types.PositionEncodingKind.Utf16
AUTOMATIC, INVOKED = types.InlineCompletionTriggerKind.Automatic, types.InlineCompletionTriggerKind.Invoked
URI = "file:///a.py"
SNIPPETS = (Snippet("b.py", "def b(): ...\n"),)


class ScriptedBackend:
    """Answers every request with the same fills, when `gate` is open."""

    def __init__(self, *fills: tuple[str, float]) -> None:
        self.candidates = tuple(Candidate((text,), sure, (sure,)) for text, sure in fills)
        self.requests: list[InfillRequest] = []
        self.waited = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: EngineError | None = None

    async def ready(self) -> None:
        self.waited += 1

    async def infill(self, request: InfillRequest, on_progress: Any = None) -> InfillAnswer:
        self.requests.append(request)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return InfillAnswer(self.candidates[: request.candidates], 1, 1.0)


def feature(backend: ScriptedBackend, settings: Settings | Callable[[], Settings] = DEFAULTS) -> InlineCompletion:
    found = settings if callable(settings) else lambda: settings
    return InlineCompletion(cast(Backend, backend), lambda uri: found(), lambda *_: SNIPPETS, Counters())


def document(marked: str, uri: str = URI, language_id: str = "python") -> tuple[Snapshot, types.Position]:
    snapshot = DocumentStore().open(uri, language_id, 1, marked.replace("▮", ""))
    return snapshot, snapshot.position_at(marked.index("▮"), UTF16)


async def complete(
    inline: InlineCompletion,
    marked: str,
    kind: types.InlineCompletionTriggerKind = AUTOMATIC,
    chosen: types.SelectedCompletionInfo | None = None,
    uri: str = URI,
) -> list[tuple[str, types.Range]]:
    snapshot, position = document(marked, uri)
    context = types.InlineCompletionContext(kind, chosen)
    params = types.InlineCompletionParams(context, types.TextDocumentIdentifier(uri), position)
    answer = await inline.complete(snapshot, params, UTF16)
    return [(str(item.insert_text), cast(types.Range, item.range)) for item in answer.items]


def texts(items: list[tuple[str, types.Range]]) -> list[str]:
    return [text for text, _ in items]


@pytest.mark.parametrize(
    ("marked", "settings", "automatic", "invoked"),
    [
        ("x = ▮\n", Settings(), True, True),
        ("x = ▮\n", Settings(enable="manual"), False, True),
        ("x = ▮\n", Settings(enable="off"), False, False),
        ("# say ▮\n", Settings(), False, True),
        ("# say ▮\n", Settings(in_comments=True), True, True),
        ('x = "say ▮"\n', Settings(), False, True),
        ('x = "say ▮"\n', Settings(in_strings=True), True, True),
        ("wo▮rd = compute(1, 2)\n", Settings(), False, True),
        ("x = ▮\n", Settings(minimum_confidence=0.81), False, True),
        ("x = ▮\n", Settings(minimum_confidence=0.8), True, True),
    ],
)
async def test_when_something_is_shown(marked: str, settings: Settings, automatic: bool, invoked: bool) -> None:
    for kind, expected in ((AUTOMATIC, automatic), (INVOKED, invoked)):
        inline = feature(ScriptedBackend(("value", 0.8)), settings)
        found = [text.rstrip('"') for text in texts(await complete(inline, marked, kind))]
        assert found == (["value"] if expected else [])
        assert inline.last_outcome.startswith("Shown") == expected, "and if not, it says why"


async def test_the_request_follows_the_settings() -> None:
    backend = ScriptedBackend(("value", 0.8))
    settings = Settings(max_tokens=7, context_tokens=99, steps=3, algorithm="origin", deadline_ms=250, candidates=4)
    await complete(feature(backend, settings), "a = 1\nx = ▮)\nb = 2\n", INVOKED)
    await complete(feature(backend, settings), "a = 1\r\nx = ▮\r\nb = 2\r\n", AUTOMATIC)
    expected = InfillRequest(
        segments=("a = 1\nx = ", Hole(single_line=True, max_tokens=7), "\nb = 2\n"),
        candidates=4,
        context_tokens=99,
        steps=3,
        algorithm="origin",
        deadline_ms=250,
        priority="typed",
        snippets=SNIPPETS,
        snippet_tokens=99,
        language="python",
    )
    assert backend.requests == [expected, replace(expected, candidates=1)], "while typing one is enough"


async def test_only_an_invoked_request_waits_for_the_model() -> None:
    backend = ScriptedBackend(("value", 0.8))
    await complete(feature(backend), "x = ▮\n", AUTOMATIC)
    assert backend.waited == 0
    await complete(feature(backend), "x = ▮\n", INVOKED)
    assert backend.waited == 1


async def test_an_engine_that_fails_is_an_empty_list_with_a_reason() -> None:
    backend = ScriptedBackend()
    backend.failure = EngineError("The engine is on fire.")
    inline = feature(backend)
    assert await complete(inline, "x = ▮\n", INVOKED) == []
    assert inline.last_outcome == "The engine is on fire."


async def test_secrets_stay_here() -> None:
    backend = ScriptedBackend(("value", 0.8))
    remote = Settings(server_url="https://team.example")
    assert await complete(feature(backend, remote), "KEY=▮\n", INVOKED, uri="file:///p/.env") == []
    assert backend.requests == []
    assert await complete(feature(backend, remote), "KEY=▮\n", INVOKED, uri="file:///p/env.py") != []
    assert await complete(feature(backend), "KEY=▮\n", INVOKED, uri="file:///p/.env") != []


async def test_line_ends_become_the_documents_own() -> None:
    backend = ScriptedBackend(("a = 1\n    b = 2", 0.8))
    assert texts(await complete(feature(backend), "def f():\r\n    ▮\r\n")) == ["a = 1\r\n    b = 2"]


async def test_fills_that_filters_make_equal_are_shown_once_and_useless_ones_never() -> None:
    backend = ScriptedBackend(("a)", 0.9), ("a", 0.8), ("  ", 0.7), ("b", 0.6))
    inline = feature(backend, Settings(candidates=8))
    assert texts(await complete(inline, "x = f(▮)\n", INVOKED)) == ["a)", "b)"]


@pytest.mark.parametrize(
    ("marked", "fill", "after"),
    [
        ("x = f(▮)\n", "a", "x = f(⟦a)▮⟧\n"),
        ("x = f([▮])\n", "a", "x = f([⟦a])▮⟧\n"),
        ("if f(▮):\n    pass\n", "a", "if f(⟦a):▮⟧\n    pass\n"),
        ("f(a=▮,\n  b=2)\n", "1", "f(a=⟦1,▮⟧\n  b=2)\n"),
        ('x = d["▮"]\n', "key", 'x = d["⟦key"]▮⟧\n'),
        ("x = f(▮)   \n", "a", "x = f(⟦a)▮⟧   \n"),  # blanks at the line's end are no business of ours
        ("x = f(▮) + 1\n", "a", "x = f(⟦a▮⟧) + 1\n"),  # more than closers: they stay
        ("x = ▮\n", "a", "x = ⟦a▮⟧\n"),
        ("x = f(▮)\r\n", "a", "x = f(⟦a)▮⟧\r\n"),
    ],
)
async def test_closers_behind_the_cursor_are_replaced(marked: str, fill: str, after: str) -> None:
    """So that the cursor ends up behind them; ⟦ ⟧ holds what was inserted, and the text is as if they had stayed."""
    backend = ScriptedBackend((fill, 0.9))
    [(text, span)] = await complete(feature(backend), marked, INVOKED)
    snapshot, _ = document(marked)
    start, end = snapshot.offset_at(span.start, UTF16), snapshot.offset_at(span.end, UTF16)
    accepted = snapshot.text[:start] + text + snapshot.text[end:]
    assert accepted == after.replace("⟦", "").replace("▮", "").replace("⟧", "")
    assert start + len(text) == after.replace("⟦", "").index("▮"), "the cursor"
    assert start == marked.index("▮")


async def test_a_long_document_is_not_sent_as_a_whole() -> None:
    backend = ScriptedBackend(("value", 0.8))
    lines = "line = 1\n" * 100_000
    await complete(feature(backend), lines + "x = ▮\n" + lines)
    [request] = backend.requests
    before, _, after = request.segments
    assert isinstance(before, str)
    assert isinstance(after, str)
    assert 30_000 < len(before) + len(after) <= 40_000
    assert before.endswith("line = 1\nx = ")
    assert after.startswith("\nline = 1\n")


async def test_a_popup_entry_that_is_chosen_counts_as_accepted() -> None:
    backend = ScriptedBackend((".join(a)", 0.8))
    chosen = types.SelectedCompletionInfo(types.Range(types.Position(0, 3), types.Position(0, 5)), "path")
    [(text, span)] = await complete(feature(backend), "os.pa▮\n", AUTOMATIC, chosen)
    assert backend.requests[0].segments[0] == "os.path"
    assert (text, span) == ("path.join(a)", chosen.range)


async def test_what_still_fits_is_tried_again_when_another_key_is_typed() -> None:
    backend = ScriptedBackend(("sum(values)", 0.9))
    inline = feature(backend)
    await complete(inline, "x = ▮\n")
    await complete(inline, "x = m▮\n")
    drafts = [hole.draft for request in backend.requests for hole in request.segments if isinstance(hole, Hole)]
    assert drafts == [None, "um(values)"]


async def test_a_newer_request_cancels_the_older_of_the_same_document() -> None:
    backend = ScriptedBackend(("value", 0.8))
    backend.gate.clear()
    inline = feature(backend)
    older = asyncio.ensure_future(complete(inline, "x = ▮\n"))
    other = asyncio.ensure_future(complete(inline, "x = ▮\n", uri="file:///other.py"))
    while len(backend.requests) < 2:
        await asyncio.sleep(0)
    newer = asyncio.ensure_future(complete(inline, "y = ▮\n"))
    with pytest.raises(asyncio.CancelledError):
        await older
    backend.gate.set()
    assert texts(await newer) == ["value"]
    assert texts(await other) == ["value"]


async def test_closing_a_document_cancels_and_forgets() -> None:
    backend = ScriptedBackend(("value", 0.8))
    inline = feature(backend)
    await complete(inline, "x = ▮\n")
    backend.gate.clear()
    waiting = asyncio.ensure_future(complete(inline, "y = ▮\n"))
    while len(backend.requests) < 2:
        await asyncio.sleep(0)
    inline.forget(URI)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    backend.gate.set()
    await complete(inline, "x = ▮\n")
    assert len(backend.requests) == 3, "not from the cache"


async def test_the_cache_obeys_the_confidence_that_is_wanted() -> None:
    backend = ScriptedBackend(("value", 0.4))
    settings = [Settings(minimum_confidence=0.3, candidates=1)]
    inline = feature(backend, lambda: settings[0])
    assert texts(await complete(inline, "x = ▮\n")) == ["value"]
    settings[0] = Settings(minimum_confidence=0.9, candidates=1)
    assert texts(await complete(inline, "x = ▮\n")) == []
    assert texts(await complete(inline, "x = v▮\n", INVOKED)) == ["alue"]
    assert len(backend.requests) == 1


async def test_what_was_too_unsure_is_asked_again_once_more_is_typed() -> None:
    """Characters that agree with a suggestion make it likelier, so a confidence of before them must not hide it."""
    backend = ScriptedBackend(("value", 0.2))
    inline = feature(backend)
    assert texts(await complete(inline, "x = ▮\n")) == []
    assert texts(await complete(inline, "x = ▮\n")) == []
    assert len(backend.requests) == 1, "of the same text it says the same"
    backend.candidates = (Candidate(("alue",), 0.7, (0.7,)),)
    assert texts(await complete(inline, "x = v▮\n")) == ["alue"]
    assert texts(await complete(inline, "x = va▮\n")) == ["lue"]
    assert len(backend.requests) == 2, "what is seen is kept"


@pytest.mark.parametrize("enable", ["automatic", "manual"])
async def test_what_was_asked_for_stays_while_it_is_typed_along(enable: str) -> None:
    backend = ScriptedBackend(("value", 0.1))
    inline = feature(backend, Settings(enable=enable))
    assert texts(await complete(inline, "x = ▮\n", INVOKED)) == ["value"]
    assert texts(await complete(inline, "x = va▮\n")) == ["lue"]
    assert len(backend.requests) == 1
    assert texts(await complete(inline, "x = vu▮\n")) == [], "another key, and it is typing as ever"


async def test_a_position_outside_of_the_document() -> None:
    snapshot, _ = document("x = ▮\n")
    context = types.InlineCompletionContext(INVOKED)
    params = types.InlineCompletionParams(context, types.TextDocumentIdentifier(URI), types.Position(9, 0))
    with pytest.raises(PositionError):
        await feature(ScriptedBackend()).complete(snapshot, params, UTF16)
