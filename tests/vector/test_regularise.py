"""Regularised buildings: right angles on the ground in any CRS, no overlaps, true to the pixels in any batches."""

from __future__ import annotations

import builtins
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from label_maps import NODATA, collect, mosaic
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod, Transformer

from geoseg.core.ground import pixel_sides_m
from geoseg.core.segments import Segments
from geoseg.errors import UsageError
from geoseg.vector.regularise import RegulariseSpec, regularise
from geoseg.vector.source import ArraySource
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

pytest.importorskip("buildingregulariser")

REAL = Path(__file__).resolve().parents[2] / "../shared/data/banepa"
PLACES = {
    "utm": ("EPSG:32633", 4.5e5, 5.1e6),
    "web mercator, far north": ("EPSG:3857", 1.1e6, 8.4e6),
    "degrees": ("EPSG:4326", 25.0, 60.0),
    "feet": ("EPSG:2263", 1e6, 2e5),
    "equal area, slanted axes": ("EPSG:5070", -2e6, 3e6),
    "no CRS": (None, 0.0, 0.0),
}
ROOF = RegulariseSpec(codes=(1,))


def metres_at(crs: str | None, x: float, y: float) -> tuple[Transformer | None, Transformer | None]:
    """Transformers to and from a plane of true metres around a place."""
    if crs is None:
        return None, None
    own = CRS.from_user_input(crs)
    lon, lat = Transformer.from_crs(own, 4326, always_xy=True).transform(x, y)
    plane = CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +ellps=WGS84")
    return (Transformer.from_crs(own, plane, always_xy=True), Transformer.from_crs(plane, own, always_xy=True))


def moved(shapes: np.ndarray, transformer: Transformer | None) -> np.ndarray:
    if transformer is None:
        return shapes
    return shapely.transform(shapes, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))


def burnt(shapes: np.ndarray, crs: str | None, step_m: float) -> tuple[np.ndarray, GeoBox]:
    """Burn shapes onto a grid in their CRS whose pixels are about ``step_m`` wide on the ground."""
    west, south, east, north = shapely.total_bounds(shapes)
    unit = GeoBox((1, 1), Affine((east - west), 0, west, 0, (south - north), north), crs)
    down, right, _ = pixel_sides_m(unit, 0.5, 0.5)
    rows, cols = int(down / step_m) + 1, int(right / step_m) + 1
    transform = Affine((east - west) / cols, 0, west, 0, (south - north) / rows, north) * Affine.translation(-4, -4)
    shape = rows + 8, cols + 8
    codes = rasterio.features.rasterize(shapes, shape, transform=transform, fill=0, default_value=1, dtype="uint8")
    return codes, GeoBox(shape, transform, crs)


def segments_of(codes: np.ndarray, geobox: GeoBox, *, batch: int = 20000, simplify_m: float = 0.0) -> list[Segments]:
    spec = VectorSpec(simplify_m=simplify_m)
    return list(vectorise_codes(ArraySource(codes), geobox, nodata=NODATA, spec=spec, batch=batch))


def corners_off(polygon: shapely.Polygon) -> np.ndarray:
    """How far each corner is from a right (or straight) angle, degrees."""
    corners = shapely.get_coordinates(shapely.simplify(polygon.exterior, 0.02))[:-1]
    steps = np.roll(corners, -1, axis=0) - corners
    turn = np.degrees(np.diff(np.arctan2(steps[:, 1], steps[:, 0]), append=np.nan))[:-1] % 90
    return np.minimum(turn, 90 - turn)


