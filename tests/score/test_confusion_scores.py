"""Scores of a confusion matrix: scikit-learn says the same; what is left out is left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from geoseg.score.matrix import NONE, count, scores

CLASSES = [(0, "ground"), (3, "roof"), (7, "water")]
SAMPLES = st.integers(1, 300).flatmap(
    lambda n: st.tuples(*(arrays(np.uint8, n, elements=st.sampled_from([0, 3, 7])) for _ in range(2)))
)


@given(SAMPLES)
def test_scikit_learn_finds_the_same(maps: tuple[np.ndarray, np.ndarray]) -> None:
    truth, answer = maps
    found = scores(count(truth, answer), CLASSES)
    seen = np.union1d(truth, answer)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, answer, labels=[0, 3, 7], zero_division=np.nan
    )
    for place, entry in enumerate(found.classes):
        assert entry.reference_px == support[place]
        np.testing.assert_allclose([entry.precision, entry.recall], [precision[place], recall[place]])
        if entry.code in seen:
            assert entry.f1 == pytest.approx(f1[place])
        else:
            assert np.isnan(entry.f1)
            assert np.isnan(entry.iou)
    iou = metrics.jaccard_score(truth, answer, labels=seen, average=None)
    assert found.mean_iou == pytest.approx(iou.mean())
    assert found.mean_f1 == pytest.approx(metrics.f1_score(truth, answer, labels=seen, average="macro"))
    assert found.overall_accuracy == pytest.approx(metrics.accuracy_score(truth, answer))
    weights = [np.mean(truth == code) for code in seen]
    assert found.frequency_weighted_iou == pytest.approx(np.dot(weights, iou))
    if len(seen) > 1:
        assert found.kappa == pytest.approx(metrics.cohen_kappa_score(truth, answer))
    json.dumps(found.as_json(), allow_nan=False)


def test_a_matrix_by_hand() -> None:
    # reference 1: 8 right, 2 taken for class 2; reference 2: 1 taken for class 1, 3 right, 1 unanswered; 5 unlabelled
    truth = np.array([1] * 10 + [2] * 5 + [NONE] * 5, np.uint8)
    answer = np.array([1] * 8 + [2] * 2 + [1] + [2] * 3 + [NONE] + [1] * 5, np.uint8)
    ignoring = scores(count(truth, answer), [(1, "a"), (2, "b")])
    assert (ignoring.scored_px, ignoring.unanswered_px) == (14, 1)
    assert ignoring.overall_accuracy == pytest.approx(11 / 14)
    assert [entry.iou for entry in ignoring.classes] == pytest.approx([8 / 11, 3 / 6])
    strict = scores(count(truth, answer), [(1, "a"), (2, "b")], unanswered="wrong")
    assert strict.scored_px == 15
    assert strict.overall_accuracy == pytest.approx(11 / 15)
    assert [entry.recall for entry in strict.classes] == pytest.approx([0.8, 0.6])
    assert [entry.precision for entry in strict.classes] == pytest.approx([8 / 9, 3 / 5])


def test_a_prediction_outside_the_classes_is_wrong_and_a_reference_outside_is_left_out() -> None:
    truth, answer = np.array([1, 1, 2, 9, 9], np.uint8), np.array([1, 9, 2, 1, 9], np.uint8)
    found = scores(count(truth, answer), [(1, "a"), (2, "b")])
    assert found.scored_px == 3
    assert found.overall_accuracy == pytest.approx(2 / 3)
    assert found.classes[0].iou == pytest.approx(1 / 2)
    assert found.classes[0].precision == 1


@given(SAMPLES, st.integers(1, 299))
def test_matrices_add_up(maps: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    truth, answer = maps
    parts = count(truth[:cut], answer[:cut]) + count(truth[cut:], answer[cut:])
    np.testing.assert_array_equal(parts, count(truth, answer))
