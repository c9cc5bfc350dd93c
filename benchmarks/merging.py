"""Objects doubled, cut, joined or lost when detections of tiles are merged: geoseg, SAHI, geoai and detectree2.

    python benchmarks/merging.py [--data DIR] [--peers DIR] [--side 2048] [--picture A.png]

One network reads the objects of a mosaic off its pixels, exactly or with seeded faults (``merging_network.py``). So
every error is the merging's, or is that of faults and merging together. The mosaic is drawn; with ``--data`` also the
building labels of ``DIR/banepa``. A pixel counts as 0.5 m. ``--peers`` makes an environment for each other library
under DIR with pip, which sees the packages of this one, and runs the libraries' public functions there
(``merging_peers.py``). Verdicts are defined in ``merging_counts.py``; ``f1`` is that of objects at an IoU of 0.5.
One JSON line for each row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
import shapely
import torch
from affine import Affine
from merging_counts import VERDICTS, verdicts
from merging_network import NumberReader
from PIL import Image

import geoseg
from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.run.report import Silence
from geoseg.score.objects import match_objects

I64 = npt.NDArray[np.int64]

PACKAGES = {
    "sahi": ("sahi==0.12.8", "opencv-python-headless", "fire", "termcolor"),
    "geoai": (
        "geoai-py==0.40.1",
        "opencv-python-headless",
        "scikit-image",
        "scikit-learn",
        "matplotlib",
        "lazy-loader",
        "imageio",
        "tifffile",
    ),
    "detectree2": ("detectree2==2.1.2", "opencv-python-headless", "fiona", "pycocotools"),
}
_SLICES = {"slice_height": 512, "slice_width": 512, "overlap_height_ratio": 0.25, "overlap_width_ratio": 0.25}
_TILES = {"tile_width": 192, "tile_height": 192, "buffer": 32, "full_coverage": True}
SETTINGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("sahi", "GREEDYNMM", {**_SLICES, "postprocess_type": "GREEDYNMM"}),
    ("sahi", "NMM", {**_SLICES, "postprocess_type": "NMM"}),
    ("sahi", "NMS", {**_SLICES, "postprocess_type": "NMS"}),
    ("sahi", "defaults", {}),
    ("geoai", "overlap 128", {"window_size": 512, "overlap": 128}),
    ("geoai", "defaults", {}),
    ("detectree2", "buffer 32 m", {"tiles": _TILES}),
    ("detectree2", "buffer 32 m, post_clean", {"tiles": _TILES, "post_clean": True}),
    ("detectree2", "defaults", {"tiles": {}}),
)


def draw(side: int, seed: int = 1) -> I64:
    """Draw large, long, ring-shaped, touching and small objects, a free pixel between all but the touching ones."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int64)

    def place(mask: npt.NDArray[np.int64]) -> None:
        rows, cols = mask.shape
        if rows + 2 >= side or cols + 2 >= side:
            return
        top, left = int(rng.integers(1, side - rows)), int(rng.integers(1, side - cols))
        if not labels[top - 1 : top + rows + 1, left - 1 : left + cols + 1].any():
            labels[top : top + rows, left : left + cols] = np.where(mask, mask + labels.max(), 0)

    area = side * side / 2048**2
    for _ in range(round(4 * area)):
        mask = np.ones(rng.integers(550, 750, 2), np.int64)
        mask[80:, 80:] = 0
        place(mask)
    for _ in range(round(40 * area)):
        mask = np.ones((int(rng.integers(4, 9)), int(rng.integers(100, 700))), np.int64)
        place(mask if rng.random() < 0.5 else mask.T)
    for _ in range(round(60 * area)):
        mask = np.ones(rng.integers(30, 140, 2), np.int64)
        mask[6:-6, 6:-6] = 0
        place(mask)
    for _ in range(round(120 * area)):
        row = np.repeat(np.arange(1, 1 + int(rng.integers(2, 8))), int(rng.integers(12, 40)))
        mask = np.tile(row, (int(rng.integers(15, 40)), 1))
        place(mask if rng.random() < 0.5 else mask.T)
    for _ in range(round(2500 * area)):
        place(np.ones(rng.integers(8, 25, 2), np.int64))
    return _numbered(labels)


