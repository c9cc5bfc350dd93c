"""The project over a whole archive opens in QGIS, styled, wherever it is moved to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from conftest import LEGEND
from geopandas.testing import assert_geodataframe_equal
from made_archive import Made, publish
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.features import rasterize
from scipy.ndimage import binary_dilation
from shapely.geometry import shape

from geoseg.archive.publish import publish_archive
from geoseg.archive.record import SceneRecord

QGIS_PYTHON = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return publish(tmp_path_factory.mktemp("archive"), tiny_model)


@cache
def why_no_qgis() -> str:
    if not QGIS_PYTHON.exists():
        return "there is no /usr/bin/python3"
    ran = subprocess.run([QGIS_PYTHON, "-c", "import qgis.core"], capture_output=True, check=False)
    return "" if ran.returncode == 0 else "Debian's QGIS is not installed (apt install qgis python3-qgis)"


@pytest.fixture(scope="module")
def in_qgis(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, Path]:
    """The archive, moved to another folder with its imagery, as QGIS sees it there."""
    home = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.copytree(made.out.parent, home)
    elsewhere = home / made.out.name
    pictures = tmp_path_factory.mktemp("pictures")
    command = [str(QGIS_PYTHON), str(Path(__file__).with_name("archive_map_probe.py")), str(elsewhere), str(pictures)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.strip().splitlines()[-1]), pictures, elsewhere


@pytest.mark.qgis
@pytest.mark.skipif(bool(why_no_qgis()), reason=why_no_qgis() or "it is there")
class TestInQgis:
    def test_every_layer_is_there_styled_after_the_move(self, made: Made, in_qgis: Any) -> None:
        seen, _, elsewhere = in_qgis
        assert seen["opened"]
        layers = {layer["name"]: layer for layer in seen["layers"]}
        kinds = ["Segments", "Classes", "Confidence (%)", "Imagery"]
        both = ["EPSG:4326", "EPSG:32632"]
        assert set(layers) == {"Scenes", *(f"{kind}, {crs}" for kind in kinds for crs in both)}
        groups = list(dict.fromkeys(layer["group"] for layer in seen["layers"]))
        assert groups == ["", "Result", "Quality", "Imagery"]
        ticked = {layer["name"].partition(",")[0] for layer in seen["layers"] if layer["visible"]}
        assert ticked == {"Scenes", "Segments", "Imagery"}
        assert {layer["crs"] for layer in layers.values()} == {"EPSG:4326", "EPSG:32632"}
        assert all(layer["valid"] and str(elsewhere) in layer["source"] for layer in layers.values())
        assert layers["Scenes"]["states"][:2] == [["done", "#2a9d6f"], ["failed", "#d1495b"]]
        assert layers["Scenes"]["rows"] == len(made.records)
        assert seen["alone"] == "categorizedSymbol", "the GeoPackage opened alone is styled too"
        assert seen["crs"] == "EPSG:3857", "several CRSs are drawn in one"
        segments, confidence, imagery = (
            [f"{kind}, {crs}" for crs in both] for kind in ("Segments", "Confidence (%)", "Imagery")
        )
        themes = {name: sorted(shown) for name, shown in seen["themes"].items()}
        result = sorted(["Scenes", *segments, *imagery])
        assert themes == {"Result": result, "Check": sorted([*confidence, *imagery]), "Raw": sorted(imagery)}
        assert seen["legend"] == [entry.name for entry in LEGEND.classes if entry.code != LEGEND.background]
        assert seen["ellipsoid"] == "EPSG:7030", "lengths are measured on the ground, not on the map"
        assert seen["bar"][:2] == ["km", 10]
        assert 30 < seen["bar"][2] < 60, "millimetres"
        assert any("scenes: " in label for label in seen["labels"]), "credits"
        assert not layers["Scenes"]["scaled"]

    def test_the_maps_are_drawn_in_the_legends_colours_at_sixty_percent(self, in_qgis: Any) -> None:
        seen, pictures, _ = in_qgis
        paper = np.array([255, 0, 255])
        own = np.stack([paper, *(0.4 * paper + 0.6 * np.array(entry.rgb) for entry in LEGEND.classes)])
        for index, layer in enumerate(seen["layers"]):
            if layer["renderer"] == "paletted":
                drawn = np.asarray(Image.open(pictures / f"{index}.png").convert("RGB")).reshape(-1, 3)
                found, counts = np.unique(drawn, axis=0, return_counts=True)
                off = np.abs(found[:, None].astype(float) - own[None]).max(axis=2)
                assert (off.min(axis=1) <= 1).all()
                nearest = off.argmin(axis=1)
                assert len(set(nearest.tolist())) > 2
                assert counts[nearest > 0].sum() > 2000

    def test_polygons_of_all_scenes_are_one_layer_of_a_crs(self, made: Made, in_qgis: Any) -> None:
        layers = {layer["name"]: layer for layer in in_qgis[0]["layers"]}
        polygons = sum(layers[f"Segments, {crs}"]["rows"] for crs in ("EPSG:4326", "EPSG:32632"))
        records = [json.loads((made.out / r.layers / "run.json").read_bytes()) for r in made.done]
        assert polygons == sum(record["segments"] for record in records)


def test_the_imagery_of_all_scenes_is_one_picture(made: Made) -> None:
    """Pixels of a scene on the mosaic's grid are the scene's own; the mosaic is transparent where no scene is valid."""
    with (
        rasterio.open(made.out / "_catalogue" / "imagery-EPSG_4326.vrt") as mosaic,
        rasterio.open(made.out.parent / "in" / "degrees.tif") as scene,
    ):
        assert mosaic.colorinterp[3] is ColorInterp.alpha
        np.testing.assert_allclose(mosaic.bounds, scene.bounds)
        valid = scene.dataset_mask() > 0
        assert 0 < valid.mean() < 1
        np.testing.assert_array_equal(mosaic.read(4) > 0, valid)
        np.testing.assert_array_equal(mosaic.read((1, 2, 3))[:, valid], scene.read()[:, valid])


def test_turned_scenes_and_those_on_control_points_lie_in_the_picture(made: Made) -> None:
    """Each scene's own footprint holds its imagery, and what lies in none is empty."""
    with rasterio.open(made.out / "_catalogue" / "imagery-EPSG_32632.vrt") as mosaic:
        shown = mosaic.read(4) > 0
        earth = geopandas.GeoSeries([shape(r.footprint) for r in made.done], crs=4326).to_crs(32632)
        inside = rasterize(earth.geometry, shown.shape, transform=mosaic.transform).astype(bool)
    assert not shown[~binary_dilation(inside, iterations=3)].any()
    names = [record.name for record in made.done]
    for name in ("turned", "points", "plain"):
        own = rasterize([earth[names.index(name)]], shown.shape, transform=mosaic.transform).astype(bool)
        assert shown[own].mean() > 0.85, "all but the hole of each scene"


