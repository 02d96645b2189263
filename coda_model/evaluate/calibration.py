"""Fitting a checkpoint's calibration to the rows of a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from coda_model.confidence import Calibration, Evidence
from coda_model.errors import CodaError

LEAST_ROWS = 50
_RIDGE = 0.01
_ITERATIONS = 50


def fit_calibration(rows: Sequence[dict[str, Any]]) -> Calibration:
    """The logistic regression of whether a fill that shows something is exactly right, by Newton's method.

    Raises CodaError where the rows are too few, or all right or all wrong.
    """
    shown = [row for row in rows if row.get("evidence") and row["fill"].strip()]
    right_N = np.array([bool(row["exact"]) for row in shown], float)
    if len(shown) < LEAST_ROWS or right_N.min() == right_N.max():
        raise CodaError(
            f"A calibration needs {LEAST_ROWS} fills of holes, some right and some wrong; these are {len(shown)}, of "
            f"which {int(right_N.sum())} are right."
        )
    features_NxF = np.array([[1.0, *Evidence(**row["evidence"]).features()] for row in shown])
    weights = np.zeros(features_NxF.shape[1])
    for _ in range(_ITERATIONS):
        chance_N = 1 / (1 + np.exp(-features_NxF @ weights))
        gradient = features_NxF.T @ (chance_N - right_N) + _RIDGE * weights
        curvature = (features_NxF * (chance_N * (1 - chance_N))[:, None]).T @ features_NxF
        weights -= np.linalg.solve(curvature + _RIDGE * np.eye(len(weights)), gradient)
    return Calibration(*(round(float(weight), 4) for weight in weights))
