"""Calibration of a written map: its confidence raster against its right answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from maps import disturbed, patches, write_map

from geoseg.models.calibration import calibration_error
from geoseg.score.evaluate import EvaluationPlan, evaluate
from geoseg.score.pairs import find_pairs


def test_confidence_beside_the_prediction_is_held_against_the_truth(tmp_path: Path) -> None:
    truth = patches((70, 90), 3, 0)
    answer = disturbed(truth, 3, 0)
    percent = np.random.default_rng(0).integers(30, 101, truth.shape).astype(np.uint8)
    percent[:3] = 255
    answer[:, :4] = 255
    folder = tmp_path / "out"
    folder.mkdir()
    write_map(folder / "scene_classes.tif", answer, nodata=255)
    write_map(folder / "scene_confidence.tif", percent, nodata=255)
    report = evaluate(find_pairs(folder, write_map(tmp_path / "scene.tif", truth)), EvaluationPlan())
    assert report.calibration is not None
    known = (percent <= 100) & (answer != 255)
    expected = calibration_error(percent[known] / 100, (answer == truth)[known], bins=20)
    assert report.calibration["expected_calibration_error"] == pytest.approx(expected)
    assert report.calibration["mean_confidence"] == pytest.approx(percent[known].mean() / 100)
    assert report.calibration["accuracy"] == pytest.approx((answer == truth)[known].mean())
    assert sum(entry["pixels"] for entry in report.calibration["bins"]) == known.sum()
    binary = evaluate(find_pairs(folder, tmp_path / "scene.tif"), EvaluationPlan(protocol="binary"))
    assert binary.calibration is not None
    assert binary.calibration["accuracy"] == report.calibration["accuracy"]
    (folder / "scene_confidence.tif").unlink()
    assert evaluate(find_pairs(folder, tmp_path / "scene.tif"), EvaluationPlan()).calibration is None
