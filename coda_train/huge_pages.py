"""Huge pages for what glibc allocates: on a CPU a quarter of a train step went into page faults (docs/log.md)."""

import os
import sys

_TUNABLE = "glibc.malloc.hugetlb"


def use_huge_pages() -> None:
    """Start this command anew, as the same process, with malloc asking the kernel for huge pages.

    glibc (from 2.35 on) reads the setting only while a process starts. XLA takes a step's memory, about a gigabyte,
    from malloc and gives it back after each step. Elsewhere than on Linux, or where GLIBC_TUNABLES says something of it
    already, nothing happens.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or _TUNABLE in tunables:
        return
    os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, (tunables, f"{_TUNABLE}=1")))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
