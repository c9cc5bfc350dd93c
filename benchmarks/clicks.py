"""Seconds of an answer to clicks, on windows of 400 px: python benchmarks/clicks.py [--model clicks] [--threads 2]."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path


def answers_s(model: str, method: str, threads: int, repeats: int = 3) -> list[float]:
    """Measure one to four clicks on a drawn town, each as its own answer.

    Args:
        model: bundled name or model file.
        method: see ``geoseg evaluate clicks``.
        threads: CPU threads.
        repeats: times that each is measured; the median counts.

    Returns:
        Seconds of the answer to one, two, three and four clicks.
    """
    import rasterio
    import torch
    from rasterio.transform import from_origin

    from geoseg.interactive.model import load_click_model
    from geoseg.interactive.session import ClickSession
    from geoseg.io.raster.scene import open_scene
    from geoseg.synthetic.town import draw_town

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "town.tif"
        rgb = draw_town(11, (400, 400), 0.2).rgb
        profile = {"driver": "GTiff", "width": 400, "height": 400, "count": 3, "dtype": "uint8", "photometric": "RGB"}
        place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_400_000, 0.2, 0.2)}
        with rasterio.open(path, "w", **profile, **place) as file:
            file.write(rgb)
        with open_scene(path) as scene:
            session = ClickSession(scene, load_click_model(model), method=method)
            places = [(200, 200, True), (150, 260, False), (215, 190, True), (260, 120, False)]
            clicks = [(*(scene.geobox.transform * (col, row)), positive) for row, col, positive in places]
            taken: list[float] = []
            for count in range(1, len(clicks) + 1):
                times = []
                for _ in range(repeats):
                    began = time.perf_counter()
                    session.predict(clicks[:count])
                    times.append(time.perf_counter() - began)
                taken.append(statistics.median(times))
    return taken


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="clicks")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {method: answers_s(options.model, method, options.threads) for method in ("plain", "f-brs-c", "f-brs-b")}
    if options.json:
        print(json.dumps(rows))
        return
    for method, taken in rows.items():
        print(f"{method:<12} " + ", ".join(f"{n} clicks {s:.2f} s" for n, s in enumerate(taken, start=1)))


if __name__ == "__main__":
    main()
