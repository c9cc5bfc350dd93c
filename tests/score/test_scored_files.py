"""``geoseg.evaluate``: files against files from Python, checked by an independent implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import geoseg
from geoseg.errors import UsageError


def _write(path: Path, codes: np.ndarray) -> Path:
    place = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 2, 2), "nodata": 255}
    size = {"height": codes.shape[0], "width": codes.shape[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as file:
        file.write(codes, 1)
    return path


def test_scores_are_those_of_torchmetrics(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification", reason="comes with the extra train")
    rng = np.random.default_rng(4)
    truth, answer = rng.integers(0, 4, (2, 70, 90), dtype=np.uint8)
    answer = np.where(rng.random(truth.shape) < 0.6, truth, answer)
    truth[rng.random(truth.shape) < 0.1] = 255
    found = geoseg.evaluate(_write(tmp_path / "answer.tif", answer), _write(tmp_path / "truth.tif", truth)).as_json()
    pair = torch.from_numpy(answer.astype(int)), torch.from_numpy(truth.astype(int))
    options = {"num_classes": 4, "ignore_index": 255}
    iou = functional.multiclass_jaccard_index(*pair, average=None, **options)
    f1 = functional.multiclass_f1_score(*pair, average=None, **options)
    accuracy = functional.multiclass_accuracy(*pair, average="micro", **options)
    everything = found["results"]["all"]
    assert [row["iou"] for row in everything["classes"]] == pytest.approx(iou.tolist(), abs=1e-6)
    assert [row["f1"] for row in everything["classes"]] == pytest.approx(f1.tolist(), abs=1e-6)
    assert everything["overall_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


def test_paths_may_be_text_and_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "map.tif", np.eye(20, dtype=np.uint8))
    assert geoseg.evaluate(str(path), str(path), protocol="binary").as_json()["results"]["positive"]["iou"] == 1
    with pytest.raises(UsageError, match="isprs"):
        geoseg.evaluate(path, path, eroded=path)
    with pytest.raises(UsageError, match="boundary"):
        geoseg.evaluate(path, path, protocol="binary", distances=[(1, "px")])
