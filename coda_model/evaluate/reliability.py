"""Whether a confidence means what it says, and the threshold below which an editor should show nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10
MIN_SHOWN = 20
"""A precision over fewer suggestions is chance, and recommends nothing."""


@dataclass(frozen=True)
class Bin:
    """Suggestions of like confidence: their number, mean confidence and share that is right."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Point:
    """At a threshold: the share of requests that are shown something, and the share of these that is right."""

    threshold: float
    coverage: float
    precision: float


@dataclass(frozen=True)
class Reliability:
    """`error` is the expected calibration error: the mean distance of confidence and truth over the bins.

    `recommended` is the lowest threshold whose precision is at least `wanted_precision`, None where there is none.
    `checked` is what such a threshold gives on rows that did not choose it: chosen on one half of the clusters,
    counted on the other, both ways.
    """

    bins: tuple[Bin, ...]
    error: float
    curve: tuple[Point, ...]
    wanted_precision: float
    recommended: Point | None
    checked: Point | None


def calibrate(
    confidences: Sequence[float],
    shown: Sequence[bool],
    right: Sequence[bool],
    clusters: Sequence[str],
    wanted_precision: float = 0.5,
) -> Reliability:
    """Judge confidences of rows, of which only those with something to show (`shown`) can be right or wrong."""
    confidence_N, shown_N, right_N = np.array(confidences), np.array(shown, bool), np.array(right, bool)
    bins = []
    for number in range(BINS):
        inside_N = shown_N & (np.minimum((confidence_N * BINS).astype(int), BINS - 1) == number)
        count = int(inside_N.sum())
        if count:
            bins.append(Bin(count, float(confidence_N[inside_N].mean()), float(right_N[inside_N].mean())))
    total = sum(each.count for each in bins)
    error = sum(each.count * abs(each.confidence - each.right) for each in bins) / total if total else 0.0
    curve = _curve(confidence_N, shown_N, right_N)
    checked = _checked(
        confidence_N, shown_N, right_N, np.array([_half(name) for name in clusters], bool), wanted_precision
    )
    recommended = _recommend(curve, len(confidence_N), wanted_precision)
    return Reliability(tuple(bins), error, tuple(curve), wanted_precision, recommended, checked)


def _curve(confidence_N: np.ndarray, shown_N: np.ndarray, right_N: np.ndarray) -> list[Point]:
    """One point a hundredth, as long as anything is shown."""
    points = []
    for threshold in np.arange(100) / 100:
        visible_N = shown_N & (confidence_N >= threshold)
        if not visible_N.any():
            break
        points.append(Point(float(threshold), float(visible_N.mean()), float(right_N[visible_N].mean())))
    return points


def _recommend(curve: Sequence[Point], rows: int, wanted_precision: float) -> Point | None:
    good = (point for point in curve if point.precision >= wanted_precision and point.coverage * rows >= MIN_SHOWN)
    return next(good, None)


def _checked(
    confidence_N: np.ndarray, shown_N: np.ndarray, right_N: np.ndarray, first_N: np.ndarray, wanted_precision: float
) -> Point | None:
    """Choose on one half, count on the other, both ways; None where a half gives no threshold or shows nothing."""
    thresholds, rows, visible, right = [], 0, 0, 0
    for choosing_N in (first_N, ~first_N):
        curve = _curve(confidence_N[choosing_N], shown_N[choosing_N], right_N[choosing_N])
        chosen = _recommend(curve, int(choosing_N.sum()), wanted_precision)
        if chosen is None:
            return None
        thresholds.append(chosen.threshold)
        visible_N = ~choosing_N & shown_N & (confidence_N >= chosen.threshold)
        rows, visible, right = (
            rows + int((~choosing_N).sum()),
            visible + int(visible_N.sum()),
            right + int(right_N[visible_N].sum()),
        )
    return Point(float(np.mean(thresholds)), visible / rows, right / visible) if visible else None


def _half(cluster: str) -> bool:
    return hashlib.sha256(cluster.encode()).digest()[0] % 2 == 0
