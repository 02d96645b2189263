"""The command starts itself anew once, as the same process, with what it was given."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from coda_train.huge_pages import use_huge_pages
print(os.getpid(), sys.argv[1:], os.environ.get("GLIBC_TUNABLES", ""), flush=True)
use_huge_pages()
print("went on")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's setting")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.arena_max=2", "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", None),
    ],
)
def test_the_setting_is_added_by_starting_anew_once(before: str, after: str | None) -> None:
    environment = os.environ | {"GLIBC_TUNABLES": before}
    command = [sys.executable, "-c", PROGRAM, "--word", "two words"]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    process = lines[0].split()[0]
    starts = [f"{process} ['--word', 'two words'] {setting}" for setting in (before, after) if setting is not None]
    assert lines == [*starts, "went on"]
