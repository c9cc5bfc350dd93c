"""Sample files: points for interpreters, with the sampling design in separate tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from geoseg.core.legend import Legend
from geoseg.errors import SceneError
from geoseg.io.checks.geopackage import check_geopackage
from geoseg.io.files.sqlite_file import read_only
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.geopackage import settle
from geoseg.io.polygons.ogr_file import plainly_named
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.vectors.read import read_tables_of

POINTS, DESIGN, STRATA = "sample", "design", "strata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Points of a stratified sample.

    Attributes:
        rows: (point,) rows of the map.
        cols: (point,) columns.
        map_codes: (point,) class of the map.
        legend: of the map.
        pixels: (class,) pixels of the map, in the legend's order.
        area_m2: (class,) ground area in the map.
    """

    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    map_codes: npt.NDArray[np.int64]
    legend: Legend
    pixels: npt.NDArray[np.int64]
    area_m2: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreted:
    """A sample file filled in by interpreters.

    Attributes:
        map_codes: (point,) class of the map.
        reference: (point,) class given by the interpreter; -1 where none is given.
        codes: (class,) of the map.
        names: (class,) of the map.
        area_m2: (class,) of the map.
    """

    map_codes: npt.NDArray[np.int64]
    reference: npt.NDArray[np.int64]
    codes: tuple[int, ...]
    names: tuple[str, ...]
    area_m2: npt.NDArray[np.float64]


def write_sample(path: Path, sample: Sample, grid: LayerGrid) -> None:
    """Write a GeoPackage of points to interpret.

    Layer ``sample`` has the points (pixel centres) and empty fields ``reference_code``, ``interpreter``, ``sure`` and
    ``comment``. The classes of the map are in separate tables, ``design`` and ``strata``, so that interpreters are not
    biased by them.

    Args:
        path: the final ``.gpkg``.
        sample: points and strata.
        grid: grid of the map.

    Raises:
        WriteError: the disk is full or fails.
    """
    count = len(sample.rows)
    x, y = grid.to_world(*(side.astype(np.float64) + 0.5 for side in (sample.cols, sample.rows)))
    ids = np.arange(1, count + 1)
    points = geopandas.GeoDataFrame(
        {
            "id": ids,
            "reference_code": pd.array([None] * count, dtype="Int32"),
            "interpreter": pd.array([None] * count, dtype="string"),
            "sure": pd.array([None] * count, dtype="boolean"),
            "comment": pd.array([None] * count, dtype="string"),
        },
        geometry=shapely.points(x, y),
        crs=grid.crs_wkt,
    )
    design = pd.DataFrame(
        {"id": ids, "map_code": sample.map_codes.astype(np.int32), "map_row": sample.rows, "map_col": sample.cols}
    )
    drawn = [int((sample.map_codes == code).sum()) for code in sample.legend.codes]
    strata = pd.DataFrame(
        {
            "code": np.array(sample.legend.codes, np.int32),
            "name": list(sample.legend.names),
            "pixels": sample.pixels,
            "area_m2": sample.area_m2,
            "weight": sample.area_m2 / sample.area_m2.sum(),
            "points": drawn,
        }
    )

    def verify(part: Path) -> None:
        check_geopackage(part)
        with read_only(part) as db:
            found = [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in (POINTS, DESIGN, STRATA)]  # noqa: S608 - our own names
        if found != [count, count, len(strata)]:
            raise OSError(f"{found} rows read back")

    with whole_file(path, verify=verify) as part:
        with plainly_named(part, ".gpkg") as name:
            _write(points, name, POINTS, append=False)
            for table, layer in ((design, DESIGN), (strata, STRATA)):
                _write(table, name, layer, append=True)
        settle(part)


def _write(frame: pd.DataFrame, name: str, layer: str, *, append: bool) -> None:
    try:
        pyogrio.write_dataframe(frame, name, layer=layer, driver="GPKG", append=append)
    except (DataSourceError, DataLayerError, RuntimeError) as error:
        raise OSError(str(error)) from error


def read_sample(path: Path, *, column: str = "reference_code") -> Interpreted:
    """Read a sample file that interpreters have filled in.

    Args:
        path: file made by ``write_sample``; rows may have been deleted or shuffled.
        column: field of the points with the reference class, a code or a name of the map's classes.

    Raises:
        SceneError: it cannot be read, or holds a class that is neither a number nor a name of the map.
    """
    try:
        points, design, strata = read_tables_of(str(path), (POINTS, DESIGN, STRATA))
    except SceneError as error:
        cause = f"it is no sample file ({error.cause.removesuffix('.')})."
        raise SceneError(str(path), cause, "Make one: geoseg evaluate sample.") from error
    if column not in points:
        raise SceneError(str(path), f"its points have no field {column!r}.", f"They have {', '.join(points.columns)}.")
    names = {str(name): int(code) for code, name in zip(strata["code"], strata["name"], strict=True)}
    joined = points.merge(design, on="id", how="left", validate="one_to_one")
    if joined["map_code"].isna().any():
        raise SceneError(str(path), "it has points that were not drawn.", "Remove the points that were added.")
    return Interpreted(
        map_codes=joined["map_code"].to_numpy(np.int64),
        reference=np.array([_code(str(path), value, names) for value in joined[column]], np.int64),
        codes=tuple(int(code) for code in strata["code"]),
        names=tuple(names),
        area_m2=strata["area_m2"].to_numpy(np.float64),
    )


def _code(uri: str, value: object, names: dict[str, int]) -> int:
    if value is None or value is pd.NA or value != value or value == "":  # noqa: PLR0124 - NaN alone differs from itself
        return -1
    if isinstance(value, str) and value in names:
        return names[value]
    try:
        code: int = int(value)  # type: ignore[call-overload]
        if code == float(value) and 0 <= code <= 254:  # type: ignore[arg-type]
            return code
    except (TypeError, ValueError):
        pass
    raise SceneError(uri, f"{value!r} is no class.", f"Give a code from 0 to 254, or one of {', '.join(names)}.")
