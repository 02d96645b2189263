"""Which of the candidates stay, in which split, and in which file: pure functions on what is known of them."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from coda_train.data.examine import Candidate
from coda_train.data.sources import Unit

SHARD_CHARS = 128 << 20


@dataclass(frozen=True)
class Found:
    """A candidate and where it is read."""

    unit: Unit
    candidate: Candidate


def unique(found: list[Found]) -> list[Found]:
    """Of documents with one digest the first."""
    first: dict[bytes, Found] = {}
    for each in found:
        first.setdefault(each.candidate.digest, each)
    return list(first.values())


def within_share(found: list[Found], package_share: float) -> list[Found]:
    """Without what each package holds over its share of all text; digests decide which of its documents stay."""
    limit = package_share * sum(each.candidate.chars for each in found)
    room: defaultdict[str, float] = defaultdict(lambda: limit)
    kept = set()
    for candidate in sorted((each.candidate for each in found), key=lambda candidate: candidate.digest):
        if room[candidate.package] >= candidate.chars:
            room[candidate.package] -= candidate.chars
            kept.add(candidate.digest)
    return [each for each in found if each.candidate.digest in kept]


def split_by(kind: str, found: list[Found], held_out_fraction: float) -> dict[str, list[Found]]:
    """Documents by split: whole packages, or with `kind` "file" single documents, are held out while they fit the
    share, in the order of their names' hashes.

    None may fill more than a quarter of it, so that what is held out is varied.
    """
    names = [each.candidate.package if kind == "package" else each.candidate.path for each in found]
    sizes: Counter[str] = Counter()
    for name, each in zip(names, found, strict=True):
        sizes[name] += each.candidate.chars
    room = share = held_out_fraction * sizes.total()
    held_out = set()
    for name in sorted(sizes, key=_hash):
        if sizes[name] <= min(room, share / 4):
            held_out.add(name)
            room -= sizes[name]
    splits: dict[str, list[Found]] = {"train": [], "held_out": []}
    for name, each in zip(names, found, strict=True):
        splits["held_out" if name in held_out else "train"].append(each)
    return splits


def by_unit(found: Iterable[Found]) -> Iterator[tuple[Unit, tuple[Candidate, ...]]]:
    """Neighbours of one unit together."""
    for _, group in groupby(found, key=lambda each: id(each.unit)):
        members = list(group)
        yield members[0].unit, tuple(each.candidate for each in members)


def shards(found: list[Found]) -> Iterator[list[Found]]:
    """Documents cut into files of about SHARD_CHARS."""
    part: list[Found] = []
    size = 0
    for each in found:
        part.append(each)
        size += each.candidate.chars
        if size >= SHARD_CHARS:
            yield part
            part, size = [], 0
    if part:
        yield part


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
