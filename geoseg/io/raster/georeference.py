"""Georeference of an opened file: CRS, transform, ground control points, and sidecars with these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pyproj
from affine import Affine
from odc.geo.crs import CRSError as OdcCRSError
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError as ProjCRSError
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.io import DatasetReader
from rasterio.transform import from_gcps

from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import gdal_settings, is_plain_file
from geoseg.io.files.gdal_messages import gdal_messages

_WORLD_FILES = {
    "GTiff": (".tfw", ".tifw", ".tiffw", ".wld"),
    "PNG": (".pgw", ".pngw", ".wld"),
    "JPEG": (".jgw", ".jpgw", ".jpegw", ".wld"),
    "JP2OpenJPEG": (".j2w", ".jp2w", ".wld"),
}
BY_CONTROL_POINTS: Final = {"SRC_METHOD": "GCP_POLYNOMIAL"}
"""Option of a warp from ground control points, so that rasters lie where polygons do.

GDAL 3.11 and later take a homography of four or five points by default, which older ones cannot read from a VRT.
"""

_PRJ_BYTES = 65536
_POLE_DEGREES = 1e-8
_NOWHERE, _NOWHERE_CRS = (500_000.0, 0.0), "EPSG:32631"
"""Made-up place of images without georeference: at sea, on a meridian where grid metres are true to 0.04 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Georeference:
    """The grid of a file and its origin.

    Attributes:
        geobox: the grid; with GCPs, the affine fitted to them.
        gcps: rasterio GroundControlPoints; empty where the file has a transform.
        gcps_crs: their CRS, or None.
        files: sidecars that were used.
        notes: notes for the user, one sentence each.
        placed: False if the grid is made up, since the file has none.
    """

    geobox: GeoBox
    gcps: tuple[Any, ...] = ()
    gcps_crs: CRS | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    placed: bool = True


def crop(geobox: GeoBox, window: Window) -> GeoBox:
    """Return the grid of a window of a grid. Indexing a GeoBox does the same, with a warning from affine 3."""
    t, row, col = geobox.transform, window.row_start, window.col_start
    moved = Affine(t.a, t.b, t.a * col + t.b * row + t.c, t.d, t.e, t.d * col + t.e * row + t.f)
    return GeoBox(window.shape, moved, geobox.crs)


def sidecars(path: Path, driver: str) -> tuple[Path, ...]:
    """List the existing sidecars that could georeference a file: world file, .prj, .aux.xml.

    Args:
        path: the file.
        driver: GDAL's name of its driver.
    """
    names = [path.with_suffix(suffix) for suffix in (*_WORLD_FILES.get(driver, ()), ".prj")]
    names += [path.with_suffix(suffix.upper()) for suffix in (*_WORLD_FILES.get(driver, ()), ".prj")]
    names.append(path.with_name(path.name + ".aux.xml"))
    return tuple(name for name in names if is_plain_file(name))


def is_complete(dataset: DatasetReader) -> bool:
    """Return True if a dataset has a georeference of its own."""
    gcps, gcps_crs = dataset.gcps
    return bool(dataset.crs and not dataset.transform.is_identity) or bool(gcps and gcps_crs)


def _from_prj(uri: str, path: Path) -> tuple[CRS | None, Path | None]:
    for name in (path.with_suffix(".prj"), path.with_suffix(".PRJ")):
        if is_plain_file(name):
            text = name.read_bytes()[:_PRJ_BYTES].decode("utf-8", "replace").strip()
            try:
                with gdal_messages(), gdal_settings():
                    return CRS.from_wkt(text, morph_from_esri_dialect=True), name
            except CRSError as error:
                raise SceneError(uri, f"its {name.name} holds no CRS ({error}).", "Repair or remove it.") from error
    return None, None


