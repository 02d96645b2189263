"""Generation to the right of a prompt, as published: a span of masks is denoised in a fixed number of steps."""

import torch
from torch import Tensor

from coda_model.errors import InputError
from coda_model.request import Algorithm
from coda_model.transformer import CodaTransformer
from coda_model.unmask import choose_positions, linear_commits, sample_tokens


@torch.inference_mode()
def generate(
    model: CodaTransformer,
    prompt_ids: Tensor,
    max_new_tokens: int = 768,
    steps: int = 768,
    alg: Algorithm = "entropy",
    temperature: float = 0.1,
    top_p: float | None = 0.9,
    top_k: int | None = None,
    alg_temp: float | None = 0.0,
    mask_token_id: int | None = None,
    eps: float = 1e-3,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Ids [B, L + max_new_tokens] int64: the prompts [B, L] followed by what was generated.

    The defaults are the published settings (arXiv 2510.03270, section 4). Token i is predicted by row i - 1, token 0 by
    row 0. Masks within the prompt are filled too. Every row is sampled and scored by itself, so its text at temperature
    0 does not depend on the batch. Raises InputError where a number is out of range.
    """
    if prompt_ids.dim() != 2 or max_new_tokens < 0 or prompt_ids.shape[1] + max_new_tokens < 1:
        raise InputError(
            "prompt_ids must be [batch, length], and prompt and max_new_tokens together at least one token."
        )
    if steps < 1:
        raise InputError(f"steps must be at least 1, not {steps}.")
    config = model.config
    mask_id = config.mask_token_id if mask_token_id is None else mask_token_id
    # A mask drawn as a token would be left in the answer, and the span has no length to find.
    never = [token for token in (mask_id, config.expand_token_id, config.delete_token_id) if token is not None]
    tail = prompt_ids.new_full((prompt_ids.shape[0], max_new_tokens), mask_id)
    ids_BxL = torch.cat((prompt_ids, tail), dim=1)
    for step in range(steps):
        masked = [(ids_L == mask_id).nonzero().squeeze(-1) for ids_L in ids_BxL]
        counts = [linear_commits(len(masked_N), step, steps, eps) for masked_N in masked]
        if not any(counts):
            continue  # the published schedule has steps that commit nothing; they need no forward either
        hidden_BxLxD = model.hidden_states(ids_BxL)
        for ids_L, hidden_LxD, masked_N, count in zip(ids_BxL, hidden_BxLxD, masked, counts, strict=True):
            logits_NxV = model.logits(hidden_LxD[(masked_N - 1).clamp(min=0)])
            logits_NxV[:, never] = -torch.inf
            samples = sample_tokens(logits_NxV, alg, temperature, top_p, top_k, generator)
            chosen = choose_positions(samples.confidence, count, alg_temp, generator)
            ids_L[masked_N[chosen]] = samples.ids[chosen]
    return ids_BxL
