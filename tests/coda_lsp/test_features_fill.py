"""Filling holes jointly: what the engine is asked, what is taken of its answer; and finding a fill again."""

from typing import Any, cast

import pytest

from coda_lsp.backend import Backend
from coda_lsp.documents import DocumentStore, Snapshot
from coda_lsp.engine.request import Candidate, Hole, InfillAnswer, InfillRequest
from coda_lsp.features.fill import Outcome, fill_holes
from coda_lsp.last_fills import fills_of, spans_again
from coda_lsp.settings import Settings
from coda_lsp.unfilled import unfilled_holes

TWO = "def f(a):\n    ...\n\n\ndef g(b):\n    pass  # TODO: twice b\n"


class ScriptedBackend:
    """Answers each request with the next candidates: lists of fills."""

    def __init__(self, *answers: list[list[str]]) -> None:
        self.answers = list(answers)
        self.requests: list[InfillRequest] = []

    async def ready(self) -> None:
        pass

    async def infill(self, request: InfillRequest, on_progress: Any = None) -> InfillAnswer:
        self.requests.append(request)
        on_progress(1, 2)
        fills = self.answers.pop(0)
        return InfillAnswer(tuple(Candidate(tuple(each), 0.5, (0.5,) * len(each)) for each in fills), 2, 1.0)


def opened(text: str) -> Snapshot:
    return DocumentStore().open("file:///a.py", "python", 1, text)


async def fill(backend: ScriptedBackend, text: str, **more: Any) -> tuple[Outcome, list[tuple[str, int]]]:
    document, reports = opened(text), list[tuple[str, int]]()
    holes = unfilled_holes(text, "python", document.uri, "__FILL__")
    settings = Settings(max_tokens=10, candidates=2)
    report = lambda message, percentage: reports.append((message, percentage))  # noqa: E731
    outcome = await fill_holes(cast(Backend, backend), document, holes, settings, (), report, **more)
    return outcome, reports


async def test_the_holes_of_a_file_are_one_request() -> None:
    backend = ScriptedBackend([["return a", "return 2 * b"]])
    outcome, reports = await fill(backend, TWO)
    assert outcome == Outcome(("return a", "return 2 * b"), 2)
    [request] = backend.requests
    hole = Hole(single_line=False, max_tokens=30)
    between = "\n\n\ndef g(b):\n    # TODO: twice b\n    "  # what the comment says stays, above its hole
    assert request.segments == ("def f(a):\n    ", hole, between, hole, "\n")
    assert (request.priority, request.candidates, request.temperature) == ("background", 2, 0.0)
    assert reports == [("Step 1 of 2", 50)]


async def test_the_candidate_with_the_most_useful_fills_is_taken() -> None:
    backend = ScriptedBackend([["  ", "return 1"], ["return a", "return b"]])
    assert (await fill(backend, TWO))[0].texts == ("return a", "return b")
    backend = ScriptedBackend([["  ", "return 1"], ["return a", " "]])
    assert (await fill(backend, TWO))[0].texts == (None, "return 1"), "a hole may stay empty"
    backend = ScriptedBackend([])
    assert (await fill(backend, TWO))[0].texts == (None, None)


async def test_line_ends_are_the_documents_own() -> None:
    backend = ScriptedBackend([["x = a\n    return x", "return b"]])
    outcome, _ = await fill(backend, TWO.replace("\n", "\r\n"))
    assert outcome.texts == ("x = a\r\n    return x", "return b")
    assert "\r" not in str(backend.requests[0].segments)


async def test_many_holes_are_filled_in_parts_that_know_the_parts_before() -> None:
    text = "".join(f"def f{number}(a):\n    ...\n\n\n" for number in range(10))
    fills = [f"return a + {number}" for number in range(10)]
    backend = ScriptedBackend([fills[:8]], [fills[8:]])
    outcome, reports = await fill(backend, text)
    assert outcome == Outcome(tuple(fills), 4)
    first, second = backend.requests
    assert [sum(isinstance(each, Hole) for each in request.segments) for request in (first, second)] == [8, 2]
    assert str(second.segments[0]).endswith("def f7(a):\n    return a + 7\n\n\ndef f8(a):\n    ")
    assert [message for message, _ in reports] == ["Step 1 of 2 (part 1 of 2)", "Step 1 of 2 (part 2 of 2)"]
    assert [percentage for _, percentage in reports] == [25, 75]


async def test_another_fill_is_drawn_warmer_and_not_one_that_was_seen() -> None:
    backend = ScriptedBackend([["return a", "return b"], ["return -a", "return -b"]])
    outcome, _ = await fill(backend, TWO, attempt=3, seen=[{"return a"}, {"return b"}])
    assert outcome.texts == ("return -a", "return -b")
    [request] = backend.requests
    assert request.temperature > 0
    assert (request.seed, request.candidates) == (3, 4)


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda text: text, 2),
        (lambda text: "# a line\n" * 50 + text, 2),  # elsewhere
        (lambda text: text.replace("return a", "return  a"), 1),
        (lambda text: text + text, 0),  # which of the two?
        (lambda text: "", 0),
    ],
)
def test_a_fill_is_found_again(edit: Any, found: int) -> None:
    before = "# some way off\n" * 10
    text = before + TWO.replace("\n\n\n", "\n\n\n" + before)
    holes = unfilled_holes(text, "python", "file:///a.py", "__FILL__")
    fills = fills_of(text, holes, ["return a", "return 2 * b"])
    filled = text[: holes[0].start] + "return a" + text[holes[0].end : holes[1].start] + "return 2 * b\n"
    later = edit(filled)
    again = spans_again(later, fills)
    assert len(again) == found
    for fill_, span in again:
        assert later[span.start : span.end] == fill_.texts[-1]


def test_what_was_offered_before_is_remembered() -> None:
    text = "def f(a):\n    ...\n"
    holes = unfilled_holes(text, "python", "file:///a.py", "__FILL__")
    first = fills_of(text, holes, ["return a"])
    filled = "def f(a):\n    return a\n"
    [(_, span)] = spans_again(filled, first)
    [second] = fills_of(filled, [span], ["return -a"], first)
    assert second.texts == ("return a", "return -a")
    assert second.old == "..."
    assert fills_of(filled, [span], [None], first) == ()
