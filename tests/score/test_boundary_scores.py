"""Boundary F1 and boundary IoU against brute force, in pixels and metres, whatever the windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from maps import disturbed, patches, write_map
from scipy import ndimage

from geoseg.score.boundary import BoundaryCounts, PixelSides, depth
from geoseg.score.comparison import Comparison, LabelOptions
from geoseg.score.evaluate import EvaluationPlan, evaluate
from geoseg.score.matrix import NONE
from geoseg.score.pairs import Pair

CODES = st.sampled_from([0, 0, 0, 1, 1, 2, NONE])
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def boundary_pixels(codes: np.ndarray, known: np.ndarray, code: int) -> np.ndarray:
    found = []
    for row, col in np.argwhere((codes == code) & known):
        for down, right in STEPS:
            r, c = row + down, col + right
            if 0 <= r < codes.shape[0] and 0 <= c < codes.shape[1] and known[r, c] and codes[r, c] != code:
                found.append((row, col))
                break
    return np.array(found, float).reshape(-1, 2)


@settings(max_examples=40, deadline=None)
@given(
    maps=st.tuples(st.integers(2, 14), st.integers(2, 14)).flatmap(
        lambda shape: st.tuples(*(arrays(np.uint8, shape, elements=CODES) for _ in range(2)))
    ),
    block=st.integers(2, 20),
    sides=st.sampled_from([(1.0, 1.0), (0.5, 0.8)]),
)
def test_boundary_f1_by_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    maps: tuple[np.ndarray, np.ndarray],
    block: int,
    sides: tuple[float, float],
) -> None:
    truth, answer = maps
    folder = tmp_path_factory.mktemp("maps")
    pair = Pair(
        name="scene",
        prediction=write_map(folder / "a.tif", answer, nodata=255),
        reference=write_map(folder / "t.tif", truth, nodata=255),
    )
    distances = [(1.0, "px"), (2.5, "px"), (1.3, "m")]
    counts = BoundaryCounts(distances, PixelSides(down=sides[0], right=sides[1]))
    with Comparison(pair, LabelOptions()) as comparison:
        for view in comparison.views(counts.halo_px, block_px=block):
            counts.add(view)
    rows = counts.as_json({0: "a", 1: "b", 2: "c"})
    known = (truth != NONE) & (answer != NONE)
    for (distance, unit), row in zip(distances, rows, strict=True):
        scale = np.array((1.0, 1.0) if unit == "px" else sides)
        for entry in row["classes"]:
            a, t = (boundary_pixels(codes, known, entry["code"]) * scale for codes in (answer, truth))
            near = ((a[:, None] - t) ** 2).sum(-1) <= distance**2 + 1e-9
            if len(a):
                assert entry["precision"] == pytest.approx(near.any(1).mean() if len(t) else 0)
            if len(t):
                assert entry["recall"] == pytest.approx(near.any(0).mean() if len(a) else 0)
            if not len(a) and not len(t):
                assert entry["boundary_f1"] is None
            elif not len(a) or not len(t):
                assert entry["boundary_f1"] == 0


@settings(max_examples=80, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 16), st.integers(1, 16))), st.integers(1, 5), st.booleans())
def test_depth_counts_erosions_by_a_square(mask: np.ndarray, width: int, edge: bool) -> None:
    """The authors' code erodes ``width`` times by 3 x 3 with nothing beyond the edge, and keeps what went."""
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0 if edge else 1)
    if not edge and mask.all():
        eroded = mask
    inside = depth(mask, np.zeros_like(mask), edge=edge)
    np.testing.assert_array_equal((inside > 0) & (inside <= width), mask & ~eroded)


