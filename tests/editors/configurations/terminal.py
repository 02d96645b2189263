"""A program in a terminal of its own: keys go in, and what it drew can be searched."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 120.0  # only a test that fails waits so long
_ROWS, _COLUMNS = 24, 100


class Terminal:
    """Runs the command until `close`."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        variables = {**os.environ, "TERM": "xterm-256color", **environment}
        self._process = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.drawn = ""

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, fits: Callable[[], bool], *, keys: str = "", every_s: float = 1.0) -> None:
        """Read what is drawn until it fits; `keys` are pressed again and again, for programs that are not ready yet."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not fits():
            assert time.monotonic() < deadline_s, f"never; the end of what was drawn: {self.drawn[-2000:]!r}"
            self.type(keys)
            again_s = time.monotonic() + every_s
            while not fits() and (left_s := again_s - time.monotonic()) > 0:
                if select.select([self._master], [], [], min(left_s, 0.1))[0]:
                    self.drawn += os.read(self._master, 65536).decode(errors="replace")

    def forget(self) -> None:
        """Search only what is drawn from now on."""
        self.drawn = ""

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
