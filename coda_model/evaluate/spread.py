"""Where jobs are filled: in this process, or by several workers on one machine or many, through Ray."""

import logging
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from coda_model.errors import CodaError
from coda_model.evaluate.filling import Filler, Job
from coda_model.evaluate.settings import Settings
from coda_model.infill import Infiller

Filled = tuple[Sequence[Job], list[dict[str, Any]]]


def fill_here(settings: Settings, infiller: Infiller, batches: Iterable[Sequence[Job]]) -> Iterator[Filled]:
    """One batch after another in this process."""
    filler = Filler(settings, infiller)
    for jobs in batches:
        yield jobs, filler(jobs)


class _Worker:
    """A process of Ray with a model of its own."""

    def __init__(self, settings: Settings, threads: int) -> None:
        torch.set_num_threads(threads)
        self._filler = Filler(settings)

    def fill(self, jobs: Sequence[Job]) -> Filled:
        return jobs, self._filler(jobs)


def fill_with_ray(settings: Settings, batches: Iterable[Sequence[Job]], address: str, workers: int) -> Iterator[Filled]:
    """Batches as they are done, by `workers` processes, each with a core, and with a GPU where the device is CUDA.

    `address` is that of a cluster, `auto` for the one around, or `local` to start one here. Raises CodaError where
    there is none, or Ray is not installed.
    """
    try:
        import ray
        from ray.util import ActorPool
    except ImportError:
        raise CodaError("Several workers need Ray: pip install 'coda-lsp[serve]'.") from None
    with _cluster(address, workers):
        gpus = 1 if settings.device.startswith("cuda") else 0
        start = ray.remote(_Worker).options(num_cpus=1, num_gpus=gpus)
        pool = ActorPool([start.remote(settings, threads=1) for _ in range(workers)])
        yield from pool.map_unordered(lambda worker, jobs: worker.fill.remote(jobs), list(batches))


@contextmanager
def _cluster(address: str, workers: int) -> Iterator[None]:
    import ray

    if address not in ("auto", "local"):
        _knock(address)
    local = address == "local"
    try:
        ray.init(
            address,
            num_cpus=workers if local else None,
            include_dashboard=False if local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise CodaError(f"There is no Ray cluster at {address} ({str(error).splitlines()[0]}).") from None
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Find out at once that nobody answers; Ray itself would try for minutes and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise CodaError(f"A Ray address is auto, local, HOST:PORT or ray://HOST:PORT, not {address}.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise CodaError(f"There is no Ray cluster at {address} ({error}).") from None
