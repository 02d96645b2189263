"""What is counted: a session of shown, typed along, accepted and rejected suggestions."""

from datetime import UTC, datetime

import pytest

from coda_lsp.counters import Counters

U, V = "file:///u.py", "file:///v.py"
NAMES = ("requests", "fromCache", "shown", "accepted", "partiallyAccepted", "rejected", "charactersSaved")


def counters() -> Counters:
    return Counters(now=lambda: datetime(2026, 11, 25, 19, 20, tzinfo=UTC))


def offered(uri: str = U, from_cache: bool = False, **gains: int) -> tuple:
    return "answered", uri, gains, 20.0, from_cache


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], {}),
        ([offered()], {"requests": 1}),
        ([offered(s1=5)], {"requests": 1, "shown": 1}),
        ([offered(s1=5), offered(s1=4, from_cache=True)], {"requests": 2, "fromCache": 1, "shown": 1}),
        ([offered(s1=5), ("accepted", "s1")], {"requests": 1, "shown": 1, "accepted": 1, "charactersSaved": 4}),
        (
            [offered(s1=5), offered(s1=2, from_cache=True), ("accepted", "s1")],  # three were typed
            {"requests": 2, "fromCache": 1, "shown": 1, "accepted": 1, "charactersSaved": 1},
        ),
        ([offered(s1=5), offered(s2=5)], {"requests": 2, "shown": 2, "rejected": 1}),
        ([offered(s1=5), offered()], {"requests": 2, "shown": 1, "rejected": 1}),
        ([offered(s1=5), ("forget", U)], {"requests": 1, "shown": 1, "rejected": 1}),
        ([offered(s1=5), offered(V, s2=5)], {"requests": 2, "shown": 2}),  # another document's
        ([offered(s1=5, s2=9), ("accepted", "s2")], {"requests": 1, "shown": 1, "accepted": 1, "charactersSaved": 8}),
        (
            [offered(s1=9), ("partially_accepted", "s1", 4)],
            {"requests": 1, "shown": 1, "partiallyAccepted": 1, "charactersSaved": 3},
        ),
        (
            [offered(s1=9), ("partially_accepted", "s1", 4), ("partially_accepted", "s1", 7), offered(s2=1)],
            {"requests": 2, "shown": 2, "partiallyAccepted": 1, "charactersSaved": 5},
        ),
        (
            [offered(s1=9), ("partially_accepted", "s1", 4), ("accepted", "s1")],
            {"requests": 1, "shown": 1, "accepted": 1, "charactersSaved": 7},
        ),
        (
            [offered(s1=9), ("partially_accepted", "s1", 4), offered(s1=5), ("partially_accepted", "s1", 2)],
            {"requests": 2, "shown": 1, "partiallyAccepted": 1, "charactersSaved": 4},
        ),
        ([offered(s1=3), ("partially_accepted", "s1", 400)], {
            "requests": 1, "shown": 1, "partiallyAccepted": 1, "charactersSaved": 2}),
        ([("accepted", "s9"), ("partially_accepted", "s9", 1), ("shown", "s9"), ("forget", V)], {}),
        ([offered(s1=5), ("accepted", "s1"), ("accepted", "s1"), offered()], {
            "requests": 2, "shown": 1, "accepted": 1, "charactersSaved": 4}),
    ],
)  # fmt: skip
def test_a_session(events: list[tuple], expected: dict[str, int]) -> None:
    counted = counters()
    for name, *arguments in events:
        if name == "answered":
            *positional, from_cache = arguments
            counted.answered(*positional, from_cache=from_cache)
        else:
            getattr(counted, name)(*arguments)
    found = counted.json()
    assert {name: found[name] for name in NAMES} == {name: expected.get(name, 0) for name in NAMES}


def test_a_client_that_says_what_it_shows() -> None:
    counted = counters()
    counted.reports_shown = True
    counted.answered(U, {"s1": 5}, 1.0, from_cache=False)
    counted.answered(U, {"s2": 5}, 1.0, from_cache=False)
    assert counted.json()["shown"] == 0
    assert counted.json()["rejected"] == 0, "what was never shown can't be rejected"
    counted.shown("s2")
    counted.shown("s2")
    assert counted.json()["shown"] == 1


def test_latencies() -> None:
    counted = counters()
    for latency_ms in range(1, 101):
        counted.answered(U, {}, float(latency_ms), from_cache=False)
    latency = counted.json()["latencyMs"]
    assert (latency["p50"], latency["p95"]) == (50.5, 95.0)
    assert [bar["count"] for bar in latency["histogram"]] == [10, 15, 25, 50, 0, 0, 0, 0, 0, 0]
    assert latency["histogram"][-1]["upTo"] is None
    counted.reset()
    empty = counted.json()
    assert empty["requests"] == 0
    assert (empty["latencyMs"]["p50"], empty["latencyMs"]["p95"]) == (None, None)
    assert empty["since"] == "2026-11-25T19:20:00+00:00"


def test_off_counts_nothing() -> None:
    counted = counters()
    counted.enabled = False
    counted.answered(U, {"s1": 5}, 1.0, from_cache=False)
    counted.accepted("s1")
    counted.filtered(("blank",))
    found = counted.json()
    assert found["enabled"] is False
    assert not any(found[name] for name in NAMES)
    assert found["filters"] == {}


def test_how_often_each_filter_fires() -> None:
    counted = counters()
    counted.filtered(("blank", "repeats_suffix"))
    counted.filtered(("blank",))
    assert counted.json()["filters"] == {"blank": 2, "repeats_suffix": 1}
