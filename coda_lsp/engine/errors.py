"""What can go wrong with the engine; every message is one sentence for the person."""


class EngineError(Exception):
    """The engine did not do what it was asked; asking again may help."""


class EngineLostError(EngineError):
    """The engine's process ended, or the connection to it broke."""


class EngineUnusableError(EngineError):
    """The engine can't work as it is set up; trying again without a change would not help."""
