"""Sample design and area estimates: the worked example of the good practices, and simulations of the promise."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import HALF_METRE, disturbed, patches, write_map
from pyproj import Geod

from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.class_map import ClassMap
from geoseg.io.labels.class_raster import ClassRaster
from geoseg.score.area.design import Strata, allocate, draw, measure_strata, sample_size
from geoseg.score.area.estimate import Z_95, estimate
from geoseg.score.area.files import Design, draw_sample, estimate_sample

# Olofsson et al. 2014, tables 5, 8 and 9: deforestation, forest gain, stable forest, stable non-forest
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
EXPECTED = np.array([0.70, 0.60, 0.90, 0.95])
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
HECTARES = PIXELS * 0.09
_TRIES = 120


def strata_of(pixels: np.ndarray, rows: int = 10) -> Strata:
    spread = np.array([np.diff(np.linspace(0, n, rows + 1).astype(np.int64)) for n in pixels])
    return Strata(codes=tuple(range(1, len(pixels) + 1)), pixels=spread, row_area_m2=np.full(rows, 900.0))


def test_the_worked_example_of_the_good_practices() -> None:
    found = estimate(COUNTS, HECTARES, (1, 2, 3, 4))
    assert found.overall == pytest.approx(0.95, abs=0.005)
    assert Z_95 * found.overall_se == pytest.approx(0.02, abs=0.005)
    np.testing.assert_allclose(found.users, [0.88, 0.73, 0.93, 0.96], atol=0.005)
    np.testing.assert_allclose(Z_95 * found.users_se, [0.07, 0.10, 0.04, 0.02], atol=0.005)
    np.testing.assert_allclose(found.producers, [0.75, 0.85, 0.93, 0.96], atol=0.005)
    np.testing.assert_allclose(found.area_m2, [21_158, 11_686, 285_770, 581_386], atol=1)
    np.testing.assert_allclose(Z_95 * found.area_se_m2, [6_158, 3_756, 15_510, 16_282], atol=2)
    assert found.proportions.sum() == pytest.approx(1)
    json.dumps(found.as_json(["a", "b", "c", "d"]), allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_producers_accuracy_is_a_ratio_and_varies_like_one(seed: int, classes: int) -> None:
    """Point by point: the ratio's residuals in each stratum, Cochran 1977, equation 6.13 (the delta method)."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 12, (classes, classes)) + 3 * np.eye(classes, dtype=np.int64)
    area = rng.random(classes) + 0.05
    weights = area / area.sum()
    found = estimate(counts, area, tuple(range(classes)))
    for j in range(classes):
        share = weights @ (counts[:, j] / counts.sum(1))
        hit = weights[j] * counts[j, j] / counts[j].sum()
        variance = 0.0
        for i in range(classes):
            seen = np.repeat(np.arange(classes), counts[i])
            residual = (seen == j) * ((i == j) - hit / share)
            variance += weights[i] ** 2 * residual.var(ddof=1) / len(seen)
        assert found.producers[j] == pytest.approx(hit / share)
        assert found.producers_se[j] == pytest.approx(np.sqrt(variance) / share)
        spread = [np.repeat(np.arange(classes), counts[i]) == j for i in range(classes)]
        of_area = sum(w**2 * s.var(ddof=1) / len(s) for w, s in zip(weights, spread, strict=True))
        assert found.area_se_m2[j] == pytest.approx(area.sum() * np.sqrt(of_area))


def test_the_sample_size_of_the_good_practices() -> None:
    assert sample_size(PIXELS / PIXELS.sum(), EXPECTED, 0.01) == 641


def test_seventy_five_for_the_rare_and_the_rest_by_area() -> None:
    points = allocate(strata_of(PIXELS), 640, minimum=75)
    assert points.tolist() == [75, 75, 162, 328]


@settings(max_examples=150, deadline=None)
@given(
    pixels=st.lists(st.integers(1, 100_000), min_size=1, max_size=8),
    total=st.integers(1, 3000),
    minimum=st.integers(0, 120),
    how=st.sampled_from(["proportional", "equal", "neyman"]),
    sure=st.sampled_from([0.8, 1.0]),
)
def test_every_allocation_keeps_its_promises(
    pixels: list[int], total: int, minimum: int, how: str, sure: float
) -> None:
    strata = strata_of(np.array(pixels))
    points = allocate(strata, total, how=how, minimum=minimum, expected=dict.fromkeys(range(9), sure) | {1: 0.6})  # type: ignore[arg-type]
    most = np.array(pixels)
    assert (points <= most).all()
    assert (points >= np.minimum(minimum, most)).all()
    floor = int(np.minimum(minimum, most).sum())
    assert points.sum() == min(max(total, floor), most.sum())


def test_classes_without_expected_errors_still_get_points() -> None:
    points = allocate(strata_of(np.array([3000, 1000])), 100, how="neyman", minimum=0, expected={1: 1.0, 2: 1.0})
    assert points.tolist() == [75, 25]


