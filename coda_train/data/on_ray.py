"""An ordered map on a Ray cluster: Ray Data streams the items through a pool of actors."""

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from coda_train.errors import ConfigError


@contextmanager
def ray_cluster(address: str) -> Iterator[None]:
    """Join the cluster at `address` ("auto": the one this machine is part of; "local": start one here) and leave it.

    Raises: ConfigError without Ray, or when no cluster answers.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError('Ray is not installed: pip install "coda-lsp[ray]"') from None
    if address not in ("auto", "local"):
        _knock(address)
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    dashboard = False if address == "local" else None
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise ConfigError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from None
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Find out within seconds that nobody answers: Ray itself tries for minutes and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"a Ray address is auto, local, HOST:PORT or ray://HOST:PORT, not {address}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"no Ray cluster at {address}: {error}") from None


def ray_map(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int | None = None,
    chunk: int = 16,
    setup: Callable[..., None] | None = None,
    setup_arguments: tuple[Any, ...] = (),
) -> Iterator[Any]:
    """`map(function, items)` in Ray actors, results in order; call it inside `ray_cluster`.

    Args:
        function: runs on every node, so the package must be installed there and files be reachable under one path.
        items: passed on in blocks of `chunk`.
        workers: actors, None for one a core of the cluster.
        chunk: items a call.
        setup: runs once in each actor, with `setup_arguments`.

    Raises: whatever `function` raises.
    """
    import numpy as np
    import ray.data

    listed = list(items)
    if not listed:
        return
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    class Worker:
        def __init__(self) -> None:
            if setup:
                setup(*setup_arguments)

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            results = np.empty(len(batch["item"]), object)
            for index, item in enumerate(batch["item"]):
                try:
                    results[index] = _Box(function(item.value))
                except Exception as error:  # carried to the caller, who raises it as it is
                    results[index] = _Box(error, raised=True)
            return {"result": results}

    rows = ray.data.from_items([{"item": _Box(item)} for item in listed], override_num_blocks=-(-len(listed) // chunk))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=count)
    for row in rows.map_batches(Worker, batch_size=None, compute=pool).iter_rows():
        result: _Box = row["result"]
        if result.raised:
            raise result.value
        yield result.value


@dataclass(frozen=True)
class _Box:
    """Keeps Ray Data from taking lists and arrays apart into columns."""

    value: Any
    raised: bool = False
