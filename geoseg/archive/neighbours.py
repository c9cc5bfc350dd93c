"""Neighbours: the scenes of an archive that share a pixel grid and lie within a halo of each other.

The grid of each scene is read once from its header and kept in ``OUT/.geoseg/grids.json`` together with the state of
its file, so that a later run opens new and changed scenes only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import shapely
from affine import Affine

from geoseg.archive.fingerprints import Files
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.digest import sha256_of_json
from geoseg.core.window import Window
from geoseg.errors import GeosegError, WriteError
from geoseg.io.files.writing import make_durable_folder, write_json
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene
from geoseg.io.raster.surroundings import aligned

_FORMAT = "geoseg-grids-1"
_AT_ONCE, _BATCH = 8, 256
_REBUILD_AFTER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneGrid:
    """The pixel grid of a scene.

    Attributes:
        kind: digest of CRS and bands; scenes of different kinds are never neighbours.
        transform: from pixels to coordinates, as ``Affine``.
        shape: (rows, columns).
    """

    kind: str
    transform: Affine
    shape: tuple[int, int]

    def box(self, beyond_px: int = 0) -> shapely.Polygon:
        """Return the bounding box in coordinates, grown by pixels on every side."""
        rows, cols = self.shape
        xs, ys = zip(
            *(
                self.transform * (col, row)
                for col in (-beyond_px, cols + beyond_px)
                for row in (-beyond_px, rows + beyond_px)
            ),
            strict=True,
        )
        outline: shapely.Polygon = shapely.box(min(xs), min(ys), max(xs), max(ys))
        return outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A neighbour of a scene.

    Attributes:
        name: its name in the archive.
        uri: its address.
        state: digest of the state of its files; it differs after a change.
    """

    name: str
    uri: str
    state: str


@dataclass(slots=True)
class _Member:
    ref: SceneRef
    state: str
    grid: SceneGrid | None


@dataclass(slots=True)
class _Family:
    """The scenes of one kind: an STRtree over most of them, and a list of those that came since it was built."""

    names: set[str] = field(default_factory=set)
    tree: shapely.STRtree | None = None
    in_tree: list[str] = field(default_factory=list)
    since: list[str] = field(default_factory=list)


