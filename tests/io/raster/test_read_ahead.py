"""Reading ahead gives what plain reading gives, decodes about once, and holds a bounded amount."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geoseg.core.raster import Raster
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.raster.read_ahead import read_ahead
from geoseg.io.raster.scene import SceneBand, open_scene

GRID = Affine(0.5, 0, 500000, 0, -0.5, 5400000)


class FakeScene:
    """A scene whose answer is known, which counts how often each of its blocks is decoded."""

    def __init__(self, shape: tuple[int, int], block: tuple[int, int], count: int = 2) -> None:
        self.geobox = GeoBox(shape, GRID, "EPSG:32633")
        self.extent = Window.whole(shape)
        self.block_shape = block
        self.dtype = np.dtype("uint16")
        self.bands = tuple(SceneBand(index=i + 1, name=f"band_{i + 1}", dtype="uint16") for i in range(count))
        self.truth = np.arange(count * shape[0] * shape[1]).reshape(count, *shape).astype("uint16")
        self.valid = self.truth[0] % 7 != 0
        self.decoded = np.zeros((-(-shape[0] // block[0]), -(-shape[1] // block[1])), int)
        self.largest = 0

    def read(self, window: Window, bands: list[int] | None = None) -> Raster:
        assert Window.whole(tuple(self.geobox.shape)).contains(window)
        (rows, cols), w = self.block_shape, window
        self.decoded[w.row_start // rows : -(-w.row_stop // rows), w.col_start // cols : -(-w.col_stop // cols)] += 1
        self.largest = max(self.largest, window.pixels)
        index = slice(None) if bands is None else [b - 1 for b in bands]
        values = self.truth[(index, *window.slices)].copy()
        geobox = GeoBox(window.shape, GRID, "EPSG:32633")
        return Raster(values=values, valid=self.valid[window.slices].copy(), geobox=geobox)


def grid(shape: tuple[int, int], side: int, halo: int) -> list[Window]:
    whole = Window.whole(shape)
    return [
        Window(r, min(r + side, shape[0]), c, min(c + side, shape[1])).expanded(halo).intersection(whole)
        for r in range(0, shape[0], side)
        for c in range(0, shape[1], side)
    ]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_windows_in_any_order_are_read_right(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70)))
    block = data.draw(st.sampled_from([(1, shape[1]), (16, 16), (shape[0], shape[1]), (7, shape[1]), (32, 8)]))
    scene = FakeScene(shape, block)
    windows = grid(shape, data.draw(st.integers(1, 40)), data.draw(st.integers(0, 9)))
    if data.draw(st.booleans()):
        windows = data.draw(st.permutations(windows))[:12]
    elif data.draw(st.booleans()):
        windows = [w for w in windows if (w.row_start + w.col_start) % 3]
    bands = data.draw(st.sampled_from([None, [2], [2, 1]]))
    limit = data.draw(st.sampled_from([1, 500, 3000, 10**9]))
    depth = data.draw(st.integers(0, 3))
    seen = []
    for window, raster in read_ahead(scene, iter(windows), bands, depth, panel_bytes=limit):
        seen.append(window)
        index = slice(None) if bands is None else [b - 1 for b in bands]
        np.testing.assert_array_equal(raster.values, scene.truth[(index, *window.slices)])
        np.testing.assert_array_equal(raster.valid, scene.valid[window.slices])
        assert raster.geobox.shape == window.shape
        raster.values[:] = 0  # a caller may overwrite what it was given
    assert seen == windows


@pytest.mark.parametrize("block", [(1, 900), (16, 900), (64, 64), (13, 900)])
def test_every_block_is_decoded_once(block: tuple[int, int]) -> None:
    scene = FakeScene((700, 900), block)
    for _ in read_ahead(scene, grid((700, 900), 200, 10)):
        pass
    assert scene.decoded.max() == 1


def test_a_panel_too_small_for_the_width_decodes_once_per_panel() -> None:
    scene = FakeScene((400, 1000), (1, 1000))
    for _ in read_ahead(scene, grid((400, 1000), 100, 8), panel_bytes=300_000):
        pass
    # 116 rows x 1000 columns x 5 bytes are 580 000: two panels, and the halo rows twice.
    assert 2 <= scene.decoded.mean() <= 3
    assert scene.largest * 5 <= 300_000


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"blockysize": 1}, 1.1),
        ({"blockysize": 1, "compress": "deflate"}, 1.1),
        ({"blockysize": 1, "compress": "deflate", "interleave": "band"}, 1.1),
        ({"blockysize": 1500, "compress": "deflate"}, 1.1),
        ({"blockysize": 1500, "compress": "zstd", "interleave": "band"}, 1.1),
        ({"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}, 1.1),
    ],
    ids=["strips", "deflate-strips", "planar-strips", "one-strip", "planar-one-strip", "tiles"],
)
def test_the_file_is_read_from_disk_about_once(tmp_path: Path, options: dict[str, object], bound: float) -> None:
    shape = (1500, 3000)
    values = np.random.default_rng(0).integers(0, 255, (3, *shape), dtype=np.uint8)
    path = tmp_path / "a.tif"
    base = {"driver": "GTiff", "crs": "EPSG:32633", "transform": GRID, "dtype": "uint8", "count": 3}
    with rasterio.open(path, "w", height=shape[0], width=shape[1], **base, **options) as dst:
        dst.write(values)

    def bytes_read() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(lines[0].split()[1])

    with open_scene(path) as scene:
        before = bytes_read()
        for window, raster in read_ahead(scene, grid(shape, 500, 32)):
            np.testing.assert_array_equal(raster.values, values[(slice(None), *window.slices)])
        assert (bytes_read() - before) / path.stat().st_size < bound


def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    peaks = []
    for height in (600, 6000):
        path = tmp_path / f"{height}.tif"
        base = {
            "crs": "EPSG:32633",
            "transform": GRID,
            "dtype": "uint8",
            "count": 1,
            "blockysize": 1,
            "SPARSE_OK": True,
        }
        with rasterio.open(path, "w", driver="GTiff", height=height, width=2000, **base):
            pass
        with open_scene(path) as scene:
            tracemalloc.start()
            for _ in read_ahead(scene, grid((height, 2000), 256, 16)):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_an_error_is_raised_when_its_window_is_due(tmp_path: Path) -> None:
    scene = FakeScene((40, 40), (10, 10))
    good = scene.read

    def read(window: Window, bands: list[int] | None = None) -> Raster:
        if window.row_start >= 20:
            raise SceneError("a.tif", "block broken.")
        return good(window, bands)

    scene.read = read
    seen = []
    with pytest.raises(SceneError, match="block broken"):  # noqa: PT012 - what was seen before counts
        for window, _ in read_ahead(scene, grid((40, 40), 10, 0), depth=3):
            seen.append(window)
            time.sleep(0.01)
    assert seen == grid((20, 40), 10, 0)


def test_closing_stops_the_thread_and_reads_no_further() -> None:
    scene = FakeScene((400, 40), (10, 10))
    taken = []

    def windows() -> Iterator[Window]:
        for window in grid((400, 40), 10, 0):
            taken.append(window)
            yield window

    running = threading.active_count()
    ahead = read_ahead(scene, windows(), depth=2)
    next(ahead)
    ahead.close()
    assert threading.active_count() == running
    assert len(taken) < 20


def test_reading_goes_on_while_the_caller_computes() -> None:
    scene = FakeScene((40, 10), (10, 10))
    began = threading.Event()
    good = scene.read

    def read(window: Window, bands: list[int] | None = None) -> Raster:
        if window.row_start == 10:
            began.set()
        return good(window, bands)

    scene.read = read
    ahead = read_ahead(scene, grid((40, 10), 10, 0))
    next(ahead)
    assert began.wait(5)
    ahead.close()


def test_no_windows_give_nothing() -> None:
    assert list(read_ahead(FakeScene((4, 4), (1, 4)), [])) == []
