"""Two runs on the same rows: the paired difference of every measure, with its interval."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table

from coda_model.errors import CodaError
from coda_model.evaluate.records import RESULTS, read_json, read_rows_of
from coda_model.evaluate.report import share
from coda_model.evaluate.statistics import paired_difference

Row = dict[str, Any]


def compare_runs(one: Path, other: Path) -> dict[str, dict[str, Any] | None]:
    """For every measure that both runs have the mean of `other` minus `one` over the rows of both, as a share.

    Raises CodaError where the runs are not of the same task and data.
    """
    settings = [read_json(folder / RESULTS)["settings"] for folder in (one, other)]
    for name in ("task", "data"):
        if settings[0][name] != settings[1][name]:
            raise CodaError(f"{one} and {other} can't be compared: the {name} of one is not that of the other.")
    rows = [{(row["id"], row["sample"]): row for row in read_rows_of(folder)} for folder in (one, other)]
    clusters = {_key(key): row["cluster"] for key, row in rows[0].items()}
    figures: dict[str, dict[str, Any] | None] = {}
    for name, measure in _measures().items():
        values = [
            {_key(key): value for key, row in each.items() if (value := measure(row)) is not None} for each in rows
        ]
        figure = paired_difference(values[0], values[1], clusters, settings[0]["seed"])
        if figure is not None:
            figures[name] = vars(figure)
    return figures


def _key(key: tuple[str, int]) -> str:
    return f"{key[0]}#{key[1]}"


def _measures() -> dict[str, Callable[[Row], float | None]]:
    return {
        "pass@1": lambda row: float(all(v == "pass" for v in row["tests"].values())) if row["tests"] else None,
        "exact match": lambda row: None if row["exact"] is None else float(row["exact"]),
        "edit similarity": lambda row: row["similarity"],
        "syntax validity": lambda row: None if row["parses"] is None else float(row["parses"]),
    }


def difference_table(figures: dict[str, dict[str, Any] | None]) -> Table:
    table = Table("measure", "difference in points (95% interval)", "rows")
    for name, figure in figures.items():
        table.add_row(name, share(figure), str(figure["rows"] if figure else 0))
    return table
