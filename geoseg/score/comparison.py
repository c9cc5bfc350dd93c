"""ComparisonBlock: the codes of two maps over one window with a halo; mosaics are compared view by view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from odc.geo.geobox import GeoBox

from geoseg.core.legend import Legend
from geoseg.core.tiling import Tiling
from geoseg.core.window import Window
from geoseg.io.labels.array_labels import matlab_labels
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.confidence_raster import ConfidenceRaster
from geoseg.io.labels.label_layer import LabelLayer, Rgb, read_codes
from geoseg.io.labels.nodata import Nodata
from geoseg.io.labels.polygon_layer import PolygonLabels
from geoseg.io.labels.resampled_layer import Fit, on_grid
from geoseg.io.vectors.names import is_vector
from geoseg.io.vectors.read import VectorRequest
from geoseg.score.label_meaning import Meaning, classes_of, read_meaning
from geoseg.score.matrix import U8
from geoseg.score.pairs import Pair

_BLOCK_PX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """Options for converting files to codes.

    Attributes:
        predicted: meaning of the prediction's labels.
        reference: meaning of the reference's labels.
        colours: meaning of colours, for both.
        column: for polygons, the field of the class; None: every polygon is ``positive``.
        names: for polygons, codes of class names.
        outside: for polygons, the label where none lies; None: unlabelled.
        layer: layer of the reference's vector file; None: the only one.
        shared: one file of polygons is the reference of several predictions, some of which may have no polygon.
        may_be_empty: accept a file without polygons, for an area without objects.
        nodata: nodata of the reference, see ``Nodata``.
        prediction_nodata: the same of the prediction.
        resample: resample to one grid by nearest neighbour.
    """

    predicted: Meaning = None
    reference: Meaning = None
    colours: dict[Rgb, int] | None = None
    column: str | None = None
    names: dict[str, int] | None = None
    outside: int | None = 0
    layer: str | None = None
    shared: bool = False
    may_be_empty: bool = False
    nodata: Nodata = None
    prediction_nodata: Nodata = None
    resample: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonBlock:
    """Codes over ``read``; only those over ``core`` are counted, and cores partition the scene.

    Attributes:
        reference: (y, x) uint8 over ``read``, 255 where unlabelled.
        predicted: same, 255 where unanswered.
        eroded: the reference without class borders, same; None without such a file.
        confidence: (y, x) uint8 percent over ``read``, 255 where there is none; None without such a file.
    """

    core: Window
    read: Window
    reference: U8
    predicted: U8
    eroded: U8 | None = None
    confidence: U8 | None = None

    @property
    def inner(self) -> tuple[slice, slice]:
        """Index of the core."""
        return self.core.within(self.read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Labels of classes that a file's own nodata value excludes without a setting by the user.

    Attributes:
        reference: in the reference, or None.
        predicted: in the prediction, or None.
    """

    reference: int | None = None
    predicted: int | None = None


class Comparison:
    """An opened pair: both maps on one grid, that of the reference, or of the prediction for a polygon reference.

    Raises:
        SceneError: a file cannot be read, or the grids differ and ``reading.resample`` is off.
    """

    def __init__(self, pair: Pair, reading: LabelOptions) -> None:
        self.pair = pair
        self._reading = reading
        self._eroded = self._confidence = None
        with ExitStack() as opened:
            predicted = opened.enter_context(open_labels(pair.prediction, reading.colours, reading.prediction_nodata))
            reference = opened.enter_context(_open_reference(pair.reference, predicted.geobox, reading))
            self._reference = reference
            to_reference = _fit("the reference", reference, resample=reading.resample)
            exactly = _fit("the reference", reference, resample=False)
            self._predicted = on_grid(predicted, reference.geobox, to_reference)
            if pair.eroded is not None:
                eroded = opened.enter_context(open_labels(pair.eroded, reading.colours, reading.nodata))
                self._eroded = on_grid(eroded, reference.geobox, exactly)
            if pair.confidence is not None:
                confidence = opened.enter_context(ConfidenceRaster(pair.confidence))
                on_prediction = on_grid(confidence, predicted.geobox, _fit("the prediction", predicted, resample=False))
                self._confidence = on_grid(on_prediction, reference.geobox, to_reference)
            self._opened = opened.pop_all()
        self.geobox: GeoBox = reference.geobox if reference.geobox.crs is not None else predicted.geobox

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        height, width = self._reference.geobox.shape
        return int(height), int(width)

    @property
    def hidden(self) -> Hidden:
        """Classes that nodata values of the files exclude."""
        known = classes_of(self._reading.reference), classes_of(self._reading.predicted)
        labels = self._reference.hidden, self._predicted.hidden
        found = [label if label in classes else None for label, classes in zip(labels, known, strict=True)]
        return Hidden(reference=found[0], predicted=found[1])

    def views(self, halo_px: int = 0, *, block_px: int = _BLOCK_PX) -> Iterator[ComparisonBlock]:
        """Iterate over the whole grid in views, each pixel in one core, with a halo of ``halo_px`` inside the grid.

        Args:
            halo_px: width of the halo.
            block_px: side of a core.
        """
        tiling = Tiling(self.shape, self.shape, tile_px=block_px + 2 * halo_px, halo_px=halo_px)
        for tile in tiling:
            read = tile.read.intersection(Window.whole(self.shape))
            yield ComparisonBlock(
                core=tile.core,
                read=read,
                reference=read_meaning(self._reference, read, self._reading.reference),
                predicted=read_meaning(self._predicted, read, self._reading.predicted),
                eroded=None if self._eroded is None else read_meaning(self._eroded, read, self._reading.reference),
                confidence=None if self._confidence is None else read_codes(self._confidence, read),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()


def open_labels(path: Path, colours: dict[Rgb, int] | None, nodata: Nodata = None) -> LabelLayer:
    """Open a raster or Matlab file of labels.

    Args:
        path: the file.
        colours: meaning of colours; None: it has codes.
        nodata: meaning of a raster's nodata.

    Raises:
        SceneError: it cannot be read.
    """
    if path.suffix.lower() == ".mat":
        return matlab_labels(path)
    return ClassRaster(path, ClassRules(colours=None if colours is None else tuple(colours.items()), nodata=nodata))


def colours_of(legend: Legend) -> dict[Rgb, int]:
    """Map a legend's colours to codes."""
    return {entry.rgb: entry.code for entry in legend.classes}


def _open_reference(path: Path, geobox: GeoBox, reading: LabelOptions) -> LabelLayer:
    if is_vector(path):
        request = VectorRequest(
            name=str(path),
            layer=reading.layer,
            grid=geobox,
            of_grid="prediction",
            must_meet="bounds" if reading.shared else "polygon",
            cure_of_others="Give polygons; widen lines and points first, with a buffer.",
            cure_of_empty="Check it, or allow an empty reference where nothing is to be found.",
            may_be_empty=reading.may_be_empty,
        )
        return PolygonLabels(request, column=reading.column, names=reading.names, outside=reading.outside)
    return open_labels(path, reading.colours, reading.nodata)


def _fit(of: str, grid: LabelLayer, *, resample: bool) -> Fit:
    cure = "Pass --resample to take the nearest label, or bring it onto that grid."
    return Fit(of=f"{of} {grid.name}", cure=cure, resample=resample)
