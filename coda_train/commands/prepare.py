"""`coda-train data` and `coda-train tokenizer`: from source folders to a corpus and a tokenizer."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from coda_train.commands.common import Overwrite, friendly, progress_bar
from coda_train.errors import ConfigError


def data(
    out: Annotated[Path, typer.Option(help="The corpus folder to write.")],
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Folders: projects, site-packages, standard libraries.")
    ] = None,
    mixture: Annotated[
        str | None,
        typer.Option(
            help="Instead of folders a recipe of weighed sources: a TOML file, pretrain-paper or midtrain-paper."
        ),
    ] = None,
    decontaminate: Annotated[
        list[Path] | None,
        typer.Option(
            help="Benchmark file (.jsonl, .jsonl.gz, or .txt of hashes) whose text must not be in the corpus."
        ),
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A package to leave out, beside known benchmarks.")] = None,
    held_out: Annotated[
        float | None,
        typer.Option(help="Share of the text, in whole packages, kept for evaluation: .03 unless told otherwise."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Work on a Ray cluster: its address, auto for the one around, local to start one here."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Build a corpus of permissively licensed, parseable, unique Python files, or one for each source of a mixture.

    Example: coda-train data ./src .venv/lib/python3.11/site-packages --out corpus

    Example: coda-train data --mixture pretrain-paper --out corpus --ray auto
    """
    with friendly():
        from coda_train.data.corpus import BENCHMARK_PACKAGES, CorpusConfig, build_corpus
        from coda_train.data.examine import Rules
        from coda_train.data.mixture import prepare_mixture
        from coda_train.data.on_ray import ray_cluster, ray_map
        from coda_train.data.parallel import parallel_map
        from coda_train.data.recipe import read_mixture
        from coda_train.data.sources import canonical_name

        if bool(sources) == bool(mixture):
            raise ConfigError("give either folders or --mixture, such as: coda-train data ./src --out corpus")
        if mixture and held_out is not None:
            raise ConfigError("--held-out does not go with --mixture: set held_out in the recipe's sources")
        excluded = frozenset(map(canonical_name, (*BENCHMARK_PACKAGES, *(exclude or ()))))
        benchmarks = tuple(decontaminate or ())
        recipe = read_mixture(mixture) if mixture else None
        run = ray_map if ray else parallel_map
        with ray_cluster(ray) if ray else nullcontext(), progress_bar(Console(stderr=True)) as progress:
            if recipe:
                reports = prepare_mixture(recipe, out, excluded, benchmarks, overwrite, progress, run)
            else:
                fraction = 0.03 if held_out is None else held_out
                config = CorpusConfig(
                    sources=tuple(sources or ()),
                    out=out,
                    rules=Rules(exclude=excluded),
                    held_out_fraction=fraction,
                    decontaminate=benchmarks,
                    overwrite=overwrite,
                )
                reports = {"": build_corpus(config, progress, run)}
        for name, report in reports.items():
            for split, files in report.files.items():
                label = f"{name}, {split}" if name else split
                typer.echo(f"{label}: {files:,} files, {report.bytes[split] / 1e6:,.1f} MB")
            typer.echo(f"report: {out / name / 'report.json'}")
        if recipe:
            kept = len(recipe.sources) - len(reports)
            typer.echo(f"{out / 'mixture.json'}: {len(recipe.sources)} sources, {kept} of them kept from before")


def tokenizer(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder, from `coda-train data`.")],
    out: Annotated[Path, typer.Option(help="The tokenizer folder to write.")],
    vocab_size: Annotated[int, typer.Option(help="Tokens, special ones included.")] = 16384,
) -> None:
    """Train a byte-level BPE tokenizer on a corpus.

    Example: coda-train tokenizer corpus --out tokenizer --vocab-size 16384
    """
    with friendly():
        from coda_train.tokenizer import train_tokenizer

        with progress_bar(Console(stderr=True)) as progress:
            trained = train_tokenizer(corpus, out, vocab_size, progress)
        size = trained.get_vocab_size()
        typer.echo(f"{out}: {size:,} tokens")
        if size < vocab_size:
            typer.echo(f"the corpus is too small for {vocab_size:,} tokens: set model.vocab_size={size}", err=True)
