"""End-to-end speed, its share of the pure forward pass, and peak memory, for scenes of growing size.

    python benchmarks/predict.py [--model NAME] [--sides 2048 8192 20480] [--image SCENE.tif] [--json]

Each size runs in a process of its own. The forward pass is timed in the same process over real tiles of the same scene
right before and after the run; the share is tiles x seconds per tile / seconds of the whole run, layers included.
Memory is the peak of the resident set during the run less what the loaded and warmed network already takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Tile
from geoseg.inference.prepare import BlockInput, prepare, scene_window
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.models.model import Model, load_model
from geoseg.run.plan import RunPlan, make_plan
from geoseg.run.predict import predict

TOWN = Path(__file__).resolve().parents[1] / "sample_tiles" / "town.tif"
_TIMED_TILES = 24


def enlarge(image: Path, side: int, target: Path) -> None:
    """Lay copies of an image side by side, mirrored so that they meet without an edge, to ``side`` x ``side`` px."""
    with rasterio.open(image) as source:
        pixels = source.read([1, 2, 3])
        profile = {"crs": source.crs, "transform": source.transform, "dtype": pixels.dtype, "count": 3}
    rows, cols = (np.r_[np.arange(n), np.arange(n)[::-1]] for n in pixels.shape[1:])
    layout = {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "photometric": "RGB"}
    size = {"height": side, "width": side, "compress": "zstd", "BIGTIFF": "IF_SAFER"}
    with rasterio.open(target, "w", **profile, **layout, **size) as out:
        for top in range(0, side, 512):
            height = min(512, side - top)
            take = np.ix_(rows[np.arange(top, top + height) % len(rows)], cols[np.arange(side) % len(cols)])
            out.write(pixels[(slice(None), *take)], window=RasterioWindow(0, top, side, height))


def resident(field: str) -> int:
    """Read VmRSS (now) or VmHWM (peak since reset) of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def seconds_per_tile(scene: Scene, model: Model, plan: RunPlan) -> float:
    """Time the network over real tiles: the median, so that a neighbour's noise counts little."""
    block = plan.blocks[len(plan.blocks) // 2]
    raster = scene.read(scene_window(plan.read, plan.tiling, block), plan.read.bands)
    source: BlockInput = prepare(plan.read, plan.tiling, block, raster)
    tiles: list[Tile] = list(plan.tiling.tiles(block.cells))
    times, batch = [], model.runtime.batch
    for index in range(0, _TIMED_TILES, batch):
        reads = [tiles[(index + offset) % len(tiles)].read for offset in range(batch)]
        pixels = np.stack([source.values[:, *read.within(source.window)] for read in reads])
        start = time.perf_counter()
        model.runtime.run(pixels)
        times.append((time.perf_counter() - start) / batch)
    return float(np.median(times[1:]))


def measure(scene_path: str, model_name: str) -> dict[str, float]:
    """Run one scene in this process and measure it."""
    model = load_model(model_name)
    with open_scene(scene_path) as scene, tempfile.TemporaryDirectory() as out:
        plan = make_plan(scene, model.card, PredictSpec())
        before = seconds_per_tile(scene, model, plan)
        Path("/proc/self/clear_refs").write_text("5")
        loaded = resident("VmRSS")
        start = time.perf_counter()
        layers = predict(scene, model, out, spec=PredictSpec())
        seconds = time.perf_counter() - start
        peak = resident("VmHWM") - loaded
        after = seconds_per_tile(scene, model, plan)
    pixels = plan.read.scene_shape[0] * plan.read.scene_shape[1]
    forward = len(plan.tiling) * (before + after) / 2
    return {
        "mpx": pixels / 1e6,
        "mpx_per_s": pixels / 1e6 / seconds,
        "predict_mpx_per_s": pixels / 1e6 / layers.record["timings"]["predict_s"],
        "forward_share_predict": forward / layers.record["timings"]["predict_s"],
        "forward_share_all": forward / seconds,
        "peak_mb_above_network": peak / 1e6,
        "polygons": layers.record["segments"],
        **{name: value for name, value in layers.record["timings"].items() if name.endswith("_s")},
    }


def main() -> None:
    """Measure every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="buildings-unet")
    parser.add_argument("--sides", type=int, nargs="+", default=[2048, 8192, 20480])
    parser.add_argument("--image", type=Path, default=TOWN)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.model)))
        return
    if not arguments.json:
        print(f"{arguments.model} on copies of {arguments.image.name}")
        print(f"{'side':>6} {'Mpx/s':>6} {'share':>6} {'all':>6} {'MB':>6} {'polygons':>9}  seconds by stage")
    for side in arguments.sides:
        with tempfile.TemporaryDirectory() as folder:
            scene = Path(folder) / "scene.tif"
            enlarge(arguments.image, side, scene)
            command = [sys.executable, __file__, "--model", arguments.model, "--one", str(scene)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps({"side": side} | found) if arguments.json else f"{side:>6} {row(found)}", flush=True)


def row(found: dict[str, float]) -> str:
    """One line of the table: speed, share of the forward pass in prediction and in all, memory, polygons, stages."""
    stages = ", ".join(f"{name[:-2]} {found[name]:.1f}" for name in found if name.endswith("_s") and "px" not in name)
    shares = f"{found['forward_share_predict']:>6.2f} {found['forward_share_all']:>6.2f}"
    return (
        f"{found['mpx_per_s']:>6.2f} {shares} {found['peak_mb_above_network']:>6.0f} {found['polygons']:>9}  {stages}"
    )


if __name__ == "__main__":
    main()
