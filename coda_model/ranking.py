"""Which of several fills is the best: how sure the model is, whether the document parses, what follows."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from coda_model.confidence import log_same
from coda_model.denoise import Denoiser
from coda_model.draft import MASK, Draft
from coda_model.forward import Steps
from coda_model.lookup import Continuation
from coda_model.windowed import WindowedForward

# What an error in the syntax costs, in nats: more than the usual difference between any two fills.
ERROR_COST = 5.0
# What a name costs that is read and bound nowhere: hardly any code has one (docs/log.md).
MISSING_COST = 3.0
# Whoever asks for a fill wants one: nothing, or white space alone, comes after all else, however right its length is.
BLANK_COST = 50.0
# The model's view of what follows a fill says less of it than that of the fill itself.
AGREEMENT_WEIGHT = 0.1
# What it is worth that the fill stands elsewhere between the same characters, for each e-fold of them beyond two; and
# what it costs that other texts do so too, for each e-fold of them and this one.
SAME_WORTH = 2.0
OTHERS_COST = 1.0
# What it is worth, for each nat, that the model sees the length as right.
LENGTH_WEIGHT = 0.2
# Tokens behind each hole that are asked for.
_FOLLOWING = 3


def score(
    mean_log_probability: float,
    log_length: float,
    agreement: float,
    errors: int,
    missing: int,
    is_blank: bool,
    found: Continuation | None = None,
) -> float:
    """A fill's rank among others, in nats a token.

    Args:
        mean_log_probability: of its tokens.
        log_length: of the probability that none of its slots is one too many or hides another, the sum over them.
        agreement: the mean log-probability of what follows it.
        errors: places where the document does not parse with it.
        missing: names that the code around the fill reads then, and nothing binds.
        is_blank: whether it is empty or white space.
        found: how it stands elsewhere in the document, where it does.

    The weights did best on holes of the bundled model's held-out packages: those of the length and of what stands
    elsewhere on 593, the others on 250 (docs/log.md).
    """
    sure = mean_log_probability + LENGTH_WEIGHT * log_length + AGREEMENT_WEIGHT * agreement
    elsewhere = SAME_WORTH * log_same(found.same) - OTHERS_COST * math.log1p(found.others) if found else 0.0
    return sure - ERROR_COST * errors - MISSING_COST * missing - BLANK_COST * is_blank + elsewhere


def agreements(denoiser: Denoiser, windowed: WindowedForward, drafts: Sequence[Draft]) -> Steps[list[float]]:
    """For each draft the mean log-probability of the tokens behind its holes, as the model sees them given the fills.

    They are masked for that, in one more forward. Without anything behind the holes it is 0.
    """
    following = [text[:_FOLLOWING] for text in drafts[0].texts[1:]]
    wanted = torch.tensor([token for head in following for token in head], dtype=torch.int64)
    if not len(wanted):
        return [0.0] * len(drafts)
    shorter, texts = windowed.without_heads([0, *map(len, following)])
    asked = []
    for draft in drafts:
        holes = [
            replace(hole, slots=[*hole.slots, *[MASK] * len(head)])
            for hole, head in zip(draft.holes, following, strict=True)
        ]
        asked.append(Draft(texts, holes, draft.temperature, draft.generator))
    values = yield from denoiser.with_forward(shorter).log_probabilities(asked, wanted)
    return [float(value_N.mean()) for value_N, _ in values]
