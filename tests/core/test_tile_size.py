"""The largest tile computes the fewest pixels, within its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoseg.core.tiling import LONGEST_TILE_PX, Tiling, largest_tile_px

SIDES = st.integers(1, 9000)


def computed(shape: tuple[int, int], tile_px: int, halo_px: int) -> int:
    """Count the pixels of all read windows one by one."""
    return sum(tile.read.pixels for tile in Tiling(shape, shape, tile_px, halo_px))


@given(st.tuples(SIDES, SIDES), st.integers(8, 30), st.integers(0, 100), st.integers(1, 30))
def test_the_largest_tile_computes_no_more_than_the_given_one_and_keeps_its_limit(
    shape: tuple[int, int], tiles: int, halo_px: int, limit_mpx: int
) -> None:
    given_px = 32 * tiles
    tile_px = largest_tile_px(shape, tile_px=given_px, halo_px=halo_px, limit_px=limit_mpx * 1_000_000)
    assert computed(shape, tile_px, halo_px) <= computed(shape, given_px, halo_px)
    assert given_px <= tile_px <= LONGEST_TILE_PX
    assert tile_px % 32 == 0
    rows, cols = Tiling(shape, shape, tile_px, halo_px).read_shape
    assert tile_px == given_px or rows * cols <= limit_mpx * 1_000_000


@given(st.tuples(SIDES, SIDES), st.integers(8, 30), st.integers(0, 100))
def test_the_computed_share_is_what_the_read_windows_hold(shape: tuple[int, int], tiles: int, halo_px: int) -> None:
    tiling = Tiling(shape, shape, 32 * tiles, halo_px)
    assert tiling.computed_px == computed(shape, 32 * tiles, halo_px)
    assert tiling.computed_share == pytest.approx(tiling.computed_px / (shape[0] * shape[1]))


@pytest.mark.parametrize(("tile_px", "halo_px", "limit_px"), [(512, 64, 4_700_000), (1152, 160, 19_000_000)])
def test_a_large_scene_is_computed_at_most_1_15_times(tile_px: int, halo_px: int, limit_px: int) -> None:
    shape = (8192, 8192)
    found = largest_tile_px(shape, tile_px=tile_px, halo_px=halo_px, limit_px=limit_px)
    assert computed(shape, found, halo_px) <= 1.15 * 8192**2
