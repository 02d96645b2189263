"""Errors a person can cause; each message is one sentence."""


class CodaTrainError(Exception):
    """Base of all of them."""


class ConfigError(CodaTrainError):
    """A configuration or a command line that can't be used."""


class CheckpointError(CodaTrainError):
    """A run folder without a checkpoint that fits."""


class TrainingError(CodaTrainError):
    """Training can't go on."""
