"""The command line: `coda-model infill`, `serve`, `info`, `quantize`, `bench`, and `eval`, which has its own file."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as ProgressBar
from rich.table import Table

from coda_lsp.languages import language_id_for_path
from coda_model.errors import CodaError, InputError
from coda_model.evaluate.cli import app as evaluation
from coda_model.request import LOOKUPS, MAX_HOLE_TOKENS, STARTS, Hole, InfillOptions, InfillResult, Segment

if TYPE_CHECKING:
    from coda_model.infill import Infiller

app = typer.Typer(
    name="coda-model",
    help="Fill holes in code with a masked-diffusion model, or serve it to a language server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)
app.add_typer(evaluation, name="eval")
stdout = Console()
stderr = Console(stderr=True)

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="[bold]bundled[/bold], a checkpoint folder, or a Hugging Face Hub id.")
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, mps, or auto.")]
DtypeOption = Annotated[
    str, typer.Option(help="float32, bfloat16, float16, int8 (on a CPU), or auto: the fastest here, as measured.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.command(
    epilog="Examples:\n\n"
    "  coda-model infill app.py --line 12 --column 8\n\n"
    "  coda-model infill app.py --line 12 --column 8 --end-line 14 --end-column 0 --candidates 3\n\n"
    "  coda-model infill app.py -l 12 -c 8 --json --model ./checkpoints/mine | jq -r '.candidates[0].fills[0]'"
)
def infill(
    file: Annotated[Path, typer.Argument(help="A UTF-8 text file; it is only read.")],
    line: Annotated[int, typer.Option("--line", "-l", help="Line of the cursor, from 1.")],
    column: Annotated[int, typer.Option("--column", "-c", help="Column of the cursor, from 0, in UTF-16 units.")],
    end_line: Annotated[int | None, typer.Option(help="Last line of a selection to replace, from 1.")] = None,
    end_column: Annotated[int | None, typer.Option(help="End of the selection on that line, from 0.")] = None,
    model: ModelOption = "bundled",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "auto",
    candidates: Annotated[int, typer.Option(help="Alternatives wanted, 1 to 8, best first.")] = 1,
    starts: Annotated[int, typer.Option(help="Lengths a hole of unknown length is tried from, 1 to 11.")] = STARTS,
    lookups: Annotated[int, typer.Option(help="Fills proposed by what the file says elsewhere, 0 to 8.")] = LOOKUPS,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; one a token when not given.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Upper bound of the fill's length in tokens.")] = 64,
    length: Annotated[int | None, typer.Option(help="Exact number of tokens; found out when not given.")] = None,
    single_line: Annotated[
        bool | None,
        typer.Option("--single-line/--block", help="Whether the fill may hold no line end; found out when not given."),
    ] = None,
    context_tokens: Annotated[int, typer.Option(help="Tokens of the file the model sees around the hole.")] = 512,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest tokens.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    deadline_ms: Annotated[float | None, typer.Option(help="After this all masks left are committed at once.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fill the hole at a position of a file, from both sides.

    On a terminal the lines around the hole are shown with the fill highlighted; otherwise the fill alone is printed.
    """
    from coda_model.document import line_around, offset_at, read_document

    with one_sentence_errors():
        if (end_line is None) != (end_column is None):
            raise InputError("A selection needs both --end-line and --end-column.")
        text = read_document(file)
        start = offset_at(text, line, column)
        end = start if end_line is None or end_column is None else offset_at(text, end_line, end_column)
        if end < start:
            raise InputError("The selection ends before it starts.")
        hint = text[start:end] or None
        if single_line is None:
            single_line = "\n" not in hint if hint else any(part.strip() for part in line_around(text, start, end))
        options = InfillOptions(
            candidates=candidates,
            starts=starts,
            lookups=lookups,
            steps=steps,
            temperature=temperature,
            context_tokens=context_tokens,
            deadline_ms=deadline_ms,
            language=language_id_for_path(file.name),
            seed=seed,
        )
        hole = Hole(hint=hint, single_line=single_line, max_tokens=max_tokens, length=length)
        infiller = load(model, device, dtype)
        result = fill_with_progress(infiller, [text[:start], hole, text[end:]], options)
        if as_json:
            typer.echo(json.dumps({"model": infiller.name, **asdict(result)}))
        elif stdout.is_terminal:
            from coda_model.view import show_result

            stdout.print(show_result(str(file), text[:start], text[end:], line, result))
        else:
            typer.echo(result.candidates[0].fills[0])


@app.command(
    epilog="Examples:\n\n"
    "  coda-model serve\n\n"
    "  coda-model serve --port 8731 --model ./checkpoints/mine --device cuda --dtype bfloat16\n\n"
    "  coda-model serve --port 0 --json --exit-with-parent   (how an editor's server starts it)"
)
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8731,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is reachable from this machine only.")
    ] = ("127.0.0.1"),
    model: ModelOption = "bundled",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "auto",
    as_json: JsonOption = False,
    exit_with_parent: Annotated[bool, typer.Option(help="Stop when standard input closes.")] = False,
) -> None:
    """Serve a model over HTTP; CODA_MODEL_TOKEN sets the token that requests must carry."""
    from coda_model.serve.server import run_server

    with one_sentence_errors():
        raise typer.Exit(
            run_server(
                model=model,
                host=host,
                port=port,
                device=device,
                dtype=dtype,
                json_lines=as_json,
                exit_with_parent=exit_with_parent,
            )
        )


