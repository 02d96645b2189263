"""Results for people: tables for the terminal and for Markdown, one HTML page with plots."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from rich.table import Table

from coda_model.evaluate import plots
from coda_model.evaluate.figures import EDITOR_THRESHOLD
from coda_model.evaluate.records import REPORT, write_text

_EXAMPLES = 12
_CONTEXT_LINES = 3
Results = dict[str, Any]


def share(figure: dict[str, Any] | None, bits: bool = False) -> str:
    """A figure with its interval: a percentage, or bits."""
    if figure is None:
        return "–"
    if bits:
        return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"
    return f"{100 * figure['value']:.1f} ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"


def lines(results: Results) -> list[list[str]]:
    """Rows of a table: measure, model, the two floors, rows. Percentages with 95% intervals, bits where named so."""
    table = []
    for name, figure in results["figures"].items():
        bits = name.startswith("bits")
        floors = [share(figure[floor], bits) if floor in figure else "–" for floor in ("empty", "copy")]
        rows = figure["model"]["rows"] if figure["model"] else 0
        table.append([name if bits else f"{name}, %", share(figure["model"], bits), *floors, str(rows)])
    typist = results.get("typist", {})
    for threshold, point in typist.get("points", {}).items():
        if threshold in (f"{EDITOR_THRESHOLD:g}", f"{_recommended(results):g}"):
            for name, figure in point.items():
                rows = str(figure["rows"] if figure else 0)
                nothing = "0.0" if name in ("characters saved", "coverage") else "–"
                copied = share(typist["copy"][name])
                table.append([f"{name} at threshold {threshold}, %", share(figure), nothing, copied, rows])
    return table


def _recommended(results: Results) -> float:
    chosen = results["typist"]["calibration"]["recommended"]
    return chosen["threshold"] if chosen else EDITOR_THRESHOLD


HEAD = ["measure", "this model", "nothing filled", "the line above", "rows"]


def terminal_table(results: Results) -> Table:
    table = Table(*HEAD, title=title(results))
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines(results):
        table.add_row(*line)
    return table


def title(results: Results) -> str:
    settings = results["settings"]
    return f"{settings['task']}, {results['model']['model']}, length: {policy(settings)}"


def policy(settings: dict[str, Any]) -> str:
    """The length policy in words, since a figure means nothing without it."""
    match settings["length"]:
        case "product":
            return "unknown, as for users"
        case "oracle":
            return "oracle (the reference's number of tokens)"
    return f"{settings['length']} tokens"


def markdown(results: Results) -> str:
    """A table for a document."""
    rows = [HEAD, ["---", *["---:"] * (len(HEAD) - 1)], *lines(results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"**{title(results)}**\n\n{table}\n\n{'. '.join(sentences(results))}.\n"


def sentences(results: Results) -> list[str]:
    """What the figures leave out: speed, calibration, the walls."""
    speed, settings = results["speed"], results["settings"]
    said = [
        f"Engine time p50 {speed['latency_p50_ms']:.0f} ms, p95 {speed['latency_p95_ms']:.0f} ms, "
        f"{speed['steps']:.1f} steps a fill, on {settings['device']} in {settings['dtype']}"
    ]
    for name, facts in (
        ("holes", results.get("calibration")),
        ("keystrokes", results.get("typist", {}).get("calibration")),
    ):
        if facts is None:
            continue
        chosen, checked = facts["recommended"], facts["checked"]
        if chosen is None:
            said.append(f"Over {name} no threshold reaches a precision of {_percent(facts['wanted_precision'])}")
            continue
        sentence = (
            f"Over {name} the threshold {chosen['threshold']:.2f} gives a precision of {_percent(chosen['precision'])} "
            f"at a coverage of {_percent(chosen['coverage'])} (expected calibration error {facts['error']:.3f})"
        )
        if checked is not None:
            sentence += (
                f"; chosen on one half and counted on the other, {_percent(checked['precision'])} "
                f"at {_percent(checked['coverage'])}"
            )
        said.append(sentence)
    if not settings["isolated"]:
        said.append("Generated code ran without a sandbox")
    return said


def _percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def write_report(folder: Path, results: Results, rows: list[dict[str, Any]]) -> Path:
    """The page of a run: the table, the plots, rows as they came. Returns its path."""
    drawn = [plots.bars(results["figures"])] if any(f["model"] for f in results["figures"].values()) else []
    for facts in (results.get("calibration"), results.get("typist", {}).get("calibration")):
        if facts and facts["bins"]:
            drawn.append(plots.calibration(facts))
    step = max(1, len(rows) // _EXAMPLES)
    page = _render(
        "run.html.j2",
        title=title(results),
        head=HEAD,
        lines=lines(results),
        sentences=sentences(results),
        kinds={kind: lines({"figures": figures}) for kind, figures in results.get("kinds", {}).items()},
        plots=[Markup(plot) for plot in drawn],
        settings=results["settings"],
        versions=results["versions"],
        model=results["model"],
        examples=[_example(row) for row in rows[::step][:_EXAMPLES]],
    )
    write_text(folder / REPORT, page)
    return folder / REPORT


def _example(row: dict[str, Any]) -> dict[str, str]:
    failed = [f"{name}: {reason}" for name, reason in row["tests"].items() if reason != "pass"]
    tests = "; ".join(failed) or ("passes its tests" if row["tests"] else "")
    verdict = "exact" if row["exact"] else tests
    confidence = "" if row["confidence"] is None else f"confidence {row['confidence']:.2f}"
    return {
        "id": row["id"],
        "before": "\n".join(row["prefix"].split("\n")[-_CONTEXT_LINES:]),
        "fill": row["fill"],
        "after": "\n".join(row["suffix"].split("\n")[:_CONTEXT_LINES]),
        "reference": row["reference"],
        "verdict": ", ".join(filter(None, (confidence, verdict))),
    }


def write_sweep(folder: Path, axis: str, quality: str, points: list[tuple[str, float, dict[str, Any]]]) -> Path:
    """The page of a sweep: latency against quality."""
    table = [[label, share(figure), f"{latency:.0f}"] for label, latency, figure in points]
    page = _render(
        "plain.html.j2",
        title=f"{axis} against {quality}",
        head=[axis, f"{quality}, %", "latency p50, ms"],
        lines=table,
        plots=[Markup(plots.trade(points, quality))],
    )
    write_text(folder / REPORT, page)
    return folder / REPORT


def write_comparison(path: Path, names: tuple[str, str], figures: dict[str, dict[str, Any] | None]) -> Path:
    """The page of a comparison: paired differences."""
    page = _render(
        "plain.html.j2",
        title=f"{names[1]} minus {names[0]}",
        head=["measure", "difference in points", "rows of both"],
        lines=[[name, share(figure), str(figure["rows"] if figure else 0)] for name, figure in figures.items()],
        plots=[Markup(plots.differences(figures))],
    )
    write_text(path, page)
    return path


def _render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("coda_model.evaluate"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
