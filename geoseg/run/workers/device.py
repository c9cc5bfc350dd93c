"""Choice of the CUDA device of a cluster worker, among those visible to it."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geoseg.run.workers.use import natural_order

if TYPE_CHECKING:
    from distributed import Worker

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A worker of one machine, as described to its peers.

    Attributes:
        name: name of the worker: a number, or text such as ``gpu-0-1`` or an address.
        visible: its visible devices, in their order; empty: all of the machine.
        index: index of the one it uses; None: not chosen yet.
    """

    name: int | str
    visible: tuple[str, ...] = ()
    index: int | None = None


def device_index(name: int | str, peers: Iterable[Peer], count: int) -> int:
    """Choose a worker's device among its visible ones.

    Workers with the same visible devices in the same order share them: each takes the one that the fewest of them use.
    A worker with an order of its own takes its first: ``dask_cuda`` rotates the list from worker to worker, and a batch
    system gives each job its own devices.

    Args:
        name: name of the worker.
        peers: the workers of its machine, itself included.
        count: number of its visible devices.

    Returns:
        Index as CUDA counts them in that worker, below ``count``.
    """
    known = {peer.name: peer for peer in peers}
    alike = [peer for peer in known.values() if peer.visible == known[name].visible]
    used = Counter(peer.index for peer in alike if peer.index is not None)
    undecided = {peer.name for peer in alike if peer.index is None} | {name}
    for other in sorted(undecided, key=natural_order):  # all that choose at this moment come to the same order
        index = min(range(count), key=lambda at: (used[at], at))
        if other == name:
            return index
        used[index] += 1
    raise AssertionError(name)


class _Choice:
    """The device of this process; chosen once, so that no network is loaded on two."""

    def __init__(self) -> None:
        self.index: int | None = None
        self._lock = threading.Lock()

    def take(self, worker: Worker, count: int) -> int:
        """Return the chosen device; choose it at the first call."""
        from distributed import get_client  # noqa: PLC0415

        with self._lock:
            if self.index is None:
                client = get_client()
                workers: dict[str, dict[str, object]] = client.scheduler_info(n_workers=-1)["workers"]
                host = workers[worker.address]["host"]
                here = [address for address, facts in workers.items() if facts["host"] == host]
                peers: dict[str, Peer] = client.run(_peer, workers=here, on_error="ignore")
                self.index = device_index(worker.name, peers.values(), count)
            return self.index


_choice = _Choice()


def own_index(worker: Worker, count: int) -> int:
    """Choose the device of this worker process; the other workers of its machine are asked for theirs.

    Args:
        worker: this worker.
        count: number of its visible devices.
    """
    return _choice.take(worker, count)


def _peer(dask_worker: Worker) -> Peer:
    visible = tuple(part.strip() for part in os.environ.get(_VISIBLE, "").split(",") if part.strip())
    return Peer(name=dask_worker.name, visible=visible, index=_choice.index)
