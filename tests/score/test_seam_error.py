"""Seam error: what differs near the borders of tiles, against what differs elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import HALF_METRE, patches, write_map

from geoseg.core.tiling import Tiling
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.score.compare_tilings import TileSize, compare_tilings
from geoseg.score.seams import SeamCounts, distance_to_lines, tiled_map, trustworthy

TILES, SHIFTED = TileSize(tile_px=64, halo_px=8), TileSize(tile_px=80, halo_px=8)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(20, 120), width=st.integers(20, 120), tile=st.integers(12, 50), halo=st.integers(0, 5),
    row=st.integers(-20, 20), col=st.integers(-20, 20),
)  # fmt: skip
def test_distance_to_seams_by_brute_force(height: int, width: int, tile: int, halo: int, row: int, col: int) -> None:
    """Two pixels side by side belong to different tiles exactly when both are at distance 0 from the same line."""
    tiling = Tiling((height, width), (height, width), tile_px=tile, halo_px=halo)
    owner = np.zeros((height, width), int)
    for number, entry in enumerate(tiling):
        owner[entry.core.slices] = number
    window = Window.whole((height, width)).shifted(row, col)
    found = distance_to_lines(window, [tiled_map(tiling, row=row, col=col)])
    rows = [r for r in range(1, height) if (owner[r] != owner[r - 1]).any()]
    cols = [c for c in range(1, width) if (owner[:, c] != owner[:, c - 1]).any()]
    far = np.iinfo(np.int64).max
    expected = np.full((height, width), far)
    for r in rows:
        steps = np.where(np.arange(height) >= r, np.arange(height) - r, r - 1 - np.arange(height))
        expected = np.minimum(expected, steps[:, None])
    for c in cols:
        steps = np.where(np.arange(width) >= c, np.arange(width) - c, c - 1 - np.arange(width))
        expected = np.minimum(expected, steps[None, :])
    np.testing.assert_array_equal(found, expected)


def two_maps(tmp_path: Path, *, band: int, everywhere: float = 0.0) -> tuple[Path, Path, np.ndarray]:
    """A map and another one that differs in a band along the first one's seams, and at random elsewhere."""
    codes = patches((300, 260), 3, 1)
    tiling = Tiling(codes.shape, codes.shape, tile_px=TILES.tile_px, halo_px=TILES.halo_px)
    away = distance_to_lines(Window.whole(codes.shape), [tiled_map(tiling)])
    wrong = (away < band) | (np.random.default_rng(0).random(codes.shape) < everywhere)
    other = np.where(wrong, (codes + 1) % 3, codes).astype(np.uint8)
    return write_map(tmp_path / "a.tif", codes), write_map(tmp_path / "b.tif", other), wrong


def test_seams_stand_out(tmp_path: Path) -> None:
    one, other, wrong = two_maps(tmp_path, band=2, everywhere=0.01)
    found = compare_tilings(one, other, near_px=2, tiles=TILES, shifted_tiles=SHIFTED)
    maps = [
        tiled_map(Tiling(wrong.shape, wrong.shape, tile_px=size.tile_px, halo_px=size.halo_px))
        for size in (TILES, SHIFTED)
    ]
    near = distance_to_lines(Window.whole(wrong.shape), maps) < 2
    assert found["differing_near"] == pytest.approx(wrong[near].mean())
    assert found["differing_elsewhere"] == pytest.approx(wrong[~near].mean())
    assert found["seam_error"] == pytest.approx(wrong[near].mean() - wrong[~near].mean())
    assert found["relative_to_elsewhere"] > 30
    assert sum(row["pixels"] for row in found["profile"]) == wrong.size
    assert found["profile"][0]["differing"] > 0.4
    assert found["profile"][-1]["differing"] < 0.05


