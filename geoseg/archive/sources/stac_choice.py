"""Choice of the items of a STAC source: by collection, place, time and cloud cover."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.archive.sources.config import StacSource
from geoseg.core.types.json_value import JsonObject, UntypedMapping
from geoseg.errors import SceneError, UsageError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

CLOUD_COVER = "eo:cloud_cover"
_CQL2 = "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text"


@dataclass(frozen=True, slots=True)
class ItemChoice:
    """The items that a source takes.

    Attributes:
        source: says which.
        area: polygons in longitude and latitude, one of which an item must touch; None: anywhere.
    """

    source: StacSource
    area: BaseGeometry | None

    @classmethod
    def of(cls, source: StacSource, *, allow_remote: bool) -> ItemChoice:
        """Read the area of a source.

        Raises:
            SceneError: it cannot be read or has no polygon.
            UsageError: it is remote and that is not allowed.
        """
        return cls(source, None if source.area is None else _read_area(source.area, allow_remote=allow_remote))

    def parameters(self, *, filters: bool) -> dict[str, str]:
        """Return the parameters by which an API is asked, which narrow its answer as far as it can.

        Args:
            filters: the API understands CQL2.
        """
        source = self.source
        asked = {"limit": str(source.limit)}
        if source.collections:
            asked["collections"] = ",".join(source.collections)
        if (box := self._box()) is not None:
            asked["bbox"] = ",".join(map(str, box))
        if source.datetime is not None:
            asked["datetime"] = source.datetime
        if filters and source.max_cloud_percent is not None:
            asked |= {"filter": f"{CLOUD_COVER} <= {source.max_cloud_percent!r}", "filter-lang": "cql2-text"}
        return asked

    def takes(self, item: UntypedMapping) -> bool:
        """Tell whether an item is one of those that the source takes."""
        source = self.source
        if source.collections and item.get("collection") not in source.collections:
            return False
        if source.bbox is not None and not _touches(source.bbox, item.get("bbox")):
            return False
        if self.area is not None and not _meets(self.area, item):
            return False
        properties = item.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        if source.max_cloud_percent is not None and not _clear(properties, source.max_cloud_percent):
            return False
        return source.datetime is None or _within(source.datetime, properties)

    def _box(self) -> tuple[float, float, float, float] | None:
        """Return the box of the source, else that of its area; an area beside the antimeridian may be wide."""
        if self.source.bbox is not None or self.area is None:
            return self.source.bbox
        west, south, east, north = self.area.bounds
        return west, south, east, north


def answers_filters(document: JsonObject) -> bool:
    """Tell whether an API says that it understands CQL2 as text."""
    conforms = document.get("conformsTo")
    return isinstance(conforms, list) and _CQL2 in conforms


def _read_area(name: str | Path, *, allow_remote: bool) -> BaseGeometry:
    from odc.geo.geobox import GeoBox  # noqa: PLC0415 - geopandas and this, for areas alone
    from shapely import prepare, union_all  # noqa: PLC0415

    from geoseg.io.vectors.read import VectorRequest, laid_on_grid, read_everywhere  # noqa: PLC0415

    request = VectorRequest(
        name=str(name),
        grid=GeoBox.from_bbox((-180, -90, 180, 90), "EPSG:4326", resolution=0.5),
        others="leave out",
        allow_remote=allow_remote,
        cure_of_remote="Download it, or set opening: allow_remote.",
    )
    frame = read_everywhere(request)
    widest = 540 if frame.crs is not None and frame.crs.is_geographic else 180  # degrees are meant as they are written
    polygons = laid_on_grid(frame, request).geometry.to_numpy()
    cut = [part for polygon in polygons for part in _on_the_globe(str(name), polygon, widest)]
    area: BaseGeometry = union_all(cut)
    prepare(area)
    return area


def _on_the_globe(name: str, polygon: BaseGeometry, widest: float) -> list[BaseGeometry]:
    """Cut a polygon at the antimeridian, on which it lies if it leaves 180 degrees or is wider than ``widest``.

    Raises:
        SceneError: it goes around a pole.
    """
    import numpy as np  # noqa: PLC0415 - for areas alone
    from shapely import box, get_parts, transform  # noqa: PLC0415
    from shapely.affinity import translate  # noqa: PLC0415

    west, _, east, _ = polygon.bounds
    if east - west <= widest and west >= -180 and east <= 180:
        return [polygon]
    whole: list[BaseGeometry] = []
    for part in get_parts(polygon):
        turned = np.unwrap(np.array(part.exterior.coords)[:, 0], period=360)
        if abs(turned[-1] - turned[0]) > 180:
            raise SceneError(name, "an area goes around a pole.", "Give it in degrees, as boxes up to the pole.")
        middle = (turned.min() + turned.max()) / 2

        def near(lonlat: Any, middle: float = float(middle)) -> Any:
            return np.column_stack([lonlat[:, 0] - 360 * np.round((lonlat[:, 0] - middle) / 360), lonlat[:, 1]])

        moved = transform(part, near)
        whole += [translate(moved & box(at - 180, -90, at + 180, 90), -at) for at in (-360, 0, 360)]
    return [part for part in whole if not part.is_empty]


def _meets(area: BaseGeometry, item: UntypedMapping) -> bool:
    """Tell whether the geometry of an item touches an area; where that is none, its box counts."""
    from shapely import box, from_geojson  # noqa: PLC0415
    from shapely.errors import ShapelyError  # noqa: PLC0415

    try:
        return bool(area.intersects(from_geojson(json.dumps(item.get("geometry")))))
    except (ShapelyError, TypeError, ValueError):
        return any(area.intersects(box(*corners)) for corners in _boxes(item.get("bbox")))


def _clear(properties: JsonObject, most: float) -> bool:
    cover = properties.get(CLOUD_COVER)
    return isinstance(cover, int | float) and not isinstance(cover, bool) and cover <= most


def _touches(box: tuple[float, float, float, float], bbox: object) -> bool:
    return any(
        west <= d and east >= c and south <= box[3] and north >= box[1]
        for west, south, east, north in _boxes(bbox)
        for c, d in _spans(box[0], box[2])
    )


def _boxes(bbox: object) -> list[tuple[float, float, float, float]]:
    """Return the ``bbox`` of an item, in two pieces where it crosses the antimeridian; none if it is none."""
    if not isinstance(bbox, list) or len(bbox) not in (4, 6) or not all(isinstance(x, int | float) for x in bbox):
        return []
    west, south, east, north = bbox[0], bbox[1], bbox[len(bbox) // 2], bbox[len(bbox) // 2 + 1]
    return [(low, south, high, north) for low, high in _spans(west, east)]


def _spans(west: float, east: float) -> list[tuple[float, float]]:
    """Longitudes from west to east, in two pieces where they cross the antimeridian."""
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]


def _within(interval: str, properties: JsonObject) -> bool:
    start, _, end = interval.partition("/") if "/" in interval else (interval, "", interval)
    try:
        first = _time(properties.get("start_datetime") or properties.get("datetime"))
        last = _time(properties.get("end_datetime") or properties.get("datetime"))
    except UsageError:  # an item's own fault, not that of who asks
        return False
    if first is None or last is None:
        return False
    low, high = _time(start), _time(end)
    return (low is None or last >= low) and (high is None or first <= high)


def _time(text: object) -> datetime | None:
    if not isinstance(text, str) or text in ("", ".."):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text}: not a time. Give 2024-05-01T00:00:00Z or START/END.") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
