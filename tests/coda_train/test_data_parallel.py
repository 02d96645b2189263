"""The parallel map: order, errors, and no process that outlives its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coda_train.data.parallel import parallel_map

PROGRAM = """
import multiprocessing, os, time
from coda_train.data.parallel import parallel_map

def wait(number):
    time.sleep(600)

def main():
    print(os.getpid(), flush=True)
    results = parallel_map(wait, range(8), workers=2, chunk=1, setup=say)
    next(results)

def say():
    print(os.getpid(), flush=True)

if __name__ == "__main__":
    main()
"""


def half(number: int) -> float:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number / 2


@pytest.mark.parametrize(("count", "workers", "chunk"), [(0, 1, 4), (1, 2, 4), (50, 2, 3), (17, 2, 1)])
def test_results_come_in_order(count: int, workers: int, chunk: int) -> None:
    assert list(parallel_map(half, range(count), workers, chunk)) == [number / 2 for number in range(count)]


def test_errors_reach_the_caller() -> None:
    results = parallel_map(half, [2, 4, -1, 6], workers=1, chunk=2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="-1 is negative"):
        next(results)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        pids = [int(process.stdout.readline()) for _ in range(3)]
        assert pids[0] == process.pid and len(set(pids)) == 3
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)  # ends when the last process that held the pipe is gone
        assert rest == ""
