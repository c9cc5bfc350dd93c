"""Labels with a table of their classes: touching objects of one class stay apart and share their edge."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import rasterio.features
import shapely
from label_maps import collect, grid_of, vectorised
from test_block_independence import any_spec, noise

from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.vector.source import LabelTable
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import Tracing, vectorise_labels

NONE = 0


class LabelArray:
    def __init__(self, labels: np.ndarray) -> None:
        self._labels = labels
        self.shape: tuple[int, int] = labels.shape[0], labels.shape[1]

    def read(self, window: Window) -> tuple[np.ndarray, None]:
        return self._labels[window.slices], None


def traced(labels: np.ndarray, table: LabelTable, how: Tracing | None = None) -> Segments | None:
    batches = list(vectorise_labels(LabelArray(labels), grid_of(labels), table, how or Tracing(threads=1)))
    return collect(batches) if batches else None


def random_labels(rng: np.random.Generator) -> tuple[np.ndarray, LabelTable]:
    """Blobs of large labels, more than a byte holds, of three classes."""
    shape = tuple(rng.integers(1, 26, 2))
    labels = rng.choice([NONE, 1, 300, 70_000, 70_001], shape, p=rng.dirichlet(np.full(5, 1.0))).astype(np.int32)
    if rng.random() < 0.5:
        labels = np.kron(labels[:9, :9], np.ones(tuple(rng.integers(1, 4, 2)), np.int32))
    code = rng.integers(0, 3, 70_002).astype(np.uint8)
    code[NONE] = 255
    columns = np.zeros(70_002, [("object_id", "i8")])
    columns["object_id"] = np.arange(70_002) * 10**6
    return np.ascontiguousarray(labels), LabelTable(code=code, none=NONE, columns=columns)


def pairs(polygons: np.ndarray) -> Iterator[tuple[shapely.Geometry, shapely.Geometry]]:
    one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    yield from ((polygons[i], polygons[j]) for i, j in zip(one, other, strict=True) if i < j)


def in_order(polygons: np.ndarray, label: np.ndarray) -> np.ndarray:
    middle = np.round(shapely.get_coordinates(shapely.centroid(polygons)), 4)
    return np.lexsort((np.round(shapely.area(polygons)), middle[:, 1], middle[:, 0], label))


@pytest.mark.parametrize("seed", range(12))
def test_exact_polygons_are_those_of_gdal(seed: int) -> None:
    labels, table = random_labels(np.random.default_rng(seed))
    found = traced(labels, table)
    drawn = rasterio.features.shapes(labels, mask=labels != NONE, transform=grid_of(labels).transform)
    expected = [(shapely.geometry.shape(shape), int(label)) for shape, label in drawn]
    if found is None:
        assert not expected
        return
    own = found.extra["object_id"] // 10**6
    theirs = np.array([shape for shape, _ in expected], object)
    order = in_order(found.geometry, own), in_order(theirs, np.array([label for _, label in expected]))
    assert [int(own[k]) for k in order[0]] == [expected[k][1] for k in order[1]]
    assert shapely.equals(found.geometry[order[0]], theirs[order[1]]).all()
    assert (found.class_code == table.code[found.extra["object_id"] // 10**6]).all()


@pytest.mark.parametrize("seed", range(12))
def test_objects_that_touch_share_their_edge_however_blocks_cut_them(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    labels, table = random_labels(rng)
    for _ in range(4):
        spec = any_spec(rng)
        whole = traced(labels, table, Tracing(spec=spec, threads=1))
        parts = traced(labels, table, Tracing(spec=spec, threads=2, block_px=int(rng.integers(1, 12))))
        if whole is None:
            assert parts is None
            return
        assert parts is not None
        assert shapely.equals_identical(whole.geometry, parts.geometry).all()
        assert (whole.extra == parts.extra).all()
        assert shapely.coverage_is_valid(shapely.get_parts(whole.geometry))
        area = shapely.area(whole.geometry).sum()
        assert area == pytest.approx(shapely.union_all(whole.geometry).area)
        assert area == pytest.approx((labels != NONE).sum()) or not spec.exact


def test_two_roofs_of_one_class_keep_one_simplified_line_between_them() -> None:
    labels = np.zeros((40, 60), np.int32)
    rows, cols = np.indices(labels.shape)
    labels[5:35, 5:55] = 1
    labels[(labels == 1) & (3 * cols + rows > 110)] = 2  # a slanted party wall, in stairs of pixels
    table = LabelTable(code=np.array([255, 7, 7], np.uint8), none=NONE)
    found = traced(labels, table, Tracing(spec=VectorSpec(simplify_m=1.0), threads=1))
    assert found is not None
    assert found.class_code.tolist() == [7, 7]
    (pair,) = pairs(found.geometry)
    wall = shapely.line_merge(shapely.intersection(*pair))
    assert shapely.length(wall) > 25
    assert shapely.get_num_points(wall) == 2
    assert shapely.area(found.geometry).sum() == pytest.approx(shapely.union_all(found.geometry).area)


@pytest.mark.parametrize("seed", range(8))
def test_a_map_of_classes_is_the_same_as_labels_that_are_codes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        codes, spec = noise(rng), any_spec(rng)
        byte = vectorised(codes, spec=spec)
        wide = traced(codes.astype(np.int32), LabelTable.of_codes(255), Tracing(spec=spec, threads=1))
        assert (byte is None) == (wide is None)
        if byte is not None and wide is not None:
            assert shapely.equals_identical(byte.geometry, wide.geometry).all()
            assert (byte.class_code == wide.class_code).all()


def test_a_small_object_joins_the_object_it_shares_most_edge_with_not_all_of_its_class() -> None:
    labels = np.array([[1, 1, 1, 3, 2, 2], [1, 1, 1, 3, 2, 2], [1, 1, 1, 1, 2, 2]], np.int32)
    table = LabelTable(code=np.array([255, 4, 4, 4], np.uint8), none=NONE)
    found = traced(labels, table, Tracing(spec=VectorSpec(min_area_m2=3), threads=1))
    assert found is not None
    assert sorted(found.pixels.tolist()) == [6, 12]
