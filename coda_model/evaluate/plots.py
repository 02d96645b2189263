"""Plots as SVG texts, for the reports."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_BLUE, _GREY, _RED = "#2364aa", "#8a8f98", "#c8553d"
_FRAME = {"axes.spines.top": False, "axes.spines.right": False}
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "coda", "font.size": 9, **_FRAME}

_WIDE = 10.0
"""A range of so many times is drawn logarithmically; in a narrower one the labels of such an axis overlap."""


def _svg(draw: Callable[[Sequence[Axes]], None], panels: int = 1, width: float = 4.2, height: float = 3.2) -> str:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width * panels, height), layout="constrained")
        draw(figure.subplots(1, panels, squeeze=False)[0].tolist())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue().partition("<!DOCTYPE")[2].partition(">")[2].strip()


def bars(figures: dict[str, Any]) -> str:
    """Each share beside its floors, with intervals; bits a character are no share and are left to the table."""
    names = [name for name, figure in figures.items() if name != "bits a character" and figure["model"]]
    series = [("model", "this model", _BLUE), ("empty", "nothing filled", _GREY), ("copy", "the line above", _RED)]

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for place, (key, label, colour) in enumerate(series):
            points = [(n, figures[name][key]) for n, name in enumerate(names) if figures[name].get(key)]
            values = [100 * point["value"] for _, point in points]
            errors = [
                [100 * (point["value"] - point["low"]) for _, point in points],
                [100 * (point["high"] - point["value"]) for _, point in points],
            ]
            at = [n + 0.27 * (place - 1) for n, _ in points]
            axes.bar(at, values, 0.25, yerr=errors, color=colour, label=label, error_kw={"lw": 0.8})
        axes.set_xticks(range(len(names)), names)
        axes.set_ylabel("%")
        axes.legend(frameon=False)

    return _svg(draw, width=max(4.2, 1.9 * len(names)))


def calibration(facts: dict[str, Any]) -> str:
    """The reliability diagram, and precision and coverage over the threshold."""

    def draw(panels: Sequence[Axes]) -> None:
        left, right = panels
        left.plot([0, 1], [0, 1], color=_GREY, lw=0.8, ls="--")
        most = max((each["count"] for each in facts["bins"]), default=1)
        left.scatter(
            [each["confidence"] for each in facts["bins"]],
            [each["right"] for each in facts["bins"]],
            s=[20 + 200 * each["count"] / most for each in facts["bins"]],
            color=_BLUE,
            alpha=0.8,
        )
        left.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="exactly right")
        left.set_title(f"reliability, expected error {facts['error']:.3f}", fontsize=9)
        thresholds = [point["threshold"] for point in facts["curve"]]
        right.plot(thresholds, [point["precision"] for point in facts["curve"]], color=_BLUE, label="precision")
        right.plot(thresholds, [point["coverage"] for point in facts["curve"]], color=_RED, label="coverage")
        if facts["recommended"]:
            right.axvline(facts["recommended"]["threshold"], color=_GREY, lw=0.8, ls="--")
        right.set(xlim=(0, 1), ylim=(0, 1), xlabel="threshold")
        right.legend(frameon=False)

    return _svg(draw, panels=2)


def trade(points: Sequence[tuple[str, float, dict[str, float]]], quality: str) -> str:
    """Latency against a measure: (label, latency in ms, figure) for each setting of a sweep."""

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        latencies, values = [point[1] for point in points], [100 * point[2]["value"] for point in points]
        errors = [
            [100 * (figure["value"] - figure["low"]) for _, _, figure in points],
            [100 * (figure["high"] - figure["value"]) for _, _, figure in points],
        ]
        axes.errorbar(latencies, values, yerr=errors, color=_BLUE, marker="o", lw=1, elinewidth=0.8)
        for label, latency, figure in points:
            axes.annotate(label, (latency, 100 * figure["value"]), xytext=(4, 4), textcoords="offset points")
        axes.set(xlabel="latency p50, ms", ylabel=f"{quality}, %")
        if max(latencies) > _WIDE * min(latencies):
            axes.set_xscale("log")

    return _svg(draw, width=5.5)


def differences(figures: dict[str, dict[str, float] | None]) -> str:
    """Paired differences with their intervals, around zero."""
    shown = {name: figure for name, figure in figures.items() if figure is not None}

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for place, figure in enumerate(shown.values()):
            axes.plot([100 * figure["low"], 100 * figure["high"]], [place, place], color=_BLUE, lw=1)
            axes.plot(100 * figure["value"], place, "o", color=_BLUE)
        axes.axvline(0, color=_GREY, lw=0.8, ls="--")
        axes.set_yticks(range(len(shown)), list(shown))
        axes.set(xlabel="difference in points", ylim=(-0.5, len(shown) - 0.5))

    return _svg(draw, width=5.5, height=1 + 0.5 * len(shown))
