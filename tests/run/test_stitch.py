"""Known objects, seen block by block by a network that is always right, come back as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window
from geoseg.run.stitch import SeenBlock, stitch_objects
from geoseg.vector.objects.masks import paint


def connected(values: np.ndarray) -> np.ndarray:
    """Number the 4-connected regions of equal positive values by their last pixels; -1 elsewhere."""
    out = np.full(values.shape, -1, np.int64)
    number = np.arange(values.size).reshape(values.shape)
    for value in np.unique(values[values > 0]):
        labels, count = ndimage.label(values == value)
        for label in range(1, count + 1):
            out[labels == label] = number[labels == label].max()
    return out


@st.composite
def scenes(draw) -> np.ndarray:
    """Rectangles, rings, winding lines and noise that touch and cover each other, some larger than any block."""
    rows, cols = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.zeros((rows, cols), np.int64)
    for value in range(1, draw(st.integers(1, 12))):
        top, left = rng.integers(0, rows), rng.integers(0, cols)
        bottom, right = rng.integers(top, rows) + 1, rng.integers(left, cols) + 1
        kind = rng.integers(4)
        if kind == 0:
            values[top:bottom, left:right] = value
        elif kind == 1:  # a ring
            values[top:bottom, [left, right - 1]] = value
            values[[top, bottom - 1], left:right] = value
        elif kind == 2:  # a winding line
            for row in range(top, bottom):
                values[row, left:right] = value if row % 2 == 0 else values[row, left:right]
                values[row, (right - 1) if (row // 2) % 2 else left] = value
        else:
            values[rng.random((rows, cols)) < 0.3] = value
    return connected(values)


def layout(shape, block, halo) -> list[SeenBlock]:
    scene = Window.whole(shape)
    return [
        SeenBlock(core=core, read=core.expanded(halo).intersection(scene))
        for top in range(0, shape[0], block[0])
        for left in range(0, shape[1], block[1])
        for core in [Window(top, block[0] + top, left, block[1] + left).intersection(scene)]
    ]


def seen(truth, block: SeenBlock, rng, *, whole: bool, offset: int = 0) -> ObjectTable:
    """What a perfect network says of a window: one mask for each object, or for each connected piece of one."""
    part = truth[block.read.slices]
    masks = []
    for number in np.unique(part[part >= 0]):
        mask = part == number
        labels, count = (mask.astype(int), 1) if whole else ndimage.label(mask)
        for label in range(1, count + 1):
            piece = labels == label
            at_edge = piece[0].any() or piece[-1].any() or piece[:, 0].any() or piece[:, -1].any()
            masks.append((int(number) % 3, 0.5, block.read, piece, bool(at_edge)))
    order = rng.permutation(len(masks))
    return ObjectTable.from_masks([masks[k] for k in order])


def drawn(blocks, tables, stitched, shape) -> np.ndarray:
    ids = np.full(shape, -1, np.int64)
    table_of_ids = np.concatenate([[-1], stitched.objects.id])
    for number, block in enumerate(blocks):
        labels = np.zeros(block.core.shape, np.int32)
        here = slice(stitched.starts[number], stitched.starts[number + 1])
        paint(labels, block.core, tables[number], stitched.objects.label[here])
        ids[block.core.slices] = table_of_ids[labels]
    return ids


@settings(max_examples=120, deadline=None)
@given(
    scenes(),
    st.tuples(st.integers(1, 17), st.integers(1, 17)),
    st.integers(1, 9),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_known_objects_come_back_for_every_block_size_and_halo(truth, block, halo, whole, seed):
    rng = np.random.default_rng(seed)
    blocks = layout(truth.shape, block, halo)
    order = rng.permutation(len(blocks))
    blocks = [blocks[k] for k in order]
    tables = [seen(truth, one, rng, whole=whole) for one in blocks]
    stitched = stitch_objects(blocks, tables.__getitem__, truth.shape)
    np.testing.assert_array_equal(drawn(blocks, tables, stitched, truth.shape), truth)
    expected = np.unique(truth[truth >= 0])
    np.testing.assert_array_equal(stitched.objects.id, expected)
    np.testing.assert_array_equal(stitched.objects.code, expected % 3)
    assert stitched.score == pytest.approx(0.5)
    border = np.concatenate([truth[0], truth[-1], truth[:, 0], truth[:, -1]])
    np.testing.assert_array_equal(stitched.objects.cut, np.isin(expected, border))


def view(mask, code=1, score=1.0):
    return code, score, Window.whole(mask.shape), mask, False


def two_blocks(left_mask, right_mask, codes=(1, 1)):
    """Two blocks of 10 columns, of which each sees two columns of the other."""
    blocks = [
        SeenBlock(core=Window(0, 10, 0, 10), read=Window(0, 10, 0, 12)),
        SeenBlock(core=Window(0, 10, 10, 20), read=Window(0, 10, 8, 20)),
    ]
    tables = [
        ObjectTable.from_masks([view(mask, code)]) for mask, code in zip((left_mask, right_mask), codes, strict=True)
    ]
    return stitch_objects(blocks, tables.__getitem__, (10, 20)).objects


def roof(cols, rows=slice(2, 8)):
    mask = np.zeros((10, 20), bool)
    mask[rows, cols] = True
    return mask


def test_views_that_differ_a_little_are_one_object_and_those_that_differ_much_are_two():
    almost = two_blocks(roof(slice(3, 12)), roof(slice(8, 15), slice(3, 8)))
    assert almost.id.tolist() == [7 * 20 + 14]
    apart = two_blocks(roof(slice(3, 12), slice(0, 3)), roof(slice(8, 15), slice(2, 9)))
    assert len(apart.id) == 2


def test_views_of_two_classes_are_two_objects():
    assert two_blocks(roof(slice(3, 12)), roof(slice(8, 15)), codes=(1, 2)).code.tolist() == [1, 2]


def test_what_only_a_neighbour_sees_is_the_neighbours_to_tell():
    nothing_of_its_own = two_blocks(roof(slice(10, 12)), roof(slice(14, 15)))
    assert nothing_of_its_own.id.tolist() == [7 * 20 + 14]
