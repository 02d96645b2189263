"""Folders that appear complete or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coda_model.errors import CodaError


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `folder` at the end, and is removed where anything fails.

    Raises CodaError if `folder` already holds files.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CodaError(f"{folder} already exists and is not an empty folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        partial.chmod(0o755)
        yield partial
        for file in partial.iterdir():
            file.chmod(0o644)  # safetensors writes files that only their owner can read
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
