"""The `coda-train` command."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from coda_train.config import load_preset, preset_names
from coda_train.errors import CodaTrainError, ConfigError

app = typer.Typer(
    help="Train a CoDA code model: corpus, tokenizer, base (a causal model to adapt), pretrain, midtrain, sft, export.",
    epilog="Start with: coda-train data ./src --out corpus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Settings to change, such as optimizer.peak=3e-4 or stage.steps=2000.", metavar="[KEY=VALUE]..."
    ),
]
Preset = Annotated[str, typer.Option(help=f"One of {', '.join(preset_names())}, or a TOML file.")]
Corpus = Annotated[Path, typer.Option("--data", help="Corpus folder, from `coda-train data`.")]
Run = Annotated[Path, typer.Option("--out", help="Run folder. If it holds a checkpoint the run goes on from there.")]
Minutes = Annotated[
    float | None,
    typer.Option("--max-minutes", help="Budget of time: the learning rate follows the clock and ends with it."),
]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Show the resolved settings and stop.")]


@contextmanager
def _friendly() -> Iterator[None]:
    """Turn the errors a person can cause into one sentence and status 1, and Ctrl-C into status 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130) from None
    except (CodaTrainError, ValueError, OSError) as error:
        typer.echo(f"coda-train: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield update


@app.command()
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
    with _friendly():
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
        with ray_cluster(ray) if ray else nullcontext(), _progress(Console(stderr=True)) as progress:
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


@app.command()
def tokenizer(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder, from `coda-train data`.")],
    out: Annotated[Path, typer.Option(help="The tokenizer folder to write.")],
    vocab_size: Annotated[int, typer.Option(help="Tokens, special ones included.")] = 8192,
) -> None:
    """Train a byte-level BPE tokenizer on a corpus.

    Example: coda-train tokenizer corpus --out tokenizer --vocab-size 8192
    """
    with _friendly():
        from coda_train.tokenizer import train_tokenizer

        with _progress(Console(stderr=True)) as progress:
            trained = train_tokenizer(corpus, out, vocab_size, progress)
        size = trained.get_vocab_size()
        typer.echo(f"{out}: {size:,} tokens")
        if size < vocab_size:
            typer.echo(f"the corpus is too small for {vocab_size:,} tokens: set model.vocab_size={size}", err=True)


def _run_stage(
    stage: str,
    preset: str,
    corpus: Path,
    tokenizer_folder: Path | None,
    init: Path | None,
    run: Path,
    minutes: float | None,
    workers: int,
    print_config: bool,
    overrides: list[str] | None,
) -> None:
    with _friendly():
        changes = list(overrides or [])
        if minutes is not None:
            changes += [f"stage.minutes={minutes}", 'optimizer.schedule_by="time"']
        config = load_preset(preset, stage, changes)
        if print_config:
            typer.echo(json.dumps(dataclasses.asdict(config), indent=2))
            return
        source = tokenizer_folder or _tokenizer_of(init)
        from coda_train.batches import open_batches, token_ids
        from coda_train.checkpoint import has_checkpoint
        from coda_train.export import TOKENIZER_FILES, load_initial
        from coda_train.train import stop_on_signals, train

        console = Console(stderr=True)
        ids = token_ids(source, config.model.vocab_size)
        initial = load_initial(init, config.model) if init and not has_checkpoint(run) else None
        with _progress(console) as progress:
            batches = open_batches(config, corpus, source, "train", progress, workers)
            held_out = None
            if any(corpus.glob("**/held_out-*.parquet")):
                held_out = open_batches(config, corpus, source, "held_out", progress)
            else:
                console.print("no held-out packages in the corpus: no evaluation", highlight=False)
        (run / "tokenizer").mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            if (source / name).resolve() != (run / "tokenizer" / name).resolve():
                shutil.copyfile(source / name, run / "tokenizer" / name)
        with stop_on_signals() as stop:
            step = train(config, batches, held_out, ids, run, console, initial, stop)
        if stop.signal is not None:
            typer.echo(f"stopped at step {step}; run the same command to go on", err=True)
            raise typer.Exit(128 + stop.signal)
        typer.echo(f"{run}: {stage} finished at step {step}")


def _tokenizer_of(init: Path | None) -> Path:
    if init is None:
        raise ConfigError("--tokenizer is needed: a folder made by `coda-train tokenizer`")
    return init / "tokenizer" if (init / "tokenizer").is_dir() else init


@app.command()
def base(
    corpus: Corpus,
    run: Run,
    tokenizer: Annotated[Path | None, typer.Option(help="Tokenizer folder; taken from --init if left out.")] = None,
    preset: Preset = "small-cpu",
    init: Annotated[Path | None, typer.Option(help="Start from this run folder or checkpoint directory.")] = None,
    max_minutes: Minutes = None,
    workers: Annotated[int, typer.Option(help="Processes that make rows ahead.")] = 0,
    print_config: PrintConfig = False,
    overrides: Overrides = None,
) -> None:
    """Before the stages: a causal model to adapt, where there is no Qwen3 to start from. Every token is a target.

    Example: coda-train base --preset nano --data corpus --tokenizer tokenizer --out runs/base
    """
    _run_stage("base", preset, corpus, tokenizer, init, run, max_minutes, workers, print_config, overrides)


@app.command()
def pretrain(
    corpus: Corpus,
    run: Run,
    tokenizer: Annotated[Path | None, typer.Option(help="Tokenizer folder; taken from --init if left out.")] = None,
    preset: Preset = "small-cpu",
    init: Annotated[Path | None, typer.Option(help="Start from this run folder or checkpoint directory.")] = None,
    max_minutes: Minutes = None,
    workers: Annotated[int, typer.Option(help="Processes that make rows ahead.")] = 0,
    print_config: PrintConfig = False,
    overrides: Overrides = None,
) -> None:
    """First stage: learn code by unmasking packed documents.

    Example: coda-train pretrain --preset nano --data corpus --tokenizer tokenizer --out runs/pre
    """
    _run_stage("pretrain", preset, corpus, tokenizer, init, run, max_minutes, workers, print_config, overrides)


@app.command()
def midtrain(
    corpus: Corpus,
    run: Run,
    init: Annotated[Path, typer.Option(help="Run folder or checkpoint directory to start from.")],
    tokenizer: Annotated[Path | None, typer.Option(help="Tokenizer folder; taken from --init if left out.")] = None,
    preset: Preset = "small-cpu",
    max_minutes: Minutes = None,
    workers: Annotated[int, typer.Option(help="Processes that make rows ahead.")] = 0,
    print_config: PrintConfig = False,
    overrides: Overrides = None,
) -> None:
    """Second stage: progressive masking, from scattered tokens towards prompts, cut ends and spans.

    Example: coda-train midtrain --preset nano --init runs/pre --data corpus --out runs/mid
    """
    _run_stage("midtrain", preset, corpus, tokenizer, init, run, max_minutes, workers, print_config, overrides)


@app.command()
def sft(
    corpus: Corpus,
    run: Run,
    init: Annotated[Path, typer.Option(help="Run folder or checkpoint directory to start from.")],
    tokenizer: Annotated[Path | None, typer.Option(help="Tokenizer folder; taken from --init if left out.")] = None,
    preset: Preset = "small-cpu",
    max_minutes: Minutes = None,
    workers: Annotated[int, typer.Option(help="Processes that make rows ahead.")] = 0,
    print_config: PrintConfig = False,
    overrides: Overrides = None,
) -> None:
    """Third stage: fill holes of unknown length, with expand and delete tokens.

    Example: coda-train sft --preset nano --init runs/mid --data corpus --out runs/sft stage.steps=200
    """
    _run_stage("sft", preset, corpus, tokenizer, init, run, max_minutes, workers, print_config, overrides)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder of any stage.")],
    out: Annotated[Path, typer.Option(help="The checkpoint directory to write.")],
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    averaged: Annotated[bool, typer.Option(help="Take the averaged weights where the run kept them.")] = True,
    overwrite: Overwrite = False,
) -> None:
    """Write the last checkpoint of a run as a checkpoint directory, for inference and the Hub.

    Example: coda-train export runs/sft --out model --dtype bfloat16
    """
    with _friendly():
        from coda_train.export import export_run

        count = export_run(run, out, dtype, averaged, overwrite)
        typer.echo(f"{out}: {count:,} parameters in {dtype}")


def main() -> None:
    """Run the command line."""
    app(prog_name="coda-train")
