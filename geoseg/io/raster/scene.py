"""Scene: one input image, read by window."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from geoseg.core.closing import Closing
from geoseg.core.ground import gsd_m
from geoseg.core.paths import path_text
from geoseg.core.raster import Raster
from geoseg.core.text import without_logins
from geoseg.core.types.arrays import AnyArray, AnyDtype
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import is_remote, local_name
from geoseg.io.files.fingerprint import digest_files, state_of_files
from geoseg.io.publish.notebook_html import html_table
from geoseg.io.raster.bands import band_names
from geoseg.io.raster.georeference import crop
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene_parts import Part, open_parts
from geoseg.io.raster.validity import valid_pixels

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["OpenOptions", "Scene", "SceneBand", "open_scene"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneBand:
    """One data band of a scene.

    Attributes:
        index: 1-based, in the file or, for a STAC item of one file per band, in the stack.
        name: lower-case common name (``red``, ``nir``) or ``band_N``; unique in a scene.
        dtype: numpy name of the values as stored.
        scale: physical value = stored value * scale + offset.
        offset: see scale.
        description: description from the file.
    """

    index: int
    name: str
    dtype: str
    scale: float = 1.0
    offset: float = 0.0
    description: str = ""


class Scene(Closing):
    """One input image, read by window. Pickles as its address; thread-safe.

    Attributes:
        uri: path or address, as given.
        options: options it was opened with.
        stem: a safe folder name for its outputs.
        driver: GDAL's short name, or ``STAC``.
        subdataset: name of the subdataset that was chosen, or None.
        service: of a tile or map service, what is read of it; None for files.
        geobox: the grid; for a scene with ground control points only, the affine fitted to them.
        gcps: rasterio GroundControlPoints, empty unless they are the only georeference.
        gcps_crs: their rasterio CRS, or None.
        placed: True if its grid is its true place: not fitted to control points, not made up.
        bands: data bands; an alpha band is not listed.
        dtype: data type of all bands.
        nodata: the first band's nodata value, or None.
        block_shape: (rows, columns) of the file's tiles or strips.
        alphas: 1-based alpha bands of the file, which are not listed in ``bands``; empty for a stack.
        masked: True if validity depends on more than ``nodata``: a mask, an alpha band, a further nodata value.
        files: local files the pixels and the grid come from; empty for a remote scene.
        remote: True if some of its pixels are not on this machine.
        opened_state: state of those files when they were opened; see ``state``.

    Examples:
        >>> with open_scene("scene.tif") as scene:  # doctest: +SKIP
        ...     raster = scene.read(Window(0, 512, 0, 512))
    """

    def __init__(self, uri: str, options: OpenOptions) -> None:
        opened = open_parts(uri, options)
        first = opened.parts[0]
        self.uri = uri
        self.options = options
        self.driver = opened.driver
        self.subdataset = opened.subdataset
        self.service = opened.service
        self.stem = _stem(uri if opened.title is None else opened.title, whole=opened.title is not None)
        self._parts = opened.parts
        if options.ignore_nodata:
            self._parts = tuple(replace(part, nodata=None) for part in opened.parts)
        grid = first.source.grid
        self.geobox = grid.geobox
        self.gcps = grid.gcps
        self.gcps_crs = grid.gcps_crs
        self.placed = grid.placed and not grid.gcps
        self.bands = _bands(opened.parts, hint=f"{self.stem} {opened.hint}")
        self.dtype: AnyDtype = first.source.dtype
        self._nodata = tuple(part.nodata for part in self._parts)
        self.nodata: float | None = self._nodata[0]
        self.block_shape = first.source.block_shape
        self._closed = False
        self._neighbours: dict[str, Scene] = {}
        self._opening = threading.Lock()
        self._sources = tuple(dict.fromkeys(part.source for part in opened.parts))
        self.alphas = self._sources[0].alphas if len(self._sources) == 1 else ()
        self.masked = any(source.masked for source in self._sources) or options.nodata is not None
        self.files = tuple(dict.fromkeys((*opened.files, *(name for s in self._sources for name in s.files))))
        self.remote = any(is_remote(source.uri) for source in self._sources)
        self.opened_state = state_of_files(uri, self.files)

    def read(self, window: Window, bands: Sequence[int] | None = None) -> Raster:
        """Decode a window.

        Args:
            window: inside the scene.
            bands: 1-based indexes, in order; None: all data bands.

        Returns:
            Values (band, y, x) in the scene's own dtype, and valid (y, x): False where a mask or alpha band excludes
            the pixel or it is NaN, infinity or nodata (see ``geoseg.io.raster.validity.valid_pixels``).

        Raises:
            UsageError: the window leaves the scene, is empty, or there is no such band.
            SceneError: the scene is closed, or the file is damaged there; libtiff's reason and the block are named.
        """
        if not Window.whole(tuple(self.geobox.shape)).contains(window) or not window.pixels:
            raise UsageError(f"{self.uri}: {window} is no window of a scene of {tuple(self.geobox.shape)} px")
        if self._closed:
            raise SceneError(
                self.uri, "the scene is closed.", "Read it, and compute what is lazy, before it is closed."
            )
        parts = self._chosen(bands)
        by_source: dict[Any, list[int]] = {}
        for position, part in enumerate(parts):
            by_source.setdefault(part.source, []).append(position)
        values: AnyArray | None = None
        allowed: npt.NDArray[np.bool_] | None = None
        for source, positions in by_source.items():
            some, mask = source.read(window, [parts[position].index for position in positions])
            if len(by_source) == 1:
                values = some
            else:
                values = np.empty((len(parts), *window.shape), self.dtype) if values is None else values
                values[positions] = some
            if mask is not None:
                allowed = mask if allowed is None else allowed & mask
        assert values is not None  # noqa: S101 - _chosen returns at least one part
        valid = valid_pixels(values, [part.nodata for part in parts])
        if self.options.nodata is not None:
            valid &= valid_pixels(values, [self.options.nodata] * len(values))
        if allowed is not None:
            valid &= allowed
        return Raster(values=values, valid=valid, geobox=crop(self.geobox, window))

    @property
    def datasets(self) -> tuple[tuple[Any, int, float | None], ...]:
        """Open rasterio dataset, 1-based index in it and nodata value of each data band, for readers that resample.

        A dataset is not safe to be read by several threads, and is closed with the scene.

        Raises:
            SceneError: a file has another checksum than the scene's STAC item tells.
        """
        for source in self._sources:
            source.verify()
        extra = self.options.nodata
        return tuple(
            (part.source.dataset, part.index, part.nodata if part.nodata is not None else extra) for part in self._parts
        )

    def _chosen(self, bands: Sequence[int] | None) -> tuple[Part, ...]:
        if bands is None:
            return self._parts
        known = {band.index: part for band, part in zip(self.bands, self._parts, strict=True)}
        missing = [index for index in bands if index not in known]
        if missing or not len(bands):
            raise UsageError(f"{self.uri}: no band {missing or 'asked for'}. Its data bands are {sorted(known)}.")
        return tuple(known[index] for index in bands)

    def to_xarray(self, chunks: int | tuple[int, int] | None = None) -> xr.DataArray:
        """Open the scene as a lazy DataArray (band, y, x), in rioxarray's conventions.

        Args:
            chunks: rows and columns of a dask chunk; None: whole blocks, about 2048 px.

        Returns:
            Dask-backed values with ``band``, ``y``, ``x`` (where the grid is not rotated) and ``spatial_ref``; where a
            mask or alpha band exists, also a lazy boolean coordinate ``valid`` (y, x).
        """
        from geoseg.io.raster.lazy_scene import lazy_scene  # noqa: PLC0415 - dask and xarray cost a second, only notebooks pay

        return lazy_scene(self, chunks)

    def _repr_html_(self) -> str:
        """Facts of the scene for notebooks; no pixel is read."""
        height, width = self.geobox.shape
        crs = self.geobox.crs
        name = "none" if crs is None else f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else str(crs)[:80]
        sides = " x ".join(f"{side:.4g}" for side in gsd_m(self.geobox))
        rows = [
            *([] if self.subdataset is None else [("subdataset", self.subdataset)]),
            ("size", f"{height} x {width} px (rows x columns), {self.dtype}, {self.driver}"),
            ("CRS", name),
            ("pixel on the ground", f"{sides} m"),
            ("bands", ", ".join(f"{band.index} {band.name}" for band in self.bands)),
            ("nodata", str(self.nodata) + (", mask or alpha band" if self.masked else "")),
        ]
        return html_table(f"Scene {without_logins(self.uri)}", rows)

    @property
    def extent(self) -> Window:
        """The window that can be read: the whole grid."""
        return Window.whole(tuple(self.geobox.shape))

    def neighbour(self, uri: str) -> Scene:
        """Open a scene next to it with the same options, once; it is closed with this one.

        Args:
            uri: its address, one of ``options.neighbours``.

        Raises:
            SceneError, UsageError: it cannot be opened.
        """
        with self._opening:
            if uri not in self._neighbours:
                self._neighbours[uri] = Scene(uri, replace(self.options, neighbours=()))
            return self._neighbours[uri]

    def kind_of_bands(self) -> tuple[tuple[object, ...], ...]:
        """Return name, type, scale and offset of each band: equal for scenes whose values mean the same."""
        return tuple((band.index, band.name, band.dtype, band.scale, band.offset) for band in self.bands)

    def digest(self) -> str:
        """Hash the content of all its files with SHA-256; of a remote scene, all pixels; of a service, its grid too.

        Raises:
            SceneError: a file cannot be read.
        """
        if self.files:
            return digest_files(self.uri, self.files)
        total = hashlib.sha256()
        if self.service is not None:
            total.update(repr((tuple(self.geobox.shape), tuple(self.geobox.transform), str(self.geobox.crs))).encode())
        height, width = self.geobox.shape
        for row in range(0, height, 512):
            for col in range(0, width, 2048):
                raster = self.read(Window(row, min(row + 512, height), col, min(col + 2048, width)))
                total.update(raster.values.tobytes())
                if self.service is not None:
                    total.update(raster.valid.tobytes())
        return total.hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, one sentence each: sidecars, an assumed CRS, GDAL warnings so far."""
        return tuple(dict.fromkeys(note for source in self._sources for note in source.notes))

    def state(self) -> tuple[tuple[str, int, int, int], ...]:
        """Return the state of its files (name, size, time of change, inode), which differs after a change.

        Raises:
            SceneError: a file is missing.
        """
        return state_of_files(self.uri, self.files)

    def changed(self) -> bool:
        """Return True if a file was changed or replaced since the scene was opened."""
        return self.state() != self.opened_state

    def close(self) -> None:
        """Close its files and its neighbours; a closed scene cannot be read."""
        self._closed = True
        for other in self._neighbours.values():
            other.close()
        for source in self._sources:
            source.close()

    def __reduce__(self) -> tuple[type[Scene], tuple[str, OpenOptions]]:
        return type(self), (self.uri, self.options)

    def __repr__(self) -> str:
        names = ", ".join(band.name for band in self.bands)
        size = f"{self.geobox.shape[0]} x {self.geobox.shape[1]} px"
        return f"Scene({without_logins(self.uri)!r}, {size}, {self.dtype}, bands: {names})"