def _numbered(labels: npt.NDArray[Any]) -> I64:
    _, found = np.unique(np.r_[0, labels.ravel()], return_inverse=True)
    return np.asarray(found[1:].reshape(labels.shape), np.int64)


def write_scene(path: Path, labels: I64) -> None:
    """Write numbers as two bytes in two bands; the third is 1, so that no pixel is taken for nodata."""
    bands = np.stack([labels % 256, labels // 256, np.ones_like(labels)]).astype(np.uint8)
    facts = {"count": 3, "height": bands.shape[1], "width": bands.shape[2], "dtype": "uint8", "tiled": True}
    place = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500000, 0, -0.5, 4000000)}
    with rasterio.open(path, "w", driver="GTiff", **facts, **place) as file:
        file.write(bands)


def by_geoseg(scene: Path, network: NumberReader, halo_px: int, out: Path) -> list[I64]:
    """Predict with tiles of 512 px and return the pixels of each object."""
    legend = Legend(
        classes=[
            LegendClass(code=0, name="background", colour="#000000"),
            LegendClass(code=1, name="object", colour="#ff0000"),
        ]
    )
    card = ModelCard(
        name="numbers",
        architecture=Architecture(name="own"),
        task="instance",
        bands=tuple(CardBand(name=name, mean=0, std=1) for name in ("red", "green", "blue")),
        gsd_m=GsdRange(min=0.1, max=1),
        tile_px=512,
        halo_px=halo_px,
        legend=legend,
        licence="CC0-1.0",
    )
    spec = PredictSpec(instances=InstanceChoice(object_ids=True))
    layers = geoseg.predict(scene, geoseg.load_model(network, card=card), out, spec=spec, reporter=Silence())
    with rasterio.open(layers.bundle.by_role()["object_ids"]) as file:
        ids, none = file.read(1).ravel(), int(file.nodata)
    order = np.argsort(ids, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1)
    return [part for part in parts if ids[part[0]] != none]


