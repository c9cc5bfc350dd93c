"""Subdatasets: images of a TIFF, variables of a netCDF or HDF5 file, listed and chosen by name.

GDAL's own names of subdatasets can lead to any file, so none is taken from the user: geoseg opens the file, and a name
or number chooses from what GDAL lists in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from geoseg.core.text import printable
from geoseg.errors import SceneError, UsageError
from geoseg.io.containers.hdf5_links import HDF5_MAGIC, refuse_other_files
from geoseg.io.files.drivers import driver_of_suffix, first_bytes, gdal_settings
from geoseg.io.files.gdal_messages import gdal_messages, suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name

_NETCDF_SUFFIXES = (".nc", ".nc4", ".nc3", ".cdf")
_CLASSIC = re.compile(rb"CDF[\x01\x02\x05]")
_MOST_LISTED = 40
_PREFIXES = {"netCDF": 'NETCDF:"{path}":', "HDF5": 'HDF5:"{path}"://', "GTiff": "GTIFF_DIR:"}
_DRIVERS = {"netCDF": "netCDF", "HDF5": "HDF5Image", "GTiff": "GTiff"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subdataset:
    """One raster of a file that holds several.

    Attributes:
        number: its place in the file's list, from 1.
        name: variable with its groups (``science/grids/red``), or page of a TIFF.
        description: GDAL's description: its size and type.
        address: name that GDAL opens.
        driver: GDAL's driver that opens it.
    """

    number: int
    name: str
    description: str
    address: str = ""
    driver: str = ""


def container_driver(uri: str, path: Path) -> str | None:
    """Return ``netCDF`` or ``HDF5`` for a file of that kind by its content, or None.

    A netCDF 4 file is an HDF5 file; the suffix tells which conventions hold.

    Args:
        uri: name for messages.
        path: a local file; one whose suffix names another format is none of these.

    Raises:
        SceneError: it cannot be read, GDAL lacks the driver, or it is HDF5 and leads to other files.
    """
    head = first_bytes(uri, path)
    hdf5 = head.startswith(HDF5_MAGIC)
    if driver_of_suffix(path) is not None or (not hdf5 and not _CLASSIC.match(head)):
        return None
    driver = "netCDF" if not hdf5 or path.suffix.lower() in _NETCDF_SUFFIXES else "HDF5"
    refuse_missing_driver(uri, driver)
    if hdf5:
        refuse_other_files(uri, path)
    return driver


def refuse_missing_driver(uri: str, driver: str) -> None:
    """Refuse a file whose driver is not built into this installation's GDAL.

    Args:
        uri: name for messages.
        driver: GDAL's short name.

    Raises:
        SceneError: it is missing.
    """
    with rasterio.Env() as env:
        known = driver in env.drivers()
    if not known:
        raise SceneError(
            uri,
            f"the GDAL of this installation is built without its driver {driver}.",
            "Install rasterio's own wheel, or convert it to GeoTIFF where GDAL has the driver.",
        )


def list_subdatasets(uri: str, path: Path, driver: str) -> tuple[Subdataset, ...]:
    """List the rasters of a file; a file that is one raster is a list of one.

    Args:
        uri: name for messages.
        path: a local file.
        driver: ``netCDF``, ``HDF5`` or ``GTiff``.

    Raises:
        SceneError: it cannot be opened, or its path holds a quotation mark.
    """
    place = str(gdal_name(path.absolute()))
    if '"' in place:
        raise SceneError(uri, "its path holds a quotation mark, which GDAL cannot open here.", "Rename it.")
    with gdal_messages(), gdal_settings(), suppress_gdal_messages():
        try:
            with rasterio.open(place, driver=driver) as dataset:
                tags, count = dataset.tags(ns="SUBDATASETS"), dataset.count
                own = dataset.tags(1).get("NETCDF_VARNAME", "1") if count else ""
        except (RasterioError, UnicodeDecodeError) as error:
            raise SceneError(uri, f"it cannot be opened ({error}).", "Download or export it again.") from error
    found = []
    prefix = _PREFIXES[driver].format(path=place)
    for number in range(1, len(tags) // 2 + 1):
        address = tags.get(f"SUBDATASET_{number}_NAME", "")
        name = address.removeprefix(prefix)
        if driver == "GTiff":
            name = name.removesuffix(f":{place}")
        if name and len(name) < len(address) and '"' not in name:
            description = tags.get(f"SUBDATASET_{number}_DESC", "")
            found.append(
                Subdataset(
                    number=number,
                    name=name.strip("/"),
                    description=description,
                    address=address,
                    driver=_DRIVERS[driver],
                )
            )
    if found or not count:
        return tuple(found)
    return (Subdataset(number=1, name=own, description="the only one", address=place, driver=driver),)


def choose_subdataset(uri: str, found: Sequence[Subdataset], asked: str | None) -> Subdataset:
    """Choose by name, last part of the name, description or number; a whole name has priority.

    Args:
        uri: name for messages.
        found: what there is.
        asked: the user's choice; None: the only one.

    Raises:
        UsageError: there is no such subdataset, or there are several; the message lists what there is.
    """
    if asked is None:
        if not found:
            raise UsageError(f"{uri}: it holds no raster that can be read.")
        if len(found) > 1:
            cause = f"it holds {len(found)} subdatasets"
            raise UsageError(f"{uri}: {cause}. Pass --subdataset with one of: {listed(found)}.")
        return found[0]
    text = asked.strip().strip("/")
    whole = [one for one in found if one.name == text]
    loose = [one for one in found if text in {one.name.rpartition("/")[2], one.description, str(one.number)}]
    matches = whole if len(whole) == 1 else loose
    if len(matches) == 1:
        return matches[0]
    cause = "several subdatasets are called" if matches else "no subdataset is called"
    raise UsageError(f"{uri}: {cause} {printable(asked[:200])!r}. Pass --subdataset with one of: {listed(found)}.")


def listed(found: Sequence[Subdataset]) -> str:
    """List subdatasets for a message: number, name and description of the first ones."""
    texts = [f"{one.number} {printable(one.name)} ({printable(one.description)})" for one in found[:_MOST_LISTED]]
    more = len(found) - len(texts)
    return "; ".join(texts) + (f"; and {more} more, which geoseg inspect lists" if more > 0 else "")
