"""Programs in the sandbox: each with limits on time, memory, processes, files and output, judged from outside."""

import json
import math
import os
import secrets
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import IO, Any

from coda_model.errors import CodaError
from coda_model.evaluate.sandbox import isolation

_UNSAFE = "--unsafe-no-sandbox runs it unprotected all the same."
_uids = count()
# How bubblewrap, or Python, reports a process that the kernel killed at its limit of processor time.
_OUT_OF_TIME = (128 + signal.SIGKILL, 128 + signal.SIGXCPU, -signal.SIGKILL, -signal.SIGXCPU)


@dataclass(frozen=True)
class Limits:
    """What one program may use. `memory_bytes` and `time_s`, which is of the processor, hold for each of its processes.

    By the clock it may take `patience` times as long: on a busy machine that is no fault of the program's.
    """

    time_s: float = 15.0
    patience: float = 4.0
    memory_bytes: int = 1 << 30
    processes: int = 8
    file_bytes: int = 16 << 20
    output_bytes: int = 1 << 20


@dataclass(frozen=True)
class Output:
    """What a program printed (cut at the limit), and why it was ended: "" where it ended by itself."""

    text: str
    fault: str


class Sandbox:
    """Runs code that nobody has read. Safe to use from several threads.

    Raises CodaError where the machine lacks what the walls are made of, unless `unsafe` says to do without them.
    """

    def __init__(self, limits: Limits | None = None, unsafe: bool = False) -> None:
        self.limits = limits or Limits()
        self.isolated = not unsafe
        if unsafe:
            return
        lacking = isolation.missing()
        if lacking:
            raise CodaError(f"{lacking} {_UNSAFE}")
        works = self.run_script("print(6 * 7)", "", Limits(time_s=60))
        if works.text != "42\n":
            reason = f" ({works.fault})" if works.fault else ""
            raise CodaError(f"bubblewrap can't make a sandbox on this machine{reason}. {_UNSAFE}")

    def run_script(self, code: str, text: str, limits: Limits | None = None) -> Output:
        """Run a program on a text as standard input."""
        limits = limits or self.limits
        with ExitStack() as stack:
            feed = stack.enter_context(tempfile.TemporaryFile())
            feed.write(text.encode())
            feed.seek(0)
            process = self._start(stack, "script", {"code": code}, limits, stdin=feed, stdout=subprocess.PIPE)
            return _read(process, limits)

    def run_tests(
        self,
        code: str,
        names: Sequence[str],
        setup: str,
        groups: Mapping[str, Mapping[str, Any]],
        entry_point: str = "",
        limits: Limits | None = None,
    ) -> dict[str, str]:
        """Run tests against code, each in a process of its own; "pass" or a reason for every group of tests.

        Args:
            code: the code under test.
            names: the names that the tests call of it.
            setup: trusted code for the tests, run before; its own `entry_point` is the reference for inputs.
            groups: tests by name: `code` to execute, or `inputs` with `tolerance` and `rule` (see `guest.oracle`).
            entry_point: the function that the inputs are for.
            limits: other ones than the sandbox's.
        """
        limits = limits or self.limits
        secret = secrets.token_hex(16)
        job = {"setup": setup, "names": list(names), "groups": groups, "entry_point": entry_point, "secret": secret}
        with ExitStack() as stack:
            calls, answers = _pipe(stack), _pipe(stack)
            self._start(stack, "candidate", {"code": code, "names": list(names)}, limits, calls[0], answers[1])
            tester = self._start(stack, "tester", job, limits, answers[0], calls[1], stderr=subprocess.PIPE)
            for file in (*calls, *answers):
                file.close()  # so that each side sees the other's end
            output = _read(tester, limits)
        verdicts = {}
        for line in output.text.splitlines():
            key, _, rest = line.partition(" ")
            name, _, reason = rest.partition(" ")
            if key == secret and name in groups:
                verdicts[name] = reason
        return {name: verdicts.get(name, output.fault or "no verdict") for name in groups}

    def _start(
        self,
        stack: ExitStack,
        main: str,
        job: dict[str, Any],
        limits: Limits,
        stdin: IO[bytes],
        stdout: IO[bytes] | int,
        stderr: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a process that is killed, with all it started, when the stack is left."""
        bounds = {
            # A user of its own, whose processes are counted alone.
            "uid": 200_000 + next(_uids) % 1_000_000 if self.isolated and os.getuid() == 0 else -1,
            "cpu_s": max(1, math.ceil(limits.time_s)),
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
            "processes": limits.processes,
        }
        with tempfile.TemporaryFile() as job_file, isolation.filter_file(self.isolated) as filter_file:
            job_file.write(json.dumps(job | {"limits": bounds}).encode())
            job_file.seek(0)
            filter_fd = None if filter_file is None else filter_file.fileno()
            descriptors = [job_file.fileno(), *([] if filter_fd is None else [filter_fd])]
            process = subprocess.Popen(
                isolation.command(self.isolated, main, job_file.fileno(), filter_fd),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=descriptors,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            )
        stack.enter_context(_killed(process))
        return process


@contextmanager
def _killed(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        # The first process of the sandbox dies with bubblewrap, and the kernel ends a PID namespace with its first.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait()


def _pipe(stack: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    reading, writing = os.pipe()
    return stack.enter_context(os.fdopen(reading, "rb")), stack.enter_context(os.fdopen(writing, "wb"))


def _end(process: subprocess.Popen[bytes], limits: Limits, left_s: float) -> str:
    """Why a process ended that has closed its output, or that it did not; a status is a reason, never a verdict."""
    try:
        status = process.wait(left_s)
    except subprocess.TimeoutExpired:
        return f"ended after {limits.time_s * limits.patience:g} s"
    return f"ended after {limits.time_s:g} s of computing" if status in _OUT_OF_TIME else ""


def _read(process: subprocess.Popen[bytes], limits: Limits) -> Output:
    """What comes out of a process until it ends, prints too much, or its time is over."""
    stream = process.stdout or process.stderr
    assert stream is not None, "a process is started with one stream to read"
    deadline = time.monotonic() + limits.time_s * limits.patience
    parts, size, fault = [], 0, ""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                fault = f"ended after {limits.time_s * limits.patience:g} s"
                break
            part = os.read(stream.fileno(), 1 << 16)
            if not part:
                fault = _end(process, limits, left)
                break
            parts.append(part)
            size += len(part)
            if size > limits.output_bytes:
                fault = f"printed more than {limits.output_bytes} bytes"
                break
    return Output(b"".join(parts)[: limits.output_bytes].decode("utf-8", "replace"), fault)