def overlap_share(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return shapely.area(shapely.intersection(one, other)) / shapely.area(shapely.union(one, other))


def largest_overlap(shapes: np.ndarray) -> float:
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = one < other
    common = shapely.area(shapely.intersection(shapes[one[pairs]], shapes[other[pairs]]))
    return float(np.max(common / shapely.area(shapes[one[pairs]]), initial=0.0))


def an_l(angle: float) -> shapely.Polygon:
    outline = [(0, 0), (24, 0), (24, 9), (11, 9), (11, 17), (0, 17)]
    return shapely.affinity.rotate(shapely.Polygon(outline), angle, origin=(0, 0))


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("angle", [0.0, 27.4, 61.0])
def test_a_house_is_drawn_as_it_stands_on_the_ground(name: str, angle: float) -> None:
    crs, x, y = PLACES[name]
    to_metres, from_metres = metres_at(crs, x, y)
    house = np.array([an_l(angle)])
    codes, geobox = burnt(moved(house, from_metres), crs, 0.25)
    segments = segments_of(codes, geobox)
    (regular,) = regularise(segments, ROOF, crs)
    assert len(regular) == 1
    drawn = moved(regular.geometry, to_metres)
    assert len(shapely.get_coordinates(drawn)) == 7
    assert corners_off(drawn[0]).max() < 0.5
    assert overlap_share(drawn, house)[0] > 0.97
    assert regular.area_m2[0] == pytest.approx(house[0].area, rel=0.02)
    assert regular.area_m2[0] == pytest.approx(drawn[0].area, rel=1e-3)
    assert regular.perimeter_m[0] == pytest.approx(drawn[0].length, rel=1e-3)
    roof = collect(segments).class_code == 1
    for column in ("class_code", "confidence", "confidence_min", "pixels"):
        np.testing.assert_array_equal(getattr(regular, column), getattr(collect(segments), column)[roof])


def test_a_house_along_the_pixels_stays_along_them() -> None:
    codes = np.zeros((80, 120), np.uint8)
    codes[10:60, 20:100] = 1
    codes[40:60, 20:50] = 0
    geobox = GeoBox(codes.shape, Affine(0.2, 0, 5e5, 0, -0.2, 5.1e6), "EPSG:32633")
    segments = segments_of(codes, geobox)
    (regular,) = regularise(segments, ROOF, "EPSG:32633")
    roof = collect(segments).geometry[collect(segments).class_code == 1]
    assert shapely.hausdorff_distance(regular.geometry, roof)[0] < 1e-3


def test_diagonals_are_allowed_or_not() -> None:
    cut = shapely.Polygon([(0, 0), (30, 0), (30, 12), (22, 20), (0, 20)])
    codes, geobox = burnt(np.array([cut]), None, 0.2)
    segments = segments_of(codes, geobox)
    (slanted,) = regularise(segments, ROOF, None)
    (upright,) = regularise(segments, replace(ROOF, diagonals=False), None)
    assert np.isclose(corners_off(slanted.geometry[0]), 45, atol=0.5).sum() >= 1
    assert corners_off(upright.geometry[0]).max() < 0.5
    assert slanted.area_m2[0] == pytest.approx(cut.area, rel=0.03)


def test_large_holes_stay_and_small_ones_go() -> None:
    yard = shapely.box(0, 0, 40, 30) - shapely.box(10, 8, 24, 20) - shapely.box(30, 20, 31, 21.5)
    codes, geobox = burnt(np.array([yard]), None, 0.25)
    (regular,) = regularise(segments_of(codes, geobox), ROOF, None)
    (kept,) = regularise(segments_of(codes, geobox), replace(ROOF, min_hole_m2=1.0), None)
    assert shapely.get_num_interior_rings(regular.geometry)[0] == 1
    assert shapely.get_num_interior_rings(kept.geometry)[0] == 2
    assert regular.area_m2[0] == pytest.approx(40 * 30 - 14 * 12, rel=0.01)


def test_what_would_be_spoiled_stays_as_it_was() -> None:
    codes, geobox = blobs(1)
    segments = collect(segments_of(codes, geobox))
    large = (segments.class_code == 1) & (segments.pixels > 20)
    some = Segments(**{f.name: getattr(segments, f.name)[large] for f in fields(Segments)})
    (regular,) = regularise([some], replace(ROOF, min_iou=0.9999), "EPSG:32633")
    assert len(regular) > 5
    assert shapely.equals_identical(regular.geometry, some.geometry).all()
    for column in ("area_m2", "perimeter_m", "pixels"):
        assert (getattr(regular, column) == getattr(some, column)).all()


def blobs(seed: int) -> tuple[np.ndarray, GeoBox]:
    """Dense blobs of three classes, many a pixel apart or side by side."""
    codes = mosaic(150, sigma=4, classes=4, seed=seed, nodata=seed % 2 == 0)
    return codes, GeoBox(codes.shape, Affine(0.3, 0.05, 4.5e5, 0.05, -0.3, 5.1e6), "EPSG:32633")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))])
def test_laws_hold_in_a_crowd(seed: int) -> None:
    codes, geobox = blobs(seed)
    spec = RegulariseSpec(codes=(1, 3), tolerance_m=0.6)
    whole = segments_of(codes, geobox, simplify_m=0.3 * (seed % 3))
    all_of_them = collect(whole)
    wanted = np.isin(all_of_them.class_code, spec.codes)
    regular = collect(list(regularise(whole, spec, "EPSG:32633")))
    raw = all_of_them.geometry[wanted]
    assert len(regular) == wanted.sum()
    assert (regular.class_code == all_of_them.class_code[wanted]).all()
    assert (regular.pixels == all_of_them.pixels[wanted]).all()
    assert shapely.is_valid(regular.geometry).all()
    assert (shapely.get_type_id(regular.geometry) == shapely.GeometryType.POLYGON).all()
    assert largest_overlap(regular.geometry) < 1e-6
    assert (overlap_share(regular.geometry, raw) > spec.min_iou - 1e-6).all()
    assert (regular.geometry != raw).mean() > 0.3
    for batch in (7, 40):
        parts = segments_of(codes, geobox, batch=batch, simplify_m=0.3 * (seed % 3))
        batched = collect(list(regularise(parts, spec, "EPSG:32633")))
        assert shapely.equals_identical(batched.geometry, regular.geometry).all()
        assert batched.area_m2 == pytest.approx(regular.area_m2, rel=1e-12)


