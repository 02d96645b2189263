"""Datasets and models of the Hugging Face Hub, as folders of their files."""

from collections.abc import Iterable
from pathlib import Path

from coda_train.data.sources import SourceError

MODEL_FILES = ("*.json", "*.safetensors")
"""Weights and text; never pickles, never code."""


def fetch_dataset(
    name: str, revision: str | None, patterns: Iterable[str], cache: Path | None = None
) -> tuple[Path, tuple[str, ...]]:
    """Download the files of a dataset that match `patterns`; those already in the cache are not fetched again.

    No code of the dataset is run: its files are read as they are.

    Args:
        name: such as "open-web-math/open-web-math".
        revision: branch, tag or commit, None for the main branch.
        patterns: shell patterns of the paths to take.
        cache: the Hub client's cache folder, None for its own.

    Returns: the folder and, relative to it, the names of the files.

    Raises: SourceError if the dataset can't be had or no file matches.
    """
    from huggingface_hub.utils import filter_repo_objects

    wanted = list(patterns)
    folder = _fetch("dataset", name, revision, wanted, cache)
    there = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    names = tuple(filter_repo_objects(there, allow_patterns=wanted))
    if not names:
        raise SourceError(f"dataset {name} has no file that matches {', '.join(wanted)}")
    return folder, names


def fetch_model(name: str, cache: Path | None = None) -> Path:
    """The folder of a model's weights, configuration and tokenizer. Raises SourceError if they can't be had."""
    return _fetch("model", name, None, MODEL_FILES, cache)


def _fetch(kind: str, name: str, revision: str | None, patterns: Iterable[str], cache: Path | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=[*patterns], cache_dir=cache)
        )
    except Exception as error:  # the client's errors and those of its transport share no base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SourceError(f"{kind} {name} can't be fetched from the Hub: {reason}") from None
