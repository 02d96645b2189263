"""What the engine is asked and what it answers: plain values, free of torch, for library, service and command line."""

from dataclasses import dataclass
from typing import Literal, get_args

from coda_model.confidence import Evidence
from coda_model.errors import InputError

# The published ones rank positions and commit a fixed number a step; the adaptive ones commit what is sure enough.
Algorithm = Literal["origin", "maskgit_plus", "topk_margin", "entropy", "threshold", "factor", "entropy_bound"]
LengthPolicy = Literal["expand-delete", "grid", "fixed"]
# Somebody waits for a typed request; a background one advances only while no typed one is there.
Priority = Literal["typed", "background"]

MAX_HOLE_TOKENS = 512
MAX_CANDIDATES = 8
STARTS, MAX_STARTS = 8, 11
APART = 8
LOOKUPS, MAX_LOOKUPS = 3, 8
MAX_STEPS = 4096
MAX_CONTEXT_TOKENS = 32768
MAX_SNIPPETS = 64


def _require_integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name} must be an integer from {low} to {high}, not {value!r}.")


def _require_number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")


@dataclass(frozen=True)
class Hole:
    """A place to fill. `hint` is the text that stood there, `length` an exact number of tokens (None finds it).

    `draft` is an earlier answer, from before the text changed: what is still likely of it is kept. Raises InputError
    where a field is out of range.
    """

    hint: str | None = None
    single_line: bool = False
    max_tokens: int = 64
    length: int | None = None
    draft: str | None = None

    def __post_init__(self) -> None:
        if self.draft is not None and not isinstance(self.draft, str):
            raise InputError(f"draft must be a text, not {self.draft!r}.")
        if self.hint is not None and not isinstance(self.hint, str):
            raise InputError(f"hint must be a text, not {self.hint!r}.")
        if not isinstance(self.single_line, bool):
            raise InputError(f"single_line must be true or false, not {self.single_line!r}.")
        _require_integer("max_tokens", self.max_tokens, 1, MAX_HOLE_TOKENS)
        if self.length is not None:
            _require_integer("length", self.length, 1, MAX_HOLE_TOKENS)


Segment = str | Hole


@dataclass(frozen=True)
class Snippet:
    """Text of another file that says something about the document. Raises InputError where a field does not serve."""

    path: str
    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path.strip() or len(self.path.splitlines()) > 1:
            raise InputError(f"path must be one line of text that is not blank, not {self.path!r}.")
        if not isinstance(self.text, str):
            raise InputError(f"text must be a text, not {self.text!r}.")


@dataclass(frozen=True)
class InfillOptions:
    """How to fill: see docs/protocol.md for the meaning of each field. Raises InputError where one is out of range."""

    candidates: int = 1
    starts: int = STARTS
    lookups: int = LOOKUPS
    steps: int | None = None
    algorithm: Algorithm = "entropy_bound"
    bound: float | None = None
    apart: int = APART
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    alg_temp: float | None = None
    context_tokens: int = 512
    snippets: tuple[Snippet, ...] = ()
    snippet_tokens: int = 128
    refresh: int = 0
    deadline_ms: float | None = None
    remask: float = 0.0
    heal: bool = True
    language: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _require_integer("candidates", self.candidates, 1, MAX_CANDIDATES)
        _require_integer("starts", self.starts, 1, MAX_STARTS)
        _require_integer("lookups", self.lookups, 0, MAX_LOOKUPS)
        if self.steps is not None:
            _require_integer("steps", self.steps, 1, MAX_STEPS)
        if self.algorithm not in get_args(Algorithm):
            raise InputError(f"algorithm must be one of {', '.join(get_args(Algorithm))}, not {self.algorithm!r}.")
        if self.bound is not None:
            _require_number("bound", self.bound, 0.0, 1000.0)
        _require_integer("apart", self.apart, 0, MAX_HOLE_TOKENS)
        _require_number("temperature", self.temperature, 0.0, 10.0)
        if self.top_p is not None:
            _require_number("top_p", self.top_p, 0.0, 1.0)
        if self.top_k is not None:
            _require_integer("top_k", self.top_k, 1, 2**31 - 1)
        if self.alg_temp is not None:
            _require_number("alg_temp", self.alg_temp, 0.0, 100.0)
        _require_integer("context_tokens", self.context_tokens, 0, MAX_CONTEXT_TOKENS)
        if len(self.snippets) > MAX_SNIPPETS or not all(isinstance(snippet, Snippet) for snippet in self.snippets):
            raise InputError(f"snippets must be at most {MAX_SNIPPETS} snippets, not {len(self.snippets)}.")
        _require_integer("snippet_tokens", self.snippet_tokens, 0, MAX_CONTEXT_TOKENS)
        _require_integer("refresh", self.refresh, 0, MAX_STEPS)
        if self.deadline_ms is not None:
            _require_number("deadline_ms", self.deadline_ms, 0.0, 86_400_000.0)
        _require_number("remask", self.remask, 0.0, 1.0)
        if not isinstance(self.heal, bool):
            raise InputError(f"heal must be true or false, not {self.heal!r}.")
        if self.language is not None and not isinstance(self.language, str):
            raise InputError(f"language must be a text, not {self.language!r}.")
        _require_integer("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True)
class Progress:
    """One denoising step is done. `steps` is the best estimate of the total, `masked` the masks left."""

    step: int
    steps: int
    masked: int


@dataclass(frozen=True)
class Candidate:
    """One way to fill all holes: a text a hole, and the probabilities with which its tokens were committed.

    `confidence` is how likely the fill is exactly right where the checkpoint has a calibration, else the geometric mean
    over `token_confidences` (one tuple a hole, with 1 for a token that the code behind the hole asked for). `evidence`
    is what a calibration knows of the fill.
    """

    fills: tuple[str, ...]
    confidence: float
    token_confidences: tuple[tuple[float, ...], ...]
    evidence: Evidence


@dataclass(frozen=True)
class Timings:
    tokenize_ms: float
    model_ms: float
    total_ms: float


@dataclass(frozen=True)
class InfillResult:
    """Candidates, best first, and what they cost; `steps` counts the model's forward passes."""

    candidates: tuple[Candidate, ...]
    steps: int
    length_policy: LengthPolicy
    timings: Timings
