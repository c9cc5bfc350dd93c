"""The network that all programs run, and the command line that all their scripts share. Imports nothing of geoseg."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import segmentation_models_pytorch as smp
import torch
from torch import nn

ENCODER = "resnet34"


def unet(classes: int, weights: Path | None = None) -> nn.Module:
    """Build the U-Net of segmentation-models-pytorch, with random weights or with those of a file."""
    network: nn.Module = smp.Unet(ENCODER, encoder_weights=None, in_channels=3, classes=classes)
    if weights is not None:
        network.load_state_dict(torch.load(weights, map_location="cpu"))
    return network.eval()


def arguments(description: str | None) -> argparse.Namespace:
    """Parse what ``peers.py`` passes to each script.

    ``tile_px`` and ``overlap_px`` are None where the program's own defaults shall count; ``overlap_px`` counts the
    pixels that two neighbours share.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scene", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--polygons", type=Path)
    parser.add_argument("--tile-px", type=int)
    parser.add_argument("--overlap-px", type=int)
    return parser.parse_args()


def write_classes(scene: Path, classes: npt.NDArray[np.uint8], out: Path) -> None:
    """Write class codes (y, x) as a GeoTIFF on the grid of a scene."""
    with rasterio.open(scene) as source:
        place = {"crs": source.crs, "transform": source.transform}
    layout = {"driver": "GTiff", "tiled": True, "compress": "deflate", "count": 1, "dtype": "uint8"}
    with rasterio.open(out, "w", height=classes.shape[0], width=classes.shape[1], **layout, **place) as target:
        target.write(classes, 1)


def report(*packages: str, **settings: object) -> None:
    """Print versions and settings as the last line, which ``peers.py`` reads."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", *packages)}
    print(json.dumps({"versions": versions, "settings": settings}))