def test_boundary_iou_of_a_moved_square(tmp_path: Path) -> None:
    truth = np.zeros((60, 60), np.uint8)
    truth[20:40, 20:40] = 1
    answer = np.roll(truth, 1, axis=1)
    pair = Pair(
        name="scene", prediction=write_map(tmp_path / "a.tif", answer), reference=write_map(tmp_path / "t.tif", truth)
    )
    report = evaluate([pair], EvaluationPlan(distances=((2.0, "px"), (1.0, "m"))))
    assert report.boundary is not None
    ring = 20 * 20 - 16 * 16
    shared = sum(
        bool(
            (20 <= r < 40 and 20 <= c < 40 and not (22 <= r < 38 and 22 <= c < 38))
            and (20 <= r < 40 and 21 <= c < 41 and not (22 <= r < 38 and 23 <= c < 39))
        )
        for r in range(60)
        for c in range(60)
    )
    square = report.boundary[0]["classes"][1]
    assert square["boundary_iou"] == pytest.approx(shared / (2 * ring - shared))
    assert square["boundary_f1"] == 1
    assert report.boundary[1]["unit"] == "m"
    metres = report.boundary[1]["classes"][1]  # one metre is two pixels of half a metre
    assert metres["boundary_iou"] == square["boundary_iou"]


@pytest.mark.parametrize("block_px", [11, 40])
def test_windows_change_nothing(tmp_path: Path, block_px: int) -> None:
    truth = patches((90, 70), 4, 8)
    answer = disturbed(truth, 4, 8)
    truth[:4] = 255
    pair = Pair(
        name="scene",
        prediction=write_map(tmp_path / "a.tif", answer),
        reference=write_map(tmp_path / "t.tif", truth, nodata=255),
    )
    names = {code: str(code) for code in range(4)}
    results = []
    for size in (block_px, 500):
        counts = BoundaryCounts([(1.0, "px"), (6.0, "px")])
        with Comparison(pair, LabelOptions()) as comparison:
            for view in comparison.views(counts.halo_px, block_px=size):
                counts.add(view)
        results.append(counts.as_json(names))
    assert results[0] == results[1]
    assert 0 < results[0][0]["mean_boundary_f1"] < results[0][1]["mean_boundary_f1"] < 1


@pytest.mark.parametrize("middle_m", [180_000, 500_000, 820_000])
def test_two_pixels_of_half_a_metre_are_a_metre_all_over_a_zone(tmp_path: Path, middle_m: int) -> None:
    """UTM's scale goes from 0.9996 in the middle to more than 1 at the zone's edges."""
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 10:30] = 1
    grid = Affine(0.5, 0, middle_m, 0, -0.5, 100_000)
    pair = Pair(
        name="scene",
        prediction=write_map(tmp_path / "a.tif", np.roll(truth, 2, axis=0), transform=grid),
        reference=write_map(tmp_path / "t.tif", truth, transform=grid),
    )
    report = evaluate([pair], EvaluationPlan(distances=((1.0, "m"), (2.0, "px"), (0.99, "m"))))
    assert report.boundary is not None
    scores = [row["classes"][1]["boundary_f1"] for row in report.boundary]
    assert scores[0] == scores[1] == 1
    assert scores[2] < 1


def test_metres_are_those_of_the_ground(tmp_path: Path) -> None:
    """In EPSG:3857 at 60 degrees north one unit is half a metre: two units are within 1.02 m, not within 0.9."""
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 10:30] = 1
    answer = np.roll(truth, 2, axis=0)
    grid = Affine(1, 0, 0, 0, -1, 8399737.89)
    pair = Pair(
        name="scene",
        prediction=write_map(tmp_path / "a.tif", answer, crs="EPSG:3857", transform=grid),
        reference=write_map(tmp_path / "t.tif", truth, crs="EPSG:3857", transform=grid),
    )
    report = evaluate([pair], EvaluationPlan(distances=((1.02, "m"), (0.9, "m"))))
    assert report.boundary is not None
    assert report.boundary[0]["classes"][1]["boundary_f1"] == 1
    assert report.boundary[1]["classes"][1]["boundary_f1"] < 1
