"""Map of footprints as SVG: longitude and latitude, true to scale at the middle latitude, with a graticule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, cos, floor, log10, radians
from typing import Self

import shapely

from geoseg.archive.report.catalogue import around
from geoseg.core.types.json_value import UntypedDict

Rings = tuple[tuple[tuple[float, float], ...], ...]

_M_PER_DEGREE = 111_195.0
_MARGIN = 0.08
_SMALLEST_DEGREES = 2e-5
_SPOT_PX = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """One scene on the map.

    Attributes:
        rings: outer rings, (lon, lat) in degrees.
        state: state of the scene.
        title: shown when the pointer is over it.
        anchor: id of its row in the table.
    """

    rings: Rings
    state: str
    title: str
    anchor: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """West, south, east and north; west > east across the antimeridian."""
        west, east = around([(min(x for x, _ in ring), max(x for x, _ in ring)) for ring in self.rings])
        lats = [y for ring in self.rings for _, y in ring]
        return west, min(lats), east, max(lats)


def rings_of(geometry: UntypedDict | None) -> Rings:
    """Return the outer rings of a GeoJSON polygon or multipolygon; an empty list for other geometries."""
    if geometry is None:
        return ()
    inner = geometry.get("coordinates", [])
    polygons = {"Polygon": [inner], "MultiPolygon": inner}.get(geometry["type"], [])
    return tuple(
        tuple((float(x), float(y)) for x, y, *_ in polygon[0])
        for polygon in polygons
        if polygon and len(polygon[0]) > 3
    )


def slim(rings: Rings) -> Rings:
    """Simplify a ring: drop points closer than a five-hundredth of its size."""
    kept = []
    for ring in rings:
        line = shapely.LinearRing(ring)
        west, south, east, north = line.bounds
        simple = shapely.simplify(line, max(east - west, north - south) / 500)
        kept.append(tuple((float(x), float(y)) for x, y in shapely.get_coordinates(simple)))
    return tuple(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Viewport of a map: a box in degrees and the size of its picture.

    Attributes:
        west: of its left edge; longitudes are taken east of it.
        north: of its upper edge.
        px_per_degree: along a meridian.
        squeeze: width of a degree of longitude in degrees of latitude.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """

    west: float
    north: float
    px_per_degree: float
    squeeze: float
    width: int
    height: int

    @classmethod
    def of(cls, boxes: Sequence[tuple[float, float, float, float]], width: int, height: int, *, least: int = 0) -> Self:
        """Make a view that contains all boxes with a margin.

        Args:
            boxes: west, south, east and north of each, degrees; at least one.
            width: of the picture, pixels.
            height: likewise, when the boxes are high enough.
            least: least height for flat ones; 0: ``height``.
        """
        west, east = around([(box[0], box[2]) for box in boxes])
        south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
        squeeze = max(0.05, cos(radians((south + north) / 2)))
        broad = max(((east - west) % 360 or (360 if east > west else 0)) * squeeze, _SMALLEST_DEGREES)
        high = max(north - south, _SMALLEST_DEGREES)
        if least:
            height = max(least, min(height, round(width * high / broad)))
        scale = min(width * (1 - 2 * _MARGIN) / broad, height * (1 - 2 * _MARGIN) / high)
        middle = west + broad / squeeze / 2
        return cls(
            west=middle - width / 2 / scale / squeeze,
            north=(south + north) / 2 + height / 2 / scale,
            px_per_degree=scale,
            squeeze=squeeze,
            width=width,
            height=height,
        )

    def x(self, lon: float) -> float:
        """Pixels from the left edge."""
        east, broad = lon - self.west, self.width / self.px_per_degree / self.squeeze
        if not 0 <= east <= broad:
            # beyond an edge, and there on the nearer side: an outline may reach out of the picture
            east %= 360
            east -= 360 if east > (broad + 360) / 2 else 0
        return east * self.px_per_degree * self.squeeze

    def y(self, lat: float) -> float:
        """Pixels from the upper edge."""
        return (self.north - lat) * self.px_per_degree


def draw_map(view: View, shapes: Iterable[str], *, label: str) -> str:
    """Draw shapes over a graticule with a scale bar.

    Args:
        view: viewport of the map.
        shapes: SVG elements, see ``draw_footprints`` and ``draw_cells``.
        label: description for screen readers.
    """
    parts = [
        f'<svg class="map" viewBox="0 0 {view.width} {view.height}" role="img" aria-label="{escape(label)}">',
        *_graticule(view),
        *shapes,
        *_scale_bar(view),
        "</svg>",
    ]
    return "\n".join(parts)


