"""Held-out lines to complete: what a training run measures exact match on and shows samples of."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coda_train.data.holes import HolesConfig, choose_holes
from coda_train.data.split import read_split
from coda_train.tokenizer import encode_text, load_tokenizer

MAX_FILL = 32
"""Tokens that a fill may have."""

_LINE_ENDS = HolesConfig(
    line_end=1, line=0, expression=0, statement=0, block=0, span=0, empty=0, counts=(1.0,), max_chars=80, prose=0
)
_WINDOW_CHARS = 4_000
_TRIES = 20


@dataclass(frozen=True)
class Problem:
    """The tail of a line is missing: the text around it, cut to fit a row, as token ids; and the tail itself."""

    prefix: list[int]
    middle: list[int]
    suffix: list[int]
    before: str
    text: str


def line_problems(corpus: Path, tokenizer: Path, count: int, length: int, seed: int) -> list[Problem]:
    """Tails of held-out lines, each cut at a random character, from documents drawn evenly.

    Args:
        corpus: corpus folder or mixture with a held-out split.
        tokenizer: folder with `tokenizer.json`.
        count: how many; fewer only where most documents have no fitting line.
        length: tokens of a row; prefix and suffix leave MAX_FILL of them free.
        seed: of the choice.
    """
    rows = read_split(corpus, "held_out", ["text", "path"]).to_pylist()
    documents = [(row["text"], Path(row["path"]).suffix) for row in rows]
    encoder, rng = load_tokenizer(tokenizer), np.random.default_rng(seed)
    problems: list[Problem] = []
    for _ in range(_TRIES * count):
        if len(problems) == count:
            break
        text, suffix = documents[int(rng.integers(len(documents)))]
        first = text.rfind("\n", 0, int(rng.integers(max(1, len(text) - _WINDOW_CHARS)))) + 1
        window = text[first : first + _WINDOW_CHARS]
        holes = choose_holes(window, _LINE_ENDS, rng, suffix=suffix)
        if not holes:
            continue
        (start, end) = holes[0]
        prefix, middle, suffix = (
            encode_text(encoder, part) for part in (window[:start], window[start:end], window[end:])
        )
        if 0 < len(middle) <= MAX_FILL // 2:
            room = length - MAX_FILL
            left = min(len(prefix), max(room // 2, room - len(suffix)))
            kept = prefix[len(prefix) - left :], middle, suffix[: room - left]
            problems.append(Problem(*kept, before=window[:start].rpartition("\n")[2], text=window[start:end]))
    return problems
