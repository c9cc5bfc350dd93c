"""The scores of the competitions: by hand, by brute force, by scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from maps import disturbed, patches, write_map
from PIL import Image
from scipy import ndimage
from sklearn import metrics

from geoseg.score.binary import BinaryCounts
from geoseg.score.comparison import Comparison, LabelOptions
from geoseg.score.edges.thinning import thin
from geoseg.score.evaluate import EvaluationPlan, Report, evaluate
from geoseg.score.label_meaning import Positive
from geoseg.score.membranes import compare_regions, rand_and_information, regions
from geoseg.score.pairs import Pair, find_pairs
from geoseg.score.single_masks import dice, mask_precision

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MASKS = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(bool, shape))
EIGHT = np.ones((3, 3))


def run(prediction: Path, reference: Path, *labels: int, **options: object) -> dict:
    meaning = Positive(labels=frozenset(labels))
    plan = EvaluationPlan(protocol="binary", reading=LabelOptions(predicted=meaning, reference=meaning), **options)  # type: ignore[arg-type]
    report: Report = evaluate(find_pairs(prediction, reference), plan)
    return {key: value for section in report.sections for key, value in section.values.items()}


@pytest.mark.parametrize(
    ("both", "either", "reference", "expected"),
    [
        (0, 0, 0, 1.0),  # nothing there, nothing said
        (0, 9, 0, 0.0),  # nothing there, something said
        (0, 9, 9, 0.0),  # something there, nothing said
        (10, 10, 10, 1.0),
        (5, 10, 8, 0.0),  # an IoU of 0.5 is not above 0.5
        (11, 20, 15, 0.1),  # 0.55 is above 0.50 only
        (19, 20, 20, 0.9),  # 0.95 is above all but 0.95
        (96, 100, 97, 1.0),
        (66, 100, 80, 0.4),  # above 0.50, 0.55, 0.60, 0.65
    ],
)
def test_salt_precision_by_hand(both: int, either: int, reference: int, expected: float) -> None:
    assert mask_precision(both, either, reference) == pytest.approx(expected)


def test_cloud_dice_by_hand() -> None:
    assert dice(0, 0, 0) == 1
    assert dice(0, 0, 5) == 0
    assert dice(3, 4, 8) == 0.5


def test_competition_scores_are_means_over_images_and_pixel_scores_are_not(tmp_path: Path) -> None:
    truths, answers = tmp_path / "truth", tmp_path / "answer"
    truths.mkdir()
    answers.mkdir()
    masks = []
    for number in range(4):
        truth = np.zeros((20, 20), np.uint8)
        answer = np.zeros((20, 20), np.uint8)
        if number < 3:
            truth[2:12, 2:12] = 255
            answer[2:12, 2 : 12 - number] = 255
        masks.append((truth > 0, answer > 0))
        Image.fromarray(truth).save(truths / f"{number}.png")
        Image.fromarray(answer).save(answers / f"{number}.png")
    found = run(answers, truths)
    assert found["images"] == 4
    ious = [1, 0.9, 0.8]
    assert found["tgs_mean_average_precision"] == pytest.approx((1 + 0.8 + 0.6 + 1) / 4)
    assert found["clouds_mean_dice"] == pytest.approx((sum(2 * iou / (1 + iou) for iou in ious) + 1) / 4)
    truth, answer = (np.concatenate([pair[side].ravel() for pair in masks]) for side in (0, 1))
    assert found["iou"] == pytest.approx(metrics.jaccard_score(truth, answer))
    assert found["dice"] == found["f1"] == pytest.approx(metrics.f1_score(truth, answer))
    assert found["precision"] == pytest.approx(metrics.precision_score(truth, answer))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, answer))


def test_positive_labels_are_chosen(tmp_path: Path) -> None:
    codes = patches((60, 60), 4, 3)
    answer = disturbed(codes, 4, 3)
    found = run(write_map(tmp_path / "answer.tif", answer), write_map(tmp_path / "truth.tif", codes), 1, 3)
    assert found["iou"] == pytest.approx(
        metrics.jaccard_score(np.isin(codes, [1, 3]).ravel(), np.isin(answer, [1, 3]).ravel())
    )


def test_instances_are_positive_whatever_their_number(tmp_path: Path) -> None:
    instances = (patches((60, 60), 3, 3).astype(np.uint16) * 700).astype(np.uint16)
    answer = (instances > 0).astype(np.uint8)
    found = run(write_map(tmp_path / "answer.tif", answer), write_map(tmp_path / "truth.tif", instances))
    assert found["iou"] == 1


def test_unanswered_pixels_count_as_missed_when_asked(tmp_path: Path) -> None:
    truth, answer = np.ones((20, 20), np.uint8), np.ones((20, 20), np.uint8)
    answer[:5] = 255
    paths = write_map(tmp_path / "answer.tif", answer, nodata=255), write_map(tmp_path / "truth.tif", truth)
    assert run(*paths)["iou"] == 1
    strict = run(*paths, unanswered="wrong")
    assert strict["iou"] == pytest.approx(0.75)
    assert strict["clouds_mean_dice"] == pytest.approx(2 * 0.75 / 1.75)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), block=st.integers(3, 40))
def test_lines_are_found_within_the_tolerance_whatever_the_windows(
    tmp_path_factory: pytest.TempPathFactory, seed: int, block: int
) -> None:
    """Brute force: the distance of every pixel of one map to every pixel of the other."""
    rng = np.random.default_rng(seed)
    truth, answer = (rng.random((30, 26)) < rng.choice([0.0, 0.01, 0.05]) for _ in range(2))
    folder = tmp_path_factory.mktemp("lines")
    pair = Pair(
        name="scene",
        prediction=write_map(folder / "a.tif", answer.astype(np.uint8)),
        reference=write_map(folder / "t.tif", truth.astype(np.uint8)),
    )
    from geoseg.score.single_masks import LineCounts

    counts = LineCounts()
    with Comparison(pair, LabelOptions()) as comparison:
        for view in comparison.views(counts.halo_px, block_px=block):
            counts.add(view)
    found = counts.scores()
    a, t = np.argwhere(answer), np.argwhere(truth)
    for tolerance in (2, 5):
        if not len(a) and not len(t):
            assert np.isnan(found[tolerance]).all()
            continue
        near = ((a[:, None] - t) ** 2).sum(-1) <= tolerance**2
        precision = near.any(1).mean() if len(a) and len(t) else 0.0
        recall = near.any(0).mean() if len(a) and len(t) else 0.0
        assert found[tolerance][:2] == pytest.approx((precision, recall))
        expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
        assert found[tolerance][2] == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_thinning_keeps_what_is_connected(mask: np.ndarray) -> None:
    lines = thin(mask)
    assert not (lines & ~mask).any()
    labels, count = ndimage.label(mask, EIGHT)
    thinned, left = ndimage.label(lines, EIGHT)
    assert left == count
    assert len(np.unique(labels[lines])) == count
    framed, framed_lines = (np.pad(image, 1) for image in (mask, lines))
    assert ndimage.label(~framed_lines)[1] == ndimage.label(~framed)[1]
    np.testing.assert_array_equal(thin(lines), lines)
    del thinned


def test_thinning_leaves_lines_one_pixel_wide() -> None:
    bar = np.zeros((15, 40), bool)
    bar[4:11, 3:37] = True
    lines = thin(bar)
    assert (lines[:, 8:32].sum(axis=0) == 1).all()
    blobs = patches((100, 100), 2, 5).astype(bool)
    full = ndimage.binary_erosion(thin(blobs), EIGHT)
    assert not full.any()


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.int64, (6, 7), elements=st.integers(0, 3)),
    arrays(np.int64, (6, 7), elements=st.integers(0, 3)),
)
def test_regions_are_compared_as_scikit_learn_compares_clusters(truth: np.ndarray, answer: np.ndarray) -> None:
    rand, information = compare_regions(truth, answer)
    inside = truth > 0
    if not inside.any():
        assert np.isnan(rand)
        return
    t, s = truth[inside], answer[inside].copy()
    s[s == 0] = 100 + np.arange((s == 0).sum())
    table = metrics.cluster.contingency_matrix(t, s).astype(float)
    same = (table**2).sum()
    expected = same / (0.5 * (table.sum(0) ** 2).sum() + 0.5 * (table.sum(1) ** 2).sum())
    assert rand == pytest.approx(expected)
    assert information == pytest.approx(metrics.normalized_mutual_info_score(t, s), abs=1e-9)
    assert compare_regions(truth, truth) == pytest.approx((1, 1))


def test_a_gap_in_a_wall_joins_two_rooms() -> None:
    truth = np.ones((41, 81), bool)
    truth[:, 38:43] = False
    answer = truth.copy()
    answer[18:23, 38:43] = True
    assert regions(truth).max() == 2
    assert regions(answer).max() == 1
    rand, information = rand_and_information(truth, answer)
    assert rand == pytest.approx(1 / 1.5, abs=0.01)  # sum p^2 = 1/2, sum t^2 = 1/2, sum s^2 = 1
    assert information == pytest.approx(0, abs=0.02)


def test_the_width_of_walls_hardly_matters() -> None:
    cells = patches((160, 160), 9, 2, sigma=9)
    walls = ndimage.morphological_gradient(cells, size=3) > 0
    thick = ndimage.binary_dilation(walls, iterations=2)
    rand, information = rand_and_information(~walls, ~thick)
    assert rand > 0.93
    assert information > 0.9


def test_walls_that_end_at_the_edge_still_part_rooms() -> None:
    truth = np.ones((40, 60), bool)
    truth[:, 25:36] = False
    assert regions(truth).max() == 2


def test_big_images_get_no_region_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geoseg.score.binary.MOST_REGION_PX", 100)
    codes = patches((20, 20), 2, 1)
    pair = Pair(
        name="scene", prediction=write_map(tmp_path / "a.tif", codes), reference=write_map(tmp_path / "t.tif", codes)
    )
    report = evaluate([pair], EvaluationPlan(protocol="binary"))
    values = {key: value for section in report.sections for key, value in section.values.items()}
    assert values["isbi_v_rand"] is None
    assert values["iou"] == 1
    assert "too big for the region scores" in report.notes[0]
    assert BinaryCounts().sections("ignore")[2].values["images"] == 0


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_real_membranes_score_as_their_changes_deserve(tmp_path: Path) -> None:
    labels = DATA / "isbi_membrane/train/label"
    truth = np.asarray(Image.open(labels / "0.png")) > 0
    Image.fromarray((ndimage.binary_erosion(truth) * 255).astype(np.uint8)).save(tmp_path / "0.png")
    thicker = run(tmp_path / "0.png", labels)
    assert thicker["isbi_v_rand"] > 0.97
    assert thicker["isbi_v_info"] > 0.97
    gone = ndimage.binary_dilation(truth, iterations=3)
    Image.fromarray((gone * 255).astype(np.uint8)).save(tmp_path / "0.png")
    merged = run(tmp_path / "0.png", labels)
    assert merged["isbi_v_rand"] < 0.6
    assert merged["iou"] > 0.75  # where the pixel scores hardly notice


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_crackforest_files_are_read_as_published(tmp_path: Path) -> None:
    truths = DATA / "crackforest/groundTruth"
    from geoseg.io.labels.matlab_file import read_annotations

    cracks = read_annotations(truths / "001.mat")[0].segmentation == 2
    assert 0 < cracks.mean() < 0.2
    moved = np.roll(cracks, 3, axis=0)
    Image.fromarray((moved * 2).astype(np.uint8)).save(tmp_path / "001.png")
    found = run(tmp_path, truths, 2)
    assert found["crackforest_f_5px"] > 0.97
    assert found["crackforest_f_2px"] < found["crackforest_f_5px"]
