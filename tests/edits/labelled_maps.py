"""Finished maps whose objects have labels: detected objects and panoptic maps, predicted once in a run of the tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas
import known_objects
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from corrected_maps import compile_tracer
from drawn_panoptic import THINGS, drawn, panoptic_card, write_drawn
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

import geoseg
from geoseg.core.legend import Legend
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.core.window import Window
from geoseg.edits import layers, planes
from geoseg.models.model import Model
from geoseg.testing.instances import PerfectDetector
from geoseg.testing.panoptic import PerfectPanoptic
from geoseg.vector.source import LabelTable
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels

SHAPE = (90, 120)
WEST, NORTH, PIXEL = 5e5, 5e6, 0.5
BLOCK_PX = 32
ALL_OBJECTS = Legend(classes=known_objects.LEGEND.classes[1:], background=None)
"""Classes without a background: pixels without an object have none."""


def _choice(**options: object) -> PredictSpec:
    return PredictSpec(instances=InstanceChoice(min_score=0.0, nms_iou=1.0, **options))


SPECS = {
    "panoptic": PredictSpec(value_range=(0, 255), min_area_m2=0),
    "panoptic, simplified": PredictSpec(value_range=(0, 255), min_area_m2=0, simplify_m=0.6, confidence=False),
    "panoptic, rasters": PredictSpec(value_range=(0, 255), min_area_m2=0, vector=False),
    "instances": _choice(),
    "instances, ids": _choice(object_ids=True, regularise="roof"),
    "instances, rasters": _choice(object_ids=True).model_copy(update={"vector": False}),
    "instances, simplified": _choice(object_ids=True).model_copy(update={"simplify_m": 0.6, "confidence": False}),
    "instances, no ids": _choice().model_copy(update={"simplify_m": 0.6}),
    "instances, all objects": _choice(object_ids=True),
    "instances, overlaps": _choice(overlaps="keep"),
}


@pytest.fixture(scope="session", name="predicted_maps")
def fixture_of_predicted_maps(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``predicted_maps(kind)``: ``--out`` of a run; predicted once. Do not write into it."""
    root = tmp_path_factory.getbasetemp() / "labelled_maps"
    root.mkdir(exist_ok=True)

    def make(kind: str) -> Path:
        out = root / kind.replace(", ", "_")
        if out.exists():
            return out
        if kind.startswith("panoptic"):
            model = geoseg.load_model(PerfectPanoptic(5, THINGS), card=panoptic_card())
            scene = write_drawn(root / "scene.tif", drawn(SHAPE, 1, 15))
        else:
            model = detector(ALL_OBJECTS if kind == "instances, all objects" else known_objects.LEGEND)
            scene = _bands(root / "scene.tif", known_objects.drawn_objects(SHAPE, 3, 25))
        geoseg.predict(scene, model, out, spec=SPECS[kind])
        return out

    return make


@pytest.fixture(name="labelled_map")
def fixture_of_labelled_map(
    predicted_maps: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``labelled_map(kind)``: folder of a scene's layers of its own."""

    def copy(kind: str) -> Path:
        return shutil.copytree(predicted_maps(kind), tmp_path_factory.mktemp("copy") / "out") / "scene"

    return copy


@pytest.fixture(name="tiny_blocks")
def fixture_of_tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace and write in small blocks."""
    compile_tracer()
    labels = np.random.default_rng(0).integers(0, 3, (20, 20)).astype(np.int32)
    table = LabelTable(code=np.array([255, 1, 2], np.uint8), none=0, columns=np.zeros(3, [("label", "i8")]))
    geobox = GeoBox(labels.shape, Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH), "EPSG:32633")
    for spec in (VectorSpec(), VectorSpec(simplify_m=0.6)):
        how = Tracing(spec=spec, block_px=16, threads=1)
        list(vectorise_labels(_Labels(labels), geobox, table, how))
    monkeypatch.setattr(layers, "BLOCK_PX", BLOCK_PX)
    monkeypatch.setattr(planes, "_BLOCK_PX", BLOCK_PX)


class _Labels:
    """Labels in memory; a source for the vectoriser."""

    def __init__(self, labels: np.ndarray) -> None:
        self.shape, self._labels = labels.shape, labels

    def read(self, window: Window) -> tuple[np.ndarray, None]:
        return self._labels[window.slices], None


def detector(legend: Legend = known_objects.LEGEND) -> Model:
    """A model that detects every object that is drawn."""
    network = PerfectDetector(classes=2, scores=known_objects.SCORES)
    return geoseg.load_model(network, card=known_objects.detector_card(legend=legend))


def _bands(path: Path, bands: np.ndarray) -> Path:
    facts = {"driver": "GTiff", "count": len(bands), "height": SHAPE[0], "width": SHAPE[1], "dtype": "uint8"}
    transform = Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH)
    with rasterio.open(path, "w", crs="EPSG:32633", transform=transform, **facts) as file:
        file.write(bands)
    return path


def frame(folder: Path) -> geopandas.GeoDataFrame:
    """Polygons of a map, by ``object_id`` or ``fid``."""
    path = folder / "scene_objects.gpkg"
    if path.exists():
        return geopandas.read_file(path, layer="objects", fid_as_index=True)
    return geopandas.read_file(folder / "scene_segments.gpkg", layer="segments", fid_as_index=True)


def burnt(folder: Path, shapes: list[shapely.Geometry], values: list[int]) -> np.ndarray:
    """Burn shapes by GDAL, -1 where there is none."""
    with rasterio.open(folder / "scene_classes.tif") as file:
        if not shapes:
            return np.full(file.shape, -1, np.int64)
        pairs = zip(shapes, values, strict=True)
        return rasterize(pairs, file.shape, -1, transform=file.transform, dtype="int64")


def area(top: float, bottom: float, left: float, right: float) -> shapely.Polygon:
    """A box of pixels, in map coordinates."""
    return shapely.box(WEST + left * PIXEL, NORTH - bottom * PIXEL, WEST + right * PIXEL, NORTH - top * PIXEL)
