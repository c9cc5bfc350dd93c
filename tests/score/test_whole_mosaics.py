"""Maps are compared over the whole mosaic: every pixel once, whatever the files, the windows and the grids."""

from __future__ import annotations

import resource
import warnings
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import HALF_METRE, disturbed, patches, write_map
from rasterio.features import rasterize, shapes
from sklearn.metrics import confusion_matrix

from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import SceneError, UsageError
from geoseg.score.comparison import Comparison, LabelOptions
from geoseg.score.evaluate import EvaluationPlan, evaluate
from geoseg.score.pairs import Pair, find_pairs

SHAPE = (150, 210)


def compare(prediction: Path, reference: Path, **reading: object) -> np.ndarray:
    pair = Pair(name="scene", prediction=prediction, reference=reference)
    total = np.zeros((256, 256), np.int64)
    with Comparison(pair, LabelOptions(**reading)) as comparison:
        for view in comparison.views(5, block_px=64):
            np.add.at(total, (view.reference[view.inner], view.predicted[view.inner]), 1)
    return total


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    block=st.integers(1, 40),
    halo=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_no_pixel_is_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, block: int, halo: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("maps")
    truth = patches((height, width), 4, seed)
    answer = disturbed(truth, 4, seed)
    pair = Pair(
        name="scene",
        prediction=write_map(folder / "answer.tif", answer),
        reference=write_map(folder / "truth.tif", truth),
    )
    total, seen = np.zeros((256, 256), np.int64), np.zeros((height, width), int)
    with Comparison(pair, LabelOptions()) as comparison:
        for view in comparison.views(halo, block_px=block):
            seen[view.core.slices] += 1
            np.testing.assert_array_equal(view.reference, truth[view.read.slices])
            expected = view.core.expanded(halo)
            inside = expected.intersection(view.read.union(view.core))
            reach = (max(0, expected.row_start), min(height, expected.row_stop))
            assert (inside.row_start, inside.row_stop) == reach
            np.add.at(total, (view.reference[view.inner], view.predicted[view.inner]), 1)
    assert (seen == 1).all()
    np.testing.assert_array_equal(total[:4, :4], confusion_matrix(truth.ravel(), answer.ravel(), labels=range(4)))


def test_folders_are_matched_by_name_and_counted_together(tmp_path: Path) -> None:
    truths, answers = tmp_path / "labels", tmp_path / "out"
    truths.mkdir()
    matrix = np.zeros((3, 3), int)
    for seed, name in enumerate(("top_potsdam_2_10", "top_potsdam_2_11", "top_potsdam_12_10")):
        truth = patches((40, 50 + seed), 3, seed)
        answer = disturbed(truth, 3, seed)
        write_map(truths / f"{name}_label.tif", truth)
        folder = answers / f"{name}_RGB"
        folder.mkdir(parents=True)
        write_map(folder / f"{name}_RGB_classes.tif", answer, nodata=255)
        matrix += confusion_matrix(truth.ravel(), answer.ravel(), labels=range(3))
    report = evaluate(find_pairs(answers, truths), EvaluationPlan())
    assert len(report.scenes) == 3
    found = report.sections[0].scores
    assert found is not None
    assert found.overall_accuracy == pytest.approx(np.trace(matrix) / matrix.sum())
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    assert [entry.iou for entry in found.classes] == pytest.approx(list(np.diag(matrix) / union))


