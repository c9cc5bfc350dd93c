"""Facts in finished files that a rewritten file takes over: tags of rasters, descriptions of layers of polygons."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import rasterio

from geoseg.io.edits.layer_tables import reading_layer
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.publish.about import About

_TAGS = ("GEOSEG_", "TIFFTAG_IMAGEDESCRIPTION", "TIFFTAG_COPYRIGHT")


def tags_of(raster: Path) -> dict[str, str]:
    """Read the tags that a run gave a raster."""
    with suppress_gdal_messages(), rasterio.open(gdal_name(raster), driver="GTiff") as file:
        return {str(key): str(value) for key, value in file.tags().items() if key.startswith(_TAGS)}


def about_of(geopackage: Path, layer: str) -> About | None:
    """Read title and description of a layer of polygons; None if it has none."""
    with reading_layer(geopackage) as db:
        found = db.execute(
            "SELECT identifier, description FROM gpkg_contents WHERE table_name = ?", (layer,)
        ).fetchone()
    if found is None or not found[1]:
        return None
    return About(title=str(found[0]).removesuffix(f" {layer}"), abstract=str(found[1]))


def link_files(files: Iterable[tuple[Path, Path]]) -> None:
    """Give files a second name, by a hard link where the file system has them, else by a copy.

    Args:
        files: pairs of an existing file or folder and the new name.

    Raises:
        OSError: the disk is full or fails.
    """
    for source, target in files:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=_link)
        else:
            _link(source, target)


def _link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