def test_the_polygons_of_all_scenes_keep_their_columns_and_tell_their_scene(made: Made) -> None:
    merged = geopandas.read_file(made.out / "_catalogue" / "segments-EPSG_4326.gpkg", layer="segments")
    alone = geopandas.read_file(made.out / "degrees" / "degrees_segments.gpkg", layer="segments")
    assert set(merged.scene) == {"degrees"}
    assert_geodataframe_equal(merged.drop(columns="scene"), alone)


def test_damaged_polygons_and_lost_imagery_of_a_scene_leave_the_others_on_the_map(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.out.parent, tmp_path / "home")
    out = tmp_path / "home" / "out"
    (out / "plain" / "plain_segments.gpkg").write_bytes(b"SQLite format 3\x00 and nothing else")
    (out.parent / "in" / "degrees.tif").unlink()
    files = publish_archive(out, made.records, legend=LEGEND)
    assert "plain" in files.missing
    merged = geopandas.read_file(out / "_catalogue" / "segments-EPSG_32632.gpkg", layer="segments")
    assert set(merged.scene) == {"beside", "turned", "points"}
    assert not (out / "_catalogue" / "imagery-EPSG_4326.vrt").exists(), "pruned"
    assert files.project is not None


def test_the_map_is_the_same_bytes_when_it_is_made_again(made: Made) -> None:
    files = [*(made.out / "_catalogue").glob("segments-*"), *(made.out / "_catalogue").glob("imagery-*")]
    assert len(files) == 4
    before = {file: file.read_bytes() for file in [*files, made.out / "archive.qgz"]}
    publish_archive(made.out, made.records, legend=LEGEND)
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.slow
def test_rasters_of_a_large_archive_wait_until_one_is_near(made: Made, tmp_path: Path) -> None:
    def document(records: list[SceneRecord]) -> str:
        files = publish_archive(made_small, records, legend=LEGEND)
        assert files.project is not None
        with zipfile.ZipFile(files.project) as archive:
            return archive.read("project.qgs").decode()

    made_small = tmp_path / "out"
    like = made.done[0]
    records = []
    for number in range(201):
        name = f"s{number:03d}"
        shutil.copytree(made.out / like.layers, made_small / name, copy_function=os.link)
        for file in (made_small / name).iterdir():
            file.rename(file.with_name(file.name.replace(like.name, name)))
        records.append(like.model_copy(update={"name": name, "layers": name}))
    assert 'minScale="250000"' in document(records)
    assert "minScale" not in document(records[:200])
    assert str(tmp_path) not in document(records), "no absolute path"
