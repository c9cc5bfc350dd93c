"""Every family of networks once from imagery to map: trained briefly, run by ``geoseg.predict``, scored, timed.

    python benchmarks/families.py --data ../shared/data [--minutes 3] [--out families] [NAME ...]

Each network learns from random weights on the first rows of banepa for the same time, which is far too short for the
large ones: the table shows that each learns, maps and how fast, not how good it can become. IoU is of buildings; an
answer of buildings everywhere has an IoU of 0.4 there, and a kappa of 0. Results are kept in
``OUT/families.jsonl``; networks that stand there are not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.windows import Window as RasterioWindow
from rasterio.windows import transform as window_transform

import geoseg
from geoseg.core.spec import PredictSpec
from geoseg.models.model import load_model
from geoseg.training.recipe import Recipe
from geoseg.training.train import train

FAMILIES = (
    *("fcn32s", "fcn8s", "fcn_r50", "segnet", "parsenet", "unet", "timm_unet", "unetplusplus", "deeplabv1"),
    *("deeplabv2_r101", "deeplabv3_r50", "deeplabv3plus_mobilenetv2", "pspnet_r50", "hrnet_w18s_v1", "hrnet_ocr_w18"),
    *("duc_hdc_r101", "refinenet_r101", "fastfcn_psp_r50", "fastfcn_encnet_r50", "dfn_r101", "setr_pup_b"),
    *("setr_mla_b", "smp_unet", "smp_segformer", "torchvision_lraspp_mobilenet_v3_large", "torchgeo_farseg"),
)
GENTLY = ("setr", "smp_segformer", "deeplabv1", "refinenet")
"""Those that a high rate from random weights drives into one class: transformers, and where the head has no norm."""
ROWS = 2304, 2816
IMAGE, LABELS = "banepa/banepa_train_rgb.tif", "banepa/banepa_train_instances.tif"


def recipe(network: str, minutes: float) -> Recipe:
    """Describe the training: the same for all."""
    rate = 2e-4 if network.startswith(GENTLY) else 1e-3
    bands = zip(("red", "green", "blue"), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    source = {"kind": "files", "name": "banepa", "licence": "CC-BY-4.0, ODbL", "image": IMAGE, "labels": LABELS}
    return Recipe.model_validate(
        {
            "name": network.replace("_", "-"),
            "licence": "CC-BY-4.0",
            "architecture": {"name": network},
            "bands": [{"name": name, "mean": mean, "std": std} for name, mean, std in bands],
            "gsd_m": {"min": 0.05, "max": 0.3},
            "tile_px": 512,
            "halo_px": 64,
            "legend": {
                "classes": [
                    {"code": 0, "name": "background", "colour": "#d9d9d9"},
                    {"code": 1, "name": "building", "colour": "#d7301f"},
                ]
            },
            "sources": [source | {"codes": "nonzero", "train": [0, 2048]}],
            "chips": {"size_px": 128, "batch": 4, "gsd_factor": [1.0, 1.6], "gsd_spread": 0.1, "turned": 0},
            "augment": dict.fromkeys(("blur_px", "noise", "jpeg_quality", "blank", "collar", "greyscale"), 0),
            "loss": {"cross_entropy": 1.0, "dice": 0.5},
            "schedule": {"steps": 100_000, "minutes": minutes, "learning_rate": rate, "ema": 0, "save_every": 100_000},
        }
    )


def held_out(data: Path, folder: Path) -> tuple[Path, np.ndarray]:
    """Cut the rows that nothing learns from."""
    window = RasterioWindow(0, ROWS[0], 3072, ROWS[1] - ROWS[0])
    with rasterio.open(data / IMAGE) as image, rasterio.open(data / LABELS) as labels:
        pixels, truth = image.read([1, 2, 3], window=window), labels.read(1, window=window) > 0
        place = {"crs": image.crs, "transform": window_transform(window, image.transform)}
    path = folder / "rows.tif"
    size = {"height": pixels.shape[1], "width": pixels.shape[2], "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as target:
        target.write(pixels)
    return path, truth


def run(network: str, data: Path, minutes: float) -> dict[str, float | str]:
    """Train, map and score one network."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder, steps = Path(scratch), 0

        def count(progress: object) -> None:
            nonlocal steps
            steps += 1

        start = time.perf_counter()
        path, _ = train(recipe(network, minutes), data, folder / "model", report=count)
        trained = time.perf_counter() - start
        scene, truth = held_out(data, folder)
        model = load_model(path)
        model.runtime.run(np.zeros((1, 3, 512, 512), np.float32))
        layers = geoseg.predict(scene, model, folder / "out", spec=PredictSpec(vector=False))
        with rasterio.open(layers.bundle.classes) as file:
            found = file.read(1) == 1
        both, neither = (float((found & truth).mean()), float((~found & ~truth).mean()))
        chance = float(found.mean() * truth.mean() + (1 - found.mean()) * (1 - truth.mean()))
        return {
            "network": network,
            "steps": steps,
            "minutes": round(trained / 60, 1),
            "iou": round(both / (1 - neither), 3),
            "mean_iou": round((both / (1 - neither) + neither / (1 - both)) / 2, 3),
            "kappa": round((both + neither - chance) / (1 - chance), 3),
            "mpx_per_s": round(truth.size / 1e6 / layers.record["timings"]["predict_s"], 3),
            "mb": round(path.stat().st_size / 1e6, 1),
        }


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=FAMILIES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--out", type=Path, default=Path("families"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = arguments.out / "families.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for network in arguments.networks:
        if network not in {row["network"] for row in rows}:
            rows.append(run(network, arguments.data, arguments.minutes))
            with kept.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    columns = ("network", "steps", "minutes", "iou", "mean_iou", "kappa", "mpx_per_s", "mb")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(str(row[key]) for key in columns)} |")


if __name__ == "__main__":
    main()