def by_peer(peer: str, home: Path, settings: dict[str, Any], peers: Path) -> list[I64]:
    """Run a peer in its environment, made where it is missing.

    Raises:
        RuntimeError: pip or the peer fails.
    """
    python = peers / peer / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(peers / peer)])
        packages = next((peers / peer).glob("lib/python*/site-packages"))
        (packages / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", *PACKAGES[peer]])
    script = Path(__file__).with_name("merging_peers.py")
    out = home / "objects.npz"
    _run([str(python), str(script), peer, *(str(home / n) for n in ("scene.tif", "network.pt")), str(out),
          json.dumps(settings)])  # fmt: skip
    with np.load(out) as file:
        return np.split(file["pixels"], np.cumsum(file["counts"])[:-1]) if len(file["counts"]) else []


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{' '.join(command[:4])}: {done.stderr.splitlines()[-1:]}"
        raise RuntimeError(msg)


def outlines(objects: list[I64], width: int) -> npt.NDArray[np.object_]:
    """Draw the outline of each object."""
    drawn = []
    for pixels in objects:
        rows, cols = np.divmod(pixels, width)
        mask = np.zeros((np.ptp(rows) + 1, np.ptp(cols) + 1), np.uint8)
        mask[rows - rows.min(), cols - cols.min()] = 1
        shift = Affine.translation(int(cols.min()), int(rows.min()))
        parts = [shapely.geometry.shape(one) for one, _ in rasterio.features.shapes(mask, mask > 0, transform=shift)]
        drawn.append(shapely.union_all(parts))
    return np.array(drawn, object)


def row(labels: I64, objects: list[I64], least_iou: float) -> dict[str, Any]:
    """Count verdicts and compute F1."""
    objects = [pixels for pixels in objects if len(pixels)]
    found, spare = verdicts(labels, objects, least_iou)
    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    parts = [part for part in np.split(order, np.flatnonzero(np.diff(flat[order])) + 1) if flat[part[0]]]
    pairs = len(match_objects(outlines(objects, labels.shape[1]), outlines(parts, labels.shape[1])).iou)
    counts = Counter(found.tolist())
    facts = {name: counts.get(name, 0) for name in VERDICTS}
    return {"outputs": len(objects), **facts, "spare": spare, "f1": round(2 * pairs / (len(objects) + len(parts)), 3)}


def picture(path: Path, labels: I64, objects: list[I64], least_iou: float) -> None:
    """Draw right objects green, the others red, what was found beyond them blue."""
    found, _ = verdicts(labels, objects, least_iou)
    colour = np.r_[[[0, 0, 0]], np.where((found == "right")[:, None], (40, 160, 60), (230, 40, 40))].astype(np.uint8)
    shown = colour[labels]
    covered = np.zeros(labels.size, bool)
    for pixels in objects:
        covered[pixels] = True
    shown[covered.reshape(labels.shape) & (labels == 0)] = (60, 90, 255)
    shown[~covered.reshape(labels.shape) & (labels > 0)] //= 2
    Image.fromarray(shown).save(path)


def main() -> None:
    """Read the command line and print a row for each mosaic, network and way of merging."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--side", type=int, default=2048, help="rows and columns of the mosaics")
    parser.add_argument("--picture", type=Path, help="PNG for each row; its name goes before .png")
    parser.add_argument("--mosaics", nargs="+", choices=["drawn", "banepa", "banepa-faults"], help="default: all")
    parser.add_argument("--tools", nargs="+", choices=["geoseg", *PACKAGES], help="default: all")
    options = parser.parse_args()
    mosaics = [("drawn", False, draw(options.side))]
    if options.data is not None:
        with rasterio.open(options.data / "banepa" / "banepa_train_instances.tif") as file:
            real = _numbered(file.read(1)[: options.side, : options.side])
        mosaics += [("banepa", False, real), ("banepa", True, real)]
    for name, faults, labels in mosaics:
        if options.mosaics and f"{name}{'-faults' if faults else ''}" not in options.mosaics:
            continue
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            write_scene(home / "scene.tif", labels)
            areas = torch.from_numpy(np.bincount(labels.ravel()))
            torch.save({"areas": areas, "faults": faults}, home / "network.pt")
            network = NumberReader(areas, faults=faults).eval()
            ways: list[tuple[str, str, Any]] = [("geoseg", "halo 64", 64), ("geoseg", "halo 128", 128)]
            ways += SETTINGS if options.peers is not None else ()
            for tool, way, settings in ways:
                if options.tools and tool not in options.tools:
                    continue
                begun, least_iou = time.perf_counter(), 0.7 if faults else 0.9
                facts: dict[str, Any] = {"mosaic": name, "faults": faults, "objects": len(areas) - 1}
                try:
                    if tool == "geoseg":
                        objects = by_geoseg(home / "scene.tif", network, settings, home / f"out{settings}")
                    else:
                        objects = by_peer(tool, home, settings, options.peers)
                except RuntimeError as error:
                    print(json.dumps({**facts, "tool": tool, "way": way, "failed": str(error)}), flush=True)
                    continue
                seconds = round(time.perf_counter() - begun, 1)
                facts |= {"tool": tool, "way": way, **row(labels, objects, least_iou), "seconds": seconds}
                print(json.dumps(facts), flush=True)
                if options.picture is not None:
                    stem = f"{options.picture.stem}_{name}_{'faults_' if faults else ''}{tool}_{way.replace(' ', '')}"
                    picture(options.picture.with_name(f"{stem}.png"), labels, objects, least_iou)


if __name__ == "__main__":
    main()
