"""What a block and a scene cost beside the network, measured; and a million scenes on these costs, simulated.

    python benchmarks/scale.py measure [--model buildings-unet] [--side 4096] > costs.json
    python benchmarks/scale.py simulate costs.json [--scenes 1000000]

``measure`` needs two cores and some minutes. The scheduler, the client and two workers are processes of their own, so
that the processor time of each can be told from that of the others; a task's cost is processor time over thousands of
tasks, which a neighbour's load hardly changes. ``simulate`` prints the tables of docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from many_scenes import write_scenes
from predict import TOWN, enlarge
from simulate import Costs, Fleet, Outcome, simulate

from geoseg.io.store import Store

_TASKS = 4000
_LOOKED_AT = 3000
_BLOCK_MPX = 2048 * 2048 / 1e6


def per_task() -> dict[str, float]:
    """Processor seconds of client and scheduler for a task, over a real cluster of two worker processes."""
    import distributed

    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "scheduler.json"
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(address)]
        started = [subprocess.Popen([*_dask("scheduler"), "--port", "0", *common], **quiet)]
        try:
            while not address.exists():
                time.sleep(0.1)
            worker = [*_dask("worker"), "--no-nanny", "--nthreads", "2", *common]
            started += [subprocess.Popen(worker, **quiet) for _ in range(2)]
            with distributed.Client(scheduler_file=str(address), timeout=60) as client:
                client.wait_for_workers(2, timeout=60)
                _flow(client, 500, "warm")
                scheduler = psutil.Process(started[0].pid)
                before = sum(scheduler.cpu_times()[:2]), time.process_time(), time.perf_counter()
                _flow(client, _TASKS, "timed")
                after = sum(scheduler.cpu_times()[:2]), time.process_time(), time.perf_counter()
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
    scheduler_s, client_s, wall_s = ((b - a) / _TASKS for a, b in zip(before, after, strict=True))
    return {"scheduler_task_s": scheduler_s, "client_task_s": client_s, "task_wall_s": wall_s}


def _dask(command: str) -> list[str]:
    return [sys.executable, "-m", f"distributed.cli.dask_{command}"]


def _nothing(key: tuple[str, int]) -> bool:
    return bool(key)


def _flow(client: Any, count: int, name: str) -> None:
    """Pass tasks through a window of eight, as an archive's run does."""
    from distributed import as_completed

    waiting = iter(range(count))

    def submit() -> list[Any]:
        index = next(waiting, None)
        return [] if index is None else [client.submit(_nothing, (name, index), key=f"{name}-{index}", pure=False)]

    running = as_completed([future for _ in range(8) for future in submit()])
    for future in running:
        future.result()
        for following in submit():
            running.add(following)


def per_scene(model_name: str, side: int) -> dict[str, float]:
    """Seconds, bytes read and store requests of one scene of ``side`` x ``side`` px, in this process."""
    from geoseg.models.model import load_model
    from geoseg.run.predict import predict

    counts = {"requests": 0}

    def counted(method: Any) -> Any:
        def call(self: Any, *arguments: Any) -> Any:
            counts["requests"] += 1
            return method(self, *arguments)

        return call

    for name in ("read", "write"):
        setattr(Store, name, counted(getattr(Store, name)))
    model = load_model(model_name)
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        enlarge(TOWN, 1024, Path(folder) / "warm.tif")
        predict(Path(folder) / "warm.tif", model, Path(folder) / "warm")
        enlarge(TOWN, side, scene)
        counts["requests"], read = 0, psutil.Process().io_counters().read_chars
        begun = time.perf_counter()
        record = predict(scene, model, Path(folder) / "out").record
        seconds = time.perf_counter() - begun
        read = psutil.Process().io_counters().read_chars - read
        written = sum(file["size"] for file in record["files"].values())
        size = scene.stat().st_size
    timings, pixels, blocks = record["timings"], side * side, record["blocks"]["total"]
    return {
        "mpx": pixels / 1e6,
        "blocks": blocks,
        "predict_mpx_per_s": pixels / 1e6 / timings["predict_s"],
        "block_s": timings["predict_s"] / blocks,
        "layers_s": timings["layers_s"] + timings["publish_s"],
        "open_s": max(0.0, seconds - timings["predict_s"] - timings["layers_s"] - timings["publish_s"]),
        "file_bytes_per_px": size / pixels,
        "bytes_read_per_px": read / pixels,
        "bytes_written_per_px": written / pixels,
        "store_requests_per_block": counts["requests"] / blocks,
    }


