"""Panoptic quality against its definition, torchmetrics, and cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geoseg.score.panoptic import pairs as pairs_module
from geoseg.score.panoptic.pairs import count_pairs
from geoseg.score.panoptic.quality import SegmentTable, tally


class Numbers:
    def __init__(self, values) -> None:
        self.values, self.shape = np.asarray(values, np.int64), np.asarray(values).shape

    def numbers(self, window):
        return self.values[window.slices]


def cells(rng, shape, count, void):
    places = rng.integers(0, min(shape), (count, 2))
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    nearest = ((rows - places[:, :1, None]) ** 2 + (cols - places[:, 1:, None]) ** 2).argmin(0) + 1
    return np.where(rng.random(shape) < void, 0, nearest)


def case(seed):
    """A reference with void and crowds, and a prediction that is like it in some segments."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(12, 40, 2))
    truth = cells(rng, shape, int(rng.integers(1, 12)), 0.1)
    other = cells(rng, shape, int(rng.integers(1, 12)), 0.1)
    same = rng.random(13) < 0.6
    answer = np.roll(np.where(same[truth], truth, np.where(other > 0, other + 50, 0)), int(rng.integers(0, 3)), 1)
    classes = {int(n): int(rng.integers(1, 4)) for n in np.unique(truth) if n}
    crowd, taken = {}, set()
    for number, code in classes.items():
        crowd[number] = bool(rng.random() < 0.2 and code not in taken)
        taken |= {code} if crowd[number] else set()
    found = {int(n): classes.get(int(n), 0) if rng.random() < 0.8 else 0 for n in np.unique(answer) if n}
    found = {n: code or int(rng.integers(1, 4)) for n, code in found.items()}
    return truth, classes, crowd, answer, found


def by_definition(truth, classes, crowd, answer, found, iou_of=None):
    """Sets of pixels, one pair after the other, as section 4 of the paper reads."""
    scores = {code: [0.0, 0, 0, 0] for code in range(1, 4)}
    hit, used = set(), set()
    for number, code in classes.items():
        for other, other_code in found.items():
            if code != other_code or crowd[number]:
                continue
            one, two = truth == number, (answer == other) & (truth != 0)
            iou = (one & two).sum() / (one | two).sum() if (one | two).any() else 0.0
            if iou_of is not None:
                iou = min(iou, iou_of(number, other))
            if iou > 0.5:
                scores[code][0] += iou
                scores[code][1] += 1
                hit.add(number)
                used.add(other)
    for number, code in classes.items():
        scores[code][3] += number not in hit and not crowd[number]
    for other, code in found.items():
        if other in used:
            continue
        mine = answer == other
        ignored = (truth[mine] == 0).sum()
        ignored += sum((truth[mine] == n).sum() for n in classes if crowd[n] and classes[n] == code)
        scores[code][2] += not ignored / mine.sum() > 0.5
    return scores


def tallied(truth, classes, crowd, answer, found, **options):
    reference = SegmentTable.of(list(classes), list(classes.values()), [crowd[n] for n in classes])
    prediction = SegmentTable.of(list(found), list(found.values()))
    counts = count_pairs(Numbers(truth), Numbers(answer), boundary_px=options.get("boundary_px", 0))
    return tally(counts, reference, prediction, 4, boundary="boundary_px" in options)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6))
def test_random_maps_score_as_the_definition_says(seed) -> None:
    given_case = case(seed)
    ours, theirs = tallied(*given_case), by_definition(*given_case)
    for code, (iou, matched, extra, missed) in theirs.items():
        assert (ours.matched[code], ours.extra[code], ours.missed[code]) == (matched, extra, missed)
        assert abs(ours.iou[code] - iou) < 1e-12
        pq = iou / (matched + extra / 2 + missed / 2) if matched + extra + missed else 0
        assert abs(ours.scores()[0][code] - pq) < 1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_boundaries_count_the_smaller_of_two_overlaps(seed, width) -> None:
    truth, classes, crowd, answer, found = case(seed)
    square = np.ones((3, 3), bool)

    def rim(mask):
        return mask & ~ndimage.binary_erosion(mask, square, width)

    def boundary_iou(number, other):
        one, two = rim(truth == number), rim(answer == other) & (truth != 0)
        return (one & two).sum() / (one | two).sum()

    ours = tallied(truth, classes, crowd, answer, found, boundary_px=width)
    theirs = by_definition(truth, classes, crowd, answer, found, boundary_iou)
    for code, (iou, matched, extra, missed) in theirs.items():
        assert (ours.matched[code], ours.extra[code], ours.missed[code]) == (matched, extra, missed)
        assert abs(ours.iou[code] - iou) < 1e-12


def test_windows_have_no_say(monkeypatch) -> None:
    truth, _, _, answer, _ = case(7)
    whole = count_pairs(Numbers(truth), Numbers(answer), boundary_px=3)
    monkeypatch.setattr(pairs_module, "_WINDOW_PX", 5)
    monkeypatch.setattr(pairs_module, "_HELD", 2)
    cut = count_pairs(Numbers(truth), Numbers(answer), boundary_px=3)
    for name in ("reference", "prediction", "pixels", "boundary", "reference_boundary", "prediction_boundary"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_those_of_torchmetrics(seed) -> None:
    """There stuff has no identity, so all classes are things here; 9 and 0 stand for void."""
    detection = pytest.importorskip("torchmetrics.detection")
    truth, classes, _, answer, found = case(seed)
    ours = tallied(truth, classes, dict.fromkeys(classes, False), answer, found)

    def pairs(values, table, void):
        code = np.vectorize(lambda n: table.get(int(n), void))(values)
        return torch.from_numpy(np.stack([code, values], axis=-1))[None]

    metric = detection.PanopticQuality(
        {1, 2, 3}, {9}, return_per_class=True, return_sq_and_rq=True, allow_unknown_preds_category=True
    )
    expected = metric(pairs(answer, found, 9), pairs(truth, classes, 0))[:3]
    np.testing.assert_allclose(np.stack(ours.scores(), axis=1)[1:], expected, atol=1e-5)


def test_a_case_counted_by_hand() -> None:
    truth = np.array([[1, 1, 1, 1, 2, 2, 0, 0]])
    answer = np.array([[5, 5, 5, 6, 6, 7, 7, 7]])
    classes, found = {1: 1, 2: 2}, {5: 1, 6: 2, 7: 2}
    ours = tallied(truth, classes, {1: False, 2: False}, answer, found)
    # 5 has three of the four pixels of 1; 6 has one of three, 7 one of two, beyond void
    np.testing.assert_array_equal(ours.matched, [0, 1, 0, 0])
    assert ours.iou[1] == 0.75
    # 7 lies in void for two of its three pixels: it is no false alarm
    np.testing.assert_array_equal(ours.extra, [0, 0, 1, 0])
    np.testing.assert_array_equal(ours.missed, [0, 0, 1, 0])
    mean = ours.mean([1, 2, 3])
    assert mean == {"pq": 0.375, "sq": 0.375, "rq": 0.5, "classes": 2}
