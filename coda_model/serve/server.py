"""The engine's process from start to end: port, token, model load, signals, exit status."""

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn

from coda_model.engine import Engine, SteppingModel
from coda_model.errors import CodaError
from coda_model.serve.announce import Announcer
from coda_model.serve.app import create_app, names_loopback

TOKEN_VARIABLE = "CODA_MODEL_TOKEN"
# An editor is silent for minutes between two keystrokes; its connection should still be warm then.
KEEP_ALIVE_S = 600
SHUTDOWN_S = 5
# Documents whose context is not computed again after a keystroke: those an editor shows side by side.
KEPT_DOCUMENTS = 4


def run_server(
    model: str, host: str, port: int, device: str, dtype: str, json_lines: bool, exit_with_parent: bool
) -> int:
    """Serve `model` on `host`:`port` (0 is any free port) until a signal, the parent's end, or a failed load.

    Returns the exit status: 0 after SIGTERM or the parent's end, 130 after Ctrl-C, 1 where the port can't be bound or
    the model can't be loaded.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    announcer = Announcer(json_lines)
    try:
        token = _read_token()
        listener = _bind(host, port)
    except CodaError as error:
        announcer.error(str(error))
        return 1

    def load() -> SteppingModel:
        from coda_model.infill import Infiller  # torch, imported in the worker while the port already answers

        return Infiller.from_pretrained(model, device, dtype, KEPT_DOCUMENTS, fastest_threads=True)

    bound_host, bound_port = listener.getsockname()[:2]
    local_only = names_loopback(bound_host)
    engine = Engine(load)
    config = uvicorn.Config(
        create_app(engine, token, local_only),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    server = _Server(config, engine)
    signals = _note_signals(server)
    announcer.listening(_url(bound_host, bound_port), token, os.getpid())
    if not local_only:
        announcer.warning(
            f"Requests to {bound_host} travel unencrypted, the token too: use a network you trust or TLS."
        )
    with listener:
        status = asyncio.run(_serve(server, engine, listener, announcer, exit_with_parent))
    if signal.SIGINT in signals:
        status = 130
    if not engine.join(SHUTDOWN_S if engine.loaded.done() else 0):
        # A load can't be interrupted, and a thread inside torch aborts the interpreter's own way out.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


class _Server(uvicorn.Server):
    """Ends the engine's requests before it waits for their connections to close."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._engine.stop()
        await super().shutdown(sockets)


async def _serve(
    server: uvicorn.Server, engine: Engine, listener: socket.socket, announcer: Announcer, exit_with_parent: bool
) -> int:
    """Answer requests until the server is told to exit; return 1 where the model could not be loaded, else 0."""
    loop = asyncio.get_running_loop()
    if exit_with_parent:
        _call_at_end_of_input(lambda: loop.call_soon_threadsafe(setattr, server, "should_exit", True))
    engine.start()
    loading = asyncio.wrap_future(engine.loaded)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait({loading, serving}, return_when=asyncio.FIRST_COMPLETED)
    status = 0
    if loading.done():
        error = loading.exception()
        if error is None:
            info = engine.info()
            announcer.ready(info["model"], info["device"], loading.result())
        else:
            announcer.error(str(error))
            server.should_exit = True
            status = 1
    await serving
    return status


def _read_token() -> str:
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(32)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise CodaError(f"{TOKEN_VARIABLE} must be printable ASCII without spaces: it travels in an HTTP header.")
    return token


def _bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises CodaError with what to do where the address can't be had."""
    if not 0 <= port <= 65535:
        raise CodaError(f"The port must be from 0 to 65535, not {port}.")
    where = f"port {port} on {host}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except (socket.gaierror, UnicodeError):
        raise CodaError(f"The host {host!r} is not known; use 127.0.0.1 or an address of this machine.") from None
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                reason = f"Can't listen on {where}: it is in use; choose another with --port, or 0 for any free one."
            case errno.EACCES:
                reason = f"Can't listen on {where}: not permitted; choose a port from 1024 up."
            case errno.EADDRNOTAVAIL:
                reason = f"Can't listen on {where}: this machine does not have that address."
            case _:
                reason = f"Can't listen on {where}: {error.strerror}."
        raise CodaError(reason) from None
    # Accepted connections inherit it. asyncio sets it only on sockets made with an explicit protocol number; without
    # it every answer of two packets waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _note_signals(server: uvicorn.Server) -> list[int]:
    """Let SIGINT and SIGTERM end the server, and return the list in which those that came are noted.

    uvicorn puts its own handlers in front of these while it runs, and passes on what it caught when it is done.
    """
    noted: list[int] = []

    def note(number: int, _frame: object) -> None:
        noted.append(number)
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return noted


def _call_at_end_of_input(end: Callable[[], object]) -> None:
    """Call `end`, from another thread, when standard input closes: the parent has ended or wants the process to."""

    def watch() -> None:
        # os.read, since a thread that waits in sys.stdin.read holds a lock the interpreter needs on its way out.
        with contextlib.suppress(OSError):
            while os.read(0, 65536):
                pass
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending already
            end()

    threading.Thread(target=watch, name="coda-parent-watch", daemon=True).start()