def _assumed(text: str) -> CRS:
    """Parse a CRS from the user with PROJ, since GDAL would look for it in files and on the network."""
    try:
        pyproj.CRS.from_user_input(text)
        with gdal_messages(), gdal_settings():
            return CRS.from_user_input(text)
    except (CRSError, ProjCRSError, ValueError) as error:
        raise UsageError(f"--assume-crs {text[:200]}: not a CRS. Give EPSG:code or WKT.") from error


def refuse_nowhere(uri: str, geobox: GeoBox) -> None:
    """Refuse a grid whose pixels have no place on the ground, so that areas in metres are undefined.

    Grids registered by cell centres, the first at a pole, extend half a cell beyond it and are accepted.

    Args:
        uri: name for messages.
        geobox: the grid.

    Raises:
        SceneError: its coordinates are geocentric, heights or times, or it extends beyond a pole.
    """
    crs = _understood(geobox.crs.to_wkt())
    ground = crs.sub_crs_list[0] if crs.is_compound and crs.sub_crs_list else crs
    if ground.is_geocentric or ground.is_vertical:
        raise SceneError(
            uri,
            f"its CRS {crs.name} ({ground.type_name}) has no coordinates on the ground.",
            "Warp it to a projected CRS: gdalwarp -t_srs EPSG:code IN OUT.tif.",
        )
    if ground.is_geographic and ground.axis_info:
        _refuse_beyond_pole(uri, geobox, math.degrees(ground.axis_info[0].unit_conversion_factor))
    elif ground.is_projected:
        _refuse_off_projection(uri, geobox)


def _refuse_beyond_pole(uri: str, geobox: GeoBox, unit_degrees: float) -> None:
    (height, width), t = geobox.shape, geobox.transform
    latitudes = [unit_degrees * (t.d * col + t.e * row + t.f) for row in (0, height) for col in (0, width)]
    beyond = max(map(abs, latitudes)) - 90.0
    cell = unit_degrees * math.hypot(t.d, t.e)
    if beyond > _POLE_DEGREES and abs(beyond - cell / 2) > cell / 100:
        raise SceneError(
            uri,
            f"it reaches to latitude {max(latitudes, key=abs):.7g}, beyond the pole.",
            "Correct its transform, or cut it off at 90 degrees: gdal_translate -projwin.",
        )


def _refuse_off_projection(uri: str, geobox: GeoBox) -> None:
    """Refuse a grid whose centre does not survive a round trip through its projection."""
    (height, width), t = geobox.shape, geobox.transform
    x, y = t.a * width / 2 + t.b * height / 2 + t.c, t.d * width / 2 + t.e * height / 2 + t.f
    try:
        to_lonlat, back = _to_lonlat(geobox.crs.to_wkt())
        lon, lat = to_lonlat.transform(x, y)
        _, again = back.transform(lon, lat)
    except ProjError:  # no way to the Earth is known: what needs one says so
        return
    reach = max(abs(t.d) * width + abs(t.e) * height, 1000.0)
    # eastings may differ by once around the Earth
    if not abs(lat) <= 90 or not abs(again - y) <= reach:
        name = _understood(geobox.crs.to_wkt()).name
        where = f"x {x:.7g}, y {y:.7g}, the middle of its grid,"
        raise SceneError(uri, f"{where} is no place in its CRS {name}.", "Correct its transform or its CRS.")


@lru_cache(maxsize=64)
def _understood(wkt: str) -> pyproj.CRS:
    return pyproj.CRS.from_user_input(wkt)


@lru_cache(maxsize=64)
def _to_lonlat(wkt: str) -> tuple[pyproj.Transformer, pyproj.Transformer]:
    crs = _understood(wkt)
    there = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    return there, pyproj.Transformer.from_crs(4326, crs, always_xy=True)


