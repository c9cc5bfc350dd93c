"""RasterFile: a file of a scene and how GDAL opens it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geoseg.io.raster.vrt import VrtDocuments


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterFile:
    """A raster file to be opened by GDAL.

    Attributes:
        path: the local file; None for a remote one.
        driver: GDAL's name of the only driver that may open it.
        documents: for a VRT, the clean documents opened in its place.
        names: band names from outside the file (a STAC item); empty or None if unknown.
        multihash: checksum that a STAC item tells of the file; empty: none.
        address: name that GDAL opens in place of the path: a subdataset of the file, or a file inside a zip; empty: the
            path.
        title: what the address names, the description of its band if it has one; empty: unknown.
    """

    path: Path | None
    driver: str
    documents: VrtDocuments | None = None
    names: tuple[str | None, ...] = ()
    multihash: str = ""
    address: str = ""
    title: str = ""
