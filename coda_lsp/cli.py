"""The `coda-lsp` command: the server that editors start, and `doctor` for people."""

import gc
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

    import typer

LOOPBACK = "127.0.0.1"


def main() -> NoReturn:
    """Run the command line; the way that editors start it skips the command line library, which costs time."""
    arguments = sys.argv[1:]
    if arguments == ["--stdio"] or (not arguments and not (sys.stdin is not None and sys.stdin.isatty())):
        sys.exit(_serve_stdio(None))
    build_app()()
    sys.exit(0)


def build_app() -> "typer.Typer":
    """The command line as a typer application."""
    from pathlib import Path

    import typer

    app = typer.Typer(name="coda-lsp", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

    @app.callback(
        invoke_without_command=True,
        epilog="Examples:\n\n"
        "  coda-lsp --stdio                          what an editor starts\n\n"
        "  coda-lsp --stdio --log-file /tmp/coda.log  the same, with a log to read\n\n"
        "  coda-lsp --tcp --port 2087                 editors connect to 127.0.0.1:2087\n\n"
        "  coda-lsp doctor                            is everything there for suggestions?",
    )
    def serve(
        context: typer.Context,
        stdio: Annotated[bool, typer.Option("--stdio", help="Talk over standard input and output (default).")] = False,
        tcp: Annotated[bool, typer.Option("--tcp", help="Listen on a TCP port; each connection is a session.")] = False,
        host: Annotated[str, typer.Option(help="Address to listen on with --tcp.")] = LOOPBACK,
        port: Annotated[int, typer.Option(help="Port to listen on with --tcp; 0 takes any.", min=0, max=65535)] = 0,
        log_file: Annotated[Path | None, typer.Option(help="Write the log to this file.", dir_okay=False)] = None,
        version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    ) -> None:
        """Language server that fills the hole under the cursor from both sides."""
        from coda_lsp import __version__

        if context.invoked_subcommand is not None:
            return
        if version:
            typer.echo(f"coda-lsp {__version__}")
            return
        if stdio and tcp:
            raise typer.BadParameter("--stdio and --tcp exclude each other.")
        if not stdio and not tcp and sys.stdin.isatty():
            typer.echo(context.get_help())
            return
        try:
            status = _serve_tcp(host, port, log_file) if tcp else _serve_stdio(log_file)
        except OSError as error:
            what = f"write the log {error.filename}" if error.filename else f"listen on {host}:{port}"
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            typer.echo(f"Can't {what}: {reason}.", err=True)
            status = 1
        raise typer.Exit(status)

    @app.command(
        epilog="Examples:\n\n"
        "  coda-lsp doctor\n\n"
        "  coda-lsp doctor --model ./my-checkpoint --device cuda\n\n"
        "  coda-lsp doctor app.py --line 12 --column 8    why does nothing show there?\n\n"
        "  coda-lsp doctor --json | jq .problems"
    )
    def doctor(
        file: Annotated[Path | None, typer.Argument(help="A file in which something should show.")] = None,
        line: Annotated[int, typer.Option(help="Line in the file, from 1.", min=1)] = 1,
        column: Annotated[int, typer.Option(help="Column in the line, from 0, in UTF-16 units.", min=0)] = 0,
        minimum_confidence: Annotated[
            float | None, typer.Option(help="Below it nothing shows; by default as in an editor.", min=0, max=1)
        ] = None,
        model: Annotated[
            str, typer.Option("--model", "-m", help="bundled, a checkpoint folder, or a Hugging Face Hub id.")
        ] = "bundled",
        device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
        dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
        server_url: Annotated[str | None, typer.Option(help="Examine this team server instead.")] = None,
        server_token: Annotated[str | None, typer.Option(envvar="CODA_SERVER_TOKEN", help="Its token.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    ) -> None:
        """Say what is installed, which model runs where, how long a suggestion takes, and what is wrong.

        Exits with status 1 when suggestions can't work.
        """
        from coda_lsp.doctor import Place, run_doctor

        raw = {
            "model": model, "device": device, "dtype": dtype, "serverUrl": server_url, "serverToken": server_token,
            "minimumConfidence": minimum_confidence,
        }  # fmt: skip
        settings = {key: value for key, value in raw.items() if value is not None}
        place = Place(file, line, column) if file is not None else None
        raise typer.Exit(run_doctor(settings, as_json, place))

    return app


def _serve_stdio(log_file: "Path | None") -> int:
    import signal

    from coda_lsp.greeting import greet

    if sys.stdin is None or sys.stdout is None:
        os.write(2, b"Standard input and output must be open: the editor talks over them.\n")
        return 1
    # Until the event loop runs, which has handlers of its own.
    signal.signal(signal.SIGTERM, _exit_quietly)
    signal.signal(signal.SIGINT, _exit_quietly)
    greeting = greet(sys.stdin.fileno(), sys.stdout.fileno())
    gc.disable()  # the imports make many objects and no garbage
    from coda_lsp.logs import set_up_logging
    from coda_lsp.transport import run_stdio

    gc.freeze()
    gc.enable()
    set_up_logging(log_file)
    return run_stdio(greeting)


def _exit_quietly(number: int, _: Any) -> NoReturn:
    import signal

    sys.exit(130 if number == signal.SIGINT else 0)


def _serve_tcp(host: str, port: int, log_file: "Path | None") -> int:
    import typer

    from coda_lsp.logs import set_up_logging
    from coda_lsp.transport import run_tcp

    def announce(bound_host: str, bound_port: int) -> None:
        typer.echo(f"Listening on {bound_host}:{bound_port}", err=True)
        if host != LOOPBACK:
            typer.echo("Whoever can reach this port can use the server, and the traffic is not encrypted.", err=True)

    set_up_logging(log_file)
    return run_tcp(host, port, announce)
