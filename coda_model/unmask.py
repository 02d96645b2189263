"""Which tokens to draw at masked positions, how sure the model is, and which positions to commit (pure functions).

Sampling as in arXiv 2510.03270, section 4, after Dream (arXiv 2508.15487) and MaskGIT (arXiv 2202.04200).
Dimensions: N masked positions, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from coda_model.request import Algorithm

# Of the adaptive rules: the bound that keeps the quality of one token a step where the model is good.
DEFAULT_BOUNDS = {"threshold": 0.9, "factor": 1.0, "entropy_bound": 0.15}


@dataclass(frozen=True)
class Samples:
    """One drawn token a position: ids [N] int64, the score that ranks positions [N] fp32, and the model's own
    log-probability of the token [N] fp32 (before temperature, top-p and top-k, so that draws can be compared)."""

    ids: Tensor
    confidence: Tensor
    log_probability: Tensor


def sample_tokens(
    logits_NxV: Tensor,
    algorithm: Algorithm = "entropy",
    temperature: float = 0.0,
    top_p: float | None = None,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    given_N: Tensor | None = None,
) -> Samples:
    """Draw a token at each position (the likeliest at temperature 0) and score the position.

    Temperature, top-p and top-k apply before the scoring. The score is the drawn token's probability (`maskgit_plus`,
    `threshold`, `factor`), the likeliest's minus the second's (`topk_margin`), the negative entropy in nats (`entropy`,
    `entropy_bound`), or chance (`origin`). Forbidden tokens have the logit -inf. Ids that are given [N], int64, are
    taken in place of draws, and scored as these are; -1 gives none.
    """
    shaped = logits_NxV / temperature if temperature > 0 else logits_NxV
    if top_p is not None and top_p < 1:
        shaped = keep_nucleus(shaped, top_p)
    if top_k is not None:
        shaped = keep_top_k(shaped, top_k)
    log_probability_NxV = shaped.log_softmax(-1)
    if temperature > 0:
        ids = torch.multinomial(log_probability_NxV.exp(), 1, generator=generator).squeeze(-1)
    else:
        ids = likeliest(log_probability_NxV)
    if given_N is not None:
        ids = torch.where(given_N < 0, ids, given_N)
    own_NxV = log_probability_NxV if shaped is logits_NxV else logits_NxV.log_softmax(-1)
    return Samples(
        ids=ids,
        confidence=_confidence(log_probability_NxV, ids, algorithm, generator),
        log_probability=own_NxV.gather(-1, ids[:, None]).squeeze(-1),
    )


def log_staying(edits_NxE: Tensor, allowed_NxE: Tensor, log_total_N: Tensor) -> Tensor:
    """How sure the model is that a position holds one token, and is not one too many or too few: [N] log-probabilities.

    Args:
        edits_NxE: the logits of the tokens that change the length.
        allowed_NxE: the same, with -inf where one may not be drawn.
        log_total_N: the logarithm of the sum of the exponentials of all logits that may be drawn.
    """
    of_edits_N = (allowed_NxE - log_total_N[:, None]).exp().sum(-1)
    log_tokens_N = log_total_N + torch.log1p(-of_edits_N.clamp(max=1 - 1e-6))
    return -torch.log1p((edits_NxE - log_tokens_N[:, None]).exp().sum(-1))


def _confidence(
    log_probability_NxV: Tensor, ids: Tensor, algorithm: Algorithm, generator: torch.Generator | None
) -> Tensor:
    match algorithm:
        case "maskgit_plus" | "threshold" | "factor":
            return log_probability_NxV.gather(-1, ids[:, None]).squeeze(-1).exp()
        case "topk_margin":
            best_Nx2 = log_probability_NxV.topk(min(2, log_probability_NxV.shape[-1]), dim=-1).values.exp()
            return best_Nx2[:, 0] - best_Nx2[:, 1:].sum(-1)
        case "entropy" | "entropy_bound":
            # torch.special.entr is ten times slower on a CPU, exp half again as slow as softmax; the bound keeps
            # 0 * -inf from being no number.
            return (log_probability_NxV.softmax(-1) * log_probability_NxV.clamp(min=-1e4)).sum(-1)
        case "origin":
            return torch.rand(ids.shape, generator=generator, device=ids.device)


def likeliest(logits_NxV: Tensor) -> Tensor:
    """The ids [N] int64 of the largest logits, the first among equals."""
    if logits_NxV.device.type == "cpu":
        return torch.from_numpy(logits_NxV.numpy().argmax(-1))  # ten times as fast as PyTorch's own
    return logits_NxV.argmax(-1)


def keep_nucleus(logits_NxV: Tensor, top_p: float) -> Tensor:
    """Set to -inf all but the smallest set of likeliest tokens whose probabilities sum to at least top_p.

    The likeliest token always stays (Holtzman et al., arXiv 1904.09751).
    """
    ordered, order = logits_NxV.sort(dim=-1, descending=True, stable=True)
    probability = ordered.softmax(-1)
    before = probability.cumsum(-1) - probability
    outside = before >= top_p
    outside[..., 0] = False
    return logits_NxV.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -torch.inf)


def keep_top_k(logits_NxV: Tensor, top_k: int) -> Tensor:
    """Set to -inf all but the k likeliest tokens (all that tie with the k-th stay)."""
    kth = logits_NxV.topk(min(top_k, logits_NxV.shape[-1]), dim=-1).values[..., -1:]
    return logits_NxV.masked_fill(logits_NxV < kth, -torch.inf)


def linear_commits(masked: int, step: int, steps: int, eps: float = 1e-3) -> int:
    """How many of `masked` positions to commit at `step` (from 0) of `steps`, as the published schedule does.

    The noise level falls linearly from t = 1 to eps in `steps` steps; a step from t to s commits
    int(masked * (1 - s / t)), the last one everything (arXiv 2510.03270, section 4).
    """
    if step >= steps - 1:
        return masked
    t, s = (1 - (1 - eps) * i / steps for i in (step, step + 1))
    return int(masked * (1 - s / t))


def even_commits(masked: int, steps_left: int | None) -> int:
    """How many of `masked` positions to commit now so that `steps_left` steps suffice (None: one a step)."""
    if not masked:
        return 0
    return 1 if steps_left is None else -(-masked // max(steps_left, 1))


def adaptive_commits(confidence_N: Tensor, algorithm: Algorithm, bound: float | None = None) -> int:
    """How many of the surest positions to commit now, at least one of N; 0 where the algorithm is not adaptive.

    With p and H the probabilities and entropies of the positions from the surest on:

    - `threshold` commits all with p >= bound (arXiv 2505.22618, section 3.3);
    - `factor` the largest n with (n + 1) (1 - p_n) < bound, so fewer at a time the less sure they are (same source);
    - `entropy_bound` the largest n with H_1 + ... + H_(n-1) <= bound: that sum bounds how much the joint distribution
      can differ from the product of the positions' own (arXiv 2505.24857).
    """
    if algorithm not in DEFAULT_BOUNDS or not len(confidence_N):
        return 0
    bound = DEFAULT_BOUNDS[algorithm] if bound is None else bound
    sure_N = confidence_N.sort(descending=True).values
    match algorithm:
        case "threshold":
            fits_N = sure_N >= bound
        case "factor":
            numbers_N = torch.arange(1, len(sure_N) + 1, device=sure_N.device)
            # The largest n that fits counts, even where a smaller one does not.
            fits_N = ((numbers_N + 1) * (1 - sure_N) < bound).flip(0).cummax(0).values.flip(0)
        case _:
            entropy_N = -sure_N
            fits_N = entropy_N.cumsum(0) - entropy_N <= bound
    return max(int(fits_N.sum()), 1)


def with_distant(chosen: Sequence[int], confidence_N: Tensor, places: Sequence[int], apart: int) -> list[int]:
    """The chosen positions, and of the others, from the surest on, each that is `apart` tokens or more from all taken.

    What stands far from each other hardly depends on each other, however unsure the model is of either: a hole of 32
    tokens that the model knows little of takes 12 steps instead of 32, and is filled no worse (docs/log.md).

    Args:
        chosen: indices into the positions.
        confidence_N: [N], how sure the model is of each position.
        places: where each position stands, in tokens.
        apart: the least distance, at least 1.
    """
    taken = list(chosen)
    for index in confidence_N.sort(descending=True, stable=True).indices.tolist():
        if all(abs(places[index] - places[other]) >= apart for other in taken):
            taken.append(index)
    return taken


def choose_positions(
    confidence_N: Tensor, count: int, alg_temp: float | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Indices [min(count, N)] of the positions to commit: the surest, earlier ones first among equals.

    With alg_temp > 0 they are drawn without replacement by softmax(confidence / alg_temp).
    """
    count = min(count, len(confidence_N))
    if alg_temp is not None and alg_temp > 0 and 0 < count < len(confidence_N):
        # Gumbel-top-k: the same draw as taking one after the other, and safe where a weight underflows to zero.
        uniform = torch.rand(confidence_N.shape, generator=generator, device=confidence_N.device)
        noise = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        confidence_N = confidence_N / alg_temp + noise
    return confidence_N.sort(descending=True, stable=True).indices[:count]
