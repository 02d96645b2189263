"""The first thing a sandboxed process does: give up root, and take limits that it can't raise again."""

import json
import os
import resource
import sys
from typing import Any


def read_job() -> dict[str, Any]:
    """The job, from the file descriptor named as the first argument; limits are in force when this returns."""
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        job = json.load(file)
    _lock_down(job["limits"])
    return job


def _lock_down(limits: dict[str, int]) -> None:
    uid = limits["uid"]
    if uid >= 0:
        # Without a user namespace, since a process limit does not hold for root, whatever name it has in a namespace.
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    for name, value in (
        ("RLIMIT_CPU", limits["cpu_s"]),
        ("RLIMIT_AS", limits["memory_bytes"]),
        ("RLIMIT_FSIZE", limits["file_bytes"]),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_NPROC", limits["processes"]),
        ("RLIMIT_CORE", 0),
    ):
        resource.setrlimit(getattr(resource, name), (value, value))


def quiet_streams() -> tuple[Any, Any]:
    """Take standard input and output as binary streams for messages; the code then reads and prints nothing."""
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return reader, writer
