"""One task at several values of one setting: latency against quality."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from coda_model.errors import InputError
from coda_model.evaluate.records import write_json
from coda_model.evaluate.report import share, write_sweep
from coda_model.evaluate.task import Request

_WHOLE = ("steps", "refresh", "starts", "lookups", "apart")


def sweep(
    base: Request, axis: str, values: Sequence[str], perform: Callable[[Request], dict[str, Any]]
) -> tuple[Table, Path]:
    """Run `base` with each value of `axis` in a folder of its own, resumable each, and write the plot beside them.

    Raises InputError for a value that the axis can't have, before anything runs.
    """
    if axis in _WHOLE and not all(value.isdecimal() for value in values):
        raise InputError(f"--{axis} takes whole numbers separated by commas.")
    requests = []
    for value in values:
        changed: dict[str, Any] = {axis: int(value) if axis in _WHOLE else value}
        out = base.out or Path("eval") / f"{base.task}-{axis}"
        requests.append(replace(base, out=out / f"{axis}-{value}", **changed))
    results = [perform(request) for request in requests]
    quality = "pass@1" if "pass@1" in results[0]["figures"] else "exact match"
    points = [
        (value, result["speed"]["latency_p50_ms"], result["figures"][quality]["model"])
        for value, result in zip(values, results, strict=True)
    ]
    folder = requests[0].folder.parent
    summary: dict[str, Any] = {"axis": axis, "measure": quality, "points": points}
    fixed = [figure["value"] for value, _, figure in points if axis == "length" and value.isdecimal()]
    if fixed:
        summary["mean of fixed lengths"] = sum(fixed) / len(fixed)
    write_json(folder / "sweep.json", summary)
    page = write_sweep(folder, axis, quality, points)
    table = Table(axis, f"{quality}, %", "latency p50, ms")
    for value, latency, figure in points:
        table.add_row(value, share(figure), f"{latency:.0f}")
    if fixed:
        table.add_row("mean of fixed", f"{100 * sum(fixed) / len(fixed):.1f}", "")
    return table, page