def _crs(
    uri: str, dataset: DatasetReader, path: Path | None, assume_crs: str | None
) -> tuple[CRS | None, tuple[str, ...], tuple[str, ...]]:
    """Return the CRS of a dataset, the sidecars it was read from, and notes for the user."""
    assumed = None if assume_crs is None else _assumed(assume_crs)  # a wrong one is refused where it is not needed too
    gcps, gcps_crs = dataset.gcps
    crs: CRS | None = gcps_crs if gcps and dataset.transform.is_identity else dataset.crs
    if crs:
        return crs, (), ()
    prj: Path | None = None
    if path is not None:
        crs, prj = _from_prj(uri, path)
    files = () if prj is None else (str(prj),)
    if crs or assumed is None:
        return crs or None, files, ()
    return assumed, files, (f"it has no CRS; {assume_crs} is assumed",)


def _refuse_no_crs(uri: str, dataset: DatasetReader) -> SceneError:
    if dataset.rpcs is not None:
        return SceneError(
            uri,
            "it is georeferenced by RPCs only.",
            "Orthorectify it first: gdalwarp -rpc -t_srs EPSG:code IN OUT.tif.",
        )
    return SceneError(uri, "it has no CRS.", "Pass --assume-crs EPSG:code.")


def georeference(
    uri: str,
    dataset: Any,
    path: Path | None,
    assume_crs: str | None,
    *,
    unplaced: bool = False,
    assume_gsd_m: float | None = None,
) -> Georeference:
    """Read the grid of an opened dataset.

    Args:
        uri: name for messages.
        dataset: rasterio dataset.
        path: the local file, which may have a .prj next to it; None for a remote one.
        assume_crs: CRS to use if there is none.
        unplaced: if there is no CRS, return a grid of pixels without one.
        assume_gsd_m: if there is neither CRS nor transform, place pixels of this side, metres, at a made-up location.

    Raises:
        SceneError: no CRS, no transform, a degenerate transform, or one without a place on the ground.
        UsageError: ``assume_crs`` is not a CRS.
    """
    gcps, _ = dataset.gcps
    only_gcps = bool(gcps) and dataset.transform.is_identity
    crs, files, notes = _crs(uri, dataset, path, assume_crs)
    if crs is None:
        if unplaced:
            grid = GeoBox((dataset.height, dataset.width), dataset.transform, None)
            return Georeference(geobox=grid, placed=False)
        if assume_gsd_m is not None and dataset.transform.is_identity and dataset.rpcs is None:
            side, (x, y) = assume_gsd_m, _NOWHERE
            grid = GeoBox((dataset.height, dataset.width), Affine(side, 0, x, 0, -side, y), _NOWHERE_CRS)
            note = f"it lies nowhere on Earth; pixels of {side:g} m are laid out in the Gulf of Guinea"
            return Georeference(geobox=grid, notes=(note,), placed=False)
        raise _refuse_no_crs(uri, dataset)
    if only_gcps and len(gcps) < 3:
        raise SceneError(uri, f"{len(gcps)} ground control points do not fix a grid.", "Give it three or more.")
    transform = from_gcps(gcps) if only_gcps else dataset.transform
    if transform.is_identity:
        raise SceneError(
            uri, "it has no transform from pixels to coordinates.", "Add a world file, or gdal_translate -a_ullr."
        )
    if not all(map(math.isfinite, transform)):
        raise SceneError(uri, "its transform holds NaN or infinity.", "Georeference it again.")
    scale = max(abs(transform.a), abs(transform.b)) * max(abs(transform.d), abs(transform.e))
    if abs(transform.determinant) <= 1e-12 * scale or scale == 0:
        raise SceneError(uri, "its transform is singular (pixels have no area).", "Georeference it again.")
    if only_gcps:
        notes += (f"georeferenced by {len(gcps)} ground control points; areas use the affine fitted to them",)
    try:
        geobox = GeoBox((dataset.height, dataset.width), transform, crs.to_wkt())
        refuse_nowhere(uri, geobox)
    except (CRSError, OdcCRSError, ProjCRSError) as error:
        raise SceneError(
            uri, f"its CRS cannot be understood ({error}).", "Set another with gdal_edit -a_srs."
        ) from error
    used = tuple(gcps) if only_gcps else ()
    return Georeference(geobox=geobox, gcps=used, gcps_crs=crs if only_gcps else None, files=files, notes=notes)