def test_only_batches_beside_each_other_are_held() -> None:
    house = np.kron(np.array([[0, 1, 0]], np.uint8), np.ones((1, 20), np.uint8))
    codes = np.concatenate([np.zeros((10, 60), np.uint8), np.repeat(house, 25, axis=0)] * 30)
    segments = segments_of(codes, GeoBox(codes.shape, Affine(0.3, 0, 0, 0, -0.3, 0), None), batch=2)
    read = 0

    class Watched:
        def __iter__(self):
            nonlocal read
            for batch in segments:
                read += 1
                yield batch

    # all are gone through once before the first comes out
    ahead = [read - len(segments) - n for n, _ in enumerate(regularise(Watched(), ROOF, None))]
    assert len(ahead) > 10
    assert max(ahead) <= 4


def test_areas_and_perimeters_are_those_of_geodesics() -> None:
    codes, geobox = blobs(1)
    crs = CRS.from_epsg(3857)
    degrees = GeoBox(codes.shape, Affine(0.6, 0, 1.1e6, 0, -0.6, 8.4e6), crs)
    regular = collect(list(regularise(segments_of(codes, degrees), RegulariseSpec(codes=(1, 2)), crs)))
    lonlat = moved(regular.geometry, Transformer.from_crs(crs, 4326, always_xy=True))
    geod = Geod(ellps="WGS84")
    area = [abs(geod.geometry_area_perimeter(p)[0]) for p in lonlat]
    length = [sum(geod.geometry_length(ring) for ring in (p.exterior, *p.interiors)) for p in lonlat]
    assert regular.area_m2 == pytest.approx(np.array(area), rel=2e-3)
    assert regular.perimeter_m == pytest.approx(np.array(length), rel=2e-3)
    del geobox


def test_nothing_gives_nothing() -> None:
    codes, geobox = blobs(1)
    assert list(regularise([], ROOF, None)) == []
    assert list(regularise(segments_of(codes, geobox), RegulariseSpec(codes=(77,)), None)) == []


def test_wrong_input_is_refused() -> None:
    codes, geobox = blobs(1)
    segments = segments_of(codes, geobox)
    with pytest.raises(UsageError, match="list"):
        regularise(iter(segments), ROOF, None)
    corners = vectorise_codes(ArraySource(codes), geobox, nodata=NODATA, spec=VectorSpec(connectivity=8))
    with pytest.raises(UsageError, match="connectivity 4"):
        list(regularise(list(corners), ROOF, None))
    for wrong in ({"codes": ()}, {"tolerance_m": 0.0}, {"min_iou": 0.0}, {"min_hole_m2": -1.0}, {"codes": (300,)}):
        with pytest.raises(UsageError, match=r"give|codes"):
            RegulariseSpec(**{"codes": (1,)} | wrong)


def test_a_missing_library_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "buildingregulariser":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'geoseg\[regularise\]'"):
        regularise([], ROOF, None)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real orthophoto is not here")
def test_a_real_town_gets_right_angles() -> None:
    with rasterio.open(REAL / "banepa_train_instances.tif") as file:
        codes = (file.read(1, window=((0, 1200), (0, 1200))) > 0).astype(np.uint8)
        geobox = GeoBox(codes.shape, file.transform, file.crs.to_wkt())
    segments = segments_of(codes, geobox)
    raw = collect(segments)
    raw_roofs = raw.geometry[raw.class_code == 1]
    regular = collect(list(regularise(segments, ROOF, geobox.crs.to_wkt())))
    share = overlap_share(regular.geometry, raw_roofs)
    right = [corners_off(polygon).max() < 5 for polygon in moved(regular.geometry, None)]
    assert len(regular) == len(raw_roofs) > 50
    assert np.median(share) > 0.95
    assert share.min() > ROOF.min_iou - 1e-6
    assert np.mean(right) > 0.85
    assert shapely.get_num_coordinates(regular.geometry).sum() < 0.2 * shapely.get_num_coordinates(raw_roofs).sum()
    assert largest_overlap(regular.geometry) < 1e-6
