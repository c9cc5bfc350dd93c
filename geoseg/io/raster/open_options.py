"""OpenOptions: options for opening a scene."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, get_args

from pydantic import BeforeValidator

from geoseg.core.choices import Alpha
from geoseg.errors import UsageError


def _word(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value


ConfiguredAlpha = Annotated[Alpha, BeforeValidator(_word)]
"""``Alpha`` in a YAML file, where ``yes`` and ``no`` are read as true and false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptions:
    """Permissions and missing facts that the user gives for opening a scene.

    Attributes:
        allow_vrt: read .vrt files; their sources must lie under ``vrt_root``.
        vrt_root: folder the sources of a VRT must lie in; None: the VRT's own folder.
        allow_remote: read http(s)://, s3:// and other addresses; else no request is ever sent.
        assume_crs: the CRS of a scene that carries none (``EPSG:32633`` or WKT); one that has a CRS keeps it.
        assume_gsd_m: pixel side, metres, of an image without georeference; it is placed at a made-up location.
        alpha: use of a band as mask: ``auto``: a band that the file tags as alpha and does not describe as something
            else; ``yes``: a tagged band, else the last; ``no``: none, all bands are data.
        nodata: one more value that means no measurement, in all bands, in addition to the file's own; see
            ``geoseg.io.raster.validity.valid_pixels``.
        assets: of a STAC item, the assets to read, by key or common name, in this order; empty: all data assets.
        subdataset: of a file that holds several rasters (a netCDF or HDF5 file, a TIFF of several images, a Sentinel-2
            product), the one to read, by name, number or description; None: the file's only or first one.
        neighbours: addresses of scenes next to it on the same grid, whose pixels are read beyond its edges; where they
            overlap, the first has precedence.
        unplaced: accept a raster without a CRS; its grid then has none either, only pixels.
        palette_codes: read the indices of a palette as class codes, not as colours.
        ignore_nodata: read the file's nodata value as an ordinary value; masks and alpha bands still count.
        max_pixels: refuse a scene of this many pixels or more (rows times columns).
        max_block_bytes: refuse a file whose one block (tile or strip, all its bands) decodes to more bytes.
        max_bands: refuse a file of more bands.
    """

    allow_vrt: bool = False
    vrt_root: str | None = None
    allow_remote: bool = False
    assume_crs: str | None = None
    assume_gsd_m: float | None = None
    alpha: Alpha = "auto"
    nodata: float | None = None
    assets: tuple[str, ...] = ()
    subdataset: str | None = None
    neighbours: tuple[str, ...] = ()
    unplaced: bool = False
    palette_codes: bool = False
    ignore_nodata: bool = False
    max_pixels: int = 40_000_000_000
    max_block_bytes: int = 2**30
    max_bands: int = 1024

    def __post_init__(self) -> None:
        if self.alpha not in get_args(Alpha):
            raise UsageError(f"alpha is {self.alpha!r}; it is one of {', '.join(get_args(Alpha))}.")
        if self.nodata is not None and (isinstance(self.nodata, bool) or not isinstance(self.nodata, int | float)):
            raise UsageError(f"nodata is {self.nodata!r}; it is a number.")
        if self.subdataset is not None and (not isinstance(self.subdataset, str) or not self.subdataset.strip(" /")):
            raise UsageError(f"subdataset is {self.subdataset!r}; it is a name or a number, as text.")
        if self.vrt_root is not None and not os.path.isdir(self.vrt_root):  # noqa: PTH112 - a name that cannot be one too
            raise UsageError(f"--vrt-root {self.vrt_root[:200]}: there is no such folder.")