def test_neyman_sends_points_where_the_map_is_unsure() -> None:
    strata = strata_of(np.array([1000, 1000]))
    points = allocate(strata, 200, how="neyman", minimum=0, expected={1: 0.5, 2: 0.99})
    spread = np.sqrt(np.array([0.25, 0.0099]))
    np.testing.assert_allclose(points, 200 * spread / spread.sum(), atol=1)


def source_of(path: Path) -> tuple[ClassMap, object]:
    classes = ClassRaster(path)
    return ClassMap(classes), classes.geobox


def test_strata_are_counted_and_drawn_from_alone(tmp_path: Path) -> None:
    codes = patches((80, 120), 4, 1)
    codes[:, :5] = 255
    source, geobox = source_of(write_map(tmp_path / "map.tif", codes, nodata=255))
    strata = measure_strata(source, geobox)  # type: ignore[arg-type]
    assert strata.pixels.sum(axis=1).tolist() == np.bincount(codes[codes < 255]).tolist()
    wanted = np.array([10, 40, 3, int((codes == 3).sum())])
    points = draw(source, strata, wanted, seed=3)
    np.testing.assert_array_equal(codes[points.rows, points.cols], points.codes)
    assert np.bincount(points.codes).tolist() == wanted.tolist()
    assert len(set(zip(points.rows.tolist(), points.cols.tolist(), strict=True))) == wanted.sum()
    again = draw(source, strata, wanted, seed=3)
    np.testing.assert_array_equal(points.rows, again.rows)
    assert (draw(source, strata, wanted, seed=4).rows != points.rows).any()


def test_every_pixel_of_a_class_is_as_likely_as_any_other(tmp_path: Path) -> None:
    codes = patches((12, 14), 2, 1)
    source, geobox = source_of(write_map(tmp_path / "map.tif", codes))
    strata = measure_strata(source, geobox)  # type: ignore[arg-type]
    counts = np.zeros(codes.shape, int)
    draws, each = 300, 12
    for seed in range(draws):
        points = draw(source, strata, np.array([each, each]), seed=seed)
        counts[points.rows, points.cols] += 1
    for code in (0, 1):
        inside = counts[codes == code]
        expected = draws * each / inside.size
        assert abs(inside.mean() - expected) < 1e-9
        assert (np.abs(inside - expected) < 5 * np.sqrt(expected)).all()


def test_a_map_in_degrees_is_sampled_by_ground_not_by_pixels(tmp_path: Path) -> None:
    """From the equator to 80 degrees north the rows shrink to a sixth: points must thin out with them."""
    codes = np.zeros((800, 200), np.uint8)
    grid = Affine(0.1, 0, 0, 0, -0.1, 80)
    source, geobox = source_of(write_map(tmp_path / "map.tif", codes, crs="EPSG:4326", transform=grid))
    strata = measure_strata(source, geobox)  # type: ignore[arg-type]
    geod = Geod(ellps="WGS84")
    half = abs(geod.geometry_area_perimeter(_box(0, 40, 20, 80))[0])
    whole = abs(geod.geometry_area_perimeter(_box(0, 0, 20, 80))[0])
    assert strata.area_m2.sum() == pytest.approx(whole, rel=2e-3)
    points = draw(source, strata, np.array([3000]), seed=1)
    share = (points.rows < 400).mean()
    assert share == pytest.approx(half / whole, abs=0.03)
    assert abs(share - 0.5) > 0.1


def _box(west: float, south: float, east: float, north: float) -> object:
    import shapely

    return shapely.segmentize(shapely.box(west, south, east, north), 0.1)


def test_intervals_hold_the_truth_as_often_as_they_say(tmp_path: Path) -> None:
    """Many interpreters who know the truth: the true area lies in about 95 % of the intervals."""
    truth = patches((150, 150), 3, 5)
    mapped = disturbed(truth, 3, 5, share=0.1)
    source, geobox = source_of(write_map(tmp_path / "map.tif", mapped))
    strata = measure_strata(source, geobox)  # type: ignore[arg-type]
    wanted = allocate(strata, 240, minimum=60)
    true_area = np.bincount(truth.ravel()) * 0.25
    inside, estimates = np.zeros(3), []
    for seed in range(_TRIES):
        points = draw(source, strata, wanted, seed=seed)
        counts = np.zeros((3, 3), np.int64)
        np.add.at(counts, (points.codes, truth[points.rows, points.cols].astype(int)), 1)
        found = estimate(counts, strata.area_m2, strata.codes)
        inside += np.abs(found.area_m2 - true_area * strata.area_m2.sum() / true_area.sum()) <= Z_95 * found.area_se_m2
        estimates.append(found.area_m2)
    assert (inside / _TRIES > 0.87).all()
    np.testing.assert_allclose(
        np.mean(estimates, axis=0) / np.sum(estimates[0]), true_area / true_area.sum(), atol=0.01
    )


