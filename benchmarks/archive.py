"""An archive on 1 and 2 workers against the plain loop over scenes; workers' time in blocks; the client's memory.

    python benchmarks/archive.py [--scenes 8] [--side 1536] [--model buildings-unet] [--looked-at 10000]

All in one run on the same scenes, cut from the town and mirrored so that none equals another: the loop that ``geoseg
predict SCENE...`` runs in one process, then ``run_archive`` on one worker and on two, all layers included; each has
done some other scenes before, so that nothing is loaded or compiled while the clock runs. Workers' time in blocks is
the time that at least one block is in work on a worker, over the time from the first block's begin to the last one's
end; Dask's own record of tasks says so. Memory is the client's resident set after each finished scene. At the end a
manifest of many finished scenes is looked through.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from geoseg.archive.archive import Archive
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.manifest import Entry
from geoseg.archive.record import SceneRecord
from geoseg.archive.run import run_archive
from geoseg.archive.sources.config import FolderSource
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import load_model
from geoseg.run.cluster import DaskExecutor, local_cluster, share_of_threads
from geoseg.run.predict import predict

TOWN = Path(__file__).resolve().parents[1] / "sample_tiles" / "town.tif"


def write_scenes(folder: Path, count: int, side: int) -> None:
    """Write ``count`` different scenes of ``side`` x ``side`` px: the town, mirrored and shifted."""
    folder.mkdir()
    with rasterio.open(TOWN) as source:
        town = source.read([1, 2, 3])
        profile = {"crs": source.crs, "transform": source.transform, "dtype": town.dtype, "count": 3}
    layout = {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "photometric": "RGB"}
    period = [np.r_[np.arange(n), np.arange(n)[::-1]] for n in town.shape[1:]]
    for number in range(count):
        rows, cols = (axis[(np.arange(side) + number * 137 * k) % len(axis)] for k, axis in enumerate(period, start=1))
        with rasterio.open(
            folder / f"scene{number:03}.tif", "w", height=side, width=side, compress="zstd", **profile, **layout
        ) as out:
            out.write(town[np.ix_(range(3), rows, cols)])


def resident() -> float:
    """Resident set of this process, MB."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1e3


