"""Errors meant for the person who runs the program: each message is one clear sentence."""


class CodaError(Exception):
    """Something the person can act on: a checkpoint, a file or a setting is not usable."""


class InputError(CodaError):
    """The request itself is wrong; the HTTP service answers it with status 400."""
