"""Instance networks: parameters, size and speed of each; and the objects that models find on ground they have not seen.

    python benchmarks/detectors.py [--data DIR] [--models NAME ...] [--networks NAME ...] [--json]

Networks have random weights and two classes, and run their nominal pass (see ``benchmarks/panoptic.py``). Models map
the held-out rows of the mosaics in ``DIR`` (``banepa`` and ``kampala``); semantic ones count objects as their cards
say. F1 and average precision compare polygons with the footprints. Megapixels are those of a second of one processor.

Footprints are drawn where a building meets the ground, or from other imagery, so they may be displaced from the roofs.
How much that costs is measured by shifts: once all reference objects together, and once each by itself, to where a
predicted object fits best. The second is also given to a map whose objects are mirrored within the scene, which fits
by chance alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
import torch
from panoptic import nominal_row
from splits import PLACES, cut, footprints

import geoseg
from geoseg.core.spec import ObjectChoice, PredictSpec
from geoseg.models.bundled import resolve
from geoseg.run.report import Silence
from geoseg.score.average_precision import average_precision, overlapping
from geoseg.score.objects import Polygons, match_objects

NETWORKS = (
    "watershed_unet",
    "yolact_mobilenet",
    "yolact_r50",
    "yolact_r101",
    "yolact_darknet53",
    "maskrcnn_r50_fpn",
    "maskrcnn_r50_fpn_v2",
    "maskrcnn_r101_fpn",
    "maskscoring_r50",
    "maskscoring_r101",
    "panet_r50",
    "tensormask_r50",
)
MODELS = ("buildings-unet", "buildings-separate", "buildings-instances")
HELD_OUT = [place for place in PLACES if place[3] == "held out"]
SHIFTS_M = np.arange(-2.0, 2.01, 0.25)
OWN_SHIFT_M = 1.0


def f1_of(found: Polygons, truth: Polygons) -> float:
    """F1 of objects that agree by at least half of the union."""
    return 2 * len(match_objects(found, truth).iou) / max(1, len(found) + len(truth))


def shifted_together(found: Polygons, truth: Polygons) -> tuple[float, tuple[float, float]]:
    """Return the best F1 where all of the reference is moved alike, and that shift."""
    moves = [(float(dx), float(dy)) for dx in SHIFTS_M for dy in SHIFTS_M]
    scores = [f1_of(found, moved(truth, *move)) for move in moves]
    best = int(np.argmax(scores))
    return scores[best], moves[best]


def shifted_each(found: Polygons, truth: Polygons) -> float:
    """Return F1 where each reference object is moved by up to ``OWN_SHIFT_M`` to fit a predicted object best."""
    moves = [(dx, dy) for dx in SHIFTS_M for dy in SHIFTS_M if np.hypot(dx, dy) <= OWN_SHIFT_M]
    best, place = np.zeros(len(truth)), np.array(truth, object)
    for move in sorted(moves, key=lambda one: float(np.hypot(*one))):
        there = moved(truth, *move)
        pairs = overlapping(found, there)
        iou = np.zeros(len(truth))
        np.maximum.at(iou, pairs.reference, pairs.iou)
        better = iou > best
        best[better], place[better] = iou[better], there[better]
    return f1_of(found, place)


def moved(polygons: Polygons, dx: float, dy: float) -> Polygons:
    """Move polygons."""
    return np.asarray(shapely.transform(polygons, lambda xy: xy + np.array([dx, dy])), object)


def mirrored(polygons: Polygons, bounds: tuple[float, float, float, float]) -> Polygons:
    """Mirror polygons at the middle of a scene, left to right."""
    return np.asarray(shapely.transform(polygons, lambda xy: np.c_[bounds[0] + bounds[2] - xy[:, 0], xy[:, 1]]), object)


def model_row(name: str, data: Path, folder: Path) -> dict[str, Any]:
    """Map the held-out rows by one model, and score them."""
    model = geoseg.load_model(name)
    detects = model.card.task == "instance"
    row: dict[str, Any] = {"model": name, "mb": round(resolve(name)[0].stat().st_size / 1e6, 1)}
    for place, stem, rows, _ in HELD_OUT:
        inside = folder / place
        inside.mkdir(parents=True)
        scene = cut(inside, data / place / f"{stem}_rgb.tif", rows)
        truth = footprints(data / place / f"{stem}_buildings.gpkg", scene)
        spec = PredictSpec(objects=None if detects else ObjectChoice(classes="building"))
        geoseg.predict(scene, model, inside / "first", spec=spec, reporter=Silence())  # compiled, kernels loaded
        begun = time.process_time()
        files = geoseg.predict(scene, model, inside / "out", spec=spec, reporter=Silence()).bundle
        seconds = time.process_time() - begun
        with rasterio.open(scene) as file, rasterio.open(files.classes) as classes:
            pixels, bounds, crs = file.width * file.height, tuple(file.bounds), file.crs
            building = classes.read(1) == 1
        with rasterio.open(data / place / f"{stem}_instances.tif") as labels:
            window = ((rows[0], rows[1]), (0, labels.width))
            labelled = labels.read(1, window=window) > 0
        layer = geopandas.read_file(files.directory / f"{files.stem}_objects.gpkg", layer="objects").to_crs(crs)
        found = np.asarray(layer.geometry.to_numpy(), object)
        together, shift = shifted_together(found, truth)
        scored = {"score": layer["score"] if detects else layer["confidence"]}
        precision = average_precision(overlapping(found, truth), scored["score"].to_numpy(float), len(truth))
        row[place] = {
            "objects": len(found),
            "labelled": len(truth),
            "f1": round(f1_of(found, truth), 3),
            "ap": precision["ap"],
            "ap50": precision["ap50"],
            "pixel_iou": round(float((building & labelled).sum() / (building | labelled).sum()), 3),
            "f1_all_shifted": round(together, 3),
            "shift_m": shift,
            "f1_each_shifted": round(shifted_each(found, truth), 3),
            "f1_mirrored": round(f1_of(mirrored(found, bounds), truth), 3),
            "f1_mirrored_each_shifted": round(shifted_each(mirrored(found, bounds), truth), 3),
            "mpx_per_cpu_s": round(pixels / seconds / 1e6, 2),
        }
    return row


def main() -> None:
    """Read the command line and print one line for each network and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the mosaics; without it only networks are measured")
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="bundled names or model files")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--side", type=int, default=512, help="pixels of the tile that networks answer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    tile = torch.rand(1, 3, options.side, options.side, generator=torch.Generator().manual_seed(0))
    for network in options.networks:
        rows.append(nominal_row(network, tile, options.rounds, classes=2))
        if not options.json:
            print(rows[-1], flush=True)
    with tempfile.TemporaryDirectory() as name:
        for number, model in enumerate(options.models if options.data else ()):
            rows.append(model_row(model, options.data, Path(name) / str(number)))
            if not options.json:
                print(rows[-1], flush=True)
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
