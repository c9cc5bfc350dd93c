"""The ISPRS and DeepGlobe protocols: official colours, eroded borders, what is left out of which mean."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from maps import disturbed, patches, write_map
from PIL import Image
from scipy import ndimage

from geoseg.core.deepglobe_legend import DEEPGLOBE
from geoseg.errors import SceneError
from geoseg.io.raster.cog import write_class_cog
from geoseg.score.comparison import Comparison, LabelOptions, open_labels
from geoseg.score.erosion import without_borders
from geoseg.score.evaluate import EvaluationPlan, Report, evaluate
from geoseg.score.evaluate_files import evaluate as evaluate_files
from geoseg.score.matrix import NONE
from geoseg.score.pairs import Pair, find_pairs
from geoseg.score.protocols import ISPRS

SAMPLES = Path(__file__).resolve().parents[2] / "sample_tiles"


def coloured(codes: np.ndarray) -> np.ndarray:
    return np.array([entry.rgb for entry in ISPRS.classes], np.uint8)[codes].transpose(2, 0, 1)


def run(prediction: Path, reference: Path, protocol: str, eroded: Path | None = None) -> Report:
    return evaluate(find_pairs(prediction, reference, eroded=eroded), EvaluationPlan(protocol=protocol))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 25), st.integers(1, 25)), elements=st.sampled_from([0, 0, 0, 1, 4, NONE])
    ),
    st.integers(1, 4),
)
def test_erosion_takes_what_lies_within_the_radius_of_another_class(codes: np.ndarray, radius: int) -> None:
    """Brute force: every pixel, every other pixel."""
    rows, cols = np.indices(codes.shape).reshape(2, -1)
    flat = codes.ravel()
    near = (rows[:, None] - rows) ** 2 + (cols[:, None] - cols) ** 2 <= radius**2
    other = (flat[:, None] != flat) & (flat != NONE)
    expected = np.where((near & other).any(axis=1), NONE, flat).reshape(codes.shape)
    np.testing.assert_array_equal(without_borders(codes, radius), expected)


@pytest.mark.parametrize(
    ("full", "eroded"),
    [
        ("vaihingen/gts_for_participants", "vaihingen/gts_eroded_for_participants"),
        ("potsdam/5_Labels_all", "potsdam/5_Labels_all_noBoundary"),
    ],
)
def test_the_derived_erosion_is_the_one_in_the_files(full: str, eroded: str) -> None:
    colours = {entry.rgb: entry.code for entry in ISPRS.classes} | {(0, 0, 0): -1}
    for pair in find_pairs(SAMPLES / full, SAMPLES / eroded):
        reading = LabelOptions(colours=colours)
        with Comparison(pair, reading) as comparison:
            for view in comparison.views(3, block_px=100):
                derived = without_borders(view.predicted)[view.inner]
                np.testing.assert_array_equal(derived, view.reference[view.inner])


@pytest.mark.parametrize("block_px", [7, 50, 300])
def test_erosion_does_not_depend_on_windows(tmp_path: Path, block_px: int) -> None:
    codes = patches((120, 90), 6, 4)
    path = write_map(tmp_path / "truth.tif", coloured(codes), photometric="RGB")
    whole = without_borders(codes)
    pieced = np.zeros_like(whole)
    pair = Pair(name="scene", prediction=path, reference=path)
    with Comparison(pair, LabelOptions(colours={entry.rgb: entry.code for entry in ISPRS.classes})) as comparison:
        for view in comparison.views(3, block_px=block_px):
            pieced[view.core.slices] = without_borders(view.reference)[view.inner]
    np.testing.assert_array_equal(pieced, whole)


def test_isprs_by_hand(tmp_path: Path) -> None:
    """Building over tree, 10 rows each, beside 10 columns of clutter; the prediction misses in known places."""
    truth = np.full((20, 40), 1, np.uint8)
    truth[10:] = 3
    truth[:, 30:] = 5
    answer = truth.copy()
    answer[10] = 1  # one row of trees taken for building: 30 px, all of them near the border
    answer[0, :4] = 5  # four pixels of building taken for clutter, far from any border
    answer[0, 35:38] = 1  # three pixels of clutter taken for building
    report = run(
        write_map(tmp_path / "answer.tif", answer, nodata=255),
        write_map(tmp_path / "truth.tif", coloured(truth), photometric="RGB"),
        "isprs",
    )
    sections = {section.key: section for section in report.sections}
    assert list(sections) == [
        "full_with_clutter", "full_without_clutter", "eroded_with_clutter", "eroded_without_clutter",
    ]  # fmt: skip
    full = sections["full_with_clutter"].scores
    assert full is not None
    # rows of the matrix: building 296 right, 4 clutter; tree 30 building, 270 right; clutter 3 building + row 10, 197
    ten = 10  # row 10 is building in the prediction also below the clutter
    building = (296, 300, 296 + 30 + 3 + ten)
    tree = (270, 300, 270)
    clutter = (200 - 3 - ten, 200, 200 - 3 - ten + 4)
    for code, (both, true, answered) in ((1, building), (3, tree), (5, clutter)):
        entry = full.classes[code]
        assert (entry.reference_px, entry.predicted_px) == (true, answered)
        assert entry.iou == pytest.approx(both / (true + answered - both))
        assert entry.f1 == pytest.approx(2 * both / (true + answered))
    ious = {
        code: both / (true + answered - both)
        for code, (both, true, answered) in ((1, building), (3, tree), (5, clutter))
    }
    assert full.mean_iou == pytest.approx(sum(ious.values()) / 3)
    assert full.overall_accuracy == pytest.approx((296 + 270 + 187) / 800)
    five = sections["full_without_clutter"]
    assert five.scores is not None
    assert five.scores.mean_iou == pytest.approx((ious[1] + ious[3]) / 2)
    assert five.scores.overall_accuracy == full.overall_accuracy
    assert five.values["overall_accuracy_off_clutter"] == pytest.approx((296 + 270) / 600)
    # erosion takes 3 rows on either side of the border between building and tree, 3 columns on either side of clutter's
    eroded = sections["eroded_with_clutter"].scores
    assert eroded is not None
    assert eroded.classes[1].reference_px == 7 * 27
    assert eroded.classes[3].reference_px == 7 * 27
    assert eroded.classes[5].reference_px == 20 * 7
    assert eroded.classes[3].iou == 1
    # row 10 of the clutter (7 px) and the three at its top are left as errors there
    assert eroded.classes[5].recall == pytest.approx((140 - 7 - 3) / 140)
    json.dumps(report.as_json(), allow_nan=False)


def test_the_eroded_file_is_used_where_there_is_one(tmp_path: Path) -> None:
    names = {"full": SAMPLES / "potsdam/5_Labels_all", "eroded": SAMPLES / "potsdam/5_Labels_all_noBoundary"}
    answers = tmp_path / "answers"
    answers.mkdir()
    for path in sorted(names["full"].iterdir()):
        with open_labels(path, {entry.rgb: entry.code for entry in ISPRS.classes}) as layer:
            from geoseg.core.window import Window

            codes, _ = layer.read(Window.whole(tuple(layer.geobox.shape)))
            write_map(
                answers / path.name.replace("label", "RGB_classes"),
                disturbed(codes.astype(np.uint8), 6, 1),
                crs=layer.geobox.crs.to_wkt(),
                transform=layer.geobox.transform,
                nodata=255,
            )
    derived = run(answers, names["full"], "isprs")
    given_file = run(answers, names["full"], "isprs", names["eroded"])
    assert [section.as_json() for section in derived.sections] == [section.as_json() for section in given_file.sections]
    assert derived.sections[2].scores.scored_px < derived.sections[0].scores.scored_px  # type: ignore[union-attr]


def test_the_value_of_no_class_holds_for_the_eroded_file_too(tmp_path: Path) -> None:
    truth = patches((40, 50), 6, 4)
    answer = write_map(tmp_path / "a.tif", disturbed(truth, 6, 5))
    reference = write_map(tmp_path / "t.tif", np.where(np.arange(50) < 3, 6, truth).astype(np.uint8))
    eroded = np.where((np.arange(50) < 3) | (np.arange(50) % 7 == 0), 6, truth).astype(np.uint8)
    given = evaluate_files(
        answer, reference, protocol="isprs", eroded=write_map(tmp_path / "e.tif", eroded), nodata=6
    ).as_json()["results"]
    assert given["full_with_clutter"]["scored_px"] == 40 * 47
    assert given["eroded_with_clutter"]["scored_px"] == (eroded != 6).sum()


def test_codes_of_a_prediction_are_told_by_its_own_names(tmp_path: Path) -> None:
    """A model may number the classes otherwise; its raster says which is which."""
    from geoseg.core.legend import Legend, LegendClass
    from geoseg.core.window import Window
    from geoseg.io.publish.grid import LayerGrid

    truth = patches((60, 80), 6, 9)
    reference = write_map(tmp_path / "truth.tif", coloured(truth), photometric="RGB")
    order = [5, 3, 0, 1, 4, 2]
    names = ["Impervious surfaces", "Building", "Low vegetation", "Tree", "Car", "Clutter/background"]
    legend = Legend(
        classes=tuple(
            LegendClass(code=order[place], name=name, colour=entry.colour)
            for place, (name, entry) in enumerate(zip(names, ISPRS.classes, strict=True))
        )
    )
    folder = tmp_path / "out"
    folder.mkdir()
    with open_labels(reference, {entry.rgb: entry.code for entry in ISPRS.classes}) as layer:
        grid = LayerGrid(geobox=layer.geobox)
    codes = np.array(order, np.uint8)[truth]
    write_class_cog(folder / "truth_classes.tif", grid, iter([(Window.whole(codes.shape), codes)]), legend, tags={})
    report = run(folder, reference, "isprs")
    assert report.sections[0].scores.overall_accuracy == 1  # type: ignore[union-attr]


def test_deepglobe_by_hand(tmp_path: Path) -> None:
    colours = np.array([entry.rgb for entry in DEEPGLOBE.classes], np.uint8)
    truth = np.repeat(np.array([0, 1, 6], np.uint8), 10)[None].repeat(10, axis=0)
    answer = truth.copy()
    answer[:, 20:] = 1  # what is unknown is called farmland
    answer[0, :10] = 1
    answer[1, 10:20] = 6  # farmland called unknown
    Image.fromarray(colours[truth]).save(tmp_path / "7_mask.png")
    Image.fromarray(colours[answer]).save(tmp_path / "7_sat.png")
    report = run(tmp_path / "7_sat.png", tmp_path / "7_mask.png", "deepglobe")
    section = report.sections[0]
    assert section.scores is not None
    urban, farm = 90 / 100, 90 / (100 + 10)
    assert [entry.iou for entry in section.scores.classes[:2]] == pytest.approx([urban, farm])
    assert section.scores.mean_iou == pytest.approx((urban + farm) / 2)
    assert section.scores.scored_px == 200
    assert section.values["mean_iou_unknown_counts"] == pytest.approx((urban + 90 / 210) / 2)


def test_a_noisy_deepglobe_mask_is_read_at_128(tmp_path: Path) -> None:
    source = SAMPLES / "deepglobe/train/119_mask.png"
    pixels = np.asarray(Image.open(source)).astype(int)
    noise = np.random.default_rng(0).integers(-90, 91, pixels.shape)
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(tmp_path / "119_sat.png")
    report = run(tmp_path / "119_sat.png", source, "deepglobe")
    assert report.sections[0].scores.overall_accuracy == 1  # type: ignore[union-attr]


def test_a_colour_or_label_of_no_class_is_refused(tmp_path: Path) -> None:
    truth = patches((20, 20), 6, 0)
    pixels = coloured(truth)
    pixels[:, 4, 7] = [255, 0, 255]
    wrong = write_map(tmp_path / "wrong.tif", pixels, photometric="RGB")
    good = write_map(tmp_path / "good.tif", truth)
    with pytest.raises(SceneError, match=r"wrong\.tif: colour \(255, 0, 255\) at row 4, column 7"):
        run(good, wrong, "isprs")
    seven = write_map(tmp_path / "seven.tif", truth + 1)
    with pytest.raises(SceneError, match=r"seven\.tif: it holds the label 6"):
        run(seven, good, "isprs")


def test_scenes_are_one_matrix_not_a_mean_of_scores(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    for name, size in (("one", 10), ("two", 100)):
        truth = patches((size, size), 2, 1)
        write_map(tmp_path / "a" / f"{name}.tif", truth if name == "two" else 1 - truth)
        write_map(tmp_path / "b" / f"{name}.tif", truth)
    report = run(tmp_path / "a", tmp_path / "b", "isprs")
    assert report.sections[0].scores.overall_accuracy == pytest.approx(10000 / 10100)  # type: ignore[union-attr]
    assert [scene["overall_accuracy"] for scene in report.scenes] == [0, 1]


def test_disc_of_three_pixels_is_the_one_of_the_textbook() -> None:
    codes = np.zeros((9, 9), np.uint8)
    codes[4, 4] = 1
    taken = without_borders(codes) == NONE
    reach = np.arange(-4, 5)
    np.testing.assert_array_equal(taken, reach[:, None] ** 2 + reach**2 <= 9)
    assert taken.sum() == 29
    half = np.zeros((10, 8), np.uint8)
    half[5:] = 1
    assert ((without_borders(half) == NONE).sum(axis=0) == 6).all()
    assert ndimage.label(without_borders(half) != NONE)[1] == 2
