"""Batches, errors and a source that is read once: what the stream promises."""

from __future__ import annotations

import threading

import numba
import numpy as np
import pytest
import shapely
from label_maps import collect, grid_of, mosaic, vectorised

from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.vector import kernel as kernel_module
from geoseg.vector.source import ArraySource
from geoseg.vector.vectorise import vectorise_codes


class CountingSource(ArraySource):
    """Counts how often each pixel is read, and fails where it is told to."""

    def __init__(self, codes: np.ndarray, fails_at: int | None = None) -> None:
        super().__init__(codes)
        self.reads = np.zeros(codes.shape, np.int64)
        self._fails_at = fails_at
        self._lock = threading.Lock()

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray | None]:
        with self._lock:
            self.reads[window.slices] += 1
        if self._fails_at is not None and window.row_start <= self._fails_at < window.row_stop:
            raise SceneError("broken.tif", "it cannot be read.")
        return super().read(window)


@pytest.mark.parametrize("batch", [1, 7, 100, 100000])
def test_batches_are_full_but_the_last(batch: int) -> None:
    codes = mosaic(80)
    batches = list(vectorise_codes(ArraySource(codes), grid_of(codes), block_px=30, batch=batch))
    assert all(len(segments) == batch for segments in batches[:-1])
    assert 0 < len(batches[-1]) <= batch
    whole = vectorised(codes)
    assert whole is not None
    assert shapely.equals_identical(collect(batches).geometry, whole.geometry).all()


def test_every_pixel_is_read_once() -> None:
    source = CountingSource(mosaic(100))
    list(vectorise_codes(source, grid_of(mosaic(100)), block_px=33, threads=3))
    assert (source.reads == 1).all()


@pytest.mark.parametrize("threads", [1, 4])
def test_a_failing_source_fails_the_run(threads: int) -> None:
    source = CountingSource(mosaic(100), fails_at=50)
    with pytest.raises(SceneError, match="broken.tif"):
        list(vectorise_codes(source, grid_of(mosaic(100)), block_px=20, threads=threads))


def test_another_grid_is_refused() -> None:
    with pytest.raises(UsageError, match="pixels"):
        list(vectorise_codes(ArraySource(mosaic(20)), grid_of(mosaic(21))))


def test_kernels_compile_without_a_place_for_their_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def nowhere(**options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'f': no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", nowhere)

    def double(x: int) -> int:
        return 2 * x

    assert kernel_module.kernel(double)(21) == 42
