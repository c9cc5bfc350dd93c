"""Tiles of the card against the largest that memory allows: pixels computed, time, memory, and agreement of the maps.

    python benchmarks/tiles.py [--models NAME ...] [--image SCENE.tif] [--side 4096] [--rounds 3] [--json]

Both choices predict the same scene in one process, in turns, without layers. Times are medians over the rounds, seconds
of wall clock and of all processors; the first pass of each, which converts and compiles the network, is not counted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from predict import TOWN, enlarge

from geoseg.core.spec import PredictSpec
from geoseg.io.prefetch import prefetch
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.models.model import Model, load_model
from geoseg.run.executor import predict_inputs, read_inputs
from geoseg.run.plan import RunPlan, make_plan

CHOICES: dict[str, PredictSpec] = {"card": PredictSpec(), "largest": PredictSpec(tile_px="largest")}


def class_map(scene: Scene, model: Model, plan: RunPlan) -> npt.NDArray[np.uint8]:
    """Predict all blocks of a scene as a run does, without storing them."""
    codes = np.zeros(plan.read.scene_shape, np.uint8)
    for source in prefetch(read_inputs(scene, plan, None, plan.blocks), depth=1):
        result = predict_inputs(model, plan, source)
        codes[result.block.window.slices] = result.planes["classes"]
    return codes


def compare(scene_path: Path, model_name: str, rounds: int) -> dict[str, Any]:
    """Predict a scene with both choices in turns."""
    model = load_model(model_name)
    found: dict[str, Any] = {"model": model_name}
    with open_scene(scene_path) as scene:
        plans = {name: make_plan(scene, model.card, spec) for name, spec in CHOICES.items()}
        maps = {name: class_map(scene, model, plan) for name, plan in plans.items()}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in plans}
        for _ in range(rounds):
            for name, plan in plans.items():
                wall, cpu = time.perf_counter(), time.process_time()
                class_map(scene, model, plan)
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    for name, plan in plans.items():
        wall_s, cpu_s = np.median(times[name], axis=0) if rounds else (float("nan"),) * 2
        found[name] = {
            "tile_px": plan.tiling.tile_px,
            "tiles": len(plan.tiling),
            "computed_share": round(plan.computed_share, 3),
            "wall_s": round(float(wall_s), 2),
            "cpu_s": round(float(cpu_s), 2),
        }
    found["same_codes_percent"] = round(float((maps["card"] == maps["largest"]).mean()) * 100, 4)
    return found


def main() -> None:
    """Print a line of JSON, or of a table, for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["buildings-unet"])
    parser.add_argument("--image", type=Path, default=TOWN)
    parser.add_argument("--side", type=int, default=4096, help="0: the image as it is")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = options.image
        if options.side:
            scene = Path(folder) / "scene.tif"
            enlarge(options.image, options.side, scene)
        for name in options.models:
            found = compare(scene, name, options.rounds)
            if options.json:
                print(json.dumps(found), flush=True)
                continue
            old, new = found["card"], found["largest"]
            print(
                f"{name}: {old['tile_px']} px computes {old['computed_share']:.2f} times the pixels, "
                f"{new['tile_px']} px {new['computed_share']:.2f}; time {new['wall_s'] / old['wall_s']:.2f}, "
                f"processors {new['cpu_s'] / old['cpu_s']:.2f} of the former; "
                f"{found['same_codes_percent']} % same codes",
                flush=True,
            )


if __name__ == "__main__":
    main()
