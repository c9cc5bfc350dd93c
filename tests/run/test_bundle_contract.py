"""What a run leaves is what was promised, on scenes of every kind."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from conftest import LEGEND, blobs
from rasterio.control import GroundControlPoint
from rasterio.features import rasterize

from geoseg.core.spec import PredictSpec
from geoseg.errors import SceneError
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import Model, load_model
from geoseg.run.predict import predict

CHECK = Path(__file__).resolve().parents[3] / "shared" / "tools" / "check_bundle.py"


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")


def half_metre(a: float, b: float, d: float, e: float) -> Affine:
    return Affine(a, b, 500000, d, e, 5400000)


SCENES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one_pixel": {"shape": (1, 1)},
    "one_row": {"shape": (1, 150)},
    "smaller_than_a_tile": {"shape": (50, 61)},
    "one_over": {"shape": (97, 97)},
    "nodata": {"nodata": 0, "hole": True},
    "all_nodata": {"nodata": 7, "fill": 7},
    "south_up": {"transform": half_metre(0.5, 0, 0, 0.5)},
    "rotated": {"transform": half_metre(0.4, 0.3, 0.3, -0.4)},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(5e-6, 0, 9, 0, -5e-6, 20)},
    "mercator": {"crs": "EPSG:3857", "transform": Affine(0.56, 0, 9519926, 0, -0.56, 3202940)},
    "no_epsg": {
        "crs": "+proj=laea +lat_0=50 +lon_0=9 +ellps=GRS80 +units=m",
        "transform": Affine(0.5, 0, 0, 0, -0.5, 0),
    },
    "finer": {"shape": (500, 420), "transform": half_metre(0.2, 0, 0, -0.2)},
    "coarser": {"shape": (120, 90), "transform": half_metre(1.0, 0, 0, -1.0)},
}


def draw(write_scene: Any, kind: str) -> Path:
    options = dict(SCENES[kind])
    values = blobs(options.pop("shape", (200, 260)))
    if options.pop("hole", False):
        values[:, 40:90, 100:180] = 0
    fill = options.pop("fill", None)
    if fill is not None:
        values[...] = fill
    return write_scene(values, name=f"{kind}.tif", **options)


@pytest.mark.slow_after(5)
@pytest.mark.parametrize("kind", SCENES)
def test_the_layers_lie_on_the_scene_and_the_polygons_burn_back(
    kind: str, write_scene: Any, model: Model, tmp_path: Path
) -> None:
    path = draw(write_scene, kind)
    layers = predict(path, model, tmp_path, spec=PredictSpec(block_px=128))
    with (
        rasterio.open(path) as scene,
        rasterio.open(layers.bundle.classes) as classes,
        rasterio.open(layers.bundle.confidence) as confidence,
    ):
        for layer in (classes, confidence):
            assert (layer.shape, layer.crs, layer.transform) == (scene.shape, scene.crs, scene.transform)
        codes, percent = classes.read(1), confidence.read(1)
        valid = scene.dataset_mask() > 0
        assert classes.colormap(1)[5] == (43, 140, 190, 255)
    np.testing.assert_array_equal(codes == 255, ~valid)
    np.testing.assert_array_equal(percent == 255, ~valid)
    assert np.isin(codes[valid], LEGEND.codes).all()
    frame = geopandas.read_file(layers.bundle.segments, layer="segments")
    shapes = list(zip(frame.geometry, frame.class_code, strict=True))
    burnt = np.full(codes.shape, 255, np.uint8)
    if shapes:
        burnt = rasterize(shapes, codes.shape, transform=rasterio.open(path).transform, fill=255, dtype="uint8")
    np.testing.assert_array_equal(burnt, codes)
    if CHECK.exists() and kind in {"plain", "nodata", "mercator", "finer"}:
        checked = subprocess.run(
            [sys.executable, str(CHECK), str(layers.bundle.directory), str(path), "--exact"],
            capture_output=True,
            text=True,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr[-500:]


@pytest.mark.parametrize("top", [60.0, 90.25], ids=["half the Earth", "cells centred on the pole"])
def test_areas_of_classes_are_the_sums_of_their_polygons(
    top: float, write_scene: Any, model: Model, tmp_path: Path
) -> None:
    path = write_scene(crs="EPSG:4326", transform=Affine(0.5, 0, -65, 0, -0.5, top))
    layers = predict(path, model, tmp_path, spec=PredictSpec(gsd_m=55_000.0))
    frame = geopandas.read_file(layers.bundle.segments, layer="segments")
    for entry in layers.record["classes"]:
        polygons = frame[frame.class_code == entry["code"]]
        assert entry["area_m2"] == pytest.approx(polygons.area_m2.sum(), rel=2e-3)


def test_a_scene_over_the_network_leaves_no_secret_in_its_layers(
    write_scene: Any, model: Model, tmp_path: Path
) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    handler = partial(Quiet, directory=str(write_scene(blobs((40, 40))).parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        uri = f"http://me:hunter2@127.0.0.1:{httpd.server_port}/scene.tif?sig=SIGNED"
        with open_scene(uri, allow_remote=True) as scene:
            layers = predict(scene, model, tmp_path / "out")
        httpd.shutdown()
        thread.join()
    assert json.loads(layers.bundle.run_record.read_bytes())["scene"]["uri"].endswith("/scene.tif")
    for path in layers.bundle.directory.iterdir():
        contents = [path.read_bytes()]
        if path.suffix == ".qgz":
            with zipfile.ZipFile(path) as project:
                contents = [project.read(name) for name in project.namelist()]
        assert not any(secret in content for content in contents for secret in (b"hunter2", b"SIGNED")), path


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_values_that_are_not_finite_make_no_noise(write_scene: Any, model: Model, tmp_path: Path) -> None:
    values = blobs((40, 50)).astype(np.float32) / 255
    values[1, 5:9, 5:9], values[2, 20, 20], values[:, 30:, 40:] = np.inf, -np.inf, np.nan
    layers = predict(write_scene(values, photometric=None), model, tmp_path, spec=PredictSpec(value_range=(0, 1)))
    with rasterio.open(layers.bundle.classes) as classes:
        np.testing.assert_array_equal(classes.read(1) == 255, ~np.isfinite(values).all(axis=0))


def test_ground_control_points_are_handed_on_and_polygons_lie_on_the_ground(
    write_scene: Any, model: Model, tmp_path: Path
) -> None:
    corners = [(0, 0), (0, 260), (200, 0), (200, 260)]
    points = [GroundControlPoint(row=r, col=c, x=500000 + c * 0.5, y=5400000 - r * 0.5) for r, c in corners]
    path = write_scene(crs="EPSG:32632", transform=None, gcps=points, name="bare.tif")
    layers = predict(path, model, tmp_path)
    with rasterio.open(layers.bundle.classes) as classes:
        assert [(p.row, p.col, p.x, p.y) for p in classes.gcps[0]] == [(p.row, p.col, p.x, p.y) for p in points]
        codes = classes.read(1)
    frame = geopandas.read_file(layers.bundle.segments, layer="segments")
    assert frame.crs.to_epsg() == 32632
    transform = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
    burnt = rasterize(zip(frame.geometry, frame.class_code, strict=True), codes.shape, transform=transform, fill=255)
    np.testing.assert_array_equal(burnt, codes)


def test_the_map_is_the_same_for_every_block_size_and_nothing_crosses_an_area_of_interest(
    write_scene: Any, model: Model, tmp_path: Path
) -> None:
    path = write_scene(blobs((330, 310)))
    small = predict(path, model, tmp_path / "small", spec=PredictSpec(block_px=64))
    large = predict(path, model, tmp_path / "large", spec=PredictSpec(block_px=4096))
    small_codes, large_codes = (rasterio.open(layers.bundle.classes).read(1) for layers in (small, large))
    np.testing.assert_array_equal(small_codes, large_codes)
    assert small.bundle.segments.read_bytes() == large.bundle.segments.read_bytes()
    area = geopandas.GeoDataFrame(
        geometry=[geopandas.points_from_xy([500060], [5399930])[0].buffer(30)], crs="EPSG:32632"
    )
    area.to_crs(4326).to_file(tmp_path / "area.gpkg")
    odd = (tmp_path / "area.gpkg").rename(tmp_path / "my area!.gpkg")
    inside = predict(path, model, tmp_path / "area", spec=PredictSpec(block_px=64, aoi=str(odd)))
    codes = rasterio.open(inside.bundle.classes).read(1)
    drawn = rasterize(area.geometry, codes.shape, transform=rasterio.open(path).transform).astype(bool)
    assert (codes[drawn] == large_codes[drawn]).mean() > 0.999
    assert (codes[~drawn] == 255).mean() > 0.999
    assert inside.record["blocks"]["empty"] > 0


def test_an_area_of_interest_that_cannot_be_used_is_refused(write_scene: Any, model: Model, tmp_path: Path) -> None:
    (tmp_path / "text.gpkg").write_text("no")
    far = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy([0], [0]).buffer(1), crs="EPSG:4326")
    far.to_file(tmp_path / "far.gpkg")
    for name, cause in (("text.gpkg", "cannot be read"), ("far.gpkg", "outside"), ("gone.gpkg", "cannot be read")):
        with pytest.raises(SceneError, match=cause):
            predict(write_scene(), model, tmp_path, spec=PredictSpec(aoi=str(tmp_path / name)))


def test_a_scene_that_changes_while_it_is_read_gives_nothing(write_scene: Any, model: Model, tmp_path: Path) -> None:
    path = write_scene(blobs((330, 310)))

    class Meddler:
        def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
            if name == "predict":
                path.touch()

        def advance(self, pixels: int) -> None: ...

        def note(self, text: str) -> None: ...

    with pytest.raises(SceneError, match="changed"):
        predict(path, model, tmp_path / "out", reporter=Meddler())
    assert not (tmp_path / "out" / "scene").exists()
    assert predict(path, model, tmp_path / "out").fresh


def test_a_scene_that_was_replaced_after_it_was_opened_gives_nothing(
    write_scene: Any, model: Model, tmp_path: Path
) -> None:
    path = write_scene(blobs((120, 120)))
    with open_scene(path) as scene:
        other = write_scene(blobs((120, 120), seed=4), name="other.tif")
        other.rename(path)
        with pytest.raises(SceneError, match="changed"):
            predict(scene, model, tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_the_project_is_left_out_of_nothing_when_polygons_are_not_wanted(
    write_scene: Any, model: Model, tmp_path: Path
) -> None:
    layers = predict(write_scene(), model, tmp_path, spec=PredictSpec(vector=False, confidence=False))
    assert not layers.bundle.segments.exists()
    assert not layers.bundle.confidence.exists()
    assert layers.bundle.project.exists()
    assert layers.record["segments"] is None
