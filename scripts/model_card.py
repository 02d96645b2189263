"""Write the bundled model's card: how it was made, on what, and what it really does.

    python scripts/model_card.py CORPUS MODEL --out coda_model/bundled/README.md

The fills are not chosen: `--lines` lines are drawn from the corpus' held-out packages by seed, every line is cut at a
random place, its rest is the hole, and its length is unknown to the model. The first ten are shown as they came; the
figures are over all of them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.progress import track

from coda_model import Hole, Infiller, InfillResult

SHOWN = 10
CONTEXT_LINES = 4
CONTEXT_CHARS = 4000


@dataclass(frozen=True)
class Case:
    """One hole: the rest of a line in a held-out file."""

    package: str
    path: str
    line: int
    prefix: str
    middle: str
    suffix: str

    @property
    def line_above(self) -> str:
        """The line before the cursor's that is not blank, stripped: a floor that costs nothing."""
        above = [line for line in self.prefix.split("\n")[:-1] if line.strip()]
        return above[-1].strip() if above else ""


@dataclass(frozen=True)
class Outcome:
    case: Case
    fill: str
    confidence: float
    latency_ms: float

    @property
    def exact(self) -> bool:
        """Exact match: fill and reference, stripped, are equal."""
        return self.fill.strip() == self.case.middle.strip()


def cases(corpus: Path, count: int, seed: int) -> Iterator[Case]:
    """`count` holes, each in another held-out file: the rest of a code line from a random place in it."""
    rng = random.Random(seed)
    table = pq.read_table(sorted(corpus.glob("held_out-*.parquet")))
    rows = table.to_pylist()
    rng.shuffle(rows)
    found = 0
    for row in rows:
        text: str = row["text"]
        lines = [
            match
            for match in re.finditer(r"^[ \t]*(\S[^\n]*)$", text, re.MULTILINE)
            if re.match(r"return\b|[\w.]+ = |[\w.]+\(|if |for |raise ", match[1]) and 8 <= len(match[1]) <= 80
        ]
        if not lines:
            continue
        line = rng.choice(lines)
        cut = rng.randrange(line.start(1), line.end(1) - 2)
        start, end = max(0, cut - CONTEXT_CHARS), line.end(1) + CONTEXT_CHARS
        number = text.count("\n", 0, cut) + 1
        yield Case(
            row["package"], row["path"], number, text[start:cut], text[cut : line.end(1)], text[line.end(1) : end]
        )
        found += 1
        if found == count:
            return


def fill(infiller: Infiller, case: Case) -> Outcome:
    result: InfillResult = infiller.fill([case.prefix, Hole(single_line=True), case.suffix])
    best = result.candidates[0]
    return Outcome(case, best.fills[0], best.confidence, result.timings.total_ms)


def shown(outcome: Outcome) -> str:
    """A fill in its surroundings, as Markdown."""
    case = outcome.case
    before = "\n".join(case.prefix.split("\n")[-CONTEXT_LINES:])
    after = "\n".join(case.suffix.split("\n")[:CONTEXT_LINES])
    verdict = "exact" if outcome.exact else f"the file has `{case.middle.strip()}`"
    return (
        f"**{case.package}**, {Path(case.path).name}, line {case.line}: "
        f"confidence {outcome.confidence:.2f}, {outcome.latency_ms:.0f} ms, {verdict}\n\n"
        f"```python\n{before}⟦{outcome.fill}⟧{after}\n```\n"
    )


