"""Infilling rows with `<|expand|>` and `<|delete|>` targets, so that a hole can grow and shrink while it is filled.

After DreamOn (arXiv 2602.01326): the text before, in and after a hole is tokenised apart; a hole ends in some delete
targets; neighbouring masks are merged into one whose target is expand.
"""

from dataclasses import dataclass, field

import numpy as np

from coda_train.data.holes import HolesConfig

CONTEXT, MIDDLE, DELETE = 0, 1, 2


@dataclass(frozen=True)
class InfillConfig:
    """How infilling rows are made.

    Attributes:
        holes: where the holes are.
        no_delete: probability that a hole has no delete targets; an empty hole always has some.
        max_delete: else their number is uniform in 1 … max_delete.
        expand: probability that a row's masks are merged.
        expand_rounds: such a row is merged 1 … expand_rounds times, each time up to halving its masks, so that the
            model meets holes that are up to 2^expand_rounds times too short.
        eps: least noise level.
    """

    holes: HolesConfig = field(default_factory=HolesConfig)
    no_delete: float = 0.5
    max_delete: int = 16
    expand: float = 0.5
    expand_rounds: int = 3
    eps: float = 1e-3


@dataclass(frozen=True)
class TokenIds:
    """Ids of the special tokens a row needs."""

    pad: int
    end: int
    mask: int
    expand: int
    delete: int


@dataclass(frozen=True)
class InfillRow:
    """One row, not yet padded: `inputs` and `targets` are [length] int32, `weights` [length] float32."""

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def noise_row(
    tokens: np.ndarray, kinds: np.ndarray, config: InfillConfig, ids: TokenIds, rng: np.random.Generator
) -> InfillRow:
    """Mask a row's middle tokens and weigh its targets.

    sigma ~ U(eps, 1]; a middle token is masked with probability sigma and weighs 1/sigma. A row without any gets one
    mask, and the number of middle tokens bounds 1/sigma (the weight of one mask drawn among them). A delete is present,
    as a mask, with probability sigma, else it has been removed already; all deletes together weigh as one token. In a
    row of empty holes the deletes take the place of the middle tokens.

    Args:
        tokens: [length] token ids without noise, deletes appended to their holes (see `append_deletes`).
        kinds: [length] CONTEXT, MIDDLE or DELETE.
        config: the row's settings.
        ids: the special tokens.
        rng: source of randomness.
    """
    is_middle, is_delete = kinds == MIDDLE, kinds == DELETE
    middle_count, delete_count = int(is_middle.sum()), int(is_delete.sum())
    sigma = 1.0 - (1.0 - config.eps) * rng.random()
    is_masked = (is_middle | is_delete) & (rng.random(len(tokens)) < sigma)
    is_required = is_middle if middle_count else is_delete
    if is_required.any() and not (is_masked & is_required).any():
        is_masked[rng.choice(np.flatnonzero(is_required))] = True
    weight = min(1.0 / sigma, float(max(middle_count or delete_count, 1)))
    weights = np.where(is_masked & is_middle, weight, 0.0)
    weights[is_masked & is_delete] = (1.0 / sigma if middle_count else weight) / max(delete_count, 1)
    present = is_masked | ~is_delete
    targets, weights, is_masked, mergeable = (a[present] for a in (tokens, weights, is_masked, is_masked & is_middle))
    if rng.random() < config.expand:
        share = 1.0 - rng.random()
        for _ in range(int(rng.integers(1, config.expand_rounds + 1))):
            kept, merged = merge_pairs(mergeable, share, rng)
            targets = np.where(merged, ids.expand, targets)[kept]
            weights, is_masked, mergeable = weights[kept], is_masked[kept], mergeable[kept]
    inputs = np.where(is_masked, ids.mask, targets)
    return InfillRow(inputs.astype(np.int32), targets.astype(np.int32), weights.astype(np.float32))


def merge_pairs(mergeable: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Choose disjoint pairs of neighbouring masks to become one.

    Args:
        mergeable: [length] bool, the masks that may merge.
        share: probability that a pair which can merge does.
        rng: source of randomness.

    Returns: [length] bool `kept` (False: swallowed by its left neighbour) and `merged` (True: swallows its right one).
    """
    kept = np.ones(len(mergeable), bool)
    merged = np.zeros(len(mergeable), bool)
    chances = rng.random(len(mergeable))
    pairs = np.flatnonzero(mergeable[:-1] & mergeable[1:])
    last = -1
    for first in pairs.tolist():
        if first > last and chances[first] < share:
            merged[first], kept[first + 1] = True, False
            last = first + 1
    return kept, merged


def append_deletes(
    pieces: list[list[int]], config: InfillConfig, ids: TokenIds, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Join the token ids of text, hole, text, hole, …, text and end every hole in its delete targets.

    Returns: [length] int32 tokens and [length] int8 kinds (CONTEXT, MIDDLE, DELETE).
    """
    tokens: list[int] = []
    kinds: list[int] = []
    for number, piece in enumerate(pieces):
        is_hole = number % 2 == 1
        tokens += piece
        kinds += [MIDDLE if is_hole else CONTEXT] * len(piece)
        if is_hole and (rng.random() >= config.no_delete or not piece):
            count = int(rng.integers(1, config.max_delete + 1))
            tokens += [ids.delete] * count
            kinds += [DELETE] * count
    return np.array(tokens, np.int32), np.array(kinds, np.int8)


def crop(tokens: np.ndarray, kinds: np.ndarray, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut a row to `length` tokens so that its holes stay inside, as far as they fit, with context on both sides."""
    if len(tokens) <= length:
        return tokens, kinds
    holes = np.flatnonzero(kinds != CONTEXT)
    latest = min(int(holes[0]), len(tokens) - length) if len(holes) else 0
    earliest = max(0, int(holes[-1]) + 1 - length) if len(holes) else 0
    start = int(rng.integers(min(earliest, latest), latest + 1))
    return tokens[start : start + length], kinds[start : start + length]
