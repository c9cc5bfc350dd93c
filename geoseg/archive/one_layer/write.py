"""Writing of one layer over an archive: GeoParquet in parts, one for each scene, and one PMTiles.

    OUT/_joined/EPSG_32632/NAME.parquet     the polygons of a scene, and the objects that begin in it, whole
    OUT/_joined/EPSG_32632.pmtiles          all of them, for web maps
    OUT/.geoseg/joined/EPSG_32632/          what lies along the borders, and which parts belong together

A part is written anew when its scene, an adjacent scene or an object that reaches into it changes; all others stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geoseg.archive.one_layer.borders import Borders
from geoseg.archive.one_layer.join import concatenated, joined, shared_edges
from geoseg.archive.one_layer.sheets import Sheet
from geoseg.archive.report.whole_map import names_of_crs
from geoseg.core.digest import sha256_of_json
from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.errors import SceneError
from geoseg.io.files.writing import make_durable_folder, reap_parts, write_json
from geoseg.io.polygons.geoparquet import write_geoparquet
from geoseg.io.polygons.segment_files import OBJECT_ID, WITH_ID, read_parquet, with_ids
from geoseg.io.polygons.vector_formats import writer_for
from geoseg.io.polygons.vector_schema import VectorSchema

FOLDER = "_joined"
_FORMAT = "geoseg-joined-1"
_MOST_PARTS = 1024
"""Objects in more parts stay in parts that share their id: the ground between all houses of a country is one region."""

Part = tuple[int, int]
"""Index of a sheet, and number of a polygon in it."""


@dataclass(slots=True, kw_only=True)
class OneLayer:
    """Result of writing the layer.

    Attributes:
        files: its parts and PMTiles.
        written: those that were written anew.
        objects: objects that were joined from parts.
        in_parts: objects of too many parts, which share an id instead.
        unreadable: scenes whose polygons cannot be read.
    """

    files: list[Path] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    objects: int = 0
    in_parts: int = 0
    unreadable: list[str] = field(default_factory=list)


def write_one_layer(out: Path, sheets: Iterable[Sheet], legend: Legend, *, pmtiles: bool) -> OneLayer:
    """Write the polygons of all sheets as one layer for each CRS; what did not change since the last call stays.

    Memory holds some numbers for each polygon along a border, and the polygons along the borders of 32 sheets.

    Args:
        out: the archive's folder.
        sheets: its finished scenes.
        legend: its classes.
        pmtiles: write PMTiles too.

    Raises:
        WriteError: the disk is full or fails.
    """
    made = OneLayer()
    groups: dict[str, list[Sheet]] = {}
    for sheet in sheets:
        groups.setdefault(sheet.crs_wkt, []).append(sheet)
    for wkt, some in groups.items():
        _, ident = names_of_crs(wkt)
        group = _Group(out, ident, sorted(some, key=lambda sheet: sheet.name), legend)
        group.write(made, pmtiles=pmtiles)
    _prune(out / FOLDER, set(made.files))
    return made


class _Group:
    """The sheets of one CRS."""

    def __init__(self, out: Path, ident: str, sheets: list[Sheet], legend: Legend) -> None:
        self._folder, self._tiles = out / FOLDER / ident, out / FOLDER / f"{ident}.pmtiles"
        self._kept = out / ".geoseg" / "joined" / ident
        for folder in (self._folder, self._kept):
            make_durable_folder(folder)
            reap_parts(folder)
        self._legend, self._sheets = legend, sheets
        self._before = _read_state(self._kept / "state.json")

    def write(self, made: OneLayer, *, pmtiles: bool) -> None:
        """Write the parts that changed, and the PMTiles if any did."""
        sheets, bad = [], []
        borders = Borders(self._sheets, self._kept, self._legend)
        keys = [borders.key(index) for index in range(len(self._sheets))]
        for index, sheet in enumerate(self._sheets):
            try:
                if self._of(sheet).get("border") != keys[index] or not borders.file(index).exists():
                    borders.write(index)
                sheets.append(sheet)
            except SceneError:
                bad.append(sheet.name)
        if bad:  # the others are joined without them
            made.unreadable += bad
            self._sheets = sheets
            if sheets:
                self.write(made, pmtiles=pmtiles)
            return
        links = self._links(borders, keys)
        whole = _Objects(borders, links)
        state: UntypedDict = {}
        changed = False
        for index, sheet in enumerate(self._sheets):
            path = self._folder / f"{sheet.name}.parquet"
            key = sha256_of_json([keys[index], whole.signature(index, keys)])
            if self._of(sheet).get("part") != key or not path.exists():
                batches = whole.polygons(index)
                write_geoparquet(path, batches, VectorSchema(crs_wkt=sheet.crs_wkt, legend=self._legend, extra=WITH_ID))
                made.written.append(path)
                changed = True
            made.files.append(path)
            state[sheet.name] = {"border": keys[index], "part": key, "links": links[index]}
        made.objects += whole.joined
        made.in_parts += whole.in_parts
        changed |= self._before.keys() != state.keys()
        if pmtiles:
            if changed or not self._tiles.exists():
                parts = [self._folder / f"{sheet.name}.parquet" for sheet in self._sheets]
                every = (batch for part in parts for batch in read_parquet(part))
                crs = self._sheets[0].crs_wkt
                schema = VectorSchema(crs_wkt=crs, legend=self._legend, extra=WITH_ID)
                writer_for(self._tiles)(self._tiles, every, schema)
                made.written.append(self._tiles)
            made.files.append(self._tiles)
        write_json(self._kept / "state.json", {"format": _FORMAT, "sheets": state})
        _prune(self._kept, {self._kept / "state.json", *(borders.file(i) for i in range(len(self._sheets)))})

    def _of(self, sheet: Sheet) -> UntypedMapping:
        known: UntypedMapping = self._before.get(sheet.name, {})
        return known

    def _links(self, borders: Borders, keys: Sequence[str]) -> list[UntypedDict]:
        """Find the pairs of polygons that a border parts, for each sheet and those after it that it touches."""
        found: list[UntypedDict] = []
        for index, sheet in enumerate(self._sheets):
            known, own = self._of(sheet).get("links", {}), UntypedDict()
            for other in sorted(borders.beside[index]):
                if other < index:
                    continue
                name, both = self._sheets[other].name, [keys[index], keys[other]]
                if known.get(name, [None])[0] == both:
                    own[name] = known[name]
                    continue
                one, two = borders.load(index), borders.load(other)
                pairs = shared_edges(one.segments, two.segments, borders.grid)
                numbered = np.stack([one.numbers[pairs[:, 0]], two.numbers[pairs[:, 1]]], axis=1)
                own[name] = [both, numbered.tolist()]
            found.append(own)
        return found


class _Objects:
    """The objects of a group that lie on several sheets.

    An object belongs to the sheet on which it begins, with its uppermost left corner, and has the id of that place.
    """

    def __init__(self, borders: Borders, links: Sequence[UntypedMapping]) -> None:
        self._borders = borders
        places = {sheet.name: index for index, sheet in enumerate(borders.sheets)}
        root: dict[Part, Part] = {}

        def find(part: Part) -> Part:
            while root.setdefault(part, part) != part:
                root[part] = part = root[root[part]]
            return part

        for index, own in enumerate(links):
            for name, (_, pairs) in own.items():
                for one, two in pairs:
                    first, second = find((index, one)), find((places[name], two))
                    root[max(first, second)] = min(first, second)
        groups: dict[Part, list[Part]] = {}
        for part in sorted(root):
            groups.setdefault(find(part), []).append(part)
        self._owned: list[list[tuple[int, list[Part]]]] = [[] for _ in borders.sheets]
        self._linked: list[dict[int, int | None]] = [{} for _ in borders.sheets]
        self.joined = self.in_parts = 0
        begins = self._beginnings(root)
        for parts in groups.values():
            whole = len(parts) <= _MOST_PARTS
            first = min(parts, key=lambda part: begins[part][0])
            ident = begins[first][1]
            self.joined += whole
            self.in_parts += not whole
            if whole:
                self._owned[first[0]].append((ident, parts))
            for index, number in parts:
                self._linked[index][number] = None if whole else ident

    def _beginnings(self, parts: Iterable[Part]) -> dict[Part, tuple[tuple[float, float], int]]:
        """Return for each part its uppermost left corner, as a key for sorting, and the id of that place."""
        by_sheet: dict[int, list[int]] = {}
        for index, number in parts:
            by_sheet.setdefault(index, []).append(number)
        found: dict[Part, tuple[tuple[float, float], int]] = {}
        for index, numbers in by_sheet.items():
            picked = self._borders.load(index).pick(numbers)
            ids = self._borders.places(index, picked).tolist()
            for number, ident, shape in zip(numbers, ids, picked.geometry, strict=True):
                top, left = min((-y, x) for x, y in shape.exterior.coords)
                # a corner on both sides of a border is one place, however it was rounded there
                found[index, number] = (round(top / self._borders.grid), round(left / self._borders.grid)), ident
        return found

    def signature(self, index: int, keys: Sequence[str]) -> list[Any]:
        """Return what the part of a sheet depends on besides its own polygons."""
        owned = [[ident, [[keys[sheet], number] for sheet, number in parts]] for ident, parts in self._owned[index]]
        return [owned, sorted((number, ident) for number, ident in self._linked[index].items() if ident is not None)]

    def polygons(self, index: int) -> Iterator[Segments]:
        """Yield the polygons of a sheet's part: those that lie on no other sheet, and the objects that begin on it."""
        linked = self._linked[index]
        for batch in self._borders.polygons(index):
            numbers = batch.extra[OBJECT_ID].tolist()
            kept = np.array([linked.get(number, 0) is not None for number in numbers], bool)
            own = batch[np.flatnonzero(kept)]
            if not len(own):
                continue
            ids = self._borders.places(index, own)
            for row, number in enumerate(own.extra[OBJECT_ID].tolist()):
                shared = linked.get(number)
                if shared is not None:
                    ids[row] = shared
            yield with_ids(own, ids)
        for ident, parts in self._owned[index]:
            by_sheet: dict[int, list[int]] = {}
            for sheet, number in parts:
                by_sheet.setdefault(sheet, []).append(number)
            pieces = [self._borders.load(sheet).pick(numbers) for sheet, numbers in sorted(by_sheet.items())]
            made = joined(concatenated(pieces), self._borders.grid)
            yield with_ids(made, np.full(len(made), ident, np.int64))


def _read_state(path: Path) -> UntypedDict:
    """Read what the last call kept; empty if there was none."""
    try:
        value = json.loads(path.read_bytes())
        return dict(value["sheets"]) if value["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _prune(folder: Path, kept: set[Path]) -> None:
    """Remove files of scenes that are gone."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in kept and path.suffix in {".parquet", ".pmtiles"}:
            path.unlink()
