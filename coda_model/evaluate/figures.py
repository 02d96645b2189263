"""From rows to figures: every measure with its interval, beside the two floors on the same rows."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from coda_model.evaluate.measures import FLOORS, floor_fill
from coda_model.evaluate.reliability import calibrate
from coda_model.evaluate.settings import Settings
from coda_model.evaluate.statistics import clustered_mean, clustered_ratio, pass_at_k, quantile
from coda_model.evaluate.typist import Ask, Keystroke, Saving, requests, rest_of_line, saved

EDITOR_THRESHOLD = 0.25
"""The default of the editor's setting `minimumConfidence`."""
Row = dict[str, Any]


def summarise(rows: list[Row], groups: Sequence[str], settings: Settings) -> dict[str, Any]:
    """`figures` by name, each with the model's and the floors' value; `kinds` (and languages), `speed`,
    `calibration`, `typist`."""
    first = [row for row in rows if not row["sample"]]
    infilling = any(row["exact"] is not None for row in rows)
    summary: dict[str, Any] = {"figures": _figures(rows, groups, settings)}
    bounds = [row for row in first if row.get("bound")]
    if bounds:
        bits, characters = [row["bound"]["bits"] for row in bounds], [row["bound"]["characters"] for row in bounds]
        figure = clustered_ratio(bits, characters, [row["cluster"] for row in bounds], settings.seed)
        summary["figures"]["bits a character"] = {"model": asdict(figure)}
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["kind"]:
            parts[row["kind"]].append(row)
            parts[row["language"]].append(row)
    if parts:
        summary["kinds"] = {name: _figures(part, groups, settings) for name, part in sorted(parts.items())}
    latencies = [row["latency_ms"] for row in rows]
    summary["speed"] = {
        "latency_p50_ms": quantile(latencies, 0.5),
        "latency_p95_ms": quantile(latencies, 0.95),
        "steps": sum(row["steps"] for row in rows) / len(rows),
    }
    if infilling:
        summary["calibration"] = asdict(
            calibrate(
                [row["confidence"] for row in first],
                [bool(row["fill"].strip()) for row in first],
                [row["exact"] for row in first],
                [row["cluster"] for row in first],
            )
        )
    walked = [row for row in first if row.get("keystrokes")]
    if walked:
        summary["typist"] = _typist(walked, settings.seed)
    return summary


def _figures(rows: list[Row], groups: Sequence[str], settings: Settings) -> dict[str, Any]:
    figures = {}
    for number in range(1, len(groups) + 1):
        needed = groups[:number]
        name = "pass@1" if number == len(groups) else f"pass@1, {needed[-1]} tests only"
        tested = [row for row in rows if row["tests"]]
        passes = _passes(needed)
        figures[name] = _beside_floors(tested, passes, settings.seed)
        if settings.samples > 1 and number == len(groups):
            figures[f"pass@{settings.samples}"] = {"model": _pass_at(tested, passes, settings.samples, settings.seed)}
    for name, key in (("exact match", "exact"), ("edit similarity", "similarity"), ("syntax validity", "parses")):
        judged = [row for row in rows if row[key] is not None]
        if judged:
            figures[name] = _beside_floors(judged, lambda verdict, key=key: float(verdict[key]), settings.seed)
    return figures


def _passes(groups: Sequence[str]) -> Callable[[Row], float]:
    return lambda verdict: float(all(verdict["tests"][group] == "pass" for group in groups))


def _beside_floors(rows: list[Row], value: Callable[[Row], float], seed: int) -> dict[str, Any]:
    clusters = [row["cluster"] for row in rows]
    figures = {"model": clustered_mean([value(row) for row in rows], clusters, seed)}
    for floor in FLOORS:
        figures[floor] = clustered_mean([value(row["floors"][floor]) for row in rows], clusters, seed)
    return {name: None if figure is None else asdict(figure) for name, figure in figures.items()}


def _pass_at(rows: list[Row], value: Callable[[Row], float], k: int, seed: int) -> dict[str, Any] | None:
    by_problem: dict[str, list[float]] = defaultdict(list)
    cluster_of = {row["id"]: row["cluster"] for row in rows}
    for row in rows:
        by_problem[row["id"]].append(value(row))
    values = [pass_at_k(len(each), int(sum(each)), k) for each in by_problem.values()]
    figure = clustered_mean(values, [cluster_of[name] for name in by_problem], seed)
    return None if figure is None else asdict(figure)


def _typist(rows: list[Row], seed: int) -> dict[str, Any]:
    """Characters saved, coverage, precision and suggestions taken at thresholds, and how well the confidences of
    keystrokes are calibrated."""
    clusters = [row["cluster"] for row in rows]
    walks = [
        [
            Keystroke(suggestion, confidence, rest_of_line(row["reference"], place))
            for place, (suggestion, confidence) in enumerate(row["keystrokes"])
        ]
        for row in rows
    ]
    every = [(each, cluster) for walk, cluster in zip(walks, clusters, strict=True) for each in walk]
    calibration = calibrate(
        [each.confidence for each, _ in every],
        [each.something for each, _ in every],
        [each.right for each, _ in every],
        [cluster for _, cluster in every],
    )
    thresholds = {0.0, EDITOR_THRESHOLD, *(round(0.1 * n, 1) for n in range(1, 10))}
    if calibration.recommended is not None:
        thresholds.add(calibration.recommended.threshold)
    points = {}
    for threshold in sorted(thresholds):
        savings = [saved(walk, threshold) for walk in walks]
        points[f"{threshold:g}"] = _savings(savings, clusters, seed)
    copies = [list(requests(row["reference"], _copier(row["prefix"]))) for row in rows]
    floor = [saved(walk, 0.0) for walk in copies]
    return {
        "rows": len(rows),
        "points": points,
        "copy": _savings(floor, clusters, seed),
        "calibration": asdict(calibration),
    }


def _copier(prefix: str) -> Ask:
    """The floor's suggestions: always the line above."""
    return lambda typed: (floor_fill(prefix + typed, "copy"), 1.0)


def _savings(savings: list[Saving], clusters: list[str], seed: int) -> dict[str, Any]:
    def ratio(part: Callable[[Saving], int], of: Callable[[Saving], int]) -> dict[str, Any] | None:
        wholes = [of(saving) for saving in savings]
        if not any(wholes):
            return None
        return asdict(clustered_ratio([part(saving) for saving in savings], wholes, clusters, seed))

    return {
        "characters saved": ratio(lambda it: it.saved, lambda it: it.characters),
        "coverage": ratio(lambda it: it.shown, lambda it: it.asked),
        "precision": ratio(lambda it: it.right, lambda it: it.shown),
        "suggestions taken": ratio(lambda it: it.right, lambda it: it.offered),
    }
