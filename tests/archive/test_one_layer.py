"""One layer over many scenes: objects that borders cut are those of the whole, and only what changed is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import rasterio.features
import shapely
from affine import Affine
from conftest import LEGEND
from pyproj import CRS
from scipy import ndimage

from geoseg.archive.one_layer import write as writing
from geoseg.archive.one_layer.sheets import Sheet
from geoseg.archive.one_layer.write import OneLayer, write_one_layer
from geoseg.core.segments import Segments
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema

WKT = CRS.from_epsg(32632).to_wkt()
GRID = Affine(0.3, 0, 500000.1, 0, -0.3, 5400000.7)  # coordinates that no binary number is
Codes = npt.NDArray[np.uint8]
Box = tuple[slice, slice]


def land(shape: tuple[int, int], seed: int) -> Codes:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(3, *shape)), (0, 3, 3))
    return np.array(LEGEND.codes, np.uint8)[noise.argmax(axis=0)]


def polygons(codes: Codes, transform: Affine) -> Segments:
    """Trace by rasterio, which knows nothing of geoseg."""
    found = list(rasterio.features.shapes(codes, transform=transform))
    shapes = np.array([shapely.geometry.shape(one) for one, _ in found], dtype=object)
    area = shapely.area(shapes)
    return Segments(
        geometry=shapes,
        class_code=np.array([int(code) for _, code in found], np.uint8),
        area_m2=area,
        perimeter_m=shapely.length(shapes),
        confidence=np.linspace(0.2, 0.9, len(shapes)).astype(np.float32),
        confidence_min=np.linspace(0.1, 0.5, len(shapes)).astype(np.float32),
        pixels=np.rint(area / 0.09).astype(np.int64),
    )


def sheet(home: Path, name: str, codes: Codes, box: Box) -> Sheet:
    rows, cols = box
    transform = GRID * Affine.translation(cols.start, rows.start)
    path = home / name / f"{name}_segments.gpkg"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_segments(path, [polygons(codes[box], transform)], VectorSchema(crs_wkt=WKT, legend=LEGEND))
    height, width = codes[box].shape
    return Sheet(name=name, segments=path, transform=transform, shape=(height, width), crs_wkt=WKT)


def boxes(shape: tuple[int, int], down: int, right: int, overlap: int = 0) -> Iterator[tuple[str, Box]]:
    rows, cols = (np.linspace(0, side, n + 1).round().astype(int) for side, n in zip(shape, (down, right), strict=True))
    for i in range(down):
        for j in range(right):
            top, left = max(0, rows[i] - overlap), max(0, cols[j] - overlap)
            yield f"r{i}c{j}", (slice(top, rows[i + 1]), slice(left, cols[j + 1]))


def layer(made: OneLayer) -> geopandas.GeoDataFrame:
    parts = [geopandas.read_parquet(path) for path in made.files if path.suffix == ".parquet"]
    return geopandas.pd.concat(parts, ignore_index=True)


def same_polygons(found: geopandas.GeoDataFrame, wanted: Segments) -> None:
    """Each polygon of one has its equal, of the same class, in the other."""
    assert len(found) == len(wanted)
    tree = shapely.STRtree(wanted.geometry)
    taken = set()
    for geometry, code, pixels, area in zip(found.geometry, found.class_code, found.pixels, found.area_m2, strict=True):
        near = tree.query(geometry.representative_point(), predicate="within").tolist()
        (match,) = [i for i in near if shapely.symmetric_difference(geometry, wanted.geometry[i]).area < 1e-4]
        assert wanted.class_code[match] == code
        assert wanted.pixels[match] == pixels
        assert area == pytest.approx(wanted.area_m2[match], rel=1e-6)
        taken.add(match)
    assert len(taken) == len(wanted)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("down", "right", "overlap"), [(2, 2, 0), (1, 5, 0), (3, 3, 4)])
def test_the_joined_polygons_are_those_of_the_whole(tmp_path: Path, down: int, right: int, overlap: int) -> None:
    codes = land((90, 110), seed=down)
    sheets = [sheet(tmp_path, name, codes, box) for name, box in boxes(codes.shape, down, right, overlap)]
    assert sum(len(polygons(codes[box], GRID)) for _, box in boxes(codes.shape, down, right, overlap)) > len(
        polygons(codes, GRID)
    )
    made = write_one_layer(tmp_path, sheets, LEGEND, pmtiles=True)
    found = layer(made)
    same_polygons(found, polygons(codes, GRID))
    assert found.object_id.is_unique
    assert made.objects > 0
    assert (tmp_path / "_joined" / "EPSG_32632.pmtiles").stat().st_size > 1000
    geo = json.loads(pq.read_metadata(made.files[0]).metadata[b"geo"])
    assert geo["columns"]["geometry"]["covering"]["bbox"]


def test_a_changed_scene_touches_only_what_reaches_into_it(tmp_path: Path) -> None:
    codes = np.zeros((40, 200), np.uint8)
    codes[:, ::40] = 1  # walls between the sheets' middles, so that no ground spans them
    codes[10:20, 75:85] = 5  # an object on the border of r0c1 and r0c2
    codes[10:20, 155:165] = 5  # and one on that of r0c3 and r0c4
    home = tmp_path
    parts = list(boxes(codes.shape, 1, 5))
    first = write_one_layer(home, [sheet(home, name, codes, box) for name, box in parts], LEGEND, pmtiles=False)
    ids = dict(zip(layer(first).geometry.to_wkt(), layer(first).object_id, strict=True))
    assert len(first.written) == 5
    sheets = [Sheet(name=n, segments=home / n / f"{n}_segments.gpkg", **_place(box)) for n, box in parts]
    assert not write_one_layer(home, sheets, LEGEND, pmtiles=False).written
    codes[10:20, 162:164] = 1  # only r0c4 has it
    changed = [*sheets[:4], sheet(home, *[(n, codes, b) for n, b in parts][4])]
    second = write_one_layer(home, changed, LEGEND, pmtiles=False)
    assert sorted(path.stem for path in second.written) == ["r0c3", "r0c4"]
    same_polygons(layer(second), polygons(codes, GRID))
    kept = dict(zip(layer(second).geometry.to_wkt(), layer(second).object_id, strict=True))
    assert all(ids[shape] == kept[shape] for shape in ids.keys() & kept.keys())
    third = write_one_layer(home, changed[:4], LEGEND, pmtiles=False)
    assert sorted(path.stem for path in third.written) == ["r0c3"]
    assert not (home / "_joined" / "EPSG_32632" / "r0c4.parquet").exists()


def _place(box: Box) -> dict[str, Any]:
    rows, cols = box
    shape = (rows.stop - rows.start, cols.stop - cols.start)
    return {"transform": GRID * Affine.translation(cols.start, rows.start), "shape": shape, "crs_wkt": WKT}


def test_regions_of_too_many_parts_stay_in_parts_of_one_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.zeros((20, 80), np.uint8)
    codes[5:8, 18:22] = 5
    sheets = [sheet(tmp_path, name, codes, box) for name, box in boxes(codes.shape, 1, 4)]
    monkeypatch.setattr(writing, "_MOST_PARTS", 3)
    made = write_one_layer(tmp_path, sheets, LEGEND, pmtiles=False)
    assert (made.objects, made.in_parts) == (1, 1)
    found = layer(made)
    assert found[found.class_code == 0].object_id.nunique() == 1
    assert len(found[found.class_code == 0]) == 4
    assert len(found[found.class_code == 5]) == 1


def test_a_damaged_scene_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    codes = land((40, 60), seed=4)
    sheets = [sheet(tmp_path, name, codes, box) for name, box in boxes(codes.shape, 1, 3)]
    sheets[2].segments.write_bytes(b"no GeoPackage")
    made = write_one_layer(tmp_path, sheets, LEGEND, pmtiles=False)
    assert made.unreadable == ["r0c2"]
    same_polygons(layer(made), polygons(codes[:, :40], GRID))
