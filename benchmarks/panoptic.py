"""Panoptic networks: parameters, size and speed of each; and the quality of panoptic maps of drawn towns.

    python benchmarks/panoptic.py [--side 512] [--rounds 2] [--networks NAME ...] [--models MODEL ...] [--json]

Networks have random weights, six classes and three of things. What they find does not count: all run their nominal
pass, which those that propose regions end with as many regions and objects as they may have. Megapixels are those of a
second of one processor, so that other work on the machine hardly matters. Models map three towns that no
bundled model has seen. A semantic model does so by the watershed of its class map, as ``geoseg predict --panoptic``
does, others by their own objects.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine

import geoseg
from geoseg.core.isprs_legend import BUILDING, CAR, TREE
from geoseg.core.spec import PanopticChoice, PredictSpec
from geoseg.io.labels.panoptic_raster import class_tags, panoptic_labels
from geoseg.nn import build
from geoseg.run.report import Silence
from geoseg.score.panoptic.files import evaluate_panoptic
from geoseg.synthetic.town import Town, draw_town

NETWORKS = ("panoptic_unet", "panoptic_fpn_r50", "panoptic_fpn_r101", "oanet_r50", "aunet_r50")
THINGS = (BUILDING, TREE, CAR)
TOWNS = ((101, 0.09), (102, 0.06), (103, 0.09))
"""Seed and ground sample distance, metres, of the towns that are mapped."""
CRS = "EPSG:32633"


def nominal_row(name: str, tile: torch.Tensor, rounds: int, *, classes: int, **options: object) -> dict[str, Any]:
    """Count and time one network of objects."""
    torch.manual_seed(0)
    network = build(name, 3, classes, **options).eval()
    count = sum(p.numel() for p in network.parameters())
    stored = sum(
        2 * t.numel() if t.is_floating_point() else t.numel() * t.element_size() for t in network.state_dict().values()
    )
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds + 1):
            begun = time.process_time()
            network.nominal_pass(tile)
            seconds.append(time.process_time() - begun)
    speed = tile.shape[-1] * tile.shape[-2] / min(seconds[1:]) / 1e6
    return {"network": name, "parameters": count, "mb": round(stored / 1e6, 1), "mpx_per_cpu_s": round(speed, 3)}


def write_town(folder: Path, seed: int, side: int, gsd_m: float) -> tuple[Path, Town]:
    """Draw a town; write its imagery, and its labels into the folder ``truth`` beside it."""
    town = draw_town(seed, (side, side), gsd_m)
    place = {"crs": CRS, "transform": Affine(gsd_m, 0, 5e5, 0, -gsd_m, 5e6)}
    facts = {"driver": "GTiff", "height": side, "width": side, **place}
    path, truth = folder / f"town{seed}.tif", folder / "truth" / f"town{seed}.tif"
    truth.parent.mkdir(exist_ok=True)
    with rasterio.open(path, "w", count=3, dtype="uint8", photometric="RGB", **facts) as file:
        file.write(town.rgb)
    code = town.labels.astype(np.int64)
    with rasterio.open(truth, "w", count=1, dtype="int32", nodata=-1, **facts) as file:
        file.write(panoptic_labels(code, np.where(np.isin(code, THINGS), town.objects, 0)), 1)
        file.update_tags(**class_tags({code: (f"class {code}", code in THINGS) for code in range(6)}))
    return path, town


def model_row(name: str, towns: list[Path], folder: Path) -> dict[str, Any]:
    """Map the towns by one model, and score the maps together."""
    model = geoseg.load_model(name)
    semantic = model.card.task == "semantic"
    spec = PredictSpec(panoptic=PanopticChoice() if semantic else None)
    out, pixels, seconds = folder / "maps", 0, 0.0
    for town in towns:
        begun = time.process_time()
        geoseg.predict(town, model, out, spec=spec, reporter=Silence())
        seconds += time.process_time() - begun
        with rasterio.open(town) as file:
            pixels += file.width * file.height
    found = evaluate_panoptic(out, towns[0].parent / "truth")
    row: dict[str, Any] = {"model": f"{name} --panoptic" if semantic else name}
    row |= {key: round(found["all"][key], 3) for key in ("pq", "sq", "rq")}
    row |= {f"{part}_pq": round(found[part]["pq"], 3) for part in ("things", "stuff")}
    row["classes_pq"] = {entry["name"]: round(entry["pq"], 3) for entry in found["classes"]}
    return row | {"mpx_per_cpu_s": round(pixels / seconds / 1e6, 3)}


def main() -> None:
    """Read the command line and print one line for each network and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512, help="pixels of the tile that networks answer")
    parser.add_argument("--town-px", type=int, default=768, help="side of the towns that models map")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--models", nargs="*", default=["town-unet"], help="bundled names or model files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = [write_town(folder, seed, options.town_px, gsd_m)[0] for seed, gsd_m in TOWNS if options.models]
        tile = torch.rand(1, 3, options.side, options.side, generator=torch.Generator().manual_seed(0))
        for network in options.networks:
            rows.append(nominal_row(network, tile, options.rounds, classes=6, things=list(THINGS)))
            if not options.json:
                print(rows[-1], flush=True)
        for number, model in enumerate(options.models):
            (folder / str(number)).mkdir()
            rows.append(model_row(model, places, folder / str(number)))
            if not options.json:
                print(rows[-1], flush=True)
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
