"""An earlier answer tried again in a text that has changed: its tokens stay where the model still finds them likely.

All of the hole is masked and the earlier tokens are looked up in the model's distributions, as speculative decoding
does with a draft: a token that is there to be seen would only confirm itself.
"""

import math
from collections.abc import Sequence

import torch

from coda_model.denoise import Denoiser
from coda_model.draft import Draft
from coda_model.forward import Steps
from coda_model.heal import Edges
from coda_model.request import Hole
from coda_model.tokenizer import CodeTokenizer

# Below the confidence at which suggestions are shown by default an earlier token is not worth keeping.
_LIKELY = 0.3
# What is kept makes its neighbours likelier, so the others are looked at once more.
ROUNDS = 2


def drafted_tokens(hole: Hole, edge: Edges, tokenizer: CodeTokenizer) -> list[int]:
    """The tokens of a hole's earlier answer, those of the edges included; none where it has no draft."""
    if not hole.draft:
        return []
    return tokenizer.encode(edge.opening + hole.draft + edge.closing)[: hole.max_tokens + edge.tokens]


def keep_likely(denoiser: Denoiser, draft: Draft, drafted: Sequence[Sequence[int]]) -> Steps[int]:
    """Commit the drafted tokens of each hole that are likely now, by one forward; returns how many they were.

    A hole whose number of slots is not that of its drafted tokens is left as it is.
    """
    sites = draft.assemble(denoiser.model.config.mask_token_id)[1]
    fitting = [len(tokens) == len(hole.slots) for tokens, hole in zip(drafted, draft.holes, strict=True)]
    wanted = [drafted[site.hole][site.slot] if fitting[site.hole] else 0 for site in sites]
    [(value_N, stays_N)] = yield from denoiser.log_probabilities([draft], torch.tensor(wanted))
    kept = 0
    for site, token, value, stays in zip(sites, wanted, value_N.tolist(), stays_N.tolist(), strict=True):
        hole = draft.holes[site.hole]
        only = hole.only(site.slot)
        allowed = only is None or token in only.tolist()
        if fitting[site.hole] and allowed and value >= math.log(_LIKELY):
            hole.commit(site.slot, token, value, stays)
            kept += 1
    return kept
