"""Vector files of every format that is read, written without geoseg, and the grid that they lie on."""

from __future__ import annotations

import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

GRID = GeoBox((120, 160), Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000), "EPSG:32633")
BOXES = [
    shapely.box(500_005.2, 5_399_950.2, 500_020.2, 5_399_990.2),
    shapely.box(500_040.2, 5_399_945, 500_070, 5_399_960),
]
FORMATS = (
    "gpkg",
    "geojson",
    "json",
    "geojsonl",
    "geojsons",
    "fgb",
    "shp",
    "parquet",
    "kml",
    "kmz",
    "shp.zip",
    "gpkg.zip",
    "gdb",
)
_DRIVERS = {
    "gpkg": "GPKG",
    "geojson": "GeoJSON",
    "json": "GeoJSON",
    "geojsonl": "GeoJSONSeq",
    "geojsons": "GeoJSONSeq",
    "fgb": "FlatGeobuf",
    "shp": "ESRI Shapefile",
    "kml": "KML",
    "gdb": "OpenFileGDB",
}


def frame_of(shapes: list[Any], crs: Any = GRID.crs, **fields: list[Any]) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(fields or {"kind": list(range(1, len(shapes) + 1))}, geometry=shapes, crs=crs)


def write(frame: geopandas.GeoDataFrame, path: Path) -> Path:
    """Write a frame as the format of the path's ending; formats of degrees get degrees."""
    kind = path.name.partition(".")[2]
    if kind in {"kml", "kmz", "geojsonl", "geojsons"}:
        frame = frame.to_crs(4326)
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind in _DRIVERS:
        frame.to_file(path, driver=_DRIVERS[kind], **({"RS": "YES"} if kind == "geojsons" else {}))
    elif kind == "kmz":
        _zip(path, [write(frame, path.with_suffix(".kml"))])
    elif kind == "shp.zip":
        folder = path.with_suffix("")
        folder.mkdir()
        write(frame, folder / "roofs.shp")
        _zip(path, sorted(folder.iterdir()))
    else:
        _zip(path, [write(frame, path.with_suffix(""))])
    return path


def burnt(shapes: list[Any], grid: GeoBox = GRID) -> np.ndarray[Any, Any]:
    """Draw shapes, in the grid's CRS, with rasterio: True where a pixel's centre lies inside."""
    return rasterize(shapes, grid.shape, transform=grid.transform).astype(bool)


def put_geometry(path: Path, wkb: bytes) -> None:
    """Replace the geometry of the only row of a GeoPackage's only table by any WKB."""
    with sqlite3.connect(path) as database:
        table, column, srs = database.execute(
            "SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns"
        ).fetchone()
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = 'GEOMETRY'")
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        head = b"GP\x00\x01" + int(srs).to_bytes(4, "little")
        database.execute(f'UPDATE "{table}" SET "{column}" = ?', (head + wkb,))  # noqa: S608 - names of our own file
    database.close()


def _zip(path: Path, files: list[Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"folder/{file.name}")
