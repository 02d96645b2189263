"""Which files are never context for another one, and never sent to a team server."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from coda_lsp.git_ignored import is_git_ignored
from coda_lsp.secret_files import is_secret
from coda_lsp.settings import Settings


def path_of(uri: str) -> Path | None:
    """The path of a `file:` URI; None for any other, and for one that is malformed."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file":
        return None
    path = unquote(parts.path)
    if os.name == "nt":
        path = path.lstrip("/")
    return Path(path)


def privacy(uri: str) -> str | None:
    """Why a document is private, as the rest of a sentence about it; None where it is not.

    A link is judged by what it points to as well.
    """
    try:
        path = path_of(uri)
        real = path and Path(os.path.realpath(path))
        if is_secret(uri) or (real is not None and is_secret(real.as_uri())):
            return "holds secrets by its name"
        ignored = any(is_git_ignored(each) for each in {path, real} if each is not None)
    except ValueError:  # a malformed host, a null character
        return "has no readable address"
    return "is ignored by git" if ignored else None


def refusal(uri: str, settings: Settings) -> str | None:
    """Why nothing of a document is sent to the engine, as a sentence; None where it is. A local engine sees all."""
    reason = privacy(uri) if settings.server_url is not None else None
    return f"This file {reason} and is not sent to a team server." if reason else None