def per_record() -> dict[str, float]:
    """Seconds to write a scene's record, and to read it back when a run looks what is left.

    Most of a write is waiting for the disk, where the writes of other scenes wait too; only processor time is the
    client's alone.
    """
    from geoseg.archive.manifest import Entry, Manifest
    from geoseg.archive.record import SceneRecord

    with tempfile.TemporaryDirectory() as folder:
        manifest = Manifest(Path(folder))
        ring = [[85.0 + i / 100, 27.0] for i in range(129)]
        facts: dict[str, Any] = {"footprint": {"type": "Polygon", "coordinates": [ring]}, "state": "done"}
        begun, worked = time.perf_counter(), time.process_time()
        for index in range(_LOOKED_AT):
            manifest.write(Entry(record=SceneRecord(name=f"scene{index:06}", uri=f"/in/scene{index:06}.tif", **facts)))
        written, worked = time.perf_counter(), time.process_time() - worked
        assert all(manifest.entry(f"scene{index:06}") for index in range(_LOOKED_AT))  # noqa: S101
        looked = time.perf_counter()
    return {
        "record_write_s": (written - begun) / _LOOKED_AT,
        "record_write_cpu_s": worked / _LOOKED_AT,
        "record_read_s": (looked - written) / _LOOKED_AT,
    }


def per_publication() -> dict[str, float]:
    """Seconds and memory of catalogue, index and reports for each scene that has no layers to be mapped."""
    import tracemalloc

    from geoseg.archive.publish import publish_archive
    from geoseg.archive.record import SceneRecord

    def record(index: int) -> SceneRecord:
        x, y = 85 + index % 300 / 100, 27 + index // 300 / 100
        sides = [(k / 3200, 0.0) for k in range(32)], [(0.01, k / 3200) for k in range(32)]
        sides = *sides, [(0.01 - k / 3200, 0.01) for k in range(32)], [(0.0, 0.01 - k / 3200) for k in range(33)]
        ring = [[x + dx, y + dy] for side in sides for dx, dy in side]
        footprint = {"type": "Polygon", "coordinates": [ring]}
        return SceneRecord(name=f"s{index}", uri=f"/in/s{index}.tif", state="waiting", footprint=footprint)

    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (5_000, 20_000):
            tracemalloc.start() if count == 20_000 else None
            begun = time.perf_counter()
            publish_archive(Path(folder), map(record, range(count)))
            taken.append(time.perf_counter() - begun)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return {"publish_scene_s": taken[0] / 5_000, "publish_20000_peak_mb": peak / 1e6}


def per_neighbours(model_name: str, side: int) -> dict[str, float]:
    """Processor seconds of neighbours: of the client for each scene, and of a worker for one with eight neighbours.

    The client reads each header once, asks the index for the neighbours of a scene twice, and keeps the grids; a worker
    opens the neighbours, and reads the halo once for the digest and once for the blocks.
    """
    import tracemalloc

    from geoseg.archive.neighbours import Neighbourhood
    from geoseg.archive.sources.scene_ref import SceneRef
    from geoseg.core.window import Window
    from geoseg.io.raster.open_options import OpenOptions
    from geoseg.io.raster.scene import Scene
    from geoseg.io.raster.surroundings import surroundings
    from geoseg.models.ensemble import card_of

    halo = card_of(model_name).halo_px
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_scenes(home / "many", _LOOKED_AT, 64)
        paths = sorted((home / "many").glob("*.tif"))
        refs = [SceneRef(name=path.stem, uri=str(path)) for path in paths]
        states = [(ref, ({ref.uri: (path.stat().st_size, 0)}, "")) for ref, path in zip(refs, paths, strict=True)]
        index = Neighbourhood(home / "out", OpenOptions(), halo + 1)
        tracemalloc.start()
        began = time.process_time()
        index.load(states, open_new=True)
        found["index_scene_cpu_s"] = (time.process_time() - began) / len(refs)
        found["index_scene_bytes"] = tracemalloc.get_traced_memory()[0] / len(refs)
        tracemalloc.stop()
        began = time.process_time()
        around = [index.of(ref.name) for ref in refs]
        found["neighbours_cpu_s"] = (time.process_time() - began) / len(refs)
        assert max(map(len, around)) >= 8  # noqa: S101
        write_scenes(home / "nine", 9, side)
        nine = sorted((home / "nine").glob("*.tif"))
        others = tuple(str(path) for path in nine if path != nine[4])
        with Scene(str(nine[4]), OpenOptions(neighbours=others)) as scene:
            began = time.process_time()
            ring = surroundings(scene, Window.whole(tuple(scene.geobox.shape)).expanded(halo), (1, 2, 3))
            found["halo_open_s"] = time.process_time() - began
        assert len(ring.used) == 8  # noqa: S101
    return found


def measure(model_name: str, side: int) -> dict[str, float]:
    """Measure all costs."""
    neighbours = per_neighbours(model_name, side)
    return per_task() | per_record() | per_publication() | neighbours | per_scene(model_name, side)


