"""How the editor's bytes come in and ours go out: standard input and output, or TCP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from pygls.io_ import run_async

from coda_lsp.greeting import Greeting
from coda_lsp.handlers import create_server
from coda_lsp.server import CodaServer

if TYPE_CHECKING:
    from pygls.io_ import AsyncReader, Writer

logger = logging.getLogger(__name__)

# Only header lines are limited by it; bodies are read by their announced length.
_LONGEST_LINE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16


def run_stdio(greeting: Greeting) -> int:
    """Serve the editor at standard input and output until it ends the session; returns the exit status.

    `greeting` is what was read from it, and answered, already.
    """
    # Anything else that prints, a library in C too, must not end up between the messages.
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return _run(_serve_stdio(sys.stdin.fileno(), output, greeting))


def run_tcp(host: str, port: int, announce: Callable[[str, int], None]) -> int:
    """Serve editors at a TCP port, each connection a session of its own, until a signal; returns the exit status.

    `announce(host, port)` is called once the port is bound. Raises OSError where it can't be.
    """
    return _run(_serve_tcp(host, port, announce))


def _run(serve: Coroutine[Any, Any, int]) -> int:
    """Run until it ends or a signal comes: 130 after Ctrl-C, 0 after SIGTERM."""

    async def guarded() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(serve)
        caught: list[int] = []

        def end(number: int) -> None:
            caught.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows, where Ctrl-C raises KeyboardInterrupt
                loop.add_signal_handler(number, end, number)
        try:
            return await task
        except asyncio.CancelledError:
            return 130 if signal.SIGINT in caught else 0

    try:
        return asyncio.run(guarded())
    except KeyboardInterrupt:
        return 130


async def _serve_stdio(source: int, output: int, greeting: Greeting) -> int:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
    reader.feed_data(greeting.read)
    loop = asyncio.get_running_loop()

    def feed() -> None:
        # A thread of our own, since one of an executor would keep the process from ending while it waits for input;
        # os.read, since a daemon thread inside sys.stdin holds a lock that the interpreter needs on its way out.
        with contextlib.suppress(RuntimeError):  # the loop is closed: the session is over
            try:
                while chunk := os.read(source, _CHUNK_BYTES):
                    loop.call_soon_threadsafe(reader.feed_data, chunk)
            except OSError as error:
                logger.warning("Standard input can't be read: %s.", error.strerror)
            loop.call_soon_threadsafe(reader.feed_eof)

    threading.Thread(target=feed, name="coda-stdin", daemon=True).start()
    server = create_server(may_choose_python=True)
    server.protocol.greeted = greeting.answered
    return await _serve(server, reader, _FileWriter(output))


async def _serve_tcp(host: str, port: int, announce: Callable[[str, int], None]) -> int:
    sessions: set[asyncio.Task[Any]] = set()

    async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        sessions.add(task)
        try:
            # Any program of this machine can connect, other users' too.
            await _serve(create_server(may_choose_python=False), _LspOnlyReader(reader), writer)
        finally:
            sessions.discard(task)
            writer.close()

    server = await asyncio.start_server(serve_connection, host, port, limit=_LONGEST_LINE_BYTES)
    announce(*server.sockets[0].getsockname()[:2])
    try:
        async with server:
            await server.serve_forever()
    finally:
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
    return 0


async def _serve(server: CodaServer, reader: AsyncReader, writer: Writer) -> int:
    """One session; returns 0 where the editor said `shutdown` before it left, 1 where it just left."""
    protocol = server.protocol
    protocol.set_writer(writer)
    try:
        await run_async(protocol.ended, reader, protocol, error_handler=server.report_server_error)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
        logger.warning("The connection ended within a message: %s", error)
    finally:
        await server.close()
    return 0 if protocol.shutdown_requested else 1


class _FileWriter:
    """Writes whole messages to a file descriptor; what is written after the reader has gone is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._open = True

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and self._open:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._open = False
            logger.warning("Standard output can't be written: %s.", error.strerror)

    def close(self) -> None:
        self._open = False


class _LspOnlyReader:
    """Ends a connection that does not speak LSP: a web page can send HTTP to a loopback port."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.readexactly = reader.readexactly

    async def readline(self) -> bytes:
        line = await self._reader.readline()
        if line.strip() and not line.startswith(b"Content-"):
            raise ConnectionError("a client that does not speak LSP was refused")
        return line
