"""Parts that are computed by the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn.distributed._parts import Part
from skcnn.distributed._worker import Job, rows_of, write_part
from skcnn.images import BadRow, ImageSource

if TYPE_CHECKING:
    from distributed import Client, Future

#: Parts that are given to a cluster at once, per worker: their rows of X are in the driver's memory.
_AHEAD = 3


def start_cluster(stack: ExitStack, address: str | None, n_workers: int | None) -> Client:
    """Return a client of a cluster; workers that are started on this machine end with the stack."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ImportError("engine='dask' needs Dask: `pip install 'skcnn[dask]'`.") from None
    if address is not None:
        return stack.enter_context(Client(address))
    # One part at a time per process: each has a network of its own, which uses several cores.
    n_workers = n_workers or max(1, (os.cpu_count() or 1) // 2)
    cluster = LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)
    return stack.enter_context(Client(stack.enter_context(cluster)))


def write_on_workers(
    client: Client, job: Job, X: Any, labels: np.ndarray | None, parts: Sequence[Part]
) -> Iterator[tuple[Part, list[BadRow]]]:
    """Yield what :func:`write_part` returns for each part, in the order in which they end."""
    from distributed import as_completed

    rest = iter(parts)
    # By a task each, which another worker does again where the one that has it ends; scattered data would be lost. What
    # finds the rows of a source goes to a worker once; other rows go with their part.
    shared = client.submit(_itself, job, pure=False)
    source = client.submit(_itself, X, pure=False) if isinstance(X, ImageSource) else None

    def submit(part: Part) -> Future:
        rows = rows_of(X, part) if source is None else source
        return client.submit(_write, shared, part, rows, rows_of(labels, part), pure=False)

    begun = as_completed()
    for part in rest:
        begun.add(submit(part))
        if begun.count() >= _AHEAD * max(1, len(client.scheduler_info(n_workers=-1)["workers"])):
            break
    for done in begun:
        yield done.result()
        done.release()
        for part in islice(rest, 1):
            begun.add(submit(part))


def _itself(value: Any) -> Any:
    return value


def _write(job: Job, part: Part, X: Any, labels: np.ndarray | None) -> tuple[Part, list[BadRow]]:
    return write_part(job, part, rows_of(X, part) if isinstance(X, ImageSource) else X, labels)
