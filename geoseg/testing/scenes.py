"""Contract tests of scenes, to inherit for a format, a folder layout or a reader of one's own."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.raster.scene import Scene, open_scene

GEOBOX = GeoBox((45, 71), Affine(0.5, 0, 500000, 0, -0.5, 5400000), "EPSG:32633")
"""Grid of the scenes that ``SceneTests.write`` is asked for."""

_LARGEST_PICKLE_BYTES = 10_000


class SceneTests:
    """Laws of a scene: windows are exactly the pixels that were written, in any order, thread and process.

    Attributes:
        dtype: of the pixels.
        bands: how many.
        nodata: value of pixels without a measurement; None where the format has none.

    Examples:
        >>> class TestMine(SceneTests):
        ...     def write(self, folder: Path, values: AnyArray) -> str:
        ...         return write_mine(folder / "scene.mine", values, GEOBOX)
    """

    dtype: str = "uint8"
    bands: int = 3
    nodata: float | None = None

    def write(self, folder: Path, values: AnyArray) -> str:
        """Override it: write pixels (band, y, x) on ``GEOBOX``, without loss, and return their path or address."""
        raise NotImplementedError("define the method write")

    def open(self, uri: str) -> Scene:
        """Open what ``write`` wrote; override it where options are needed."""
        return open_scene(uri)

    @pytest.fixture
    def values(self) -> AnyArray:
        """Noise; where there is a nodata value, a corner without a measurement."""
        random, kind = np.random.default_rng(0), np.dtype(self.dtype)
        shape = (self.bands, *GEOBOX.shape)
        if kind.kind == "f":
            values = random.normal(size=shape).astype(kind)
        else:
            values = random.integers(1, min(np.iinfo(kind).max, 2**31 - 1), size=shape).astype(kind)
        if self.nodata is not None:
            values[values == self.nodata] = 1
            values[:, :11, :13] = self.nodata
        return values

    @pytest.fixture
    def scene(self, tmp_path: Path, values: AnyArray) -> Iterator[Scene]:
        """The scene, open."""
        with self.open(self.write(tmp_path, values)) as scene:
            yield scene

    def test_the_grid_is_the_one_that_was_written(self, scene: Scene) -> None:
        """CRS, transform and size; one band a plane."""
        assert tuple(scene.geobox.shape) == GEOBOX.shape
        assert scene.geobox.transform.almost_equals(GEOBOX.transform)
        assert scene.geobox.crs == GEOBOX.crs
        assert len(scene.bands) == self.bands
        assert scene.dtype == np.dtype(self.dtype)

    def test_every_window_is_the_part_of_the_whole(self, scene: Scene, values: AnyArray) -> None:
        """Values, grid and validity of windows at corners, edges and inside."""
        for window in _windows(*GEOBOX.shape):
            rows, cols = window.slices
            raster = scene.read(window)
            np.testing.assert_array_equal(raster.values, values[:, rows, cols])
            assert raster.values.dtype == values.dtype
            np.testing.assert_array_equal(raster.valid, self._valid(values)[rows, cols])
            assert raster.geobox.transform.almost_equals(GEOBOX[rows, cols].transform)

    def test_bands_come_in_the_order_asked_for(self, scene: Scene, values: AnyArray) -> None:
        """Bands are numbered from 1, in the order of ``Scene.bands``."""
        order = [band.index for band in scene.bands][::-1]
        np.testing.assert_array_equal(scene.read(Window(3, 9, 20, 31), order).values, values[::-1, 3:9, 20:31])

    @pytest.mark.parametrize("window", [Window(0, 46, 0, 3), Window(-1, 4, 0, 3), Window(4, 4, 0, 3)])
    def test_a_window_that_leaves_the_scene_or_is_empty_is_refused(self, scene: Scene, window: Window) -> None:
        """Nothing is padded or cut without a word."""
        with pytest.raises(UsageError):
            scene.read(window)

    def test_an_unknown_band_is_refused(self, scene: Scene) -> None:
        """And none at all."""
        for bands in ([99], []):
            with pytest.raises(UsageError):
                scene.read(Window(0, 4, 0, 4), bands)

    def test_threads_read_at_once_what_one_reads(self, scene: Scene, values: AnyArray) -> None:
        """A scene may be read by several threads."""
        windows = _windows(*GEOBOX.shape) * 4
        with ThreadPoolExecutor(4) as pool:
            rasters = list(pool.map(scene.read, windows))
        for window, raster in zip(windows, rasters, strict=True):
            np.testing.assert_array_equal(raster.values, values[(slice(None), *window.slices)])

    def test_it_travels_as_its_address(self, scene: Scene, values: AnyArray) -> None:
        """No pixel and no handle is pickled; where it arrives it opens itself."""
        content = pickle.dumps(scene)
        assert len(content) < _LARGEST_PICKLE_BYTES
        with _unpickled(content) as again:
            assert again.digest() == scene.digest()
            np.testing.assert_array_equal(again.read(Window.whole(GEOBOX.shape)).values, values)

    def test_a_closed_scene_says_so(self, scene: Scene) -> None:
        """Instead of what a library says of a handle."""
        scene.close()
        with pytest.raises(SceneError, match="closed"):
            scene.read(Window(0, 4, 0, 4))

    def test_the_lazy_array_is_the_scene(self, scene: Scene, values: AnyArray) -> None:
        """As xarray has it: values, and which of them may be used."""
        array = scene.to_xarray(chunks=20)
        np.testing.assert_array_equal(array.compute(scheduler="synchronous").values, values)
        assert array.rio.crs == GEOBOX.crs
        assert array.rio.transform().almost_equals(GEOBOX.transform)

    def test_the_digest_knows_every_pixel(self, tmp_path: Path, values: AnyArray) -> None:
        """Another value anywhere is another scene, the same values are the same."""

        def digest(name: str, pixels: AnyArray) -> str:
            (tmp_path / name).mkdir()
            with self.open(self.write(tmp_path / name, pixels)) as scene:
                return scene.digest()

        changed = values.copy()
        changed[-1, -1, -1] = 1 if changed[-1, -1, -1] != 1 else 2
        assert digest("a", values) != digest("b", changed)

    def _valid(self, values: AnyArray) -> npt.NDArray[np.bool_]:
        if self.nodata is None:
            return np.ones(values.shape[1:], bool)
        without: npt.NDArray[np.bool_] = (values == self.nodata).all(axis=0)
        return ~without


def _windows(height: int, width: int) -> list[Window]:
    rows = ((0, 7), (height - 5, height), (height // 3, height // 3 + 1))
    cols = ((0, 9), (width - 6, width), (width // 2, width // 2 + 1))
    return [Window(*r, *c) for r, c in itertools.product(rows, cols)] + [Window.whole((height, width))]


def _unpickled(content: bytes) -> Scene:
    scene = pickle.loads(content)  # noqa: S301 - made by the test
    assert isinstance(scene, Scene)
    return scene
