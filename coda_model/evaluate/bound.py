"""How well a model predicts what stood in a hole: an upper bound of its negative log-likelihood, in bits."""

import math
from dataclasses import dataclass

import torch

from coda_model.context import cut_context
from coda_model.infill import Infiller

MAX_TOKENS = 256
_BATCH = 8


@dataclass(frozen=True)
class Bound:
    """Bits for the whole reference with the standard error over the draws, and its characters and tokens."""

    bits: float
    standard_error: float
    characters: int
    tokens: int


@torch.inference_mode()
def likelihood_bound(
    infiller: Infiller, prefix: str, reference: str, suffix: str, context_tokens: int, draws: int, seed: int
) -> Bound | None:
    """The bound of arXiv 2502.09992, equation 6: of the L tokens mask exactly n, n uniform in 1..L, weight L/n.

    The context is not masked. The distribution is over the tokens of text: special ones, which an infill of this length
    can't hold, are left out. None where the reference has no tokens, or more than the model has room for.
    """
    config, tokenizer = infiller.model.config, infiller.tokenizer
    target = tokenizer.encode(reference)
    room = config.max_position_embeddings - len(target)
    if not 1 <= len(target) <= MAX_TOKENS or room <= 0:
        return None
    before, after = cut_context([prefix, suffix], min(context_tokens, room), tokenizer)
    device = infiller.model.model.embed_tokens.weight.device
    special_V = tokenizer.is_special.to(device)
    generator = torch.Generator().manual_seed(seed)
    target_L = torch.tensor(target)
    estimates: list[float] = []
    for start in range(0, draws, _BATCH):
        masks = []
        for _ in range(min(_BATCH, draws - start)):
            count = int(torch.randint(1, len(target) + 1, (1,), generator=generator))
            masks.append(torch.randperm(len(target), generator=generator)[:count])
        ids_BxL = torch.tensor([before + target + after] * len(masks))
        for ids_L, mask_N in zip(ids_BxL, masks, strict=True):
            ids_L[len(before) + mask_N] = config.mask_token_id
        hidden_BxLxD = infiller.model.hidden_states(ids_BxL.to(device))
        for hidden_LxD, mask_N in zip(hidden_BxLxD, masks, strict=True):
            rows_N = (len(before) + mask_N - 1).clamp(min=0).to(device)  # row i - 1 predicts token i
            logits_NxV = infiller.model.logits(hidden_LxD[rows_N]).masked_fill_(special_V, -torch.inf)
            log_probability_N = logits_NxV.log_softmax(-1).gather(-1, target_L[mask_N].to(device)[:, None])
            estimates.append(-float(log_probability_N.sum()) / math.log(2) * len(target) / len(mask_N))
    bits_K = torch.tensor(estimates, dtype=torch.float64)
    error = float(bits_K.std(correction=1)) / math.sqrt(len(estimates)) if len(estimates) > 1 else math.nan
    return Bound(float(bits_K.mean()), error, len(reference), len(target))