def test_pairs_that_are_not_clear_are_refused(tmp_path: Path) -> None:
    codes = patches((8, 8), 2, 0)
    for name in ("a.tif", "b.tif"):
        write_map(tmp_path / name, codes)
    labels = tmp_path / "labels"
    labels.mkdir()
    write_map(labels / "a_label.tif", codes)
    with pytest.raises(SceneError, match=r"nothing there matches b.*a_label\.tif"):
        find_pairs(tmp_path, labels)
    write_map(labels / "a_mask.tif", codes)
    with pytest.raises(UsageError, match=r"a_label\.tif, a_mask\.tif all match a"):
        find_pairs(tmp_path, labels)
    with pytest.raises(UsageError, match="one reference raster for 2 predictions"):
        find_pairs(tmp_path, labels / "a_label.tif")
    twice = tmp_path / "twice"
    twice.mkdir()
    for name in ("c_RGB_classes.tif", "c_IRRG_classes.tif"):
        write_map(twice / name, codes)
    write_map(labels / "c_label.tif", codes)
    with pytest.raises(UsageError, match=r"c_label\.tif: c_IRRG_classes\.tif and c_RGB_classes\.tif .* count twice"):
        find_pairs(twice, labels)
    with pytest.raises(SceneError, match="no such file"):
        find_pairs(tmp_path / "none", labels)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SceneError, match="no class raster"):
        find_pairs(tmp_path / "empty", labels)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crs": "EPSG:32633"}, "its CRS is EPSG:32632, not EPSG:32633"),
        ({"transform": Affine(0.25, 0, 500000, 0, -0.25, 5400000)}, r"its pixels are 0\.5 x 0\.5, not 0\.25 x 0\.25"),
        ({"transform": Affine(0.5, 0, 500001, 0, -0.5, 5400000)}, "its corner lies 0 rows and -2 columns off"),
        ({"shape": (150, 209)}, "it has 150 x 210 pixels, not 150 x 209"),
    ],
)
def test_another_grid_is_refused_and_the_difference_named(tmp_path: Path, change: dict, words: str) -> None:
    shape = change.pop("shape", SHAPE)
    prediction = write_map(tmp_path / "answer.tif", patches(SHAPE, 3, 0))
    reference = write_map(tmp_path / "truth.tif", patches(shape, 3, 0), **change)
    with pytest.raises(SceneError, match=words) as caught:
        compare(prediction, reference)
    assert "answer.tif" in str(caught.value)
    assert "--resample" in str(caught.value)


def test_resampling_takes_the_label_under_each_centre(tmp_path: Path) -> None:
    """The oracle is rasterio's nearest neighbour, told to transform exactly."""
    answer = patches(SHAPE, 4, 5)
    prediction = write_map(tmp_path / "answer.tif", answer, nodata=255)
    grid = Affine.translation(500010, 5399990) * Affine.rotation(20) * Affine.scale(0.7, -0.6)
    truth = patches((90, 110), 4, 6)
    reference = write_map(tmp_path / "truth.tif", truth, crs="EPSG:32632", transform=grid)
    found = compare(prediction, reference, resample=True)
    expected = np.full(truth.shape, 255, np.uint8)
    rows, cols = np.mgrid[:90, :110] + 0.5
    x, y = grid.a * cols + grid.b * rows + grid.c, grid.d * cols + grid.e * rows + grid.f
    row, col = np.floor((5400000 - y) / 0.5).astype(int), np.floor((x - 500000) / 0.5).astype(int)
    inside = (row >= 0) & (row < SHAPE[0]) & (col >= 0) & (col < SHAPE[1])
    expected[inside] = answer[row[inside], col[inside]]
    assert inside.any()
    assert not inside.all()
    total = np.zeros((256, 256), np.int64)
    np.add.at(total, (truth, expected), 1)
    np.testing.assert_array_equal(found, total)