def test_a_seamless_map_has_no_seam_error(tmp_path: Path) -> None:
    one, other, _ = two_maps(tmp_path, band=0, everywhere=0.05)
    found = compare_tilings(one, other, near_px=4, tiles=TILES, shifted_tiles=SHIFTED)
    assert abs(found["seam_error"]) < 0.01
    same = compare_tilings(one, one, near_px=4, tiles=TILES, shifted_tiles=SHIFTED)
    assert same["seam_error"] == 0
    assert same["relative_to_elsewhere"] is None
    json.dumps(same, allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(row=st.integers(1, 60), col=st.integers(0, 60))
def test_a_cropped_scene_is_a_shifted_tiling(tmp_path_factory: pytest.TempPathFactory, row: int, col: int) -> None:
    """Where the crop's own edge robs a pixel of context, a difference is no seam's fault."""
    folder = tmp_path_factory.mktemp("crops")
    codes = patches((260, 240), 3, 2)
    crop = codes[row:, col:].copy()
    margin = TILES.halo_px
    crop[:margin] = (crop[:margin] + 1) % 3
    if col:
        crop[:, :margin] = (crop[:, :margin] + 1) % 3
    one = write_map(folder / "whole.tif", codes)
    moved = HALF_METRE * Affine.translation(col, row)
    other = write_map(folder / "crop.tif", crop, transform=moved)
    found = compare_tilings(one, other, tiles=TILES, shifted_tiles=TILES)
    assert found["differing_near"] == found["differing_elsewhere"] == 0
    inside = (260 - row - margin) * (240 - col - (margin if col else 0))
    assert found["pixels_near"] + found["pixels_elsewhere"] == inside


def test_windows_add_up() -> None:
    tiling = Tiling((100, 100), (100, 100), tile_px=40, halo_px=4)
    maps = [tiled_map(tiling), tiled_map(Tiling((100, 100), (100, 100), tile_px=52, halo_px=4))]
    one, other = patches((100, 100), 3, 0), patches((100, 100), 3, 1)
    whole, parts = SeamCounts.empty(8), SeamCounts.empty(8)
    whole.add(Window.whole((100, 100)), one, other, maps)
    for window in (Window(0, 37, 0, 100), Window(37, 100, 0, 61), Window(37, 100, 61, 100)):
        parts.add(window, one[window.slices], other[window.slices], maps)
    assert whole.as_json() == parts.as_json()
    assert trustworthy(Window.whole((100, 100)), maps).all()


def write_run(folder: Path, codes: np.ndarray, **options: object) -> Path:
    folder.mkdir()
    write_map(folder / "scene_classes.tif", codes, nodata=255)
    (folder / "run.json").write_text(json.dumps({"options": options}))
    return folder


def test_the_run_record_says_how_a_map_was_tiled(tmp_path: Path) -> None:
    codes = patches((300, 260), 3, 1)
    runs = []
    for name, size in (("a", TILES), ("b", SHIFTED)):
        tiles = len(Tiling((150, 130), (150, 130), tile_px=size.tile_px, halo_px=size.halo_px))
        runs.append(
            write_run(
                tmp_path / name,
                codes,
                tile_px=size.tile_px,
                halo_px=size.halo_px,
                tiles=tiles,
                work_shape_px=[150, 130],
            )
        )
    found = compare_tilings(runs[0], runs[1])
    assert found["pixels_near"] > 0
    bare = write_map(tmp_path / "bare.tif", codes)
    with pytest.raises(UsageError, match=r"bare\.tif: its run\.json does not say"):
        compare_tilings(runs[0], bare)
    with pytest.raises(UsageError, match="tiles lie where the other map's do"):
        compare_tilings(runs[0], runs[0])
    other = write_run(tmp_path / "c", codes, tile_px=64, halo_px=8, tiles=3)
    with pytest.raises(UsageError, match="describes another map"):
        compare_tilings(other, runs[0])
    with pytest.raises(UsageError, match="leaves nothing"):
        compare_tilings(bare, bare, tiles=TileSize(tile_px=10, halo_px=5))


def test_maps_that_share_no_pixels_are_refused(tmp_path: Path) -> None:
    codes = patches((100, 100), 3, 1)
    one = write_map(tmp_path / "a.tif", codes)
    half = write_map(tmp_path / "half.tif", codes, transform=HALF_METRE * Affine.translation(0.5, 0))
    with pytest.raises(SceneError, match=r"does not share the pixels of .*a\.tif: its corner"):
        compare_tilings(one, half, tiles=TILES, shifted_tiles=SHIFTED)
    far = write_map(tmp_path / "far.tif", codes, transform=HALF_METRE * Affine.translation(500, 0))
    with pytest.raises(SceneError, match="no pixel in common"):
        compare_tilings(one, far, tiles=TILES, shifted_tiles=SHIFTED)
