"""How an infill is shown on a terminal: the lines around the hole, the fill highlighted, what it cost."""

import re

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from coda_model.request import Candidate, InfillResult

_LINES_AROUND = 6
_LONGEST_LINE = 160


def show_result(path: str, prefix: str, suffix: str, first_line: int, result: InfillResult) -> RenderableType:
    """One panel a candidate; `first_line` is the number of the line the hole is on."""
    cost = (
        f"{result.timings.total_ms:.0f} ms ({result.timings.model_ms:.0f} ms in the model), {result.steps} steps, "
        f"length by {result.length_policy}"
    )
    panels = [
        Panel(
            _region(prefix, candidate, suffix, first_line),
            title=Text(f"{path}:{first_line}"),
            title_align="left",
            subtitle=Text(f"candidate {number} of {len(result.candidates)}, confidence {candidate.confidence:.2f}"),
            subtitle_align="right",
        )
        for number, candidate in enumerate(result.candidates, 1)
    ]
    return Group(*panels, Text(cost, style="dim"))


def _region(prefix: str, candidate: Candidate, suffix: str, first_line: int) -> Text:
    """Numbered lines of prefix, fill and suffix; what is not the fill is cut to a few lines."""
    before = _lines(prefix)[-1 - _LINES_AROUND :]
    after = _lines(suffix)[: 1 + _LINES_AROUND]
    text = Text("\n".join([*before[:-1], before[-1][-_LONGEST_LINE:]]))
    text.append("\n".join(_lines(candidate.fills[0])), style="bold black on green")
    text.append("\n".join([after[0][:_LONGEST_LINE], *after[1:]]))
    numbered = Text()
    for number, line in enumerate(text.split("\n", allow_blank=True), first_line - len(before) + 1):
        line.truncate(_LONGEST_LINE * 3, overflow="ellipsis")
        numbered.append(f"{number:>5} ", style="dim").append_text(line).append("\n")
    numbered.rstrip()
    return numbered


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\n|\r", text)