def test_resampling_in_pieces_is_resampling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fine prediction under a coarse reference: one window may need more pixels than are read at once."""
    prediction = write_map(tmp_path / "answer.tif", patches((200, 300), 4, 5))
    coarse = HALF_METRE * Affine.scale(3.1, 2.7)
    reference = write_map(tmp_path / "truth.tif", patches((80, 90), 4, 6), transform=coarse)
    whole = compare(prediction, reference, resample=True)
    monkeypatch.setattr("geoseg.io.labels.resampled_layer._MOST_PX", 500)
    np.testing.assert_array_equal(compare(prediction, reference, resample=True), whole)


def test_resampling_crosses_reference_systems(tmp_path: Path) -> None:
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    answer = patches(SHAPE, 4, 7, sigma=8)
    prediction = write_map(tmp_path / "answer.tif", answer, nodata=255)
    left, top = HALF_METRE * (0, 0)
    right, bottom = HALF_METRE * (SHAPE[1], SHAPE[0])
    transform, width, height = calculate_default_transform(
        "EPSG:32632", "EPSG:4326", SHAPE[1], SHAPE[0], left, bottom, right, top
    )
    expected = np.full((height, width), 255, np.uint8)
    reproject(
        answer,
        expected,
        src_crs="EPSG:32632",
        dst_crs="EPSG:4326",
        src_transform=HALF_METRE,
        dst_transform=transform,
        resampling=Resampling.nearest,
        dst_nodata=255,
        tolerance=0,
    )
    truth = np.where(expected == 255, 0, expected).astype(np.uint8)
    reference = write_map(tmp_path / "truth.tif", truth, crs="EPSG:4326", transform=transform)
    found = compare(prediction, reference, resample=True)
    assert found[:4, :4].sum() > 0.9 * (expected != 255).sum()
    # a centre may fall on either side of a pixel's edge by rounding
    assert np.trace(found[:4, :4]) >= 0.999 * found[:4, :4].sum()


def test_colours_become_codes(tmp_path: Path) -> None:
    codes = patches(SHAPE, 3, 2)
    colours = np.array([[0, 0, 0], [10, 200, 30], [255, 255, 0]], np.uint8)
    reference = write_map(tmp_path / "truth.tif", colours[codes].transpose(2, 0, 1), photometric="RGB")
    prediction = write_map(tmp_path / "answer.tif", codes)
    table = {(0, 0, 0): 0, (10, 200, 30): 1, (255, 255, 0): 2}
    found = compare(prediction, reference, colours=table)
    np.testing.assert_array_equal(np.diag(found)[:3], np.bincount(codes.ravel()))
    assert found.sum() == np.trace(found)
    with pytest.raises(SceneError, match=r"colour \(255, 255, 0\) at row \d+, column \d+ is no class"):
        compare(prediction, reference, colours={(0, 0, 0): 0, (10, 200, 30): 1})
    with pytest.raises(SceneError, match=r"3 bands \(red, green, blue\) and no class codes"):
        compare(prediction, reference)


def test_colours_at_the_ends_of_the_channels_forgive_compression(tmp_path: Path) -> None:
    codes = patches(SHAPE, 2, 2)
    pixels = np.array([[0, 0, 255], [255, 255, 255]], np.uint8)[codes].transpose(2, 0, 1).copy()
    pixels[:, 3, 4] = [3, 0, 252] if codes[3, 4] == 0 else [252, 255, 250]
    reference = write_map(tmp_path / "truth.tif", pixels, photometric="RGB")
    found = compare(write_map(tmp_path / "answer.tif", codes), reference, colours={(0, 0, 255): 0, (255, 255, 255): 1})
    assert found.sum() == np.trace(found)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326"])
@pytest.mark.parametrize("kind", ["code", "name"])
def test_polygons_are_burnt_window_by_window_as_in_one_go(tmp_path: Path, crs: str, kind: str) -> None:
    codes = patches(SHAPE, 4, 3)
    polygons = [
        (shapely.geometry.shape(geometry), int(value))
        for geometry, value in shapes(codes, transform=HALF_METRE)
        if value
    ]
    names = {"roof": 1, "road": 2, "water": 3}
    values = [value if kind == "code" else list(names)[value - 1] for _, value in polygons]
    frame = geopandas.GeoDataFrame({"kind": values}, geometry=[shape for shape, _ in polygons], crs="EPSG:32632")
    frame.to_crs(crs).to_file(tmp_path / "truth.gpkg")
    prediction = write_map(tmp_path / "answer.tif", codes)
    found = compare(prediction, tmp_path / "truth.gpkg", column="kind", names=names)
    assert np.trace(found) >= found.sum() - (0 if crs == "EPSG:32632" else 3)
    without = compare(prediction, tmp_path / "truth.gpkg", column="kind", names=names, outside=None)
    assert without[255].sum() == (codes == 0).sum() or crs == "EPSG:4326"


def test_of_overlapping_polygons_the_last_one_counts(tmp_path: Path) -> None:
    boxes = [shapely.box(500005, 5399950, 500030, 5399990), shapely.box(500020, 5399960, 500060, 5399980)]
    geopandas.GeoDataFrame({"kind": [5, 2]}, geometry=boxes, crs="EPSG:32632").to_file(tmp_path / "truth.gpkg")
    expected = rasterize([(boxes[0], 5), (boxes[1], 2)], out_shape=SHAPE, transform=HALF_METRE, dtype="uint8")
    found = compare(write_map(tmp_path / "answer.tif", expected), tmp_path / "truth.gpkg", column="kind")
    assert found.sum() == np.trace(found)
    assert set(np.flatnonzero(np.diag(found))) == {0, 2, 5}


def test_odd_polygon_files_are_refused(tmp_path: Path) -> None:
    prediction = write_map(tmp_path / "answer.tif", patches((20, 20), 2, 0))
    frame = geopandas.GeoDataFrame({"kind": ["roof"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32632")
    frame.to_file(tmp_path / "truth.gpkg")
    with pytest.raises(SceneError, match=r"no field 'what'.*kind"):
        compare(prediction, tmp_path / "truth.gpkg", column="what")
    with pytest.raises(SceneError, match="'roof' is no class"):
        compare(prediction, tmp_path / "truth.gpkg", column="kind")
    (tmp_path / "broken.gpkg").write_bytes(b"not a database")
    with pytest.raises(SceneError, match=r"broken\.gpkg"):
        compare(prediction, tmp_path / "broken.gpkg")
    nowhere = write_map(tmp_path / "nowhere.png", patches((20, 20), 2, 0), crs=None)
    with pytest.raises(SceneError, match="the prediction nowhere"):
        compare(nowhere, tmp_path / "truth.gpkg")


def test_a_reference_without_place_is_compared_pixel_by_pixel(tmp_path: Path) -> None:
    codes = patches(SHAPE, 3, 1)
    reference = write_map(tmp_path / "truth.png", codes, crs=None)
    found = compare(write_map(tmp_path / "answer.tif", codes), reference)
    assert np.trace(found) == codes.size
    with pytest.raises(SceneError, match="pixels"):
        compare(write_map(tmp_path / "small.tif", codes[:-1]), reference)
    with pytest.raises(SceneError, match="CRS on both sides"):
        compare(tmp_path / "small.tif", reference, resample=True)


def test_nodata_on_either_side_is_no_class(tmp_path: Path) -> None:
    truth, answer = patches(SHAPE, 3, 1), patches(SHAPE, 3, 1)
    truth[:5], answer[:, :7] = 99, 255
    found = compare(
        write_map(tmp_path / "answer.tif", answer, nodata=255), write_map(tmp_path / "truth.tif", truth), nodata=99
    )
    assert found[255].sum() == truth[:5].size
    assert found[:255, 255].sum() == (SHAPE[0] - 5) * 7
    report = evaluate(
        [Pair(name="scene", prediction=tmp_path / "answer.tif", reference=tmp_path / "truth.tif")],
        EvaluationPlan(reading=LabelOptions(nodata=99)),
    )
    assert "have no prediction and are left out" in report.notes[0]
    assert f"{(SHAPE[0] - 5) * 7:,} of {(SHAPE[0] - 5) * SHAPE[1]:,}" in report.notes[0]


def test_names_come_from_the_legend_and_strangers_are_refused(tmp_path: Path) -> None:
    codes = patches(SHAPE, 3, 1)
    pair = Pair(
        name="scene",
        prediction=write_map(tmp_path / "answer.tif", codes),
        reference=write_map(tmp_path / "truth.tif", codes),
    )
    entries = [LegendClass(code=code, name=f"kind {code}", colour="#000000") for code in range(3)]
    report = evaluate([pair], EvaluationPlan(legend=Legend(classes=tuple(entries))))
    assert [entry.name for entry in report.sections[0].scores.classes] == ["kind 0", "kind 1", "kind 2"]  # type: ignore[union-attr]
    truth = np.where(codes == 2, 9, codes).astype(np.uint8)
    write_map(tmp_path / "truth.tif", truth)
    nine = evaluate([pair], EvaluationPlan(legend=Legend(classes=tuple(entries), nodata=9)))
    assert nine.sections[0].scores.scored_px == (codes != 2).sum()  # type: ignore[union-attr]
    write_map(tmp_path / "truth.tif", codes)
    with pytest.raises(SceneError, match=r"class codes \[2\] occur"):
        evaluate([pair], EvaluationPlan(legend=Legend(classes=tuple(entries[:2]))))


def test_labels_that_are_no_codes_are_refused(tmp_path: Path) -> None:
    codes = patches((20, 20), 3, 1)
    prediction = write_map(tmp_path / "answer.tif", codes)
    with pytest.raises(SceneError, match="label 300"):
        compare(prediction, write_map(tmp_path / "many.tif", np.full((20, 20), 300, np.uint16)))
    with pytest.raises(SceneError, match="whole numbers"):
        compare(prediction, write_map(tmp_path / "half.tif", np.full((20, 20), 0.5, np.float32)))
    empty = write_map(tmp_path / "empty.tif", np.full((20, 20), 255, np.uint8), nodata=255)
    with pytest.raises(SceneError, match="labels no pixel"):
        evaluate([Pair(name="scene", prediction=prediction, reference=empty)], EvaluationPlan())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_mosaic(tmp_path: Path) -> None:
    """A mosaic of 144 Mpx, two files of it: whole, the labels alone would be 2.3 GB."""
    profile = {
        "driver": "GTiff", "count": 1, "height": 12000, "width": 12000, "dtype": "uint8", "crs": "EPSG:32632",
        "transform": HALF_METRE, "tiled": True, "compress": "deflate", "SPARSE_OK": True,
    }  # fmt: skip
    paths = [tmp_path / "answer.tif", tmp_path / "truth.tif"]
    for path in paths:
        with warnings.catch_warnings(), rasterio.open(path, "w", **profile):
            pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = evaluate([Pair(name="scene", prediction=paths[0], reference=paths[1])], EvaluationPlan(protocol="isprs"))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert report.scenes[0]["labelled_px"] == 144_000_000
    assert grown < 350e6
