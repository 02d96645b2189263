"""How likely a fill is to be exactly right, by what was measured of a checkpoint.

A model's probabilities are those of its tokens one by one, and of tokens that were found elsewhere in the document they
say little. A logistic regression over both (Platt, 1999) lies beside the weights; `coda-model eval calibrate` fits it.
"""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

from coda_model.errors import CodaError

FILE = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """The weights of the regression: of 1, of the fill's log-probability in nats, and of the logarithm of the
    characters beyond two before the hole that stand before the same fill elsewhere."""

    intercept: float
    log_probability: float
    same: float

    def confidence(self, log_probability: float, same: int) -> float:
        """From 0 to 1. `log_probability` is the sum over the fill's tokens, `same` as in `Draft`."""
        terms = self.intercept + self.log_probability * log_probability + self.same * log_same(same)
        return 1 / (1 + math.exp(-max(min(terms, 500.0), -500.0)))


def log_same(same: int) -> float:
    """What `same` characters in common count for: 0 up to three, then their logarithm beyond two."""
    return math.log(max(same - 2, 1))


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration of a checkpoint; None where it has none. Raises CodaError where the file is no such thing."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text("utf-8"))
        weights = {field.name: float(found[field.name]) for field in fields(Calibration)}
    except (OSError, ValueError, KeyError, TypeError):
        raise CodaError(f"{file} is not a calibration: it needs {_NAMES}, each a number.") from None
    if not all(map(math.isfinite, weights.values())):
        raise CodaError(f"{file} is not a calibration: {_NAMES} must be finite.")
    return Calibration(**weights)


_NAMES = ", ".join(field.name for field in fields(Calibration))
