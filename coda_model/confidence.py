"""How likely a fill is to be exactly right, by what was measured of a checkpoint.

A model's probabilities are those of its tokens one by one, and of tokens that were found elsewhere in the document they
say little. How far the best fill is ahead of the others says most, and they are part of that. A logistic regression
over what is known of a fill (Platt, 1999) lies beside the weights; `coda-model eval calibrate` fits it.
"""

import json
import math
from dataclasses import astuple, dataclass, fields
from operator import mul
from pathlib import Path

from coda_model.errors import CodaError

FILE = "calibration.json"


@dataclass(frozen=True)
class Evidence:
    """What is known of a fill.

    Attributes:
        log_share: the logarithm of its share among all fills that were compared, each of which counts e to the power of
            its rank (`coda_model.ranking.score`). Of a fill that nothing was compared with the share is a half.
        alike: the share of all those fills that begin as it does, each of which counts the same.
        same: characters beside the hole, but white space, between which it stands elsewhere in the document too; 0
            where it does not.
        renamed: whether it stands there with other names.
        others: texts that stand elsewhere between nearly as many of them.
        characters: it has, without the white space around it.
    """

    log_share: float
    alike: float
    same: int
    renamed: bool
    others: int
    characters: int

    def features(self) -> tuple[float, ...]:
        """What the weights of a calibration, but for its intercept, are multiplied with."""
        found = log_same(self.same)
        as_it_is, renamed = (0.0, found) if self.renamed else (found, 0.0)
        return self.log_share, self.alike, as_it_is, renamed, math.log1p(self.others), math.log1p(self.characters)


@dataclass(frozen=True)
class Calibration:
    """The weights of the regression: of 1, and of what `Evidence.features` gives."""

    intercept: float
    log_share: float
    alike: float
    same: float
    renamed: float
    others: float
    characters: float

    def confidence(self, evidence: Evidence) -> float:
        """From 0 to 1."""
        _, *weights = astuple(self)
        terms = self.intercept + sum(map(mul, weights, evidence.features()))
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
