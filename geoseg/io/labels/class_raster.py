"""ClassRaster: reader of class rasters, for maps, labels and references alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.closing import Closing
from geoseg.core.legend import Legend
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.label_layer import NO_LABEL, Labels, Rgb, Valid
from geoseg.io.labels.nodata import Nodata
from geoseg.io.raster.scene import Scene, open_scene

_MOST_EXACT = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRules:
    """Rules for converting pixels to labels.

    Attributes:
        colours: label of each colour, ``NO_LABEL`` for no class; needed where the raster has three bands or more.
        other_colours: label of all other colours; None: they are refused.
        nodata: see ``Nodata``.
        assume_crs: CRS of a raster that carries none.
        unplaced: accept a raster without a CRS; its grid then has none either.
    """

    colours: tuple[tuple[Rgb, int], ...] | None = None
    other_colours: int | None = None
    nodata: Nodata = None
    assume_crs: str | None = None
    unplaced: bool = True

    @classmethod
    def of_map(cls, legend: Legend | None, nodata: Nodata = None, *, assume_crs: str | None = None) -> ClassRules:
        """Make the rules for a map that must be georeferenced.

        Args:
            legend: its colours are read where the map has three bands or more; None: it has codes.
            nodata: see ``Nodata``; None: the legend's.
            assume_crs: CRS of a raster that carries none.
        """
        colours = None if legend is None else tuple((entry.rgb, entry.code) for entry in legend.classes)
        effective = legend.nodata if legend is not None and nodata is None else nodata
        return cls(colours=colours, nodata=effective, assume_crs=assume_crs, unplaced=False)


class ClassRaster(Closing):
    """Labels of a raster: of one or two bands, the codes or palette indices of the first; of more, its colours.

    Pixels excluded by the file's nodata value, mask or alpha band have no class; values must be whole numbers. Colours
    whose channels are all 0 or 255 are matched by the nearer end of each channel, as the DeepGlobe benchmark requires;
    others exactly. Thread-safe; pickles as its path.

    Args:
        path: any raster that a scene may be.
        rules: how pixels become labels.

    Attributes:
        name: for messages.
        scene: the underlying scene.
        geobox: the grid; its CRS is None where the file has none.
        coloured: True if its first three bands are read as colours.
        hidden: see ``LabelLayer``.

    Raises:
        SceneError: it cannot be read, or has colours and ``rules`` has no ``colours``.

    Examples:
        >>> with ClassRaster(Path("map.tif")) as raster:  # doctest: +SKIP
        ...     labels, valid = raster.read(Window(0, 512, 0, 512))
    """

    def __init__(self, path: Path | str, rules: ClassRules | None = None) -> None:
        self.rules = rules or ClassRules()
        self.name = str(path)
        self.scene: Scene = open_scene(
            path,
            unplaced=self.rules.unplaced,
            assume_crs=self.rules.assume_crs,
            palette_codes=True,
            ignore_nodata=self.rules.nodata == "none",
        )
        self.geobox: GeoBox = self.scene.geobox
        self.coloured = len(self.scene.bands) >= 3
        if self.coloured and self.rules.colours is None:
            self.scene.close()
            raise _no_codes(self.scene)
        self._colours = dict(self.rules.colours or ())
        self.hidden = self._hidden()

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and their validity mask, both (y, x).

        Raises:
            SceneError: a value is not a whole number, or a colour is not in the rules.
        """
        raster = self.scene.read(window, bands=[1, 2, 3] if self.coloured else [1])
        values = _whole(self.name, raster.values, raster.valid)
        if self.coloured:
            labels = self._decoded(values, raster.valid, window)
            valid = raster.valid & (labels != NO_LABEL)
        else:
            labels, valid = values[0], raster.valid
        return labels, valid if self.rules.nodata in {None, "none"} else valid & (labels != self.rules.nodata)

    def _decoded(self, rgb: Labels, valid: Valid, window: Window) -> Labels:
        channels = self._channels(rgb.astype(np.int64))
        keys = channels[0] << 16 | channels[1] << 8 | channels[2]
        known = sorted((r << 16 | g << 8 | b, code) for (r, g, b), code in self._colours.items())
        table, codes = np.array([key for key, _ in known]), np.array([code for _, code in known])
        place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
        same = table[place] == keys
        if self.rules.other_colours is not None:
            return np.where(same, codes[place], self.rules.other_colours)
        if (valid & ~same).any():
            row, col = (int(n) for n in np.argwhere(valid & ~same)[0])
            colour = tuple(int(n) for n in rgb[:, row, col])
            raise SceneError(
                self.name,
                f"colour {colour} at row {row + window.row_start}, column {col + window.col_start} is no class.",
                f"The legend's colours are {', '.join(str(c) for c in self._colours)}.",
            )
        return np.asarray(codes[place])

    def _channels(self, rgb: Labels) -> Labels:
        ends_only = all(channel in {0, 255} for colour in self._colours for channel in colour)
        return np.where(rgb >= 128, 255, 0) if ends_only else rgb

    def _hidden(self) -> int | None:
        tag = self.scene.nodata
        if tag is None or not float(tag).is_integer():
            return None
        label = int(tag)
        if self.coloured:
            red, green, blue = self._channels(np.full(3, label, np.int64)).tolist()
            label = self._colours.get((red, green, blue), NO_LABEL)
        return None if label in {NO_LABEL, self.rules.nodata} else label

    def close(self) -> None:
        """Close the raster."""
        self.scene.close()

    def __reduce__(self) -> tuple[type[ClassRaster], tuple[str, ClassRules]]:
        return type(self), (self.name, self.rules)


def _whole(name: str, values: AnyArray, valid: Valid) -> Labels:
    """Check that floating-point values are whole numbers, and cast them."""
    if values.dtype.kind != "f":
        return values.astype(np.int64) if values.dtype == np.uint64 else values
    kept = np.where(valid, values, 0)
    odd = (np.abs(kept) > _MOST_EXACT) | (np.floor(kept) != kept)
    if odd.any():
        raise SceneError(
            name, f"it holds the value {kept[odd][0]!s}; classes are whole numbers.", "Give a raster of classes."
        )
    return kept.astype(np.int64)


def _no_codes(scene: Scene) -> SceneError:
    names = ", ".join(band.name for band in scene.bands[:4])
    return SceneError(
        scene.uri,
        f"it has {len(scene.bands)} bands ({names}{', ...' if len(scene.bands) > 4 else ''}) and no class codes.",
        "Say what its colours mean, by a legend or in the recipe; or give one band: rio stack IN.tif --bidx 1 OUT.tif.",
    )
