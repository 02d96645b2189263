"""Ending a run whose held-out loss has stopped falling."""

import math
from dataclasses import dataclass


@dataclass
class Patience:
    """Counts evaluations in a row without a new best loss."""

    limit: int
    """How many of them end the run; 0 for never."""
    best: float = math.inf
    waited: int = 0

    @property
    def over(self) -> bool:
        """Whether the run should end."""
        return 0 < self.limit <= self.waited

    def see(self, loss: float) -> None:
        """Take note of an evaluation."""
        self.waited = 0 if loss < self.best else self.waited + 1
        self.best = min(self.best, loss)
