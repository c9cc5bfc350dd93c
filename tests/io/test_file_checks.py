"""A whole file of every format passes its check; one that is cut short, or has a byte flipped, does not."""

import json
import shutil
import sqlite3
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.card import ModelCard
from geoseg.core.layer import whole_class_map_schema
from geoseg.core.window import Window
from geoseg.io.checks.formats import CHECKED_SUFFIXES, check_file
from geoseg.io.files.writing import write_json
from geoseg.io.polygons.registry import VECTOR_SUFFIXES
from geoseg.io.polygons.vector_formats import write_vectors
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.about import About
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.preview import write_preview
from geoseg.io.publish.scene_footprints import write_footprints
from geoseg.io.publish.scene_index import write_scene_index
from geoseg.io.publish.stac_item import Run, Source, write_item
from geoseg.io.qgis.project import write_project
from geoseg.io.raster.cog import write_class_cog, write_confidence_cog
from geoseg.testing.segments import LEGEND, MAP_LEGEND, UTM, map_segments, segments_of

SIDE = 1100
GRID = LayerGrid(geobox=GeoBox((SIDE, SIDE), Affine(1, 0, 500000, 0, -1, 3e6), "EPSG:32645"))
CARD = ModelCard.model_validate(
    {
        "name": "m",
        "architecture": {"name": "unet"},
        "bands": [{"name": "red"}],
        "gsd_m": {"min": 0.1, "max": 2},
        "legend": LEGEND,
        "licence": "MIT",
    }
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One file of each format, by a name that says which."""
    folder = tmp_path_factory.mktemp("whole")
    bundle = Bundle(directory=folder, stem="scene")
    codes = np.random.default_rng(0).choice(np.array([0, 200], np.uint8), (SIDE, SIDE))
    blocks = [(Window.whole((SIDE, SIDE)), codes)]
    write_class_cog(bundle.classes, GRID, blocks, LEGEND, tags={})
    write_confidence_cog(bundle.confidence, GRID, [(Window.whole((SIDE, SIDE)), codes // 2)], tags={})
    for suffix in VECTOR_SUFFIXES:
        name = bundle.segments if suffix == ".gpkg" else folder / f"scene{suffix}"
        write_vectors(name, [segments_of(900)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    write_preview(bundle.preview, image=np.stack([codes] * 3), codes=codes, legend=LEGEND, title="scene")
    write_project(bundle, whole_class_map_schema(LEGEND), about=About(title="scene"), grid=GRID, legend=LEGEND)
    now = Run(finished=datetime(2026, 1, 1, tzinfo=UTC), software={})
    write_item(bundle, whole_class_map_schema(CARD.legend), grid=GRID, card=CARD, source=Source(uri="s.tif"), run=now)
    write_json(folder / "run.json", {"a": list(range(99))})
    return folder


def flipped(path, where):
    raw = bytearray(path.read_bytes())
    raw[where] ^= 0x10
    path.write_bytes(raw)


def test_every_file_that_is_written_passes(written):
    names = sorted(written.iterdir())
    for path in names:
        check_file(path)
    known = {suffix for suffix in CHECKED_SUFFIXES if any(path.name.endswith(suffix) for path in names)}
    assert known == set(CHECKED_SUFFIXES)


CUT = [
    ".tif",
    ".png",
    ".gpkg",
    ".fgb",
    ".parquet",
    ".geojson",
    ".geojsonl",
    ".pmtiles",
    ".qgz",
    ".json",
    ".qml",
    ".xml",
]


@pytest.mark.parametrize("suffix", CUT)
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_found(written, tmp_path, suffix, kept):
    for source in sorted(written.glob(f"*{suffix}")):
        path = tmp_path / source.name
        whole = source.read_bytes()
        path.write_bytes(whole[: min(int(len(whole) * kept), len(whole) - 2)])
        if suffix == ".geojsonl" and not kept:
            check_file(path)  # no line at all is a collection of nothing
            continue
        with pytest.raises((OSError, ValueError)):
            check_file(path)


@pytest.mark.parametrize("suffix", [".tif", ".parquet", ".pmtiles", ".png", ".qgz"])
def test_a_flipped_byte_of_the_content_is_found(written, tmp_path, suffix):
    rng = np.random.default_rng(1)
    for source in sorted(written.glob(f"*{suffix}")):
        size = source.stat().st_size
        for where in rng.integers(size // 3, 2 * size // 3, 6):
            path = tmp_path / source.name
            shutil.copy(source, path)
            flipped(path, where)
            with pytest.raises((OSError, ValueError)):
                check_file(path)


def test_an_index_that_leads_elsewhere_is_found(written, tmp_path):
    path = tmp_path / "s.fgb"
    whole = (written / "scene.fgb").read_bytes()
    start = 12 + int.from_bytes(whole[8:12], "little")
    leaves, inner = start + 40 * (1 + 4 + 57), start + 40
    for where in (start, start + 20, inner + 8, leaves, leaves + 40 * 500 + 33):
        raw = bytearray(whole)
        raw[where] ^= 1
        path.write_bytes(raw)
        with pytest.raises(OSError, match="index"):
            check_file(path)


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_empty_and_many_polygons_pass(tmp_path, suffix):
    grid = GRID.geobox
    for name, batches, legend in (
        ("none", [], LEGEND),
        ("one", [segments_of(1)], LEGEND),
        ("map", [map_segments(200, grid.transform, grid.crs)], MAP_LEGEND),
    ):
        path = tmp_path / f"{name}{suffix}"
        write_vectors(path, batches, VectorSchema(crs_wkt=UTM, legend=legend))
        check_file(path)


def test_an_index_of_scenes_and_its_footprints_pass_also_without_places(tmp_path):
    place = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    rows = [{"name": "a", "state": "done", "geometry": place}, {"name": "b", "state": "failed", "geometry": None}]
    for some in (rows, [], rows[1:]):
        write_scene_index(tmp_path / "scenes.parquet", some, LEGEND)
        write_footprints(tmp_path / "scenes.gpkg", tmp_path / "scenes.parquet")
        check_file(tmp_path / "scenes.parquet")
        check_file(tmp_path / "scenes.gpkg")


def test_a_file_that_a_project_or_an_item_names_must_be_there(written, tmp_path):
    for path in written.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "scene_confidence.tif").unlink()
    with pytest.raises(OSError, match="scene_confidence.tif"):
        check_file(tmp_path / "scene.qgz")
    with pytest.raises(OSError, match="scene_confidence.tif"):
        check_file(tmp_path / "scene.stac.json")


def test_an_item_must_have_its_fields(written, tmp_path):
    path = tmp_path / "s.stac.json"
    for change in ({"type": "Thing"}, {"assets": None}):
        item = json.loads((written / "scene.stac.json").read_text()) | change
        path.write_text(json.dumps({key: value for key, value in item.items() if value is not None}))
        with pytest.raises(OSError, match="item"):
            check_file(path)


def test_a_project_must_hold_one_document_of_qgis(tmp_path):
    path = tmp_path / "s.qgz"
    for name, text in (("x.txt", "<qgis/>"), ("x.qgs", "<html/>"), ("x.qgs", "<qgis>")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, text)
        with pytest.raises(OSError, match="document|XML"):
            check_file(path)


def test_sqlite_is_not_enough_for_a_geopackage(tmp_path):
    path = tmp_path / "s.gpkg"
    sqlite3.connect(path).execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(OSError, match="not GeoPackage"):
        check_file(path)


def test_a_file_of_an_unknown_kind_must_only_be_readable(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    check_file(tmp_path / "notes.txt")
    with pytest.raises(OSError, match="directory"):
        check_file(tmp_path)
