"""`coda-train base`, `pretrain`, `midtrain` and `sft`: one loop, one configuration a stage."""

import dataclasses
import json
import signal
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from coda_train.commands.common import friendly, progress_bar
from coda_train.config import TrainConfig, load_preset, preset_names
from coda_train.errors import ConfigError

Corpus = Annotated[
    Path,
    typer.Option(
        "--data", help="Corpus from `coda-train data`, a folder of your own sources, or conversations (JSONL, Parquet)."
    ),
]
Run = Annotated[
    Path | None,
    typer.Option("--out", help="Run folder, runs/STAGE by default. If it holds a checkpoint the run goes on."),
]
Init = Annotated[
    str | None,
    typer.Option(help="Start from this run folder or checkpoint directory (Qwen3, CoDA), bundled, or hub:OWNER/NAME."),
]
Tokenizer = Annotated[Path | None, typer.Option(help="Tokenizer folder; taken from --init if left out.")]
Preset = Annotated[
    str | None,
    typer.Option(
        help=f"One of {', '.join(preset_names())}, or a TOML file: small-cpu by default, adapt for sft on a folder of "
        "sources. With --init the model's shape is that of its source."
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option("--max-minutes", help="Budget of time: the learning rate follows the clock and ends with it."),
]
Workers = Annotated[int, typer.Option(help="Processes that make rows ahead.")]
Profile = Annotated[int, typer.Option(help="Trace this many steps into RUN/profile.", min=0)]
PrintConfig = Annotated[bool, typer.Option("--print-config", help="Show the resolved settings and stop.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Settings to change, such as optimizer.peak=3e-4 or stage.steps=2000.", metavar="[KEY=VALUE]..."
    ),
]


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    stage: str
    data: Path
    run: Path
    tokenizer: Path | None
    init: Path | None
    workers: int
    profile: int


def stage_command(stage: str, needs_init: bool = False) -> Callable[..., None]:
    """The function behind one stage's command."""

    def command(
        data: Corpus,
        run: Run = None,
        init: Init = None,
        tokenizer: Tokenizer = None,
        preset: Preset = None,
        max_minutes: Minutes = None,
        workers: Workers = 0,
        profile: Profile = 0,
        print_config: PrintConfig = False,
        overrides: Overrides = None,
    ) -> None:
        with friendly():
            if needs_init and init is None:
                raise ConfigError(f"{stage} needs --init: the run folder or checkpoint directory to start from")
            from coda_train.imports import find_initial
            from coda_train.sharding import join_processes

            join_processes()
            source = find_initial(init) if init else None
            request = Request(stage, data, run or Path("runs") / stage, tokenizer, source, workers, profile)
            changes = list(overrides or [])
            if max_minutes is not None:
                changes += [f"stage.minutes={max_minutes}", 'optimizer.schedule_by="time"']
            config = _configure(request, preset, changes)
            if print_config:
                typer.echo(json.dumps(dataclasses.asdict(config), indent=2))
            else:
                _train(request, config)

    return command


def _configure(request: Request, preset: str | None, changes: list[str]) -> TrainConfig:
    """The preset with the shape of the model to start from, or to go on with, and then the person's own changes."""
    from coda_train.checkpoint import has_checkpoint
    from coda_train.data.split import is_corpus
    from coda_train.imports import shape_of

    if preset is None:
        preset = "adapt" if request.stage == "sft" and not is_corpus(request.data) else "small-cpu"
    source = request.run if has_checkpoint(request.run) else request.init
    shape = shape_of(source) if source else {}
    return load_preset(preset, request.stage, [*(f"model.{key}={json.dumps(shape[key])}" for key in shape), *changes])


def _train(request: Request, config: TrainConfig) -> None:
    import jax
    from jax.experimental import multihost_utils

    from coda_train.batches import open_batches, token_ids
    from coda_train.checkpoint import has_checkpoint, run_folder
    from coda_train.data.own import corpus_of
    from coda_train.data.split import is_corpus
    from coda_train.evaluate import open_evaluation
    from coda_train.imports import load_initial
    from coda_train.interrupts import stop_on_signals
    from coda_train.sharding import check_layout, make_layout
    from coda_train.step import param_shapes
    from coda_train.tokenizer import adopt_tokenizer, read_tokenizer
    from coda_train.train import train

    layout = make_layout(config.mesh)
    check_layout(config, layout)
    first_process = jax.process_index() == 0
    console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=not first_process)
    source = _tokenizer_of(request)
    tokenizer = read_tokenizer(source)
    fresh = not has_checkpoint(request.run)
    chats = config.stage.batches == "chat"
    if not (request.data.is_dir() or (chats and request.data.is_file())):
        raise ConfigError(f"{request.data} is not a folder")
    if jax.process_count() > 1 and not chats and not is_corpus(request.data):
        raise ConfigError(f"{request.data} is no corpus: several processes share one made by `coda-train data`")
    places = layout.parameters(param_shapes(config))
    initial = load_initial(request.init, config.model, places) if request.init and fresh else None
    with run_folder(request.run) if first_process else nullcontext(request.run) as run:
        if first_process:
            adopt_tokenizer(tokenizer, source, run / "tokenizer")
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("run folder ready")
        ids = token_ids(run / "tokenizer", config.model.vocab_size)
        rows = layout.process_rows(config.stage.batch_size)
        with progress_bar(console) as progress:
            found = (request.data, None) if chats else corpus_of(request.data, run / "corpus", progress)
            corpus, report = found
            if report:
                kept = ", ".join(f"{count} {split}" for split, count in report.files.items())
                console.print(f"{request.data}: {kept} files, taken as your own whatever their licence ({corpus})")
            batches = open_batches(config, corpus, run / "tokenizer", "train", progress, request.workers, rows)
            evaluation = open_evaluation(config, layout, corpus, run / "tokenizer", ids, progress)
        if evaluation is None:
            console.print("too little held-out text in the corpus: no evaluation")
        with closing(batches), stop_on_signals() as stop:
            step = train(config, layout, batches, evaluation, ids, run, console, initial, stop, request.profile)
    if stop.signal is None:
        if first_process:
            typer.echo(f"{run}: {request.stage} finished at step {step}")
        return
    typer.echo(f"stopped at step {step}; run the same command to go on", err=True)
    if stop.signal != signal.SIGTERM:  # what a scheduler sends has been obeyed; Ctrl-C ends as Ctrl-C does
        raise typer.Exit(128 + stop.signal)


def _tokenizer_of(request: Request) -> Path:
    """The tokenizer that is asked for, else that of the run to go on with, else that of the model to start from."""
    from coda_train.tokenizer import TOKENIZER_FILES

    if request.tokenizer:
        return request.tokenizer
    if (request.run / "tokenizer" / TOKENIZER_FILES[0]).is_file():
        return request.run / "tokenizer"
    if request.init is None:
        raise ConfigError("--tokenizer is needed: a folder made by `coda-train tokenizer`")
    inside = request.init / "tokenizer"
    return inside if inside.is_dir() else request.init
