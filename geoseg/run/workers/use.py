"""Work of each worker process on a scene: blocks, pixels, seconds of network, layers, and its largest memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import psutil

from geoseg.core.types.json_value import JsonDict, UntypedMapping

LOCAL = "local"
"""Name of a process that is no worker of a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerUse:
    """Work of one process.

    Attributes:
        name: name of the Dask worker, or ``local``.
        blocks: blocks with valid pixels that it predicted.
        pixels: pixels of these.
        network_s: seconds in which it predicted them: networks, blending and classes, without reading and storing.
        scenes: scenes whose layers it wrote.
        layers_s: seconds in which it wrote them.
        peak_memory_bytes: largest resident memory of the process since its start, when it last reported.
    """

    name: str
    blocks: int = 0
    pixels: int = 0
    network_s: float = 0.0
    scenes: int = 0
    layers_s: float = 0.0
    peak_memory_bytes: int = 0

    def __add__(self, other: WorkerUse) -> WorkerUse:
        """Sum of the work of two reports under this one's name; the larger memory of both."""
        return WorkerUse(
            name=self.name,
            blocks=self.blocks + other.blocks,
            pixels=self.pixels + other.pixels,
            network_s=self.network_s + other.network_s,
            scenes=self.scenes + other.scenes,
            layers_s=self.layers_s + other.layers_s,
            peak_memory_bytes=max(self.peak_memory_bytes, other.peak_memory_bytes),
        )

    def facts(self) -> JsonDict:
        """Return the entry of the run record; seconds are rounded to milliseconds."""
        return asdict(replace(self, network_s=round(self.network_s, 3), layers_s=round(self.layers_s, 3)))


def added(known: Iterable[WorkerUse], more: WorkerUse | None) -> tuple[WorkerUse, ...]:
    """Add a report to those of other workers, or to the one of the same worker.

    Args:
        known: reports, one for each worker.
        more: a further report; None: nothing was done.
    """
    uses = {use.name: use for use in known}
    if more is not None:
        uses[more.name] = uses[more.name] + more if more.name in uses else more
    return tuple(uses.values())


def uses_of(run: UntypedMapping) -> tuple[WorkerUse, ...]:
    """Read the reports of a run record; empty where it tells none, as those of earlier versions."""
    try:
        return tuple(
            WorkerUse(
                name=str(entry["name"]),
                blocks=int(entry["blocks"]),
                pixels=int(entry["pixels"]),
                network_s=float(entry["network_s"]),
                scenes=int(entry["scenes"]),
                layers_s=float(entry["layers_s"]),
                peak_memory_bytes=int(entry["peak_memory_bytes"]),
            )
            for entry in run.get("workers", ())
        )
    except (KeyError, TypeError, ValueError):
        return ()


def natural_order(name: int | str) -> list[tuple[int, str]]:
    """Sort key of workers' names that puts ``gpu-10`` after ``gpu-9``."""
    parts = re.split(r"(\d+)", str(name))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def own_name() -> str:
    """Return the name of the Dask worker on whose thread this is called, or ``local``."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return LOCAL
    try:
        return str(distributed.get_worker().name)
    except ValueError:  # not on a worker
        return LOCAL


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415 - of POSIX only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
