"""Binary vector formats through GDAL, isolated so that it can open only the files of the one format."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyogrio
from pyogrio.errors import CRSError as PyogrioCRSError
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError
from pyproj import CRS

from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.sqlite_file import read_only
from geoseg.io.vectors.content import VectorFormat
from geoseg.io.vectors.features import Features, Geometry, choose_layer

OGR_ERRORS = (DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError, PyogrioCRSError)

_SUFFIXES = {
    VectorFormat.geopackage: ".gpkg",
    VectorFormat.flatgeobuf: ".fgb",
    VectorFormat.shapefile: ".shp",
    VectorFormat.geodatabase: ".gdb",
}
_PARTS_OF_A_SHAPEFILE = frozenset({".shx", ".dbf", ".prj", ".cpg"})
_PARTS_OF_A_GEODATABASE = frozenset({".gdbtable", ".gdbtablx", ".gdbindexes", ".atx", ".spx", ".freelist", ".horizon"})


def read_ogr(
    path: Path, form: VectorFormat, columns: tuple[str, ...], *, layer: str | None = None, default: str | None = None
) -> Features:
    """Read one layer.

    Args:
        path: the file, with content of that format.
        form: its format.
        columns: requested fields.
        layer: name of the layer, or None.
        default: layer to use if several have geometries and none is named.

    Raises:
        ValueError: the choice of the layer is ambiguous, or the file is damaged or truncated.
    """
    if form is VectorFormat.shapefile:
        _refuse_torn_shapefile(path)
    with shown_alone(path, form) as file, suppress_gdal_messages():
        try:
            return _read(file, form, columns, layer=layer, default=default)
        except OGR_ERRORS as error:
            raise ValueError(str(error).replace(str(file.with_suffix("")), path.stem)) from error


def _read(
    file: Path, form: VectorFormat, columns: tuple[str, ...], *, layer: str | None, default: str | None
) -> Features:
    layers = [str(name) for name, kind in pyogrio.list_layers(file) if kind is not None]
    chosen = layers[0] if form is VectorFormat.shapefile and layers else choose_layer(layers, layer, default)
    facts = pyogrio.read_info(file, layer=chosen)
    fields = tuple(str(name) for name in facts["fields"])
    requested = [name for name in columns if name in fields]
    frame = pyogrio.read_dataframe(file, layer=chosen, columns=requested)
    crs = None if facts["crs"] is None else CRS.from_user_input(facts["crs"])
    if facts["features"] not in {-1, len(frame)}:
        raise ValueError(f"it announces {facts['features']} features and has {len(frame)}: it is cut short")
    geometry: Geometry = np.asarray(frame.geometry.to_numpy(), object)
    return Features(geometry=geometry, columns={name: frame[name] for name in requested}, fields=fields, crs=crs)


def read_tables(path: Path, layers: tuple[str, ...]) -> list[object]:
    """Read tables of a GeoPackage without their geometries, one DataFrame each.

    Args:
        path: the GeoPackage.
        layers: names of the tables.

    Raises:
        ValueError: the file is unsafe.
        pyogrio.errors.DataSourceError: it is damaged.
        pyogrio.errors.DataLayerError: it has no such table.
    """
    with shown_alone(path, VectorFormat.geopackage) as file, suppress_gdal_messages():
        return [pyogrio.read_dataframe(file, layer=layer, read_geometry=False) for layer in layers]


def _refuse_torn_shapefile(path: Path) -> None:
    """Refuse a Shapefile without its index, or shorter than by its header: GDAL would silently read the rest."""
    present = {part.suffix.lower() for part in path.absolute().parent.iterdir() if part.stem == path.stem}
    if ".shx" not in present:
        raise ValueError(f"{path.stem}.shx, which belongs to it, is missing")
    with path.open("rb") as file:
        words = int.from_bytes(file.read(28)[24:], "big")
    if path.stat().st_size < 2 * words:
        raise ValueError(f"it has {path.stat().st_size} bytes of {2 * words}: it is cut short")


@contextmanager
def shown_alone(path: Path, form: VectorFormat) -> Iterator[Path]:
    """Link a file and its parts into a folder of their own, under a plain name with the suffix of the format.

    GDAL chooses a driver by names and sibling files as well as by content, and pyogrio looks for archives and addresses
    in a path.

    Args:
        path: the file.
        form: its format.

    Raises:
        ValueError: a GeoPackage has virtual tables that read other files.
    """
    if form is VectorFormat.geopackage:
        _refuse_virtual_tables(path)
    with TemporaryDirectory() as folder:
        file = Path(folder, f"layer{_SUFFIXES[form]}")
        if form is VectorFormat.geodatabase:
            file.mkdir()
            for part in path.absolute().iterdir():
                if part.suffix in _PARTS_OF_A_GEODATABASE or part.name in {"gdb", "timestamps"}:
                    Path(file, part.name).symlink_to(part)
        else:
            file.symlink_to(path.absolute())
        if form is VectorFormat.shapefile:
            for part in sorted(path.absolute().parent.iterdir()):
                suffix = part.suffix.lower()
                link = file.with_suffix(suffix)
                if part.stem == path.stem and suffix in _PARTS_OF_A_SHAPEFILE and not link.is_symlink():
                    link.symlink_to(part)
        yield file


def _refuse_virtual_tables(path: Path) -> None:
    try:
        with read_only(path) as database:
            made = database.execute("SELECT name, sql FROM sqlite_master WHERE sql LIKE '%virtual%'").fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"it is no sound database ({error})") from error
    for name, sql in made:
        words = str(sql).lower().split()
        if words[:3] == ["create", "virtual", "table"] and not any(word.startswith("rtree") for word in words[4:]):
            raise ValueError(f"its table {name} is virtual, and may read other files")
