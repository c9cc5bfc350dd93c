"""Label files: paths and reading rules of a scene's labels; opened lazily."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from odc.geo.geobox import GeoBox

from geoseg.errors import UsageError
from geoseg.io.labels.array_labels import boundary_labels, matlab_labels, painted_labels, run_length_labels
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.coco_panoptic import CocoPicture
from geoseg.io.labels.contact_labels import Contact, ContactLabels, NumberedLabels
from geoseg.io.labels.drawn_objects import DrawnLabels, DrawnObject, PictureLabels
from geoseg.io.labels.label_layer import LabelLayer
from geoseg.io.labels.polygon_layer import PolygonLabels
from geoseg.io.labels.resampled_layer import Fit, on_grid
from geoseg.io.vectors.read import VectorRequest


class LabelFile(Protocol):
    """Labels not opened yet; picklable.

    Attributes:
        kept: True if an opened layer holds no file open and is costly to make, so that it should be cached.
    """

    kept: ClassVar[bool]

    @property
    def name(self) -> str:
        """Name for messages."""
        ...

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Open on the grid of an image.

        Raises:
            SceneError: the file cannot be read, or has another grid.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterFile:
    """A raster of codes, palette indices or colours.

    Attributes:
        path: the file.
        rules: rules for converting its pixels to labels.
        resample: resample by nearest neighbour if its grid differs; otherwise it is refused, unless its pixels are
            those of the image, possibly in reversed order or with more around.
        numbered: pixels are numbers of objects, which are read as code 1.
        contact: rule for the pixels between objects, of a raster of object numbers; None: they are like all others.
    """

    kept: ClassVar[bool] = False
    path: Path
    rules: ClassRules
    resample: bool = False
    numbered: bool = False
    contact: Contact | None = None

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Open on a grid; see ``LabelFile``."""
        cure = "Give labels on the image's grid, or resample: true."
        fit = Fit(of="the image", cure=cure, resample=self.resample, covering=True)
        layer = on_grid(ClassRaster(self.path, self.rules), geobox, fit)
        if not self.numbered:
            return layer
        numbered = NumberedLabels(layer)
        return numbered if self.contact is None else ContactLabels(numbered, self.contact)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonFile:
    """Polygons in any CRS.

    Attributes:
        path: the file, or ``FILE:LAYER``.
        column: field of the class; None: every polygon is code 1.
        table: from the field's value, as text, to a code, None for no class; None: the field holds codes.
        others: code of values that are not in the table.
        outside: code where no polygon lies; None: no class.
        all_touched: see ``PolygonLabels``.
        buffer_m: metres by which lines and points are widened; None: they are refused.
        must_meet: features that must overlap the image, see ``VectorRequest``.
        may_be_empty: True to accept a file without polygons.
        areas: the polygons are areas, not labels: lines and points among them are ignored.
        contact: rule for the pixels between two polygons; None: they are like all others.
    """

    kept: ClassVar[bool] = True
    path: Path
    column: str | None = None
    table: tuple[tuple[str, int | None], ...] | None = None
    others: int | str = "refuse"
    outside: int | None = 0
    all_touched: bool = False
    buffer_m: float | None = None
    must_meet: Literal["polygon", "bounds", "nothing"] = "polygon"
    may_be_empty: bool = False
    areas: bool = False
    contact: Contact | None = None

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Rasterise on a grid; see ``LabelFile``."""
        request = VectorRequest(
            name=str(self.path),
            grid=geobox,
            of_grid="image",
            must_meet=self.must_meet,
            others="leave out" if self.areas else "refuse",
            buffer_m=self.buffer_m,
            cure_of_others="Give polygons, or widen lines and points: buffer_m in the recipe, metres.",
            cure_of_empty="Check it, or say may_be_empty: true in the recipe where nothing is to be found.",
            may_be_empty=self.may_be_empty,
        )
        layer = PolygonLabels(
            request,
            column=self.column,
            outside=self.outside,
            all_touched=self.all_touched,
            code_of=None if self.table is None else self._code,
        )
        return layer if self.contact is None else ContactLabels(layer, self.contact)

    def _code(self, value: object) -> int | None:
        whole = isinstance(value, float) and value.is_integer()
        text = str(int(value) if whole else value)  # type: ignore[call-overload]
        table = dict(self.table or ())
        if text in table:
            return table[text]
        if self.others == "refuse":
            known = ", ".join(table)
            raise UsageError(
                f"{self.path}: {self.column} {text!r} is none of {known}. "
                "Add it to classes, or say what others are: a code or ignore."
            )
        return None if self.others == "ignore" else int(self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatlabFile:
    """Segmentation of a ``groundTruth`` .mat file with one annotator."""

    kept: ClassVar[bool] = False
    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Read; see ``LabelFile``."""
        return _on_image(matlab_labels(self.path), geobox)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryFile:
    """Boundaries of a ``groundTruth`` .mat file with several annotators; see ``boundary_labels``."""

    kept: ClassVar[bool] = False
    path: Path
    edge_share: float
    none_share: float

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Read; see ``LabelFile``."""
        layer = boundary_labels(self.path, edge_share=self.edge_share, none_share=self.none_share)
        return _on_image(layer, geobox)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLengthFile:
    """Run-length masks of one image; see ``run_length_labels``."""

    kept: ClassVar[bool] = False
    name: str
    runs: tuple[tuple[str, int], ...]
    overlap_counts: bool = True

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Decode the masks; see ``LabelFile``."""
        shape = (int(geobox.shape[0]), int(geobox.shape[1]))
        return run_length_labels(self.name, self.runs, shape, overlap_counts=self.overlap_counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedFiles:
    """One mask per label; see ``painted_labels``."""

    kept: ClassVar[bool] = False
    name: str
    files: tuple[tuple[Path, int], ...]

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Read; see ``LabelFile``."""
        return painted_labels(self.name, self.files, (int(geobox.shape[0]), int(geobox.shape[1])))


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFile:
    """Objects drawn on an image; see ``DrawnLabels``.

    Attributes:
        name: file of the objects.
        objects: each with its code; None: nothing is known of its pixels.
    """

    kept: ClassVar[bool] = True
    name: str
    objects: tuple[tuple[DrawnObject, int | None], ...]

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Draw on a grid; see ``LabelFile``."""
        return DrawnLabels(self.name, self.objects, (int(geobox.shape[0]), int(geobox.shape[1])))


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFile:
    """Segments of a picture of COCO panoptic; see ``PictureLabels``.

    Attributes:
        picture: the picture of ids, with its segments.
        codes: code of each of its categories, None: nothing is known of its pixels.
        things: categories of things.
    """

    kept: ClassVar[bool] = True
    picture: CocoPicture
    codes: tuple[tuple[int, int | None], ...]
    things: frozenset[int]

    @property
    def name(self) -> str:
        """The path."""
        return str(self.picture.path)

    def open(self, geobox: GeoBox) -> LabelLayer:
        """Read; see ``LabelFile``. Of crowds nothing is known."""
        codes = dict(self.codes)
        known = [one for one in self.picture.segments if not one.crowd and codes[one.category] is not None]
        labels = {one.id: code for one in known if (code := codes[one.category]) is not None}
        things = frozenset(one.id for one in known if one.category in self.things)
        return _on_image(PictureLabels(self.name, self.picture.ids(), labels, things), geobox)


def _on_image(layer: LabelLayer, geobox: GeoBox) -> LabelLayer:
    return on_grid(layer, geobox, Fit(of="the image", cure="Give labels of the image's size."))
