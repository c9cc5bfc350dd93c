"""ODS, OIS and AP: matching by brute force, summaries by hand, real drawings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from geoseg.errors import SceneError
from geoseg.io.labels.matlab_file import read_annotations
from geoseg.score.edges.benchmark import TOLERANCE, count_edges, summarise, thresholds
from geoseg.score.edges.files import evaluate_edges
from geoseg.score.edges.matching import match_boundaries
from geoseg.score.edges.thinning import thin
from geoseg.score.pairs import find_pairs

DRAWINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "bsds500" / "groundTruth" / "test"
real = pytest.mark.skipif(not DRAWINGS.is_dir(), reason="the shared data are not here")
SPARSE = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(*(arrays(bool, shape) for _ in range(2)))
)


@settings(max_examples=150, deadline=None)
@given(SPARSE, st.sampled_from([1.0, 1.5, 2.3, 4.4]))
def test_matching_is_the_cheapest_there_is(maps: tuple[np.ndarray, np.ndarray], reach: float) -> None:
    """Brute force: a dense assignment in which any pixel may also stay alone for a hundred times the reach."""
    one, other = maps
    a, b = np.argwhere(one), np.argwhere(other)
    mine, theirs = match_boundaries(one, other, reach)
    assert mine.sum() == theirs.sum()
    assert not (mine & ~one).any()
    assert not (theirs & ~other).any()
    away = np.sqrt(((a[:, None] - b) ** 2).sum(-1))
    dear = 100 * reach
    cost = np.full((len(a) + len(b), len(a) + len(b)), 0.0)
    cost[: len(a), : len(b)] = np.where(away <= reach, away, 1e6)
    cost[: len(a), len(b) :] = cost[len(a) :, : len(b)] = dear
    rows, cols = linear_sum_assignment(cost)
    best = cost[rows, cols].sum()
    matched = int(((rows < len(a)) & (cols < len(b))).sum())
    assert mine.sum() == matched
    # the pixels found can be paired at exactly that cost
    p, q = np.argwhere(mine), np.argwhere(theirs)
    inner = np.sqrt(((p[:, None] - q) ** 2).sum(-1))
    inner = np.where(inner <= reach, inner, 1e6)
    paired = inner[linear_sum_assignment(inner)].sum() if len(p) else 0.0
    alone = len(a) + len(b) - 2 * matched
    assert paired + alone * dear == pytest.approx(best, abs=1e-2)


@real
def test_real_drawings_are_matched_as_often_as_can_be() -> None:
    for path in sorted(DRAWINGS.glob("*.mat")):
        drawings = [annotation.boundaries for annotation in read_annotations(path)]
        reach = TOLERANCE * float(np.hypot(*drawings[0].shape))
        a, b = np.argwhere(drawings[0]), np.argwhere(drawings[1])
        mine, _ = match_boundaries(drawings[0], drawings[1], reach)
        near = csr_array(((a[:, None] - b) ** 2).sum(-1) <= reach**2)
        assert mine.sum() == (maximum_bipartite_matching(near) >= 0).sum()


@real
def test_a_dense_map_is_matched_in_no_time() -> None:
    """Thousands of equal distances once sent the solver round in circles."""
    drawing = read_annotations(DRAWINGS / "100007.mat")[0].boundaries
    noise = np.random.default_rng(0).random(drawing.shape) < 0.3
    mine, _ = match_boundaries(thin(noise), drawing, 4.3)
    assert mine.sum() > 0.9 * drawing.sum()


def _summary_by_loops(counts: list[np.ndarray], at: np.ndarray) -> tuple[float, float, float]:
    """The published definitions, written as loops."""
    total = sum(counts)
    recall, precision = total[:, 0] / total[:, 1], total[:, 2] / np.maximum(total[:, 3], 1)
    ods = 0.0
    for k in range(1, len(at)):
        for d in np.linspace(0, 1, 100):
            r, p = (v[k] * d + v[k - 1] * (1 - d) for v in (recall, precision))
            ods = max(ods, 2 * r * p / (r + p) if r + p else 0.0)
    best = np.zeros(4)
    for image in counts:
        f = []
        for row in image:
            r, p = row[0] / row[1], row[2] / max(row[3], 1)
            f.append(2 * r * p / (r + p) if r + p else 0.0)
        best += image[int(np.argmax(f))]
    r, p = best[0] / best[1], best[2] / max(best[3], 1)
    by_recall = dict(zip(recall, precision, strict=True))
    known = sorted(by_recall)
    area = 0.0
    for step in np.linspace(0, 1, 101):
        if known[0] <= step <= known[-1] and len(known) > 1:
            area += 0.01 * np.interp(step, known, [by_recall[k] for k in known])
    return ods, 2 * r * p / (r + p) if r + p else 0.0, area


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 4))
def test_summaries_follow_the_published_definitions(seed: int, number: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    at = thresholds(number)
    counts = []
    for _ in range(images):
        drawn, marked = rng.integers(1, 50), np.sort(rng.integers(0, 60, number))[::-1]
        found = np.sort(rng.integers(0, drawn + 1, number))[::-1]
        counts.append(np.stack([found, np.full(number, drawn), rng.integers(0, marked + 1), marked], axis=1))
    scores = summarise(counts, at)
    assert (scores.ods, scores.ois, scores.ap) == pytest.approx(_summary_by_loops(counts, at))


def test_a_perfect_map_scores_one() -> None:
    drawing = np.zeros((40, 50), bool)
    drawing[10, 5:45] = drawing[10:30, 20] = True
    at = thresholds(5)
    scores = summarise([count_edges(drawing.astype(float), [drawing], at)], at)
    assert scores.ods == scores.ois == 1
    nothing = summarise([count_edges(np.zeros((40, 50)), [drawing], at)], at)
    assert nothing.ods == nothing.ois == nothing.ap == 0


def test_strength_is_followed_down_the_thresholds() -> None:
    drawing = np.zeros((60, 60), bool)
    drawing[20, 5:55] = True
    strength = np.zeros((60, 60))
    strength[40, 5:55] = 0.9
    strength[20, 5:30] = 0.35
    counts = count_edges(strength, [drawing, drawing], thresholds(4))
    assert counts[:, 1].tolist() == [100] * 4
    assert counts[:, 0].tolist() == [50, 0, 0, 0]
    assert counts[:, 2].tolist() == [25, 0, 0, 0]
    assert counts[:, 3].tolist() == [75, 50, 50, 50]


@real
def test_a_drawing_among_those_it_is_held_against_is_never_wrong(tmp_path: Path) -> None:
    for path in sorted(DRAWINGS.glob("*.mat"))[:2]:
        image = (read_annotations(path)[0].boundaries * 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{path.stem}.png")
    report = evaluate_edges(find_pairs(tmp_path, DRAWINGS), number=3)
    values = report.sections[0].values
    # thinning may take a pixel at a crossing, never add one
    assert values["ods_precision"] == 1
    assert 0.5 < values["ods_recall"] < 1  # type: ignore[operator]
    assert values["ods_f"] == values["ois_f"]
    assert values["images"] == 2
    json.dumps(report.as_json(), allow_nan=False)


@real
def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(tmp_path / "100007.png")
    with pytest.raises(SceneError, match=r"\(10, 10\) pixels, the drawings"):
        evaluate_edges(find_pairs(tmp_path, DRAWINGS), number=3)
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(SceneError, match=r"broken\.mat"):
        read_annotations(tmp_path / "broken.mat")
    with pytest.raises(SceneError, match="cannot be read"):
        read_annotations(tmp_path / "none.mat")
