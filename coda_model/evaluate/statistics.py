"""Figures with their uncertainty: means over rows, intervals by resampling whole clusters of rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Figure:
    """A mean with its 95% interval; `rows` says over how many rows, `clusters` of how many problems or packages."""

    value: float
    low: float
    high: float
    rows: int
    clusters: int


def clustered_mean(values: Sequence[float], clusters: Sequence[str], seed: int = 0) -> Figure | None:
    """The mean over rows, and the percentile interval of a bootstrap over clusters (Efron and Tibshirani 1993, ch. 13).

    Rows of one problem are alike: resampling rows would make the interval several times too narrow. None without rows.
    """
    if not values:
        return None
    names = sorted(set(clusters))
    index = {name: number for number, name in enumerate(names)}
    sums_C, counts_C = np.zeros(len(names)), np.zeros(len(names))
    for value, cluster in zip(values, clusters, strict=True):
        sums_C[index[cluster]] += value
        counts_C[index[cluster]] += 1
    draws_RxC = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    means_R = sums_C[draws_RxC].sum(1) / counts_C[draws_RxC].sum(1)
    low, high = np.quantile(means_R, (0.025, 0.975))
    return Figure(float(sums_C.sum() / counts_C.sum()), float(low), float(high), len(values), len(names))


def clustered_ratio(parts: Sequence[float], wholes: Sequence[float], clusters: Sequence[str], seed: int = 0) -> Figure:
    """Sum of parts over sum of wholes, such as bits a character, with the same kind of interval.

    Raises ZeroDivisionError where the wholes sum to nothing.
    """
    names = sorted(set(clusters))
    index = {name: number for number, name in enumerate(names)}
    parts_C, wholes_C = np.zeros(len(names)), np.zeros(len(names))
    for part, whole, cluster in zip(parts, wholes, clusters, strict=True):
        parts_C[index[cluster]] += part
        wholes_C[index[cluster]] += whole
    value = float(parts_C.sum()) / float(wholes_C.sum())
    draws_RxC = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    below_R = wholes_C[draws_RxC].sum(1)
    ratios_R = parts_C[draws_RxC].sum(1)[below_R > 0] / below_R[below_R > 0]
    low, high = np.quantile(ratios_R, (0.025, 0.975))
    return Figure(value, float(low), float(high), len(parts), len(names))


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Unbiased estimate of the chance that one of k samples passes (arXiv 2107.03374, section 2.1)."""
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples, not {samples}")
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def paired_difference(
    one: Mapping[str, float], other: Mapping[str, float], clusters: Mapping[str, str], seed: int = 0
) -> Figure | None:
    """The mean of `other` - `one` over the rows that both have. None where there are none."""
    shared = sorted(one.keys() & other.keys())
    return clustered_mean([other[row] - one[row] for row in shared], [clusters[row] for row in shared], seed)


def quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None
