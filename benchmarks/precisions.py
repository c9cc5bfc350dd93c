"""OpenVINO in float32, bfloat16 and 8-bit integers, on the same tiles in one process, in turns.

    python benchmarks/precisions.py [--models NAME ...] [--rounds 8] [--json]

Medians over the rounds, as ratios to float32. A model without an int8 form is measured in floats only.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from geoseg.core.choices import Precision
from geoseg.models.model import load_model
from geoseg.models.packages import open_package


def compare(model_name: str, rounds: int) -> dict[str, Any]:
    """Run the same tiles of noise in each precision, in turns."""
    card = open_package(model_name).card
    precisions: list[Precision] = ["fp32", "bf16", *(["int8"] if card.int8 is not None else [])]
    runtimes = {
        precision: load_model(model_name, device="cpu", runtime="openvino", precision=precision).runtime
        for precision in precisions
    }
    count = 2 * next(iter(runtimes.values())).batch
    tiles = np.random.default_rng(0).normal(size=(count, len(card.bands), card.tile_px, card.tile_px))
    measured: dict[str, list[tuple[float, float]]] = {precision: [] for precision in precisions}
    for index in range(rounds + 1):
        for precision, runtime in runtimes.items():
            wall, cpu = time.perf_counter(), time.process_time()
            runtime.run(tiles.astype(np.float32))
            if index:  # the first round compiles
                measured[precision].append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = {precision: np.median(times, axis=0) for precision, times in measured.items()}
    mpx = count * card.tile_px**2 / 1e6
    return {
        "model": model_name,
        "tile_px": card.tile_px,
        "mpx_per_s": {precision: round(mpx / float(times[0]), 3) for precision, times in medians.items()},
        "wall_ratio": {precision: round(float(t[0] / medians["fp32"][0]), 3) for precision, t in medians.items()},
        "cpu_ratio": {precision: round(float(t[1] / medians["fp32"][1]), 3) for precision, t in medians.items()},
        "agreement_int8": None if card.int8 is None else card.int8.agreement,
    }


def main() -> None:
    """Print one line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["buildings-unet", "roads-unet"])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in options.models:
        found = compare(name, options.rounds)
        if options.json:
            print(json.dumps(found), flush=True)
            continue
        ratios = ", ".join(f"{precision} {ratio:.2f}" for precision, ratio in found["wall_ratio"].items())
        cpu = ", ".join(f"{precision} {ratio:.2f}" for precision, ratio in found["cpu_ratio"].items())
        print(f"{name}, {found['tile_px']} px: time {ratios}; processor time {cpu}", flush=True)


if __name__ == "__main__":
    main()