def interpret(path: Path, values: list[object]) -> None:
    """Fill the points in, as a person does it in QGIS: same file, same layer."""
    import sqlite3

    with sqlite3.connect(path) as db:
        # the triggers of the spatial index need functions of GDAL's; the geometry does not change
        triggers = db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            db.execute(f'DROP TRIGGER "{name}"')
        for number, value in enumerate(values, start=1):
            db.execute("UPDATE sample SET reference_code = ? WHERE id = ?", (value, number))
    db.close()


def test_from_map_to_points_to_areas(tmp_path: Path) -> None:
    truth = patches((100, 100), 3, 7)
    mapped = disturbed(truth, 3, 7, share=0.05)
    path, out = write_map(tmp_path / "map.tif", mapped, nodata=255), tmp_path / "the points! 1.gpkg"
    made = draw_sample(path, out, Design(points=150, minimum=30))
    assert made["points"] == 150 == sum(entry["points"] for entry in made["strata"])
    plain = tmp_path / "plain.gpkg"
    plain.symlink_to(out)
    points = geopandas.read_file(plain, layer="sample")
    assert points.crs.to_epsg() == 32632
    assert points.reference_code.isna().all()
    assert "map_code" not in points  # nobody shall see it who interprets
    cols, rows = ~HALF_METRE * (points.geometry.x.to_numpy(), points.geometry.y.to_numpy())
    assert set(np.round(cols % 1, 6)) == set(np.round(rows % 1, 6)) == {0.5}
    row, col = rows.astype(int), cols.astype(int)
    with pytest.raises(UsageError, match="no point has a class"):
        estimate_sample(out)
    seen = truth[row, col].astype(int).tolist()
    interpret(out, [None, None, *seen[2:]])
    values = estimate_sample(out)
    assert (values["interpreted"], values["points_without_class"]) == (148, 2)
    codes = mapped[row, col].astype(int)
    counts = np.zeros((3, 3), np.int64)
    np.add.at(counts, (codes[2:], np.array(seen[2:])), 1)
    assert values["counts"] == counts.tolist()
    area = np.bincount(mapped.ravel()) * 0.25
    expected = estimate(counts, area, (0, 1, 2))
    # UTM's scale makes metres of the grid a little shorter or longer than those of the ground
    for place, entry in enumerate(values["classes"]):
        assert entry["users_accuracy"] == pytest.approx(expected.users[place])
        assert entry["area_m2"] == pytest.approx(expected.area_m2[place], rel=2e-3)


def test_a_class_that_the_map_does_not_know_may_be_seen(tmp_path: Path) -> None:
    mapped = patches((60, 60), 2, 7)
    out = tmp_path / "points.gpkg"
    draw_sample(write_map(tmp_path / "map.tif", mapped), out, Design(points=40, minimum=10))
    design = pyogrio.read_dataframe(out, layer="design", read_geometry=False)
    seen = design.map_code.tolist()
    interpret(out, [9, *seen[1:]])
    values = estimate_sample(out)
    assert [entry["code"] for entry in values["classes"]] == [0, 1, 9]
    new = values["classes"][2]
    assert new["mapped_m2"] == 0
    assert new["area_m2"] > 0
    assert new["users_accuracy"] is None
    assert new["producers_accuracy"] == 0
    assert sum(entry["area_m2"] for entry in values["classes"]) == pytest.approx(
        sum(entry["mapped_m2"] for entry in values["classes"])
    )


def test_what_cannot_be_estimated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="class 2 of the map has fewer than two"):
        estimate(np.array([[5, 0], [0, 1]]), np.array([10.0, 10.0]), (1, 2))
    with pytest.raises(SceneError, match="no sample file"):
        estimate_sample(write_map(tmp_path / "map.tif", patches((20, 20), 2, 0)))
    out = tmp_path / "points.gpkg"
    draw_sample(tmp_path / "map.tif", out, Design(points=20, minimum=5))
    with pytest.raises(SceneError, match="no field 'seen'"):
        estimate_sample(out, column="seen")
    interpret(out, [0.5] * 20)
    with pytest.raises((SceneError, UsageError)):
        estimate_sample(out, column="interpreter")
    empty = write_map(tmp_path / "empty.tif", np.full((9, 9), 255, np.uint8), nodata=255)
    with pytest.raises(UsageError, match="no pixel with a class"):
        draw_sample(empty, tmp_path / "none.gpkg", Design(points=5))
    assert not (tmp_path / "none.gpkg").exists()


def test_no_variance_without_errors() -> None:
    found = estimate(np.diag([10, 20]), np.array([1.0, 3.0]), (0, 1))
    assert found.overall == 1
    assert found.overall_se == 0
    assert found.area_se_m2.tolist() == [0, 0]
    assert found.producers.tolist() == [1, 1]
