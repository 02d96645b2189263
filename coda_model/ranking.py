"""Which of several fills is the best: how sure the model is, whether the document parses, what follows."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from coda_model.denoise import Denoiser
from coda_model.draft import MASK, Draft
from coda_model.forward import Steps
from coda_model.length import unbalanced_brackets
from coda_model.syntax import count_errors
from coda_model.windowed import WindowedForward

# What an error in the syntax costs, in nats: more than the usual difference between two fills the model is sure of.
ERROR_COST = 1.0
# Tokens behind each hole that are asked for.
_FOLLOWING = 3


def added_errors(before: str, after: str, language: str | None) -> int:
    """How many errors more the document has with the fills than without: those of its grammar, where it is known, else
    brackets without a partner."""
    if language is not None:
        errors = [count_errors(text, language) for text in (before, after)]
        if errors[0] is not None and errors[1] is not None:
            return max(errors[1] - errors[0], 0)
    return max(unbalanced_brackets(after) - unbalanced_brackets(before), 0)


def score(mean_log_probability: float, agreement: float, errors: int) -> float:
    """A fill's rank among others, in nats a token; `agreement` is the mean log-probability of what follows it."""
    return mean_log_probability + agreement - ERROR_COST * errors


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
    return [float(value_N.mean()) for value_N in values]
