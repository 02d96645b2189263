"""Where a run stands, by steps and by time."""

import math
import time
from dataclasses import dataclass

from coda_train.config import TrainConfig
from coda_train.optimizer import learning_rate


@dataclass(frozen=True)
class Clock:
    """Where a run stands, by steps and by time added up over resumes."""

    config: TrainConfig
    started_s: float
    """The `time.monotonic()` at which this run would have started had it never stopped."""

    def elapsed_s(self) -> float:
        """Seconds of training so far."""
        return time.monotonic() - self.started_s

    def progress(self, step: int) -> float:
        """How much of the run is over, 0 to 1: by steps or by the time budget, whichever is further."""
        minutes = self.config.stage.minutes
        by_time = self.elapsed_s() / (60 * minutes) if minutes else 0.0
        if self.config.optimizer.schedule_by == "time":
            return by_time
        return max(step / self.config.stage.steps, by_time)

    def learning_rate(self, step: int) -> float:
        """Learning rate of the step after `step` steps."""
        if self.config.optimizer.schedule_by == "time":
            return learning_rate(self.config.optimizer, self.progress(step))
        return learning_rate(self.config.optimizer, (step + 1) / self.config.stage.steps)

    def left_s(self, step: int, steps_per_s: float) -> float:
        """Seconds until the run ends."""
        stage = self.config.stage
        by_time = 60 * stage.minutes - self.elapsed_s() if stage.minutes else math.inf
        if self.config.optimizer.schedule_by == "time":
            return by_time
        return min(by_time, (stage.steps - step) / steps_per_s)
