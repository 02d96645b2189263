"""A mixture on disk: `mixture.json` names the sub-folders that are its members and what part each is."""

import json
from pathlib import Path

from coda_train.files import write_whole

_FILE = "mixture.json"


def is_mixture(folder: Path) -> bool:
    """Whether a folder holds several corpora, or their shards, rather than one."""
    return (folder / _FILE).is_file()


def members(folder: Path) -> dict[Path, float]:
    """The members of a mixture with their weights; any other folder is its own only member.

    Raises: ValueError if `mixture.json` is damaged.
    """
    if not is_mixture(folder):
        return {folder: 1.0}
    path = folder / _FILE
    try:
        weights = {folder / name: float(weight) for name, weight in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{path} is damaged; build the mixture again") from None
    if not weights or not all(weight > 0 for weight in weights.values()):
        raise ValueError(f"{path} is damaged: its weights must be above 0; build the mixture again")
    return weights


def write_weights(folder: Path, weights: dict[str, float]) -> None:
    """Write `mixture.json`, whole or not at all: the weights by the names of the members."""
    write_whole(folder / _FILE, json.dumps(weights, indent=1) + "\n")