def draw_footprints(view: View, footprints: Iterable[Footprint]) -> Iterator[str]:
    """Draw outlines, and a dot for those too small to see."""
    for one in footprints:
        west, south, east, north = one.box
        broad = ((east - west) % 360) * view.px_per_degree * view.squeeze
        high = (north - south) * view.px_per_degree
        if max(broad, high) < _SPOT_PX:
            x, y = view.x(west) + broad / 2, view.y((south + north) / 2)
            drawn = f'<circle class="spot" cx="{x:.1f}" cy="{y:.1f}" r="{_SPOT_PX / 2 + 0.5:.1f}">'
            drawn += f"<title>{escape(one.title)}</title></circle>"
        else:
            path = "".join(_path(view, ring) for ring in one.rings)
            drawn = f'<path class="scene" d="{path}"><title>{escape(one.title)}</title></path>'
        yield f'<a class="{one.state}" href="#{one.anchor}">{drawn}</a>'


def places(footprints: Sequence[Footprint], view: View, most: int) -> list[list[Footprint]]:
    """Find groups of scenes that a map shows as dots only, the largest group first.

    Args:
        footprints: all of them.
        view: the map.
        most: largest number of groups; none are returned when there is only one, or all are large enough.

    Returns:
        Groups whose own map would be ten times as large or more.
    """
    cell_px = 24.0
    cells: dict[tuple[int, int], list[Footprint]] = {}
    for one in footprints:
        west, south, east, north = one.box
        x = view.x(west) + ((east - west) % 360) * view.px_per_degree * view.squeeze / 2
        cells.setdefault((floor(x / cell_px), floor(view.y((south + north) / 2) / cell_px)), []).append(one)
    groups = []
    while cells:
        waiting, group = [next(iter(cells))], []
        while waiting:
            cell = waiting.pop()
            if cell in cells:
                group += cells.pop(cell)
                waiting += [(cell[0] + i, cell[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        groups.append(group)
    groups = sorted((group for group in groups if _small(group, view)), key=len, reverse=True)
    closer = [View.of([one.box for one in group], view.width, view.height) for group in groups]
    return [g for g, v in zip(groups, closer, strict=True) if v.px_per_degree > 10 * view.px_per_degree][:most]


def _small(group: Sequence[Footprint], view: View) -> bool:
    """Return True if most scenes of a group are hardly larger than a dot."""
    sides = sorted(max(((e - w) % 360) * view.squeeze, n - s) * view.px_per_degree for w, s, e, n in _boxes(group))
    return sides[len(sides) // 2] < 2 * _SPOT_PX


def _boxes(group: Iterable[Footprint]) -> Iterator[tuple[float, float, float, float]]:
    return (one.box for one in group)


def _path(view: View, ring: Sequence[tuple[float, float]]) -> str:
    points: list[str] = []
    for lon, lat in ring:
        point = f"{view.x(lon):.1f} {view.y(lat):.1f}"
        if not points or points[-1] != point:
            points.append(point)
    return "M" + "L".join(points) + "Z"


def _graticule(view: View) -> Iterator[str]:
    lines, words = [], []
    broad = view.width / view.px_per_degree / view.squeeze
    for lon in _steps(view.west, view.west + broad, 5):
        x = (lon - view.west) * view.px_per_degree * view.squeeze
        lines.append(f"M{x:.1f} 0V{view.height}")
        if 24 < x < view.width - 24:
            words.append(f'<text x="{x:.1f}" y="{view.height - 6}" text-anchor="middle">{_lon(lon, broad)}</text>')
    high = view.height / view.px_per_degree
    for lat in _steps(max(view.north - high, -90), min(view.north, 90), 4):
        y = view.y(lat)
        lines.append(f"M0 {y:.1f}H{view.width}")
        if 16 < y < view.height - 24:
            words.append(f'<text x="6" y="{y - 4:.1f}">{_degrees(abs(lat), high)}{"S" if lat < 0 else "N"}</text>')
    yield f'<path class="grid" d="{"".join(lines)}"/>'
    yield from words


def _steps(start: float, stop: float, about: int) -> Iterator[float]:
    """Round numbers between two values, about the requested count."""
    rough = (stop - start) / about
    power = 10.0 ** floor(log10(rough))
    step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough)
    if rough > 5:
        step = next(k for k in (10, 15, 20, 30, 45, 60, 90) if k >= rough or k == 90)
    for k in range(ceil(start / step), floor(stop / step) + 1):
        yield k * step


def _lon(lon: float, span: float) -> str:
    turned = (lon + 180) % 360 - 180
    return _degrees(abs(turned), span) + ("" if turned in (0, -180) else "W" if turned < 0 else "E")


def _degrees(value: float, span: float) -> str:
    return f"{value:.{max(0, ceil(-log10(span / 4)))}f}°"


def _scale_bar(view: View) -> Iterator[str]:
    """Draw a scale bar of a round length near a fifth of the map, true at its middle latitude."""
    m_per_px = _M_PER_DEGREE / view.px_per_degree
    rough = m_per_px * view.width / 6
    power = 10.0 ** floor(log10(rough))
    metres = max(k * power for k in (1, 2, 5) if k * power <= rough)
    length = metres / m_per_px
    right, y = view.width - 14, view.height - 26
    words = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    yield f'<path class="scale" d="M{right - length:.1f} {y - 5}v5h{length:.1f}v-5"/>'
    yield f'<text x="{right - length / 2:.1f}" y="{y - 8}" text-anchor="middle">{words}</text>'
