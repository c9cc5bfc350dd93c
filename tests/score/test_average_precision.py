"""Average precision of a whole mosaic is that of pycocotools, whose limit of objects is out of reach."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.score.average_precision import average_precision, boxes_of, overlapping
from geoseg.score.object_curves import counts_per_area

pycocotools = pytest.importorskip("pycocotools")

SIDE = 64


def squares(rng: np.random.Generator, count: int) -> np.ndarray:
    """Rectangles and L-shapes on whole pixels, so that polygons and masks have the same areas."""
    shapes = []
    for _ in range(count):
        left, top = rng.integers(0, SIDE - 12, 2)
        width, height = rng.integers(2, 13, 2)
        shape = shapely.box(left, top, left + width, top + height)
        if rng.random() < 0.5:
            shape -= shapely.box(left, top, left + width // 2, top + height // 2)
        shapes.append(shape)
    return np.array(shapes, object)


def mask_of(shape: shapely.Geometry) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    return np.asfortranarray(shapely.contains_xy(shape, x, y).astype(np.uint8))


def coco(predicted, reference, score, kind: str) -> dict[str, float]:
    from pycocotools import mask as masks
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entry(number: int, shape) -> dict:
        left, top, right, bottom = shape.bounds
        facts = {"segmentation": masks.encode(mask_of(shape)), "bbox": [left, top, right - left, bottom - top]}
        return {"id": number, "image_id": 1, "category_id": 1, "area": shape.area, "iscrowd": 0, **facts}

    truth, found = COCO(), COCO()
    base = {"images": [{"id": 1, "height": SIDE, "width": SIDE}], "categories": [{"id": 1, "name": "roof"}]}
    truth.dataset = {**base, "annotations": [entry(n, s) for n, s in enumerate(reference, 1)]}
    found.dataset = {
        **base,
        "annotations": [
            entry(n, s) | {"score": float(v)} for n, (s, v) in enumerate(zip(predicted, score, strict=True), 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        run = COCOeval(truth, found, kind)
        run.params.maxDets = [10_000]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision, recall = run.eval["precision"][:, :, 0, 0, 0], run.eval["recall"][:, 0, 0, 0]
    return {"ap": precision.mean(), "ap50": precision[0].mean(), "ap75": precision[5].mean(), "ar": recall.mean()}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 25), st.integers(1, 25), st.booleans())
def test_masks_and_boxes_have_the_average_precision_of_pycocotools(seed, wrong, references, ties):
    rng = np.random.default_rng(seed)
    reference = squares(rng, references)
    shifted = [shapely.affinity.translate(shape, *rng.integers(-1, 2, 2)) for shape in reference]
    kept = [shape for shape in shifted if min(shape.bounds) >= 0 and max(shape.bounds) <= SIDE]
    predicted = np.array([*kept, *squares(rng, wrong)], object)
    if not len(predicted):
        return
    score = rng.integers(1, 5, len(predicted)) / 5 if ties else rng.random(len(predicted))
    for kind, ours, theirs in (
        ("segm", predicted, reference),
        ("bbox", boxes_of(predicted), boxes_of(reference)),
    ):
        found = average_precision(overlapping(ours, theirs), score, len(reference))
        assert found == pytest.approx(coco(predicted, reference, score, kind), abs=1e-9), kind


def test_without_references_there_is_no_average_precision():
    none = np.zeros(0, object)
    assert average_precision(overlapping(none, none), np.zeros(0), 0)["ap"] is None


def test_counts_in_squares_have_their_errors():
    here = np.array([shapely.box(x, 0, x + 1, 1) for x in (1, 3, 5, 101)], object)
    counts = counts_per_area(here, here[[0, 3]], 100.0)
    assert counts["error"] == 2
    assert counts["relative_error"] == 1.0
    assert counts["cells"] == 2
    assert counts["mean_absolute_error"] == 1.0
    assert counts["root_mean_square_error"] == pytest.approx(np.sqrt(2))
