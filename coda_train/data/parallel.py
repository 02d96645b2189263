"""An ordered map over worker processes that keeps few items in flight and ends at once on Ctrl-C."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    chunk: int = 16,
    setup: Callable[..., None] | None = None,
    setup_arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """`map(function, items)` in `workers` processes (default: one a core), results in order.

    Processes are spawned, not forked: a fork of a process with JAX's threads can hang. `setup` runs once in each.

    Raises: whatever `function` raises; concurrent.futures.process.BrokenProcessPool when a worker is killed.
    """
    count = workers or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, initializer=_start, initargs=(setup, setup_arguments))
    pending: deque[Future[list[Result]]] = deque()
    try:
        for part in _batched(items, chunk):
            pending.append(pool.submit(_run, function, part))
            if len(pending) >= 4 * count:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start(setup: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if setup:
        setup(*arguments)


def _end_with_parent() -> None:
    """End this worker when its parent is killed: it holds both ends of its queue, so it would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _run(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while part := list(itertools.islice(iterator, size)):
        yield part
