"""Which files git ignores, by the rules of .gitignore files alone: no program of the repository's choice is run."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_LONGEST_FILE_BYTES = 1 << 20


def is_git_ignored(path: Path) -> bool:
    """Whether git would leave the file out; False outside of a repository, True for what is inside `.git`."""
    path = path.absolute()
    root = _repository_of(path.parent)
    if root is None:
        return False
    parts = path.relative_to(root).parts
    if ".git" in parts:
        return True
    # Below a folder that is ignored nothing can be included again.
    return any(_is_excluded(root, parts[:depth], depth < len(parts)) for depth in range(1, len(parts) + 1))


def _is_excluded(root: Path, parts: tuple[str, ...], is_folder: bool) -> bool:
    """What the innermost file with a rule for the path says."""
    for depth in range(len(parts) - 1, -1, -1):
        spec = _spec(root.joinpath(*parts[:depth], ".gitignore"))
        if spec is not None:
            found = spec.check_file("/".join(parts[depth:]) + "/" * is_folder).include
            if found is not None:
                return found
    name = "/".join(parts) + "/" * is_folder
    for file in (root / ".git" / "info" / "exclude", _personal()):
        spec = _spec(file)
        found = spec.check_file(name).include if spec is not None else None
        if found is not None:
            return found
    return False


def _repository_of(folder: Path) -> Path | None:
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def _personal() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "git" / "ignore"


def _spec(file: Path) -> GitIgnoreSpec | None:
    try:
        status = file.stat()
    except OSError:
        return None
    if status.st_size > _LONGEST_FILE_BYTES:
        return None
    return _read(file, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _read(file: Path, changed_ns: int) -> GitIgnoreSpec | None:
    del changed_ns  # a part of the cache's key
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(file.read_text("utf-8", errors="replace").splitlines())
    except (OSError, ValueError):
        return None
