"""What the engine is asked and what it answers: docs/protocol.md as plain values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from coda_lsp.settings import Settings

MAX_HOLE_TOKENS = 512

Priority = Literal["typed", "background"]


@dataclass(frozen=True)
class Hole:
    """A place to fill; `hint` is what stood in it, `draft` an earlier answer of which what is still likely is kept."""

    single_line: bool
    max_tokens: int
    hint: str | None = None
    draft: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_tokens", min(self.max_tokens, MAX_HOLE_TOKENS))


@dataclass(frozen=True)
class Snippet:
    """A piece of another file."""

    path: str
    text: str


@dataclass(frozen=True)
class InfillRequest:
    """A document as texts and holes, and how they are to be filled. Line ends are `\\n`."""

    segments: tuple[str | Hole, ...]
    candidates: int
    context_tokens: int
    steps: int | None
    algorithm: str
    deadline_ms: int | None
    priority: Priority = "typed"
    snippets: tuple[Snippet, ...] = ()
    snippet_tokens: int = 0
    language: str | None = None
    temperature: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, settings: Settings, *segments: str | Hole, **more: Any) -> InfillRequest:
        """A request as the settings want it; `more` are fields they do not tell, `candidates` is 1 without it."""
        return cls(
            segments=segments,
            candidates=more.pop("candidates", 1),
            context_tokens=settings.context_tokens,
            steps=settings.steps,
            algorithm=settings.algorithm,
            deadline_ms=settings.deadline_ms,
            snippet_tokens=min(settings.snippet_tokens, settings.context_tokens),
            **more,
        )

    def body(self) -> dict[str, Any]:
        """The JSON body of POST /v1/infill."""
        segments = [
            {"text": segment} if isinstance(segment, str) else {"hole": asdict(segment)} for segment in self.segments
        ]
        return {**asdict(self), "segments": segments, "snippets": [asdict(snippet) for snippet in self.snippets]}


@dataclass(frozen=True)
class Candidate:
    """One way to fill all the holes, and how sure the model is, from 0 to 1, of each of them and of all."""

    fills: tuple[str, ...]
    confidence: float
    confidences: tuple[float, ...]


@dataclass(frozen=True)
class InfillAnswer:
    """The candidates, best first, and what they cost; `model_ms` is the time spent in the model."""

    candidates: tuple[Candidate, ...]
    steps: int
    model_ms: float

    @classmethod
    def of(cls, event: dict[str, Any]) -> InfillAnswer:
        """Read a `result` event. Raises KeyError, TypeError or ValueError where it is none."""
        candidates = tuple(
            Candidate(
                fills=tuple(map(str, each["fills"])),
                confidence=float(each["confidence"]),
                confidences=tuple(map(_geometric_mean, each["token_confidences"])),
            )
            for each in event["candidates"]
        )
        if any(not each.fills or len(each.fills) != len(each.confidences) for each in candidates):
            raise ValueError("a candidate needs a fill and its confidences for each hole")
        return cls(candidates, int(event["steps"]), float(event["timings"]["model_ms"]))


def _geometric_mean(probabilities: list[float]) -> float:
    logarithms = [math.log(max(float(each), 1e-9)) for each in probabilities]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else 0.0
