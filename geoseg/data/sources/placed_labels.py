"""PlacedLabels: options of georeferenced labels, raster or polygons, for all kinds that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geoseg.core.legend import Legend
from geoseg.data.label_files import LabelFile, PolygonFile, RasterFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.model import Config, LabelMeanings, Meaning, Split
from geoseg.errors import UsageError
from geoseg.io.labels.contact_labels import Contact
from geoseg.io.vectors.names import is_vector


class ContactOption(Config):
    """Code of the pixels between two objects, in training alone.

    Attributes:
        within_px: pixels whose distances to the two nearest objects, 0 inside an object, add up to at most this.
        code: their code: that of the ground (0), of a class of its own, or ``ignore``.
    """

    within_px: Annotated[float, Field(ge=1, le=64)] = 3
    code: Meaning = 0


class PlacedLabels(LabelMeanings):
    """Labels in any CRS.

    Attributes:
        labels: a raster, or polygons; see the kind.
        attribute: for polygons, the field of the class; None: every polygon is code 1.
        outside: for polygons, the code where none lies, or ``ignore``.
        all_touched: for polygons, label all pixels that a polygon touches; else those whose centre it contains.
        buffer_m: for vector labels, metres by which lines and points are widened to polygons; None: they are refused.
        may_be_empty: for polygons, accept a file without any; every pixel of its scene is then ``outside``.
        labels_hold: for rasters, ``codes`` or ``colours``.
        resample: for rasters, resample by nearest neighbour if their grid is not the image's.
        contact: for polygons and rasters of object numbers, code of the pixels between two objects, in training; None:
            touching objects are one region.
    """

    labels: str
    attribute: str | None = None
    outside: Meaning = 0
    all_touched: bool = False
    buffer_m: Annotated[float, Field(gt=0)] | None = None
    may_be_empty: bool = False
    labels_hold: Literal["codes", "colours"] = "codes"
    resample: bool = False
    contact: ContactOption | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if not self._vector and (self.attribute is not None or self.all_touched or self.outside != 0):
            raise ValueError(f"{self.labels} is a raster; attribute, outside and all_touched are for polygons")
        if not self._vector and (self.buffer_m is not None or self.may_be_empty):
            raise ValueError(f"{self.labels} is a raster; buffer_m and may_be_empty are for vector files")
        if self._vector and (self.resample or self.labels_hold == "colours" or self.labels_nodata is not None):
            raise ValueError(f"{self.labels} holds polygons; resample, labels_hold and labels_nodata are for rasters")
        if self.contact is not None and not self._vector and self.codes != "nonzero":
            raise ValueError(
                f"{self.labels}: contact needs objects: polygons, or a raster of their numbers with codes: nonzero"
            )
        if self.contact is not None and self._vector and self.codes == "nonzero":
            raise ValueError("contact of polygons: leave codes: nonzero out; every polygon is code 1")
        if self._vector and self.classes is not None and self.attribute is None:
            raise ValueError("classes of polygons need attribute, the field they stand in")
        return self

    @property
    def _vector(self) -> bool:
        return is_vector(self.labels)

    def recoding(self, legend: Legend, split: Split) -> Recoding:
        """Make the conversion of labels to class indices, for one side of the split."""
        if self._vector:
            return Recoding(legend=legend, nonzero=self.codes == "nonzero")
        recoding = self.of_raster(legend, coloured=self.labels_hold == "colours")[0]
        return recoding if self._contact(split) is None else Recoding(legend=legend)

    def label_file(self, path: Path, legend: Legend, split: Split, *, shared: bool = False) -> LabelFile:
        """Return the reader of one label file.

        Args:
            path: the file.
            legend: classes of the recipe.
            split: side of the split; the pixels between objects have their own code in training alone.
            shared: True if the file has the labels of several scenes.

        Raises:
            UsageError: the code of the pixels between objects is not in the legend.
        """
        if self.contact is not None and self.contact.code not in {"ignore", *legend.codes}:
            raise UsageError(f"contact: code {self.contact.code} is none of the legend's {legend.codes}; or say ignore")
        if self._vector:
            return PolygonFile(
                path=path,
                column=self.attribute,
                table=self.table(),
                others=self.others,
                outside=None if self.outside == "ignore" else self.outside,
                all_touched=self.all_touched,
                buffer_m=self.buffer_m,
                must_meet="bounds" if shared else "polygon",
                may_be_empty=self.may_be_empty,
                contact=self._contact(split),
            )
        rules = self.of_raster(legend, coloured=self.labels_hold == "colours")[1]
        numbered = self.codes == "nonzero"
        return RasterFile(
            path=path, rules=rules, resample=self.resample, numbered=numbered, contact=self._contact(split)
        )

    def _contact(self, split: Split) -> Contact | None:
        if self.contact is None or split != "train":
            return None
        code = self.contact.code
        return Contact(within_px=self.contact.within_px, code=None if code == "ignore" else code)