def covered(intervals: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def shares(tasks: list[dict[str, Any]]) -> tuple[float, float]:
    """Shares of workers' time with a block in work, and with any task of ours, between first and last block."""
    spans: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for task in tasks:
        kind = "block" if "geoseg-block" in str(task["key"]) else "other"
        for part in task["startstops"]:
            if part["action"] == "compute":
                kinds = spans.setdefault(task["worker"], {"block": [], "other": []})
                kinds[kind].append((part["start"], part["stop"]))
    blocks = [span for kinds in spans.values() for span in kinds["block"]]
    length = (max(stop for _, stop in blocks) - min(start for start, _ in blocks)) * len(spans)
    first, last = min(start for start, _ in blocks), max(stop for _, stop in blocks)
    inside = [[(max(a, first), min(b, last)) for a, b in kinds["block"] + kinds["other"]] for kinds in spans.values()]
    in_blocks = sum(covered(kinds["block"]) for kinds in spans.values())
    return in_blocks / length, sum(covered([s for s in some if s[1] > s[0]]) for some in inside) / length


def loop(config: ArchiveConfig, out: Path) -> float:
    """Segment all scenes one after another in this process; seconds, without loading the model."""
    model = load_model(config.model)
    for path in sorted(out.with_name("warm").glob("*.tif"))[:1]:
        predict(path, model, out.with_name("warm_loop"))
    start = time.perf_counter()
    for path in sorted(config.source.path.glob("*.tif")):
        with open_scene(path) as scene:
            predict(scene, model, out)
    return time.perf_counter() - start


def spread(config: ArchiveConfig, workers: int) -> tuple[float, float, float, list[float]]:
    """Run the archive on workers that have loaded the model.

    Returns:
        Seconds, shares of workers' time in blocks and in any task, and the client's memory after each scene, MB.
    """
    from distributed import get_task_stream

    memory: list[float] = []
    with local_cluster(workers) as client:
        crew = DaskExecutor(client, threads=share_of_threads(workers))
        others = FolderSource(path=config.out.with_name("warm"))
        run_archive(config.model_copy(update={"source": others, "out": Path(f"{config.out}_warm")}), workers=crew)
        start = time.perf_counter()
        with get_task_stream(client=client) as stream:
            report = run_archive(config, workers=crew, on_record=lambda record: memory.append(resident()))
        seconds = time.perf_counter() - start
    if report.failed:
        raise SystemExit(report.failed[0].cause)
    return seconds, *shares(stream.data), memory


def look_through(config: ArchiveConfig, count: int) -> float:
    """Make a manifest of finished scenes and find out that nothing is to be done; seconds."""
    folder = config.source.path
    folder.mkdir()
    sync, os.fsync = os.fsync, lambda handle: None
    with Archive.open(config) as archive:
        for k in range(count):
            scene, name = folder / f"s{k}.tif", f"s{k}"
            scene.write_bytes(b"II*\0")
            (config.out / name).mkdir(parents=True)
            layers = {f"{name}_classes.tif": 1, f"{name}_confidence.tif": 1, f"{name}_segments.gpkg": -1}
            for layer in (*layers, "run.json"):
                (config.out / name / layer).write_bytes(b" ")
            digests = {"model_digest": archive.model_digest, "options_digest": archive.options_digest}
            record = SceneRecord(name=name, uri=str(scene), state="done", layers=name, **digests)
            stat = scene.stat()
            files = {str(scene): (stat.st_size, stat.st_mtime_ns)}
            archive.output.entries.write(Entry(record=record, files=files, layers=layers | {"run.json": -1}))
    os.fsync = sync
    start = time.perf_counter()
    report = run_archive(config)
    seconds = time.perf_counter() - start
    if (report.done, report.skipped) != (0, count):
        raise SystemExit(f"{report.done} were done, {report.skipped} skipped")
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--side", type=int, default=1536)
    parser.add_argument("--model", default="buildings-unet")
    parser.add_argument("--looked-at", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        megapixels = arguments.scenes * arguments.side**2 / 1e6
        if arguments.scenes:
            write_scenes(folder / "in", arguments.scenes, arguments.side)
            write_scenes(folder / "warm", 4, arguments.side)  # as large: OpenVINO compiles for each size of tiles
            config = ArchiveConfig(source=folder / "in", model=arguments.model, out=folder / "loop")
            print(f"{arguments.scenes} scenes of {arguments.side} x {arguments.side} px, {arguments.model}", flush=True)
            seconds = loop(config, folder / "loop")
            plain = megapixels / seconds
            print(f"plain loop   {seconds:7.1f} s {plain:6.2f} Mpx/s", flush=True)
            for workers in (1, 2):
                placed = config.model_copy(update={"out": folder / f"out{workers}"})
                seconds, in_blocks, busy, memory = spread(placed, workers)
                speed = megapixels / seconds
                print(
                    f"{workers} worker(s)  {seconds:7.1f} s {speed:6.2f} Mpx/s, {speed / plain:.2f} of the loop; "
                    f"{in_blocks:.0%} of workers' time in blocks, {busy:.0%} in any task; "
                    f"client {memory[len(memory) // 2]:.0f} MB at half, {memory[-1]:.0f} MB at the end",
                    flush=True,
                )
        if arguments.looked_at:
            config = ArchiveConfig(source=folder / "many", model=arguments.model, out=folder / "looked")
            seconds = look_through(config, arguments.looked_at)
            print(f"{arguments.looked_at} finished scenes are found finished in {seconds:.1f} s")


if __name__ == "__main__":
    main()
