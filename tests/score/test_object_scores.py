"""Objects and outlines: by hand, by brute force, and with shapely's own distances."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import HALF_METRE, patches, write_map
from shapely.affinity import rotate, translate

from geoseg.errors import SceneError, UsageError
from geoseg.score.object_files import evaluate_objects
from geoseg.score.objects import hausdorff, match_objects, polis

BOXES = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 6), st.integers(1, 6)).map(
        lambda b: shapely.box(b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=5,
)


def array(shapes: list) -> np.ndarray:
    found = np.empty(len(shapes), object)
    found[:] = shapes
    return found


@settings(max_examples=150, deadline=None)
@given(BOXES, BOXES, st.sampled_from([0.1, 0.3, 0.5]))
def test_pairs_are_the_best_there_are(predicted: list, reference: list, iou: float) -> None:
    """Brute force over all ways to pair them, overlapping ones too."""
    found = match_objects(array(predicted), array(reference), iou=iou)
    share = {
        (i, j): p.intersection(r).area / p.union(r).area
        for (i, p), (j, r) in itertools.product(enumerate(predicted), enumerate(reference))
    }
    few, many = sorted((list(range(len(predicted))), list(range(len(reference)))), key=len)
    swap = len(predicted) > len(reference)
    best = (0, 0.0)
    for chosen in itertools.permutations(many, len(few)):
        pairs = [(j, i) if swap else (i, j) for i, j in zip(few, chosen, strict=True)]
        good = [share[pair] for pair in pairs if share[pair] >= iou]
        best = max(best, (len(good), round(sum(good), 9)))
    assert (len(found.iou), round(float(found.iou.sum()), 9)) == best
    assert len(set(found.predicted)) == len(set(found.reference)) == len(found.iou)
    for i, j, value in zip(found.predicted, found.reference, found.iou, strict=True):
        assert value == pytest.approx(share[i, j])


def test_polygons_that_only_touch_are_no_pair() -> None:
    found = match_objects(array([shapely.box(0, 0, 1, 1)]), array([shapely.box(1, 0, 2, 1)]), iou=0.0)
    assert len(found.iou) == 0


def test_polis_by_hand() -> None:
    """A unit square and one moved by a tenth to the right; the paper's equation 2, corner by corner."""
    square = shapely.box(0, 0, 1, 1)
    moved = translate(square, 0.1, 0)
    # corners of the square: two are 0.1 off the other's left side, two lie on its horizontal sides; the same back
    assert polis(array([square]), array([moved]))[0] == pytest.approx((2 * 0.1 + 2 * 0.0) / 4)
    bigger = shapely.box(-1, -1, 2, 2)
    assert polis(array([square]), array([bigger]))[0] == pytest.approx((1 + np.sqrt(2)) / 2)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_distances_agree_with_loops_and_fine_sampling(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = []
    for _ in range(2):
        angle = np.sort(rng.random(7)) * 2 * np.pi
        radius = 2 + rng.random(7)
        ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        hole = [(0.1, 0.1), (0.3, 0.1), (0.2, 0.3)] if rng.random() < 0.5 else None
        polygon = shapely.Polygon(ring, [hole] if hole else None)
        pair.append(polygon if polygon.is_valid else shapely.box(0, 0, 1 + rng.random(), 1))
    one, other = pair

    def directed(a: shapely.Polygon, b: shapely.Polygon) -> float:
        corners = [c for ring in (a.exterior, *a.interiors) for c in ring.coords[:-1]]
        return float(np.mean([b.boundary.distance(shapely.Point(c)) for c in corners]))

    assert polis(array([one]), array([other]))[0] == pytest.approx((directed(one, other) + directed(other, one)) / 2)
    far = 0.0
    for a, b in ((one, other), (other, one)):
        points = [a.boundary.interpolate(t, normalized=True) for t in np.linspace(0, 1, 400)]
        points += [shapely.Point(c) for c in shapely.get_coordinates(a)]
        far = max(far, *(b.boundary.distance(p) for p in points))
    assert hausdorff(array([one]), array([other]))[0] == pytest.approx(far, abs=0.02)


def test_moving_a_polygon_moves_its_distances() -> None:
    shapes = array([rotate(shapely.box(0, 0, 4, 2), 30), shapely.box(0, 0, 1, 1).union(shapely.box(3, 3, 4, 4))])
    assert polis(shapes, shapes).tolist() == [0, 0]
    assert (hausdorff(shapes, shapes) < 1e-12).all()
    assert (
        hausdorff(shapes, shapely.transform(shapes, lambda corners: corners + np.array([0, 0.25]))) <= 0.25 + 1e-9
    ).all()


def write_polygons(path: Path, shapes: list, crs: str = "EPSG:32632", **fields: list) -> Path:
    geopandas.GeoDataFrame(fields, geometry=shapes, crs="EPSG:32632").to_crs(crs).to_file(path)
    return path


def roofs() -> list:
    return [shapely.box(500000 + 20 * k, 5399950, 500010 + 20 * k, 5399960) for k in range(5)]


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3857", "EPSG:4326"])
def test_polygons_are_measured_in_metres_in_any_crs(tmp_path: Path, crs: str) -> None:
    truth = roofs()
    found = [translate(truth[0], 1, 0), truth[1], translate(truth[2], 9, 0), translate(truth[4], 0, 300)]
    reference = write_polygons(tmp_path / "truth.gpkg", truth, crs)
    prediction = write_polygons(tmp_path / "answer.gpkg", found, "EPSG:3857" if crs == "EPSG:32632" else crs)
    values = evaluate_objects(prediction, reference)
    assert (values["predicted"], values["reference"], values["matched"]) == (4, 5, 2)
    assert (values["precision"], values["recall"]) == (0.5, 0.4)
    assert values["f1"] == pytest.approx(4 / 9)
    assert values["unit"] == "m"
    # the plane is true to a few in ten thousand, UTM's scale here is 0.9996
    assert values["polis_mean"] == pytest.approx(0.5 / 2, rel=1e-3)
    assert values["hausdorff_mean"] == pytest.approx(0.5, rel=1e-3)
    json.dumps(values, allow_nan=False)


def test_a_scene_folder_gives_its_polygons_and_leaves_out_what_lies_elsewhere(tmp_path: Path) -> None:
    truth = roofs()
    folder = tmp_path / "scene"
    folder.mkdir()
    codes = np.zeros((120, 150), np.uint8)  # 75 m wide: it ends before the fifth roof
    write_map(folder / "scene_classes.tif", codes, nodata=255)
    write_polygons(
        folder / "scene_segments.gpkg",
        [*truth[:3], shapely.box(500000, 5399940, 500075, 5399945)],
        class_code=[1, 1, 1, 0],
        class_name=["roof"] * 3 + ["ground"],
    )
    reference = write_polygons(tmp_path / "truth.gpkg", truth, "EPSG:4326").rename(tmp_path / "the truth! 2.gpkg")
    values = evaluate_objects(folder, reference)
    assert (values["predicted"], values["reference"], values["matched"]) == (3, 4, 3)
    assert values["reference_outside"] == 1
    assert evaluate_objects(folder, reference, of_class="roof") == values
    assert evaluate_objects(folder, reference, of_class="ground")["matched"] == 0
    with pytest.raises(UsageError, match=r"name one class.*0, 1, ground, roof"):
        evaluate_objects(folder, reference, of_class="tree")


def test_a_class_raster_is_traced(tmp_path: Path) -> None:
    truth = roofs()[:3]
    codes = np.zeros((120, 150), np.uint8)
    for k in range(3):
        codes[80:100, 40 * k : 40 * k + 20] = 7
    values = evaluate_objects(
        write_map(tmp_path / "map.tif", codes, nodata=255), write_polygons(tmp_path / "truth.gpkg", truth)
    )
    assert (values["precision"], values["recall"]) == (1, 1)
    assert values["mean_iou_of_matched"] == pytest.approx(1)
    three = write_map(tmp_path / "three.tif", patches((60, 60), 3, 0), transform=HALF_METRE)
    with pytest.raises(UsageError, match="name one class with --class"):
        evaluate_objects(three, tmp_path / "truth.gpkg")


def test_classes_of_the_reference_are_chosen(tmp_path: Path) -> None:
    truth = roofs()
    reference = write_polygons(tmp_path / "truth.gpkg", truth, kind=["roof", "roof", "shed", "shed", "shed"])
    prediction = write_polygons(tmp_path / "answer.gpkg", truth)
    values = evaluate_objects(prediction, reference, reference_column="kind", reference_class="shed")
    assert (values["reference"], values["precision"], values["recall"]) == (3, 0.6, 1)
    with pytest.raises(UsageError, match="--reference-class"):
        evaluate_objects(prediction, reference, reference_column="kind")
    with pytest.raises(UsageError, match="--reference-column"):
        evaluate_objects(prediction, reference, reference_class="shed")
    with pytest.raises(SceneError, match="no field 'what'"):
        evaluate_objects(prediction, reference, reference_column="what", reference_class="x")


@pytest.mark.parametrize("side", ["answer", "truth"])
def test_a_spike_of_no_area_changes_no_distance(tmp_path: Path, side: str) -> None:
    """An outline that runs out and back on one line is invalid; mended, it is the polygon without the line."""
    whole = roofs()
    west, south, east, north = whole[0].bounds
    ring = [(west, south), (east, south), (east, north), (east + 5, north), (east, north), (west, north)]
    plain, spiked = shapely.box(west, south, east, north), shapely.Polygon(ring)
    files = {name: write_polygons(tmp_path / f"{name}.gpkg", [plain, *whole[1:]]) for name in ("answer", "truth")}
    expected = evaluate_objects(files["answer"], files["truth"])
    files[side] = write_polygons(tmp_path / "spiked.gpkg", [spiked, *whole[1:]])
    found = evaluate_objects(files["answer"], files["truth"])
    assert (found["matched"], found["reference"]) == (len(whole), len(whole))
    for name in ("polis_mean", "hausdorff_mean", "mean_iou_of_matched"):
        assert found[name] == pytest.approx(expected[name], abs=1e-6)


def test_of_several_layers_one_is_named(tmp_path: Path) -> None:
    truth = roofs()
    reference = write_polygons(tmp_path / "truth.gpkg", truth)
    answer = tmp_path / "answer.gpkg"
    for name, shapes in (("other", truth[:1]), ("segments", truth[:3]), ("regular", truth[:2])):
        geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32632").to_file(answer, layer=name)
    assert evaluate_objects(answer, reference)["matched"] == 3
    assert evaluate_objects(answer, reference, layer="regular")["matched"] == 2
    with pytest.raises(SceneError, match="no layer 'round', but other, segments, regular"):
        evaluate_objects(answer, reference, layer="round")


def test_nothing_found_and_nothing_there(tmp_path: Path) -> None:
    reference = write_polygons(tmp_path / "truth.gpkg", roofs())
    away = write_polygons(tmp_path / "away.gpkg", [translate(roofs()[0], 500, 0)])
    values = evaluate_objects(away, reference)
    assert (values["precision"], values["recall"], values["polis_mean"]) == (0, 0, None)
    none = match_objects(array([]), array([]))
    assert len(none.iou) == 0
