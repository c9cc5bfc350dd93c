"""Finished maps to correct, predicted once in a run of the tests, and how their files are read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from conftest import tiny_card
from odc.geo.geobox import GeoBox

import geoseg
from geoseg import nn
from geoseg.cli.main import app
from geoseg.core.spec import ObjectChoice, PanopticChoice, PredictSpec
from geoseg.edits import Edit, layers, object_layer, planes
from geoseg.io.weights.model_file import write_model
from geoseg.process.command import run_command
from geoseg.vector.source import ArraySource
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

SHAPE = (150, 200)
WEST, NORTH, PIXEL = 500000.0, 5400000.0, 0.5
SIMPLIFY_M = 0.6


def smooth(shape: tuple[int, int] = SHAPE, seed: int = 0, sigma: float = 9) -> np.ndarray:
    """Smooth random imagery of large regions."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(3, *shape))
    wide = ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="wrap")
    return np.clip(128 + wide * 1500, 1, 254).astype(np.uint8)


@pytest.fixture(scope="session", name="finished_maps")
def fixture_of_finished_maps(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``finished_maps(kind)``: folder with a scene's layers; predicted once. Do not write into it."""
    root = tmp_path_factory.getbasetemp() / "finished_maps"
    root.mkdir(exist_ok=True)
    torch.manual_seed(7)
    network = nn.build("unet", 3, 3, width=4, depth=2)
    model = root / "tiny.safetensors"
    write_model(model, {name: tensor.numpy() for name, tensor in network.state_dict().items()}, tiny_card())
    values = smooth()
    values[:, :20, :30] = 0
    with rasterio.open(
        root / "scene.tif",
        "w",
        driver="GTiff",
        height=SHAPE[0],
        width=SHAPE[1],
        count=3,
        dtype="uint8",
        nodata=0,
        crs="EPSG:32632",
        transform=Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH),
        photometric="RGB",
    ) as file:
        file.write(values)
    specs = {
        "exact": PredictSpec(min_area_m2=0.0),
        "simplified": PredictSpec(min_area_m2=2.0, simplify_m=SIMPLIFY_M),
        "objects": PredictSpec(min_area_m2=1.0, objects=ObjectChoice(classes="1")),
        "rasters": PredictSpec(vector=False, confidence=False),
        "panoptic": PredictSpec(min_area_m2=1.0, panoptic=PanopticChoice(objects=ObjectChoice(classes="1"))),
    }

    def make(kind: str) -> Path:
        out = root / kind
        if not out.exists():
            geoseg.predict(root / "scene.tif", model, out, spec=specs[kind])
        return out

    return make


@pytest.fixture(name="finished_map")
def fixture_of_finished_map(finished_maps: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """``finished_map(kind)``: folder of a scene's layers of its own."""

    def copy(kind: str = "exact", name: str = "out") -> Path:
        target = tmp_path / name
        shutil.copytree(finished_maps(kind), target)
        scene = finished_maps(kind).parent / "scene.tif"
        if not (tmp_path / "scene.tif").exists():
            shutil.copy2(scene, tmp_path / "scene.tif")
        return target / "scene"

    return copy


def compile_tracer() -> None:
    """Compile what traces blocks: hypothesis changes the recursion limit, at which Python 3.11 fails to parse."""
    codes = np.kron(np.random.default_rng(0).integers(0, 3, (20, 20)), np.ones((3, 3))).astype(np.uint8)
    geobox = GeoBox(codes.shape, Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH), "EPSG:32632")
    for spec in (VectorSpec(), VectorSpec(min_area_m2=2.0), VectorSpec(min_area_m2=2.0, simplify_m=SIMPLIFY_M)):
        list(vectorise_codes(ArraySource(codes, codes), geobox, spec=spec, block_px=16))


@pytest.fixture(name="small_blocks")
def fixture_of_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace and write in blocks of 32 pixels."""
    compile_tracer()
    monkeypatch.setattr(layers, "BLOCK_PX", 32)
    monkeypatch.setattr(object_layer, "BLOCK_PX", 32)
    monkeypatch.setattr(planes, "_BLOCK_PX", 64)


def record_of(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def box(top: float, bottom: float, left: float, right: float) -> shapely.Polygon:
    """A box of pixels, in map coordinates."""
    return shapely.box(WEST + left * PIXEL, NORTH - bottom * PIXEL, WEST + right * PIXEL, NORTH - top * PIXEL)


def repaint(area: shapely.Geometry, code: int, **fields) -> Edit:
    return Edit(kind="repaint", geometry=area, class_code=code, **fields)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def table(path: Path, layer: str = "segments") -> geopandas.GeoDataFrame:
    return geopandas.read_file(path, layer=layer, fid_as_index=True)


def rows(frame: geopandas.GeoDataFrame) -> list:
    """All columns of all polygons, in an order of their own."""
    values = frame.drop(columns="geometry").fillna(-1).itertuples(index=False)
    return sorted((geometry.wkb, *row) for geometry, row in zip(frame.geometry, values, strict=True))


def vectorised(folder: Path, target: Path, *options: str) -> geopandas.GeoDataFrame:
    """The polygons of ``geoseg vectorise`` of the class raster as a whole."""
    spec = record_of(folder)["options"]
    arguments = ["vectorise", str(folder / "scene_classes.tif"), "--out", str(target), "--overwrite"]
    arguments += ["--confidence", str(folder / "scene_confidence.tif"), "--simplify-m", str(spec["simplify_m"])]
    arguments += ["--min-area-m2", str(spec["min_area_m2"]), *options]
    assert run_command(lambda: app(args=arguments, standalone_mode=False), debug=True) == 0
    return table(target, "objects" if "--objects" in options else "segments")