@app.command(epilog="Examples:\n\n  coda-model info\n\n  coda-model info --model ./checkpoints/mine --json")
def info(
    model: ModelOption = "bundled",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Load a checkpoint and say what it is."""
    with one_sentence_errors():
        facts = load(model, device, dtype).info()
        if as_json:
            typer.echo(json.dumps(facts))
            return
        table = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            table.add_row(f"[bold]{name}[/bold]", escape(f"{value:,}" if isinstance(value, int) else str(value)))
        stdout.print(table)


@app.command(
    epilog="Examples:\n\n"
    "  coda-model quantize ./checkpoints/mine ./checkpoints/mine-int8\n\n"
    "  sha256sum --check SHA256SUMS   (in the new folder: what loading does too)"
)
def quantize(
    source: Annotated[str, typer.Argument(help="bundled, a checkpoint folder, or a Hugging Face Hub id.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not hold files yet.")],
) -> None:
    """Write a checkpoint with int8 weights: a quarter of fp32's size, for every number format to load."""
    with one_sentence_errors():
        from coda_model.checkpoint import quantize_checkpoint

        quantize_checkpoint(source, out)
        stderr.print(f"Wrote {escape(str(out))}.", highlight=False)


@app.command(
    epilog="Examples:\n\n"
    "  coda-model bench\n\n"
    "  coda-model bench src/*.py --holes 40 --json > bench.json\n\n"
    "  coda-model bench src/*.py --kind line --length auto --holes 200   (as in an editor, with quality)\n\n"
    "  coda-model bench --random-1.7b --device cuda --dtype bfloat16 --context-tokens 1024"
)
def bench(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Source files to cut holes from; modules of Python itself by default.")
    ] = None,
    model: ModelOption = "bundled",
    random: Annotated[
        bool, typer.Option("--random-1.7b", help="Random weights of CoDA-1.7B's size in place of a model.")
    ] = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "auto",
    holes: Annotated[int, typer.Option(min=1, help="Holes to fill in each way.")] = 10,
    kind: Annotated[str, typer.Option(help="span: tokens cut anywhere; line: the rest of a line of code.")] = "span",
    length: Annotated[
        str, typer.Option(help="oracle: the true number of tokens; auto: to be found, as in an editor; or a number.")
    ] = "oracle",
    tokens: Annotated[int, typer.Option(min=1, max=256, help="Tokens of a span.")] = 32,
    context_tokens: Annotated[int, typer.Option(min=80, help="Tokens around it, as far as the model has room.")] = 512,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads of a forward; by default as many as are fastest, of random weights PyTorch's choice."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fill the same holes as released checkpoints are sampled, exactly, as served, and with an autoregressive peer."""
    with one_sentence_errors():
        from coda_model.bench import Settings, run_bench, show_report

        if length not in ("oracle", "auto") and not (length.isdecimal() and 1 <= int(length) <= MAX_HOLE_TOKENS):
            raise InputError(f"--length must be oracle, auto, or 1 to {MAX_HOLE_TOKENS} tokens, not {length!r}.")
        wanted: Any = length if length in ("oracle", "auto") else int(length)
        settings = Settings(holes, cast(Any, kind), wanted, tokens, context_tokens)
        measuring = run_bench(files, None if random else model, device, dtype, settings, threads)
        with stderr.status("Loading") if stderr.is_terminal else _silence() as status:
            for item in measuring:
                if isinstance(item, str):
                    if status is not None:
                        status.update(f"Measuring: {item}")
                elif as_json:
                    typer.echo(json.dumps(asdict(item)))
                else:
                    stdout.print(show_report(item))


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Print a CodaError as one sentence on standard error and exit with status 1."""
    try:
        yield
    except CodaError as error:
        stderr.print(f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None


def load(model: str, device: str, dtype: str) -> "Infiller":
    with stderr.status(f"Loading {escape(model)}") if stderr.is_terminal else _silence():
        from coda_model.infill import Infiller

        return Infiller.from_pretrained(model, device, dtype, fastest_threads=True)


def fill_with_progress(infiller: "Infiller", segments: list[Segment], options: InfillOptions) -> InfillResult:
    """Run a request to its end with a progress bar on standard error."""
    bar = ProgressBar(console=stderr, transient=True, disable=not stderr.is_terminal)
    with _interrupts_between_steps() as interrupted, bar:
        task = bar.add_task("Denoising", total=None)
        for item in infiller.run(segments, options):
            if isinstance(item, InfillResult):
                return item
            if interrupted.is_set():
                raise KeyboardInterrupt
            bar.update(task, completed=item.step, total=item.steps)
    raise CodaError("The model gave no result.")


@contextmanager
def _interrupts_between_steps() -> Iterator[threading.Event]:
    """Ctrl-C is noted, to be acted on after the step under way; a second one ends at once.

    An exception raised just anywhere can hit the progress bar while it holds its lock, and then nothing ends.
    """
    interrupted = threading.Event()

    def note(_signal: int, _frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _silence() -> Iterator[None]:
    yield


def main() -> None:
    # By default the threads of a matrix product spin while they wait for each other. Where another program holds one of
    # the cores that made a step ten times slower; sleeping costs microseconds. Read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app(prog_name="coda-model")