class Neighbourhood:
    """Index of the scenes of an archive by their grids. Thread-safe.

    Args:
        out: output folder of the archive.
        opening: how its scenes are opened.
        reach_px: largest distance at which a scene is a neighbour, pixels.
    """

    def __init__(self, out: Path, opening: OpenOptions, reach_px: int) -> None:
        self._path = out / ".geoseg" / "grids.json"
        self._opening = opening
        self._options = sha256_of_json(
            [opening.assume_crs, opening.alpha, str(opening.nodata), list(opening.assets)]
            + ([] if opening.subdataset is None else [opening.subdataset])
        )
        self._reach_px = reach_px
        self._members: dict[str, _Member] = {}
        self._families: dict[str, _Family] = {}
        self._changing = threading.RLock()

    def load(self, scenes: Iterable[tuple[SceneRef, tuple[Files, str]]], *, open_new: bool) -> None:
        """Take in all scenes of the archive, and forget those that are gone.

        Args:
            scenes: each with the state of its files, see ``state_of``.
            open_new: open scenes whose grid is not known yet, and keep the grids on disk.

        Raises:
            WriteError: the grids cannot be written.
        """
        with self._changing:
            self._load(scenes, open_new=open_new)

    def _load(self, scenes: Iterable[tuple[SceneRef, tuple[Files, str]]], *, open_new: bool) -> None:
        kept, seen, fresh = self._kept(), set[str](), 0
        items = ((ref, self._key(state)) for ref, state in scenes)
        while batch := list(islice(items, _BATCH)):
            unknown = []
            for ref, key in batch:
                seen.add(ref.name)
                member = self._members.get(ref.name)
                if member is not None and (member.state, member.ref) == (key, ref):
                    continue
                if kept.get(ref.name, ("", None))[0] == key:
                    self._put(_Member(ref, key, kept[ref.name][1]))
                elif open_new:
                    unknown.append((ref, key))
            for (ref, key), grid in zip(unknown, self._opened([ref for ref, _ in unknown]), strict=True):
                self._put(_Member(ref, key, grid))
            fresh += len(unknown)
        gone = self._members.keys() - seen
        for name in gone:
            self._drop(name)
        if open_new and (fresh or kept.keys() != self._members.keys()):
            self._keep()

    def add(self, ref: SceneRef, state: tuple[Files, str]) -> list[SceneRef]:
        """Take in one new or changed scene.

        Returns:
            The scenes that it is, or was, a neighbour of.
        """
        key = self._key(state)
        with self._changing:
            member = self._members.get(ref.name)
            if member is not None and (member.state, member.ref) == (key, ref):
                return []
            before = [one.name for one in self.of(ref.name)]
            (grid,) = self._opened([ref])
            self._put(_Member(ref, key, grid))
            names = dict.fromkeys([*before, *(one.name for one in self.of(ref.name))])
            return [self._members[name].ref for name in names]

    def of(self, name: str) -> tuple[Neighbour, ...]:
        """Return the neighbours of a scene that have pixels it lacks, in order of precedence.

        Those nearest in time come first where the source tells the time, else those first by name.
        """
        with self._changing:
            member = self._members.get(name)
            if member is None or member.grid is None:
                return ()
            others = [self._members[other] for other in self._near(name, member.grid)]
        fit = [other for other in others if other.grid is not None and self._gives(other.grid, member.grid)]
        fit.sort(key=lambda other: (_apart(member.ref, other.ref), other.ref.name))
        return tuple(Neighbour(name=one.ref.name, uri=one.ref.uri, state=one.state) for one in fit)

    def _near(self, name: str, grid: SceneGrid) -> Iterator[str]:
        family, box = self._families[grid.kind], grid.box(self._reach_px)
        if family.tree is None or len(family.since) > _REBUILD_AFTER:
            family.in_tree, family.since = sorted(family.names), []
            family.tree = shapely.STRtree([self._grid_of(one).box() for one in family.in_tree])
        for index in family.tree.query(box, predicate="intersects"):
            other = family.in_tree[index]
            if other != name and other in family.names and other not in family.since:
                yield other
        for other in family.since:
            if other != name and other in family.names and box.intersects(self._grid_of(other).box()):
                yield other

    def _grid_of(self, name: str) -> SceneGrid:
        grid = self._members[name].grid
        assert grid is not None  # noqa: S101 - families hold scenes with a grid
        return grid

    def _gives(self, other: SceneGrid, grid: SceneGrid) -> bool:
        """Return True if another grid is the same one and has pixels beyond the edges, within reach."""
        place = aligned(grid.transform, other.transform, other.shape)
        if place is None:
            return False
        window = Window.whole(other.shape).shifted(*place)
        whole = Window.whole(grid.shape)
        return not whole.contains(window) and window.intersection(whole.expanded(self._reach_px)).pixels > 0

    def _put(self, member: _Member) -> None:
        name = member.ref.name
        self._drop(name)
        self._members[name] = member
        if member.grid is not None:
            family = self._families.setdefault(member.grid.kind, _Family())
            family.names.add(name)
            if family.tree is not None:
                family.since.append(name)

    def _drop(self, name: str) -> None:
        member = self._members.pop(name, None)
        if member is None or member.grid is None:
            return
        family = self._families[member.grid.kind]
        family.names.discard(name)
        if name in family.since:
            family.since.remove(name)
        elif family.tree is not None:
            family.tree = None  # it may come again at another place

    def _opened(self, refs: list[SceneRef]) -> list[SceneGrid | None]:
        if len(refs) < 2:
            return [self._open(ref) for ref in refs]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="grid") as pool:
            return list(pool.map(self._open, refs))

    def _open(self, ref: SceneRef) -> SceneGrid | None:
        """Read the grid from a scene's header; None if it cannot be opened or has no grid of its own."""
        if ref.refused:
            return None
        try:
            with Scene(ref.uri, self._opening) as scene:
                if not scene.placed:
                    return None
                crs = scene.geobox.crs
                kind = sha256_of_json([crs.epsg or crs.to_wkt(), [list(band) for band in scene.kind_of_bands()]])
                shape = (int(scene.geobox.shape[0]), int(scene.geobox.shape[1]))
                return SceneGrid(kind=kind, transform=scene.geobox.transform, shape=shape)
        except (GeosegError, OSError):  # the scene's own run says what is wrong with it; the others must go on
            return None

    def _key(self, state: tuple[Files, str]) -> str:
        files, stamp = state
        return sha256_of_json([files, stamp, self._options])[:32]

    def _kept(self) -> dict[str, tuple[str, SceneGrid | None]]:
        """Read the grids that an earlier run kept; none if the file is missing or damaged."""
        try:
            value = json.loads(self._path.read_bytes())
            if value["format"] != _FORMAT:
                return {}
            return {name: (str(key), _grid(facts)) for name, (key, facts) in value["scenes"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def _keep(self) -> None:
        scenes = {name: [member.state, _facts(member.grid)] for name, member in self._members.items()}
        try:
            make_durable_folder(self._path.parent)
        except OSError as error:
            raise WriteError(f"{self._path.parent}: cannot be made ({error.strerror}). Choose another out.") from error
        write_json(self._path, {"format": _FORMAT, "scenes": scenes})


def _facts(grid: SceneGrid | None) -> list[object] | None:
    return None if grid is None else [grid.kind, list(grid.transform)[:6], list(grid.shape)]


def _grid(facts: Any) -> SceneGrid | None:
    if facts is None:
        return None
    kind, transform, (rows, cols) = facts
    return SceneGrid(kind=str(kind), transform=Affine(*map(float, transform)), shape=(int(rows), int(cols)))


def _apart(one: SceneRef, other: SceneRef) -> float:
    """Return the seconds between two scenes; 0 where the time of either is not known."""
    try:
        times = [datetime.fromisoformat(ref.time) for ref in (one, other)]
        first, second = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in times)
    except ValueError:
        return 0.0
    return abs((first - second).total_seconds())
