"""Run in the environment of another library: detect by its public functions, write the pixels of its objects.

    python merging_peers.py PEER SCENE.tif NETWORK.pt OUT.npz SETTINGS.json

``merging.py`` calls it. The network is the same for all; the file holds areas and faults of a ``NumberReader``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from merging_network import NumberReader


def by_sahi(scene: str, network: NumberReader, settings: dict[str, Any]) -> Iterable[Any]:
    """Sliced prediction with one of its ways of merging."""
    import rasterio
    from sahi import AutoDetectionModel
    from sahi.predict import get_sliced_prediction

    with rasterio.open(scene) as file:
        image = np.ascontiguousarray(np.moveaxis(file.read(), 0, 2))
    model = AutoDetectionModel.from_pretrained(
        "torchvision", model=network, category_mapping={"0": "none", "1": "object"}, device="cpu"
    )
    found = get_sliced_prediction(image, model, verbose=0, perform_standard_pred=False, **settings)
    for one in found.object_prediction_list:
        yield np.flatnonzero(one.mask.bool_mask)


def by_geoai(scene: str, network: NumberReader, settings: dict[str, Any]) -> Iterable[Any]:
    """Sliding window with suppression by boxes; its raster of instances."""
    sys.modules["leafmap"] = MagicMock()  # imported for maps in notebooks only
    import rasterio
    from geoai.train import instance_segmentation_inference_on_geotiff

    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out.tif")
        instance_segmentation_inference_on_geotiff(network, scene, out, device=torch.device("cpu"), **settings)
        with rasterio.open(out) as file:
            ids = file.read(1).ravel()
    order = np.argsort(ids, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1)
    yield from (part for part in parts if ids[part[0]])


def by_detectree2(scene: str, network: NumberReader, settings: dict[str, Any]) -> Iterable[Any]:
    """Tiles, predictions in its format, projected, stitched and cleaned crowns, drawn again as it read them."""
    sys.modules["detectron2"] = types.ModuleType("detectron2")  # only its presence is asked for
    import cv2
    import pycocotools.mask
    import rasterio
    from detectree2.models.outputs import clean_crowns, post_clean, project_to_geojson, stitch_crowns
    from detectree2.preprocessing.tiling import tile_data

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        tile_data(scene, str(home / "tiles"), enhance_rgb_contrast=False, dtype_bool=True, **settings["tiles"])
        (home / "predictions").mkdir()
        for path in sorted((home / "tiles").glob("*.tif")):
            with rasterio.open(path) as file:
                answer = network([torch.from_numpy(file.read()).float() / 255])[0]
            crowns = []
            for mask, score in zip(answer["masks"], answer["scores"].tolist(), strict=True):
                coded = pycocotools.mask.encode(np.asfortranarray(mask[0].numpy().astype(np.uint8)))
                coded["counts"] = coded["counts"].decode()
                crowns.append({"image_id": str(path), "category_id": 0, "score": score, "segmentation": coded})
            (home / "predictions" / f"Prediction_{path.stem}.json").write_text(json.dumps(crowns))
        project_to_geojson(str(home / "tiles"), str(home / "predictions"), str(home / "crowns"))
        for path in (home / "crowns").glob("*.geojson"):
            if not json.loads(path.read_text())["features"]:
                path.unlink()  # it does not read files without crowns
        stitched = stitch_crowns(str(home / "crowns"), **settings.get("stitch", {}))
        cleaned = clean_crowns(stitched, verbose=False, **settings.get("clean", {}))
        if settings.get("post_clean"):
            cleaned = post_clean(stitched, cleaned, verbose=False)
    with rasterio.open(scene) as file:
        shape, back = file.shape, ~file.transform
    for polygon in cleaned.geometry:
        for part in getattr(polygon, "geoms", [polygon]):
            corners = np.array([back * corner[:2] for corner in part.exterior.coords]) - 0.5
            low = np.rint(corners.min(axis=0)).astype(int)
            size = np.rint(corners.max(axis=0)).astype(int) - low + 1
            drawn = np.zeros(size[::-1], np.uint8)
            cv2.fillPoly(drawn, [np.rint(corners - low).astype(np.int32)], 1)
            rows, cols = np.nonzero(drawn)
            yield (rows + low[1]) * shape[1] + cols + low[0]


class WideEnough(NumberReader):
    """Leaves out masks one pixel wide, for which SAHI raises an error: its outlines need three corners."""

    def forward(self, tiles: list[torch.Tensor] | torch.Tensor) -> list[dict[str, torch.Tensor]]:
        """Run tiles (band, y, x)."""
        answers = super().forward(tiles)
        wide = [(one["boxes"][:, 2:] - one["boxes"][:, :2] > 1).all(dim=1) for one in answers]
        return [{name: value[kept] for name, value in one.items()} for one, kept in zip(answers, wide, strict=True)]


PEERS = {"sahi": by_sahi, "geoai": by_geoai, "detectree2": by_detectree2}


def main() -> None:
    """Run one peer."""
    peer, scene, network_path, out, settings = sys.argv[1:]
    facts = torch.load(network_path)
    network = (WideEnough if peer == "sahi" else NumberReader)(facts["areas"], faults=facts["faults"]).eval()
    with torch.inference_mode():
        outputs = list(PEERS[peer](scene, network, json.loads(settings)))
    counts = [len(pixels) for pixels in outputs]
    np.savez(out, pixels=np.concatenate([np.zeros(0, np.int64), *outputs]), counts=np.array(counts, np.int64))


if __name__ == "__main__":
    main()