def figures(outcomes: list[Outcome]) -> str:
    """Exact match beside its two floors, and by confidence."""
    total = len(outcomes)
    rows = [
        ("this model", sum(outcome.exact for outcome in outcomes)),
        ("floor: nothing filled", sum(outcome.case.middle.strip() == "" for outcome in outcomes)),
        ("floor: the line above", sum(outcome.case.middle.strip() == outcome.case.line_above for outcome in outcomes)),
    ]
    table = ["| rest of a line, unknown length | exact match |", "|---|---|"]
    table += [f"| {name} | {100 * hits / total:.1f}% ({hits} of {total}) |" for name, hits in rows]
    sure = [outcome for outcome in outcomes if outcome.confidence >= 0.5]
    right = sum(outcome.exact for outcome in sure)
    share = f"{100 * right / len(sure):.0f}%" if sure else "none"
    latency = statistics.median(outcome.latency_ms for outcome in outcomes)
    return (
        "\n".join(table) + f"\n\nOf the {len(sure)} fills with a confidence of 0.5 or more, {right} are exactly right "
        f"({share}). Median time to a fill: {latency:.0f} ms on two CPU cores."
    )


def packages(report: dict[str, Any]) -> str:
    """Every package of the corpus with its licence, as a Markdown table."""
    lines = ["| package | versions | licence | split | files | MB |", "|---|---|---|---|---|---|"]
    for package in sorted(report["packages"], key=lambda package: -package["bytes"]):
        versions = ", ".join(version for version in package["versions"] if version) or "–"
        licences = ", ".join(package["licences"])
        megabytes = f"{package['bytes'] / 1e6:.2f}"
        lines.append(
            f"| {package['name']} | {versions} | {licences} | {package['split']} | {package['files']} | {megabytes} |"
        )
    return "\n".join(lines)


def card(report: dict[str, Any], infiller: Infiller, outcomes: list[Outcome], stages: str) -> str:
    info = infiller.info()
    files, size = report["files"], report["bytes"]
    return f"""# The bundled model

A masked-diffusion infiller for Python: CoDA's architecture (bidirectional Qwen3 backbone, arXiv 2510.03270) with
{info["parameters"] / 1e6:.1f} million parameters, {info["layers"]} layers of width {info["hidden"]}, a vocabulary of
{info["vocabulary"]} and {info["max_positions"]} positions. It knows `<|expand|>` and `<|delete|>`, so it finds the
length of a fill by itself. Made from nothing by this repository's own commands, on two CPU cores; the weights are
Apache-2.0 like the code. It is small and was trained for about an hour: expect idioms and repetitions of what stands
nearby, not understanding.

## How it was made

{stages}

Corpus: {files["train"]:,} files, {size["train"] / 1e6:.0f} MB of Python from the packages below; {files["held_out"]:,}
files, {size["held_out"] / 1e6:.1f} MB, in whole packages, are held out. Generated and data-like files, duplicates and
near duplicates, files under a licence that is not permissive, and files that share 30 tokens in a row with the
benchmarks HumanEval, MBPP, HumanEval-Infilling, SAFIM and SantaCoder-FIM were dropped.

## What it does

{len(outcomes)} lines of held-out packages, drawn by seed; each was cut at a random place and its rest removed.

{figures(outcomes)}

The first ten of them, as they came. ⟦ ⟧ is the fill.

{chr(10).join(shown(outcome) for outcome in outcomes[:SHOWN])}
## Trained on

{packages(report)}
"""


def write_atomically(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).chmod(0o644)  # temporary files are private
    Path(file.name).replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path, help="folder that `coda-train data` wrote")
    parser.add_argument("model", help="checkpoint folder")
    parser.add_argument("--stages", type=Path, required=True, help="text file: how the stages were run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    infiller = Infiller.from_pretrained(arguments.model, dtype="auto")
    report = json.loads((arguments.corpus / "report.json").read_text(encoding="utf-8"))
    chosen = list(cases(arguments.corpus, arguments.lines, arguments.seed))
    outcomes = [fill(infiller, case) for case in track(chosen, "filling", disable=not sys.stderr.isatty())]
    stages = arguments.stages.read_text(encoding="utf-8").strip()
    write_atomically(arguments.out, card(report, infiller, outcomes, stages))


if __name__ == "__main__":
    main()
