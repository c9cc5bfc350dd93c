"""Kept blocks: polygons do not depend on what was kept, and only blocks whose pixels changed are traced."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geoseg.vector import vectorise as module
from geoseg.vector.kept.blocks import KeptBlocks
from geoseg.vector.source import ArraySource, LabelTable
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels

SHAPE = (50, 70)
GEOBOX = GeoBox(SHAPE, Affine(0.5, 0, 500000, 0, -0.5, 5400000), "EPSG:32633")
SPECS = [VectorSpec(), VectorSpec(min_area_m2=3), VectorSpec(simplify_m=0.8, min_area_m2=2)]


def rows(source, table, spec, kept=None):
    how = Tracing(spec=spec, block_px=16, threads=2, kept=kept)
    found = []
    for batch in vectorise_labels(source, GEOBOX, table, how):
        columns = [
            batch.class_code,
            batch.pixels,
            batch.area_m2,
            batch.perimeter_m,
            batch.confidence.view("u4"),
            batch.extra,
        ]
        found += zip(shapely.to_wkb(batch.geometry), *(column.tolist() for column in columns), strict=True)
    return found


def coarse(random, classes=3):
    small = random.integers(0, classes, (SHAPE[0] // 5 + 1, SHAPE[1] // 5 + 1))
    return np.kron(small, np.ones((5, 5), int))[: SHAPE[0], : SHAPE[1]].astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compile before hypothesis changes the recursion limit, at which Python 3.11 fails to parse."""
    for spec in SPECS:
        rows(ArraySource(coarse(np.random.default_rng(0))), LabelTable.of_codes(3), spec)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), boxes=st.lists(st.tuples(*[st.integers(0, 69)] * 4, st.integers(0, 3)), max_size=4))
def test_polygons_are_those_of_tracing_all_anew(spec, seed, boxes, tmp_path_factory) -> None:
    random = np.random.default_rng(seed)
    codes, percent = coarse(random), random.integers(0, 101, SHAPE).astype(np.uint8)
    kept, table = KeptBlocks(tmp_path_factory.mktemp("kept"), "key"), LabelTable.of_codes(3)
    rows(ArraySource(codes, percent), table, spec, kept)
    for top, bottom, left, right, code in boxes:
        codes[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] = code
        assert rows(ArraySource(codes, percent), table, spec, kept) == rows(ArraySource(codes, percent), table, spec)


def test_only_blocks_whose_pixels_changed_are_traced(tmp_path, monkeypatch) -> None:
    traced, draw = [], module._draw_block

    def spy(task, window, *rest):
        traced.append(window)
        return draw(task, window, *rest)

    monkeypatch.setattr(module, "_draw_block", spy)
    codes = coarse(np.random.default_rng(1))
    kept, table = KeptBlocks(tmp_path, "key"), LabelTable.of_codes(3)
    rows(ArraySource(codes), table, VectorSpec(), kept)
    assert len(traced) == 4 * 5
    traced.clear()
    rows(ArraySource(codes), table, VectorSpec(), kept)
    assert traced == []
    codes[20, 20] = (codes[20, 20] + 1) % 3
    rows(ArraySource(codes), table, VectorSpec(), kept)
    assert [(w.row_start, w.col_start) for w in traced] == [(16, 16)]
    traced.clear()
    codes[31, 31] = (codes[31, 31] + 1) % 3  # the last row and column of a block are seen by the next ones
    rows(ArraySource(codes), table, VectorSpec(), kept)
    assert sorted((w.row_start, w.col_start) for w in traced) == [(16, 16), (16, 32), (32, 16), (32, 32)]


def test_labels_may_be_numbered_anew(tmp_path) -> None:
    """The objects are the same, with the same ids; their labels are in another order."""
    labels = coarse(np.random.default_rng(2), 4).astype(np.int32)
    columns = np.array([(0,), (11,), (22,), (33,)], [("object_id", "i8")])
    first = LabelTable(code=np.array([255, 1, 1, 2], np.uint8), none=0, columns=columns)
    order = np.array([0, 3, 1, 2])  # new label of each old one
    back = np.argsort(order)
    second = LabelTable(code=first.code[back], none=0, columns=columns[back])
    kept, spec = KeptBlocks(tmp_path, "key"), VectorSpec()
    before = rows(ArraySource(labels), first, spec, kept)
    assert before == rows(ArraySource(labels), first, spec)
    assert rows(ArraySource(order[labels].astype(np.int32)), second, spec, kept) == before


def test_damaged_and_foreign_files_are_traced_again(tmp_path) -> None:
    codes, table, spec = coarse(np.random.default_rng(3)), LabelTable.of_codes(3), VectorSpec()
    whole = rows(ArraySource(codes), table, spec, KeptBlocks(tmp_path, "key"))
    for path in tmp_path.glob("*.npz"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    assert rows(ArraySource(codes), table, spec, KeptBlocks(tmp_path, "key")) == whole
    assert rows(ArraySource(codes), table, VectorSpec(min_area_m2=5), KeptBlocks(tmp_path, "other")) == rows(
        ArraySource(codes), table, VectorSpec(min_area_m2=5)
    )


def test_a_block_that_cannot_be_kept_leaves_nothing_and_stops_nothing(tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    codes, table = coarse(np.random.default_rng(2)), LabelTable.of_codes(3)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        found = rows(ArraySource(codes), table, VectorSpec(), KeptBlocks(tmp_path, "key"))
    assert found == rows(ArraySource(codes), table, VectorSpec())
    assert list(tmp_path.iterdir()) == []


def test_two_that_keep_the_same_block_at_once_have_files_of_their_own(tmp_path, monkeypatch) -> None:
    parts, replace = [], os.replace

    def seen(part, target):
        parts.append(str(part))
        replace(part, target)

    monkeypatch.setattr(os, "replace", seen)
    codes, table = coarse(np.random.default_rng(3)), LabelTable.of_codes(3)
    for key in ("one", "other"):
        rows(ArraySource(codes), table, VectorSpec(), KeptBlocks(tmp_path, key))
    assert len(parts) == len(set(parts)) == 2 * 4 * 5
