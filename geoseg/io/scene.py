"""Scene: one input image, read by window."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from geoseg.core.raster import Raster
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.bands import band_names
from geoseg.io.formats import driver_of, is_remote, local_path
from geoseg.io.validity import valid_pixels

_OPENING = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptions:
    """How a scene may be opened."""

    allow_vrt: bool = False
    allow_remote: bool = False
    assume_crs: str | None = None
    max_pixels: int = 40_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneBand:
    """One data band of a scene; ``index`` is 1-based."""

    index: int
    name: str
    dtype: str
    scale: float = 1.0
    offset: float = 0.0
    description: str = ""


class Scene:
    """One input image, read by window."""

    def __init__(self, uri: str, options: OpenOptions) -> None:
        self.uri = uri
        self.options = options
        if is_remote(uri) and not options.allow_remote:
            raise UsageError(f"{uri}: remote scenes are not read. Pass --allow-remote.")
        path = local_path(uri)
        self.driver = driver_of(uri, path)
        self._lock = threading.Lock()
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                dataset = rasterio.open(path, driver=self.driver)
            except RasterioError as error:
                raise SceneError(uri, f"it cannot be opened ({error}).", "Download or export it again.") from error
        self._dataset = dataset
        crs = dataset.crs.to_wkt() if dataset.crs else options.assume_crs
        if crs is None:
            raise SceneError(uri, "it has no CRS.", "Pass --assume-crs EPSG:code.")
        self.geobox = GeoBox((dataset.height, dataset.width), dataset.transform, crs)
        self.gcps: tuple[Any, ...] = ()
        self.gcps_crs = None
        colours = [c.name for c in dataset.colorinterp]
        names = band_names(colours, dataset.descriptions)
        self._alpha = next((i for i, c in enumerate(dataset.colorinterp, 1) if c is ColorInterp.alpha), None)
        self.bands = tuple(
            SceneBand(
                index=i,
                name=names[i - 1],
                dtype=dataset.dtypes[i - 1],
                scale=dataset.scales[i - 1],
                offset=dataset.offsets[i - 1],
                description=dataset.descriptions[i - 1] or "",
            )
            for i in dataset.indexes
            if i != self._alpha
        )
        self.dtype = np.dtype(self.bands[0].dtype)
        self.nodata: float | None = dataset.nodata
        self.block_shape: tuple[int, int] = dataset.block_shapes[0]
        self.files: tuple[str, ...] = tuple(dataset.files)

    @property
    def stem(self) -> str:
        """A safe folder name for the outputs."""
        return re.sub(r"[^\w.-]+", "_", Path(self.uri).stem) or "scene"

    def read(self, window: Window, bands: Sequence[int] | None = None) -> Raster:
        """Read a window: native values (band, y, x) and which pixels are usable."""
        if not Window.whole(tuple(self.geobox.shape)).contains(window):
            raise UsageError(f"{self.uri}: {window} does not lie inside {tuple(self.geobox.shape)}")
        indexes = [band.index for band in self.bands] if bands is None else list(bands)
        at = RasterioWindow(window.col_start, window.row_start, window.width, window.height)
        with self._lock:
            try:
                values = self._dataset.read(indexes, window=at)
                valid = valid_pixels(values, [self._dataset.nodatavals[i - 1] for i in indexes])
                if self._alpha is not None:
                    valid &= self._dataset.read(self._alpha, window=at) > 0
                elif MaskFlags.per_dataset in self._dataset.mask_flag_enums[0]:
                    valid &= self._dataset.read_masks(1, window=at) > 0
            except RasterioError as error:
                cause = error.__cause__ or error
                raise SceneError(self.uri, f"{window} cannot be read ({cause}).", "Download it again.") from error
        return Raster(values=values, valid=valid, geobox=self.geobox[window.slices])

    def digest(self) -> str:
        """Hash the content of all files with SHA-256."""
        total = hashlib.sha256()
        for name in self.files:
            with Path(name).open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()

    def state(self) -> tuple[tuple[str, int, int], ...]:
        """Describe the files cheaply: name, size in bytes, time of change."""
        return tuple((n, s.st_size, s.st_mtime_ns) for n in self.files for s in [Path(n).stat()])

    def close(self) -> None:
        """Close the file; a closed scene cannot be read."""
        with self._lock:
            self._dataset.close()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Scene], tuple[str, OpenOptions]]:
        return type(self), (self.uri, self.options)


def open_scene(uri: str | os.PathLike[str], **options: Any) -> Scene:
    """Open a scene for reading by window."""
    return Scene(os.fspath(uri), OpenOptions(**options))
