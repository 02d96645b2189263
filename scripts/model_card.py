"""Write the bundled model's card: how it was made, on what, and what it really does.

    python scripts/model_card.py CORPUS RUNS MODEL --stages STAGES --out coda_model/bundled/README.md

CORPUS is what `coda-train data` wrote, with the shards that training made of it; RUNS are the runs of
scripts/evaluate_bundled.sh; STAGES is a Markdown text that says how the stages were run. The ten fills are the first
that the run `held-out` came to, which draws its holes by seed: none is chosen.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from coda_model.config import ModelConfig
from coda_model.evaluate.records import read_rows_of, write_text
from coda_model.evaluate.report import markdown

REPORTED = ("single-line", "multi-line", "random-span", "held-out")
SHOWN = 10
CONTEXT_LINES = 4


def shown(row: dict[str, Any]) -> str:
    """A fill in its surroundings, as Markdown."""
    before = "\n".join(row["prefix"].split("\n")[-CONTEXT_LINES:])
    after = "\n".join(row["suffix"].split("\n")[:CONTEXT_LINES])
    verdict = "exact" if row["exact"] else f"the file has\n\n```\n{row['reference'].strip(chr(10))}\n```\n"
    code = f"```\n{before}⟦{row['fill']}⟧{after}\n```"
    return f"**{row['id']}**: confidence {row['confidence']:.2f}\n\n{code}\n\n{verdict}\n"


def sources(corpus: Path) -> str:
    """What each source of the corpus holds, as a Markdown table."""
    lines = ["| source | drawn | files | MB | tokens | held-out files | dropped |", "|---|---|---|---|---|---|---|"]
    weights = read(corpus / "mixture.json")
    for name, weight in weights.items():
        report = read(corpus / name / "report.json")
        (index,) = corpus.glob(f"shards/*/train/{name}/index.json")
        dropped = ", ".join(f"{count} {reason}" for reason, count in Counter(report["dropped"]).most_common(5))
        lines.append(
            f"| {name} | {weight / sum(weights.values()):.0%} | {report['files']['train']:,} "
            f"| {report['bytes']['train'] / 1e6:.0f} | {read(index)['tokens'] / 1e6:.0f} M "
            f"| {report['files']['held_out']:,} | {dropped} |"
        )
    return "\n".join(lines)


def packages(corpus: Path) -> str:
    """Every package of the corpus with its licence, as a Markdown table."""
    lines = ["| package | versions | licence | split | files | MB |", "|---|---|---|---|---|---|"]
    found = [each for name in read(corpus / "mixture.json") for each in read(corpus / name / "report.json")["packages"]]
    for package in sorted(found, key=lambda package: -package["bytes"]):
        versions = ", ".join(version for version in package["versions"] if version) or "–"
        lines.append(
            f"| {package['name']} | {versions} | {', '.join(package['licences'])} | {package['split']} "
            f"| {package['files']} | {package['bytes'] / 1e6:.2f} |"
        )
    return "\n".join(lines)


def read(path: Path) -> Any:
    """The JSON of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def card(corpus: Path, runs: Path, model: Path, stages: str) -> str:
    """The card, as Markdown."""
    config = ModelConfig.from_dict(read(model / "config.json"))
    results = [read(runs / name / "results.json") for name in REPORTED if (runs / name / "results.json").exists()]
    fills = read_rows_of(runs / "held-out")[:SHOWN]
    return f"""# The bundled model

A masked-diffusion infiller for code, Python first: CoDA's architecture (bidirectional Qwen3 backbone,
arXiv 2510.03270) with {config.parameters / 1e6:.1f} million parameters, {config.num_hidden_layers} layers of width
{config.hidden_size}, a vocabulary of {config.vocab_size:,} and {config.max_position_embeddings} positions. It knows
`<|expand|>` and `<|delete|>`, so it finds the length of a fill by itself. Made from nothing by this repository's own
commands, on two CPU cores; the weights are Apache-2.0 like the code. It is very small and was trained
for hours, not days: expect idioms and repetitions of what stands nearby, not understanding.

## How it was made

{stages}

{sources(corpus)}

Files of packages without a permissive licence, generated and data-like files, duplicates and near duplicates, and files
that share 30 tokens in a row with the benchmarks HumanEval, MBPP, HumanEval-Infilling, SAFIM and SantaCoder-FIM were
dropped. Files are held out by whole packages.

## What it does

By `scripts/evaluate_bundled.sh`; the length of what is missing is unknown to the model throughout. In brackets the 95%
intervals of a bootstrap over problems or packages.

{chr(10).join(markdown(each) for each in results)}
The first ten holes of `held-out`, as they came. ⟦ ⟧ is the fill.

{chr(10).join(shown(row) for row in fills)}
## Trained on

{packages(corpus)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path, help="folder that `coda-train data` wrote")
    parser.add_argument("runs", type=Path, help="folder of the runs of scripts/evaluate_bundled.sh")
    parser.add_argument("model", type=Path, help="checkpoint folder")
    parser.add_argument("--stages", type=Path, required=True, help="text file: how the stages were run")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    stages = arguments.stages.read_text(encoding="utf-8").strip()
    write_text(arguments.out, card(arguments.corpus, arguments.runs, arguments.model, stages))


if __name__ == "__main__":
    main()
