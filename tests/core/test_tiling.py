"""Laws of the tiling: cores partition the scene, each has its halo, weights sum to one."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geoseg.core.tiling import ALIGN_PX, Blocks, Tiling
from geoseg.core.window import Window


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    side = st.integers(1, 120)
    shape = draw(st.tuples(side, side))
    work = draw(st.tuples(side, side)) if draw(st.booleans()) else shape
    halo = draw(st.integers(0, 20))
    stride = max(-(-2 * work_px // scene_px) for work_px, scene_px in zip(work, shape, strict=True))
    least = 2 * halo + max(1, max(work) // 6, stride)
    tile = draw(st.integers(least, max(least, 2 * halo + 90)))
    return Tiling(shape, work, tile_px=tile, halo_px=halo, blend=draw(st.sampled_from(["core", "taper"])))


@given(tilings())
@example(Tiling((1, 1), (1, 1), tile_px=64, halo_px=16, blend="taper"))
@example(Tiling((1, 200), (1, 200), tile_px=64, halo_px=16, blend="taper"))
@example(Tiling((65, 64), (65, 64), tile_px=64, halo_px=16))
def test_cores_partition_the_scene(tiling: Tiling) -> None:
    owners = np.zeros(tiling.scene_shape, int)
    for tile in tiling:
        owners[tile.core.slices] += 1
    assert (owners == 1).all()


@given(tilings())
@example(Tiling((65, 64), (65, 64), tile_px=64, halo_px=16))
def test_every_core_pixel_has_its_halo_unless_the_scene_ends_there(tiling: Tiling) -> None:
    if tiling.scene_shape != tiling.work_shape:
        return
    for tile in tiling:
        for core, read, length in (
            (
                (tile.core.row_start, tile.core.row_stop),
                (tile.read.row_start, tile.read.row_stop),
                tiling.work_shape[0],
            ),
            (
                (tile.core.col_start, tile.core.col_stop),
                (tile.read.col_start, tile.read.col_stop),
                tiling.work_shape[1],
            ),
        ):
            assert read[0] <= max(0, core[0] - tiling.halo_px)
            assert read[1] >= min(length, core[1] + tiling.halo_px)


@given(tilings())
def test_reads_stay_inside_unless_the_grid_is_smaller_than_a_tile(tiling: Tiling) -> None:
    for tile in tiling:
        assert tile.read.shape == tiling.read_shape
        for stop, length in zip((tile.read.row_stop, tile.read.col_stop), tiling.work_shape, strict=True):
            assert stop <= length or (length < tiling.tile_px and stop - length < ALIGN_PX)
        assert tile.read.row_start >= 0
        assert tile.read.col_start >= 0


@given(tilings())
@example(Tiling((300, 1), (300, 1), tile_px=65, halo_px=32, blend="taper"))
def test_weights_are_a_partition_of_unity_with_no_weight_outside_the_support(tiling: Tiling) -> None:
    whole = Window.whole(tiling.scene_shape)
    total = np.zeros(tiling.scene_shape, np.float64)
    for tile in tiling:
        weight = tiling.weight(tile, whole)
        assert weight.min() >= 0.0
        outside = weight.copy()
        outside[tile.support.slices] = 0
        assert not outside.any()
        total += weight
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@given(tilings())
def test_supports_lie_inside_what_the_tile_reads_to_half_a_pixel_of_rounding(tiling: Tiling) -> None:
    fy, fx = (w / s for w, s in zip(tiling.work_shape, tiling.scene_shape, strict=True))
    for tile in tiling:
        assert tile.read.row_start <= tile.support.row_start * fy + max(1, fy / 2)
        assert tile.support.row_stop * fy - max(1, fy / 2) <= tile.read.row_stop
        assert tile.read.col_start <= tile.support.col_start * fx + max(1, fx / 2)
        assert tile.support.col_stop * fx - max(1, fx / 2) <= tile.read.col_stop


@given(tilings(), st.integers(1, 200))
def test_blocks_partition_the_tiles_and_the_scene(tiling: Tiling, block_px: int) -> None:
    blocks = Blocks(tiling, block_px)
    owners = np.zeros(tiling.scene_shape, int)
    cells = np.zeros(tiling.shape, int)
    for block in blocks:
        owners[block.window.slices] += 1
        cells[block.cells.slices] += 1
        assert all(a <= b for a, b in zip(block.window.shape, blocks.max_shape, strict=True))
        for tile in tiling.tiles(block.cells):
            assert block.window.contains(tile.core)
    assert (owners == 1).all()
    assert (cells == 1).all()


@given(tilings(), st.integers(1, 200))
def test_contributors_are_all_tiles_with_a_weight_in_the_block(tiling: Tiling, block_px: int) -> None:
    for block in Blocks(tiling, block_px):
        cells = tiling.contributors(block)
        read = tiling.read_window(block)
        for tile in tiling:
            if tiling.weight(tile, block.window).any():
                assert cells.contains(Window(tile.row, tile.row + 1, tile.col, tile.col + 1))
                assert read.contains(tile.read)


def test_a_halo_that_leaves_no_core_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves nothing"):
        Tiling((10, 10), (10, 10), tile_px=64, halo_px=32)


def test_tiles_are_a_sequence() -> None:
    tiling = Tiling((1000, 700), (1000, 700), tile_px=256, halo_px=32)
    assert list(tiling) == [tiling[i] for i in range(len(tiling))]
    with pytest.raises(IndexError):
        tiling[len(tiling)]
