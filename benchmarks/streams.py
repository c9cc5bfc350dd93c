"""OpenVINO with several tiles at a time, each on its share of the threads, against one tile on all threads.

    python benchmarks/streams.py [--models NAME ...] [--rounds 12] [--json]

Both run the same tiles of noise in one process, in turns; medians over the rounds, seconds per Mpx of tiles.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from geoseg.models.model import load_model
from geoseg.runtimes.openvino_runtime import OpenvinoRuntime


def compare(model_name: str, rounds: int) -> dict[str, Any]:
    """Run the same tiles both ways, in turns."""
    model = load_model(model_name, device="cpu", runtime="openvino")
    runtime = model.runtime
    if not isinstance(runtime, OpenvinoRuntime):
        raise SystemExit("OpenVINO is not installed.")
    streams, side = runtime.batch, model.card.tile_px
    tiles = np.random.default_rng(0).normal(size=(2 * streams, len(model.card.bands), side, side)).astype(np.float32)
    times: dict[int, list[tuple[float, float]]] = {1: [], streams: []}
    outputs = {}
    for index in range(rounds + 1):
        for batch, measured in times.items():
            runtime.batch = batch
            wall, cpu = time.perf_counter(), time.process_time()
            outputs[batch] = runtime.run(tiles)["probabilities"]
            if index:  # the first round compiles
                measured.append((time.perf_counter() - wall, time.process_time() - cpu))
    mpx = len(tiles) * side * side / 1e6
    medians = {batch: np.median(measured, axis=0) / mpx for batch, measured in times.items()}
    return {
        "model": model_name,
        "tile_px": side,
        "streams": streams,
        "wall_ratio": round(float(medians[streams][0] / medians[1][0]), 3),
        "cpu_ratio": round(float(medians[streams][1] / medians[1][1]), 3),
        "cpu_s_per_mpx": round(float(medians[streams][1]), 4),
        "same_bytes": bool(np.array_equal(outputs[1], outputs[streams])),
    }


def main() -> None:
    """Print one line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["buildings-unet", "roads-unet"])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in options.models:
        found = compare(name, options.rounds)
        if options.json:
            print(json.dumps(found), flush=True)
        else:
            print(
                f"{name}: {found['streams']} tiles of {found['tile_px']} px at a time take {found['wall_ratio']:.2f} "
                f"of the time and {found['cpu_ratio']:.2f} of the processors; same bytes: {found['same_bytes']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
