"""Objects of a scene: regions, or parts of regions; the same however blocks cut the scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import HARD_MAPS, NODATA, collect, grid_of, mosaic
from scipy import ndimage

from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.vector.objects.distance import squared_distance
from geoseg.vector.objects.scene import BlockRun, SceneObjects
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.source import ArraySource
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels

ALL = tuple(range(10))
CROSS = ndimage.generate_binary_structure(2, 1)
SQUARE = ndimage.generate_binary_structure(2, 2)


def found(codes, spec, block_px=2048, threads=1, confidence=None):
    run = BlockRun(block_px=block_px, threads=threads, nodata=NODATA)
    return SceneObjects.find(ArraySource(codes, confidence), grid_of(codes), spec, run)


def ids_of(codes, spec, block_px=2048, threads=1, confidence=None):
    with found(codes, spec, block_px, threads, confidence) as objects:
        return objects.ids(Window.whole(codes.shape), -1)


def components(codes, wanted, connectivity):
    """Ids by scipy: number of the last pixel of each region of one class."""
    out = np.full(codes.shape, -1, np.int64)
    number = np.arange(codes.size).reshape(codes.shape)
    for code in wanted:
        labels, _ = ndimage.label(codes == code, CROSS if connectivity == 4 else SQUARE)
        for label, where in enumerate(ndimage.find_objects(labels), start=1):
            hit = labels[where] == label
            out[where][hit] = number[where][hit].max()
    return out


@st.composite
def maps(draw):
    rows, cols = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "blobs", "blocks"]))
    if kind == "noise":
        return rng.choice([0, 1, 2, NODATA], (rows, cols), p=[0.4, 0.4, 0.1, 0.1]).astype(np.uint8)
    if kind == "blocks":
        small = rng.choice([0, 1, 1, NODATA], (rows // 4 + 1, cols // 3 + 1))
        return np.ascontiguousarray(np.kron(small, np.ones((4, 3)))[:rows, :cols].astype(np.uint8))
    field = ndimage.gaussian_filter(rng.standard_normal((rows, cols)), draw(st.sampled_from([1.0, 2.0, 4.0])))
    return np.where(field > np.quantile(field, 0.2), 1, 0).astype(np.uint8)


@st.composite
def specs(draw):
    return ObjectSpec(
        codes=draw(st.sampled_from([(1,), (0, 1), (1, 2)])),
        split=draw(st.sampled_from(["none", "distance", "confidence"])),
        neck=draw(st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0])),
        min_area_m2=draw(st.sampled_from([0.0, 0.0, 2.0, 9.0])),
        reach_px=draw(st.sampled_from([1, 3, 8, 64])),
        connectivity=draw(st.sampled_from([4, 8])),
    )


@pytest.mark.slow_after(12)
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("name", HARD_MAPS)
def test_without_cuts_objects_are_the_connected_regions(name, connectivity):
    codes = HARD_MAPS[name]
    wanted = (1, 2, 7, 9)
    expected = components(codes, wanted, connectivity)
    for block_px in (2048, 1, 3, 8):
        spec = ObjectSpec(codes=wanted, connectivity=connectivity)
        np.testing.assert_array_equal(ids_of(codes, spec, block_px), expected)


@settings(max_examples=60, deadline=None)
@given(maps(), specs(), st.integers(1, 45), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_blocks_and_threads_do_not_show(codes, spec, block_px, threads, seed):
    confidence = np.random.default_rng(seed).integers(30, 101, codes.shape).astype(np.uint8)
    whole = ids_of(codes, spec, confidence=confidence)
    np.testing.assert_array_equal(ids_of(codes, spec, block_px, threads, confidence), whole)


@settings(max_examples=25, deadline=None)
@given(maps(), specs())
def test_every_id_is_its_objects_last_pixel_and_objects_are_connected_parts_of_regions(codes, spec):
    ids = ids_of(codes, spec, confidence=np.full(codes.shape, 90, np.uint8))
    regions = components(codes, spec.codes, spec.connectivity)
    for number in np.unique(ids[ids >= 0]):
        mask = ids == number
        assert np.flatnonzero(mask.ravel())[-1] == number
        assert len(np.unique(regions[mask])) == 1
        assert ndimage.label(mask, CROSS if spec.connectivity == 4 else SQUARE)[1] == 1
        assert mask.sum() >= spec.min_area_m2
    # a region is either parted without rest, or too small and left out
    for number in np.unique(regions[regions >= 0]):
        inside = ids[regions == number]
        assert (inside >= 0).all() or ((inside < 0).all() and len(inside) < spec.min_area_m2)


@pytest.mark.parametrize("reach_px", [1, 2, 5, 64])
@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_scipy_up_to_the_reach(seed, reach_px):
    codes = mosaic(60, seed=seed, sigma=4)
    wanted = np.zeros(256, bool)
    wanted[[0, 1, 3]] = True
    ours = squared_distance(codes, wanted, reach_px)
    for code in range(5):
        exact = np.rint(ndimage.distance_transform_edt(codes == code) ** 2)
        expected = np.minimum(exact, reach_px**2) if wanted[code] else np.zeros(codes.shape)
        hit = codes == code
        np.testing.assert_array_equal(ours[hit], expected[hit])


def two_roofs(passage_px):
    """Two squares of 20 pixels with a passage between them."""
    codes = np.zeros((30, 60), np.uint8)
    codes[5:25, 5:25] = codes[5:25, 33:53] = 1
    codes[15 - passage_px // 2 : 15 + passage_px // 2, 25:33] = 1
    return codes


@pytest.mark.parametrize("neck", [0.5, 0.9])
def test_a_region_is_cut_where_it_is_narrower_than_asked(neck):
    for passage_px in (2, 4, 8, 12, 16, 18):
        ids = ids_of(two_roofs(passage_px), ObjectSpec(codes=(1,), split="distance", neck=neck))
        cut = ids[15, 10] != ids[15, 45]
        assert cut == (passage_px / 20 < neck)
        if cut:
            assert len(np.unique(ids)) == 3
            assert abs(int((ids == ids[15, 10]).sum()) - int((ids == ids[15, 45]).sum())) <= 8 * passage_px


def test_a_row_of_houses_is_cut_where_the_model_is_less_sure():
    codes = np.zeros((20, 60), np.uint8)
    codes[5:15, 5:55] = 1
    confidence = np.full(codes.shape, 95, np.uint8)
    confidence[:, [20, 21, 38, 39]] = 60
    by_width = ids_of(codes, ObjectSpec(codes=(1,), split="distance"))
    assert len(np.unique(by_width)) == 2
    ids = ids_of(codes, ObjectSpec(codes=(1,), split="confidence"), confidence=confidence)
    assert len(np.unique(ids)) == 4
    assert ids[10, 10] != ids[10, 30] != ids[10, 50]


def test_objects_become_polygons_that_share_their_edges():
    codes = two_roofs(4)
    spec = ObjectSpec(codes=(1,), split="distance", min_area_m2=10)
    codes[0, 0] = 1  # a speck
    with found(codes, spec, block_px=13) as objects:
        how = Tracing(spec=VectorSpec(simplify_m=0.7), threads=1, block_px=7)
        segments: Segments = collect(list(vectorise_labels(objects, grid_of(codes), objects.table, how)))
    assert len(segments) == 2
    assert segments.class_code.tolist() == [1, 1]
    assert segments.extra["object_id"].tolist() == sorted(set(ids_of(codes, spec).ravel().tolist()) - {-1})
    assert segments.extra["touches_edge"].tolist() == [0, 0]
    assert segments.pixels.sum() == (codes == 1).sum() - 1


def test_what_lies_at_the_edge_or_beside_nodata_says_so():
    codes = np.zeros((9, 9), np.uint8)
    codes[0:2, 2:4] = codes[4:6, 4:6] = codes[4:6, 1:3] = 1
    codes[6, 4] = NODATA
    with found(codes, ObjectSpec(codes=(1,)), block_px=3) as objects:
        assert dict(zip(objects.objects.id.tolist(), objects.objects.cut.tolist(), strict=True)) == {
            1 * 9 + 3: True,
            5 * 9 + 5: True,
            5 * 9 + 2: False,
        }


def test_cuts_that_follow_a_confidence_need_one():
    with pytest.raises(UsageError, match="needs the confidence"):
        found(two_roofs(4), ObjectSpec(codes=(1,), split="confidence"))


@pytest.mark.parametrize(
    "wrong", [{"codes": ()}, {"neck": 1.5}, {"min_area_m2": float("nan")}, {"reach_px": 0}, {"split": "colour"}]
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        ObjectSpec(**{"codes": (1,)} | wrong)
