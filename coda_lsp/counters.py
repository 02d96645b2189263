"""What was shown and what became of it, counted in memory for `coda.stats`; none of it goes anywhere else."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_BOUNDS_MS = (10, 25, 50, 100, 200, 400, 800, 1600, 3200, None)
_LATENCIES = 1000  # the latest, for the percentiles


@dataclass
class _Offer:
    """The suggestions of one answer, by id, each with the characters that accepting it would save typing."""

    gains: dict[str, int]
    shown: bool = False
    partially: bool = False
    credited: int = 0  # of the one accepted in part, since it was shown last


@dataclass
class Counters:
    """The counters of a session. `now` tells the time of day."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    enabled: bool = True
    reports_shown: bool = False
    """Whether the client says what it shows; otherwise what is answered counts as shown."""
    _numbers: Counter[str] = field(default_factory=Counter)
    _filters: Counter[str] = field(default_factory=Counter)
    _histogram: Counter[int | None] = field(default_factory=Counter)
    _latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _offers: dict[str, _Offer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._since = self.now()

    def reset(self) -> None:
        """Count from zero again."""
        for counter in (self._numbers, self._filters, self._histogram, self._latencies_ms, self._offers):
            counter.clear()
        self._since = self.now()

    def answered(self, uri: str, gains: Mapping[str, int], latency_ms: float, *, from_cache: bool) -> None:
        """A request for a document was answered with these suggestions; with none of them, what was there is gone."""
        if not self.enabled:
            return
        self._numbers["requests"] += 1
        self._numbers["fromCache"] += from_cache
        self._latencies_ms.append(latency_ms)
        self._histogram[next(bound for bound in _BOUNDS_MS if bound is None or latency_ms <= bound)] += 1
        offer = self._offers.get(uri)
        if offer is not None and offer.gains.keys() & gains.keys():  # the user types along
            offer.gains.update(gains)
            offer.credited = 0
            return
        self._settle(uri)
        if gains:
            self._offers[uri] = _Offer(dict(gains))
            if not self.reports_shown:
                self.shown(next(iter(gains)))

    def shown(self, suggestion: str) -> None:
        """The client shows a suggestion."""
        offer = self._offer_of(suggestion)
        if offer is not None and not offer.shown:
            offer.shown = True
            self._numbers["shown"] += 1

    def accepted(self, suggestion: str) -> None:
        """The user took a suggestion, or the rest of it."""
        offer = self._offer_of(suggestion)
        if offer is None:
            return
        self.shown(suggestion)
        self._numbers["accepted"] += 1
        self._numbers["partiallyAccepted"] -= offer.partially
        self._numbers["charactersSaved"] += offer.gains[suggestion] - offer.credited - 1
        self._drop(offer)

    def partially_accepted(self, suggestion: str, length: int) -> None:
        """The user took a suggestion's first `length` characters, counted from where it was shown last."""
        offer = self._offer_of(suggestion)
        if offer is None:
            return
        self.shown(suggestion)
        length = min(length, offer.gains[suggestion])
        if length <= offer.credited:
            return
        self._numbers["partiallyAccepted"] += not offer.partially
        self._numbers["charactersSaved"] += length - offer.credited - 1
        offer.partially, offer.credited = True, length

    def filtered(self, filters: Sequence[str]) -> None:
        """Filters changed or dropped a fill."""
        if self.enabled:
            self._filters.update(filters)

    def forget(self, uri: str) -> None:
        """A document was closed, and what was shown in it with it."""
        self._settle(uri)

    def json(self) -> dict[str, Any]:
        """The answer to `coda.stats`, as docs/protocol.md has it."""
        latencies = sorted(self._latencies_ms)
        cuts = statistics.quantiles(latencies, n=20, method="inclusive") if len(latencies) > 1 else latencies * 19
        names = ("requests", "fromCache", "shown", "accepted", "partiallyAccepted", "rejected", "charactersSaved")
        return {
            "enabled": self.enabled,
            "since": self._since.isoformat(timespec="seconds"),
            **{name: self._numbers[name] for name in names},
            "filters": dict(self._filters),
            "latencyMs": {
                "p50": round(cuts[9], 1) if cuts else None,
                "p95": round(cuts[18], 1) if cuts else None,
                "histogram": [{"upTo": bound, "count": self._histogram[bound]} for bound in _BOUNDS_MS],
            },
        }

    def _settle(self, uri: str) -> None:
        """Another suggestion, or none, takes the place of what was offered."""
        offer = self._offers.pop(uri, None)
        if offer is not None and offer.shown and not offer.partially:
            self._numbers["rejected"] += 1

    def _offer_of(self, suggestion: str) -> _Offer | None:
        return next((offer for offer in self._offers.values() if suggestion in offer.gains), None)

    def _drop(self, offer: _Offer) -> None:
        self._offers = {uri: each for uri, each in self._offers.items() if each is not offer}