def open_scene(uri: str | os.PathLike[str], **options: Any) -> Scene:
    """Open a scene for reading by window.

    Args:
        uri: a file, a STAC item, or with ``allow_remote`` an address.
        options: the fields of ``OpenOptions``.

    Raises:
        SceneError: it is missing, not a raster, damaged, too big, or has no place on Earth.
        UsageError: an unknown option, or a kind of address that is not allowed.

    Examples:
        >>> scene = open_scene("scene.tif", assume_crs="EPSG:32633")  # doctest: +SKIP
    """
    unknown = sorted(set(options) - set(OpenOptions.__dataclass_fields__))
    if unknown:
        raise UsageError(f"no such option: {', '.join(unknown)}. Known: {', '.join(OpenOptions.__dataclass_fields__)}.")
    text = path_text(
        uri, function="open_scene", meant="a path or an address", instead="Pixels in memory go to geoseg.segment."
    )
    beside = tuple(os.fspath(name) for name in options.get("neighbours", ()))
    # a worker that opens it may run in another folder
    absolute = tuple(str(Path(name).absolute()) if not is_remote(name) else name for name in beside)
    return Scene(text, OpenOptions(**(options | {"neighbours": absolute})))


def _bands(parts: Sequence[Part], hint: str) -> tuple[SceneBand, ...]:
    descriptions = [part.name or part.description for part in parts]
    names = band_names([part.colour for part in parts], descriptions, hint)
    indexes = [part.index for part in parts]
    # In a stack of files every part is band 1 of its own file: count through the stack.
    stacked = len({id(part.source) for part in parts}) > 1
    return tuple(
        SceneBand(
            index=position if stacked else index,
            name=name,
            dtype=str(part.source.dtype),
            scale=part.scale,
            offset=part.offset,
            description=part.description,
        )
        for position, (index, name, part) in enumerate(zip(indexes, names, parts, strict=True), start=1)
    )


def _stem(name: str, *, whole: bool) -> str:
    """Make a folder name of at most 150 bytes; a modified name gets a hash, so that names do not collide."""
    path = urlsplit(name).path if is_remote(name) else local_name(name)
    stem = name if whole else PurePosixPath(path).stem
    safe = re.sub(r"[^\w .,()+@=-]", "_", stem).strip(". ").lstrip("-") or "scene"
    while len(safe.encode()) > 150:
        safe = safe[:-1].rstrip(". ")
    return safe if safe == stem else f"{safe}-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}"
