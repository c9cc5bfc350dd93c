"""A lazy scene computes to the file's own values; a scene travels as its address, for many threads at once."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray
from affine import Affine
from rasterio.enums import ColorInterp

from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.raster.scene import open_scene

GRID = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
VALUES = np.random.default_rng(5).integers(0, 9, (3, 90, 130), dtype=np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    base = {"crs": "EPSG:32633", "transform": GRID, "dtype": "uint8", "count": 3, "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", height=90, width=130, **base) as dst:
        dst.write(VALUES)
    return path


@pytest.mark.parametrize("chunks", [None, 1000, 17, (90, 1), (5, 64)])
def test_computed_it_is_the_file(path: Path, chunks: int | tuple[int, int] | None) -> None:
    with open_scene(path) as scene:
        lazy = scene.to_xarray(chunks)
        assert lazy.dims == ("band", "y", "x")
        np.testing.assert_array_equal(lazy.compute().values, VALUES)
        np.testing.assert_array_equal(lazy[1:, 3:40:7, ::-1].compute().values, VALUES[1:, 3:40:7, ::-1])


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray's own, with affine 3
def test_it_says_what_rioxarray_says(path: Path) -> None:
    with open_scene(path) as scene, rioxarray.open_rasterio(path, chunks=64) as oracle:
        lazy = scene.to_xarray(64)
        for name in ("band", "y", "x"):
            np.testing.assert_array_equal(lazy[name].values, oracle[name].values)
        assert lazy.rio.crs == oracle.rio.crs
        assert lazy.rio.transform() == oracle.rio.transform()
        assert lazy.rio.nodata == oracle.rio.nodata == 0
        assert lazy.attrs["_FillValue"] == oracle.attrs["_FillValue"]
        assert lazy.spatial_ref.attrs["GeoTransform"] == oracle.spatial_ref.attrs["GeoTransform"]
        assert lazy.attrs["long_name"] == ("red", "green", "blue")


def test_chunks_must_hold_pixels(path: Path) -> None:
    with open_scene(path) as scene, pytest.raises(UsageError, match="hold nothing"):
        scene.to_xarray(0)


def test_a_rotated_scene_keeps_its_transform(tmp_path: Path) -> None:
    turned = Affine.translation(500000, 5400000) @ Affine.rotation(30) @ Affine.scale(2, -2)
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=9, width=7, dtype="uint8", crs="EPSG:32633", transform=turned
    ) as dst:
        dst.write(VALUES[:1, :9, :7])
    with open_scene(path) as scene:
        assert scene.to_xarray().rio.transform().almost_equals(turned, precision=1e-9)


def test_a_mask_travels_beside_the_values(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    base = {"crs": "EPSG:32633", "transform": GRID, "dtype": "uint8", "count": 4}
    with rasterio.open(path, "w", driver="GTiff", height=90, width=130, **base) as dst:
        dst.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        dst.write(np.concatenate([VALUES, VALUES[:1]]))
    with open_scene(path) as scene:
        lazy = scene.to_xarray(50)
        assert lazy.shape == (3, 90, 130)
        np.testing.assert_array_equal(lazy.coords["valid"].compute().values, VALUES[0] > 0)


def test_it_pickles_as_its_address(path: Path) -> None:
    with open_scene(path, assume_crs="EPSG:3857") as scene:
        data = pickle.dumps(scene)
        lazy = pickle.dumps(scene.to_xarray(64))
    assert len(data) < 1000
    assert len(lazy) < 20_000
    with pickle.loads(data) as again:  # noqa: S301
        assert again.options == scene.options
        np.testing.assert_array_equal(again.read(Window(0, 90, 0, 130)).values, VALUES)
    np.testing.assert_array_equal(pickle.loads(lazy).compute().values, VALUES)  # noqa: S301


def test_many_threads_read_right(path: Path) -> None:
    random = np.random.default_rng(1)
    starts = random.integers(0, 60, (400, 2)).tolist()

    with open_scene(path) as scene, ThreadPoolExecutor(4) as pool:

        def right(start: list[int]) -> bool:
            window = Window(start[0], start[0] + 30, start[1], start[1] + 30)
            return np.array_equal(scene.read(window).values, VALUES[(slice(None), *window.slices)])

        assert all(pool.map(right, starts))


def test_a_window_has_to_lie_inside(path: Path) -> None:
    with open_scene(path) as scene:
        for window in (Window(0, 91, 0, 1), Window(-1, 3, 0, 1), Window(0, 0, 0, 5)):
            with pytest.raises(UsageError, match="no window of a scene"):
                scene.read(window)
        for bands in ([4], [0], []):
            with pytest.raises(UsageError, match="no band"):
                scene.read(Window(0, 1, 0, 1), bands)
        np.testing.assert_array_equal(scene.read(Window(0, 5, 0, 5), [3, 1]).values, VALUES[[2, 0], :5, :5])


def test_digest_and_state_follow_the_content(path: Path) -> None:
    with open_scene(path) as scene:
        digest, state = scene.digest(), scene.state()
        assert (scene.digest(), scene.state()) == (digest, state)
        (path.parent / "a.tif.aux.xml").write_text("<PAMDataset/>")  # a viewer writes statistics beside a file
        assert scene.state() == state
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        assert scene.digest() != digest
        assert scene.state() != state
        path.unlink()
        with pytest.raises(SceneError, match="went away"):
            scene.state()


def test_a_closed_scene_says_so(path: Path) -> None:
    scene = open_scene(path)
    scene.close()
    scene.close()
    with pytest.raises(SceneError, match="closed"):
        scene.read(Window(0, 1, 0, 1))
