"""Comparison of a map with one of another tiling, from the outputs of two runs."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from geoseg.core.grid import grid_difference
from geoseg.core.tiling import Tiling
from geoseg.core.window import Margin, Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.label_layer import LabelLayer, read_codes
from geoseg.io.raster.georeference import crop
from geoseg.score.comparison import open_labels
from geoseg.score.pairs import list_predictions
from geoseg.score.seams import SeamCounts, TiledMap, tiled_map

_RUN_RECORD = "run.json"
_BLOCK_PX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSize:
    """Tile size of a map without a run record, in pixels of the map.

    Attributes:
        tile_px: side of a tile.
        halo_px: context on each side of a core.
    """

    tile_px: int
    halo_px: int


def compare_tilings(
    prediction: Path,
    shifted: Path,
    *,
    near_px: int = 8,
    tiles: TileSize | None = None,
    shifted_tiles: TileSize | None = None,
) -> dict[str, object]:
    """Compute the seam error of a map.

    Args:
        prediction: class raster or the folder of one scene.
        shifted: a map of the same imagery by the same model with other tile borders: of a cropped scene, or with
            another tile size. The grids share pixels; their common area is compared.
        near_px: number of pixels on either side of a seam that count as near.
        tiles: tile size of the prediction; None: from its ``run.json``.
        shifted_tiles: the same of the other map.

    Returns:
        See ``SeamCounts.as_json``; seams are the borders between cores of either map. Pixels with reduced context at
        the edge of either map are left out.

    Raises:
        SceneError: a map cannot be read, or the two do not share pixels.
        UsageError: the tiling of a map is unknown, or the tilings are the same.
    """
    files = [_one(path) for path in (prediction, shifted)]
    with ExitStack() as opened:
        one, other = (opened.enter_context(open_labels(path, None)) for path in files)
        row, col = _offset(one, other)
        shapes = [(int(layer.geobox.shape[0]), int(layer.geobox.shape[1])) for layer in (one, other)]
        tilings = [
            _tiling(path, shape, given)
            for path, shape, given in zip(files, shapes, (tiles, shifted_tiles), strict=True)
        ]
        maps = [tiled_map(tilings[0]), tiled_map(tilings[1], row=row, col=col)]
        common = maps[0].window.intersection(maps[1].window)
        if not common.pixels:
            raise SceneError(str(shifted), f"it has no pixel in common with {prediction}.", "Give maps that overlap.")
        _refuse_same(maps, common, shifted)
        counts = SeamCounts.empty(near_px)
        for tile in Tiling(common.shape, common.shape, tile_px=_BLOCK_PX, halo_px=0):
            window = tile.core.shifted(common.row_start, common.col_start)
            codes = read_codes(one, window), read_codes(other, window.shifted(-row, -col))
            counts.add(window, *codes, maps)
    return {"prediction": str(files[0]), "shifted": str(files[1]), **counts.as_json()}


def _offset(one: LabelLayer, other: LabelLayer) -> tuple[int, int]:
    """Return the row and column in a grid of the first pixel of another layer."""
    if one.geobox.crs is None and other.geobox.crs is None:
        return 0, 0
    height, width = other.geobox.shape
    corner = other.geobox.transform
    col, row = (0.0, 0.0) if one.geobox.crs is None else ~one.geobox.transform * (corner.c, corner.f)
    moved = crop(one.geobox, Window(round(row), round(row) + height, round(col), round(col) + width))
    differs = grid_difference(moved, other.geobox)
    if differs:
        raise SceneError(
            other.name, f"it does not share the pixels of {one.name}: {differs}.", "Give two maps of the same imagery."
        )
    return round(row), round(col)


def _one(path: Path) -> Path:
    found = list_predictions(path)
    if len(found) > 1:
        raise UsageError(f"{path}: it holds {len(found)} scenes. Give one of them.")
    return found[0][1]


def _tiling(path: Path, shape: tuple[int, int], given: TileSize | None) -> Tiling:
    if given is not None:
        if 2 * given.halo_px >= given.tile_px:
            raise UsageError(f"a halo of {given.halo_px} px leaves nothing of a tile of {given.tile_px} px.")
        return Tiling(shape, shape, tile_px=given.tile_px, halo_px=given.halo_px)
    record = path.with_name(_RUN_RECORD)
    try:
        run = json.loads(record.read_text(encoding="utf-8"))
        options = run["options"]
        work = tuple(int(n) for n in options.get("work_shape_px", shape))
        top, bottom, left, right = (int(n) for n in options.get("margin_px", (0, 0, 0, 0)))
        tiling = Tiling(
            shape,
            (work[0], work[1]),
            tile_px=int(options["tile_px"]),
            halo_px=int(options["halo_px"]),
            margin=Margin(top=top, bottom=bottom, left=left, right=right),
        )
        known = len(tiling) == options["tiles"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: its {record.name} does not say how it was tiled ({error}). Pass tile and halo size."
        ) from error
    if not known:
        raise UsageError(f"{record}: it describes another map than {path.name}. Pass tile and halo size.")
    return tiling


def _refuse_same(maps: list[TiledMap], common: Window, shifted: Path) -> None:
    places = []
    for entry in maps:
        rows = entry.rows[(entry.rows > common.row_start) & (entry.rows < common.row_stop)]
        cols = entry.cols[(entry.cols > common.col_start) & (entry.cols < common.col_stop)]
        places.append((rows.tolist(), cols.tolist()))
    if places[0] == places[1]:
        raise UsageError(
            f"{shifted}: its tiles lie where the other map's do. Predict a cropped scene, or with another --tile-px."
        )
