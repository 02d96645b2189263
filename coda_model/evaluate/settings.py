"""What a run is: everything that can change a figure, saved beside the figures."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coda_model.errors import InputError
from coda_model.request import APART, LOOKUPS, MAX_HOLE_TOKENS, STARTS, Algorithm, InfillOptions

SINGLE_LINE_TOKENS, BLOCK_TOKENS = 64, 128
PUBLISHED_TOKENS, PUBLISHED_STEPS = 768, 768
PostProcess = Literal["ends", "released"]


@dataclass(frozen=True)
class Settings:
    """One run of one task. Raises InputError where values contradict each other.

    Attributes:
        task: a benchmark's name, or `repo`.
        model: as it was named; `weights` is the sha256 of its weight files.
        data: sha256 of the rows.
        length: `product` (the length is unknown, as for users), `oracle` (the reference's), or a number of tokens.
        starts: lengths that a hole of unknown length is tried from.
        lookups: fills of a line that are taken from elsewhere in the document, for the model to judge.
        steps: denoising steps; None is one a token, or as the algorithm decides.
        apart: distance from which `entropy_bound` commits unsure tokens side by side; 0 is never.
        refresh: 1 recomputes everything at each step (exact), 0 is windowed.
        nll_draws: draws of the likelihood bound a row, 0 for none; over the first `nll_rows` rows.
        typist_rows: rows that the simulated typist walks.
    """

    task: str
    model: str
    weights: str
    data: str
    limit: int | None = None
    seed: int = 0
    samples: int = 1
    length: str = "product"
    starts: int = STARTS
    lookups: int = LOOKUPS
    steps: int | None = None
    algorithm: Algorithm = "entropy_bound"
    bound: float | None = None
    apart: int = APART
    temperature: float = 0.0
    top_p: float | None = None
    alg_temp: float | None = None
    refresh: int = 0
    context_tokens: int = 512
    max_tokens: int | None = None
    prompt: Literal["base", "chat"] = "base"
    post_process: PostProcess = "ends"
    device: str = "cpu"
    dtype: str = "float32"
    nll_draws: int = 0
    nll_rows: int = 0
    typist_rows: int = 0
    time_limit_s: float = 15.0
    isolated: bool = True

    def __post_init__(self) -> None:
        if self.length not in ("product", "oracle") and not (
            self.length.isdecimal() and 1 <= int(self.length) <= MAX_HOLE_TOKENS
        ):
            raise InputError(f"length must be product, oracle or a number of tokens up to {MAX_HOLE_TOKENS}.")
        if self.samples > 1 and not self.temperature:
            raise InputError("Several samples of a problem need a temperature above 0, or they are all the same.")
        self.options(self.seed)  # which checks the rest

    def options(self, seed: int, language: str | None = None) -> InfillOptions:
        """What the engine is asked for in a document of a language, but for the seed of the draws."""
        return InfillOptions(
            starts=self.starts,
            lookups=self.lookups,
            language=language,
            steps=self.steps,
            algorithm=self.algorithm,
            bound=self.bound,
            apart=self.apart,
            temperature=self.temperature,
            top_p=self.top_p,
            alg_temp=self.alg_temp,
            context_tokens=self.context_tokens,
            refresh=self.refresh,
            seed=seed,
        )


def file_digest(*paths: Path) -> str:
    """The first 16 hexadecimal digits of the sha256 of some files' contents, in order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()[:16]


def text_digest(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