def row(fleet: Fleet, costs: Costs, blocks: int, scenes: int, simulated: int) -> tuple[Outcome, str]:
    """Simulate and tell: days, share of workers' time in tasks, shares of client, scheduler and store."""
    outcome = simulate(simulated, blocks, fleet, costs)
    days = outcome.seconds * scenes / simulated / 86400
    useful = (outcome.worked_s - outcome.lost_s) / outcome.seconds / fleet.workers
    shares = (outcome.client_s, outcome.scheduler_s, outcome.store_s)
    told = " | ".join(f"{100 * part / outcome.seconds:.0f} %" for part in shares)
    return outcome, f"{days:,.2f} | {100 * useful:.0f} % | {told} |"


def tables(found: dict[str, float], scenes: int) -> None:
    """Print the tables of docs/scale.md; all scenes have eight neighbours."""
    neighbours_s = found["index_scene_cpu_s"] + 2 * found["neighbours_cpu_s"]
    slow = Costs(
        client_scene_s=2 * found["record_write_cpu_s"] + found["record_read_s"] + neighbours_s,
        client_task_s=found["client_task_s"],
        scheduler_task_s=found["scheduler_task_s"],
        open_s=found["open_s"] + 2 * found["halo_open_s"],
        block_s=found["block_s"],
        layers_s=found["layers_s"],
        block_requests=found["store_requests_per_block"],
        scene_requests=12,
        store_requests_per_s=3500,
    )
    quick = replace(slow, open_s=0.2, block_s=_BLOCK_MPX / 20, layers_s=1.0)
    head = "| {} | days | workers in tasks | client | scheduler | store |\n|---|---:|---:|---:|---:|---:|"
    for name, costs in (("processors", slow), ("accelerators", quick)):
        print(f"\n### {name}: {costs}\n\n" + head.format("workers"))
        for workers in (1, 10, 100, 1000):
            fleet = Fleet(workers=workers, window=2, scenes_in_flight=min(256, max(2, 4 * workers)))
            _, told = row(fleet, costs, 4, scenes, _simulated(workers, scenes))
            print(f"| {workers:,} | {told}", flush=True)
    print("\n### what one changes: 1,000 accelerators\n\n" + head.format("change"))
    as_built = Fleet(workers=1000, window=2, scenes_in_flight=256)
    free = replace(as_built, scenes_in_flight=0)
    batched = replace(quick, client_task_s=quick.client_task_s / 4, scheduler_task_s=quick.scheduler_task_s / 4)
    large = replace(quick, block_s=4 * quick.block_s)
    sharded = replace(quick, store_requests_per_s=10 * quick.store_requests_per_s)
    for name, fleet, costs, blocks in (
        ("as built: 256 scenes in flight", as_built, quick, 4),
        ("scenes in flight without limit", free, quick, 4),
        ("and store on ten prefixes", free, sharded, 4),
        ("and blocks of 4096 px instead of 2048", free, replace(large, store_requests_per_s=35_000), 1),
        (
            "instead of larger blocks: four tasks submitted at once",
            free,
            replace(batched, store_requests_per_s=35_000),
            4,
        ),
        (
            "instead of all that: ten archives, each with its client, scheduler and store",
            replace(as_built, workers=100),
            quick,
            4,
        ),
    ):
        share = 10 if fleet.workers == 100 else 1
        _, told = row(fleet, costs, blocks, scenes // share, max(1000, scenes // share // 5))
        print(f"| {name} | {told}", flush=True)
    print("\n### failures: 100 processors\n\n| mean life of a worker | days | in tasks | lost | failures |")
    print("|---|---:|---:|---:|---:|")
    for name, life_s in (("for ever", 0), ("a week", 604_800), ("a day", 86_400), ("an hour", 3600), ("10 min", 600)):
        fleet = Fleet(workers=100, scenes_in_flight=256, mean_life_s=life_s, restart_s=120, notice_s=5)
        outcome = simulate(_simulated(100, scenes), 4, fleet, slow, seed=1)
        factor = scenes / _simulated(100, scenes)
        useful = (outcome.worked_s - outcome.lost_s) / outcome.seconds / 100
        print(
            f"| {name} | {outcome.seconds * factor / 86400:,.2f} | {100 * useful:.0f} % |"
            f" {100 * outcome.lost_s / outcome.worked_s:.2f} % | {outcome.failures * factor:,.0f} |",
            flush=True,
        )


def _simulated(workers: int, scenes: int) -> int:
    """All scenes on a large fleet; a tenth and its time tenfold on a small one, which has long settled by then."""
    return scenes if workers >= 1000 else min(scenes, max(1000, scenes // 10))


def main() -> None:
    """Measure, or simulate on what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--model", default="buildings-unet")
    measuring.add_argument("--side", type=int, default=4096)
    simulating = commands.add_parser("simulate")
    simulating.add_argument("costs", type=Path)
    simulating.add_argument("--scenes", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.command == "measure":
        print(json.dumps(measure(arguments.model, arguments.side), indent=2))
    else:
        tables(json.loads(arguments.costs.read_text()), arguments.scenes)


if __name__ == "__main__":
    main()
