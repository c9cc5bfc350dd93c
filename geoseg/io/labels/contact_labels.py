"""ContactLabels: labels of objects in which the narrow ground between two objects has a code of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.closing import Closing
from geoseg.core.nearest_objects import two_nearest
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.drawn_objects import DrawnLabels, PictureLabels
from geoseg.io.labels.label_layer import LabelLayer, Labels, Valid
from geoseg.io.labels.polygon_layer import PolygonLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Rule for the pixels between objects.

    Attributes:
        within_px: a pixel is between two objects where its distances to the two nearest ones, 0 inside an object, add
            up to at most this.
        code: code of these pixels; None: they have no class.
    """

    within_px: float
    code: int | None


class ObjectLayer(LabelLayer, Protocol):
    """Labels that separate the objects of a class."""

    def read_objects(self, window: Window) -> tuple[Labels, Valid, Labels]:
        """Read labels, their validity mask and the numbers of the objects, 0 where there is none; all (y, x)."""
        ...


def read_objects(layer: LabelLayer, window: Window) -> tuple[Labels, Valid, Labels | None]:
    """Read labels, their validity mask and, where the labels separate objects, the numbers of objects; all (y, x)."""
    if isinstance(layer, PolygonLabels | NumberedLabels | ContactLabels | DrawnLabels | PictureLabels):
        return layer.read_objects(window)
    return *layer.read(window), None


class NumberedLabels(Closing):
    """A raster of object numbers as labels: 1 where there is an object, 0 elsewhere.

    Args:
        layer: the raster; closed with this one.
    """

    def __init__(self, layer: LabelLayer) -> None:
        self.name = layer.name
        self.geobox: GeoBox = layer.geobox
        self.hidden = 0 if layer.hidden == 0 else None
        self._layer = layer

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and their validity mask, both (y, x)."""
        return self.read_objects(window)[:2]

    def read_objects(self, window: Window) -> tuple[Labels, Valid, Labels]:
        """Read; see ``ObjectLayer``.

        Raises:
            SceneError: a number is negative.
        """
        numbers, valid = self._layer.read(window)
        negative = valid & (numbers < 0)
        if negative.any():
            number = int(numbers[negative][0])
            raise SceneError(
                self.name,
                f"{number} is no number of an object.",
                f"Say labels_nodata: {number} in the recipe if it means no class.",
            )
        objects = np.where(valid, numbers, 0)
        return (objects > 0).astype(np.int64), valid, objects

    def close(self) -> None:
        """Close the raster."""
        self._layer.close()


class ContactLabels(Closing):
    """Labels with a code of its own between objects. What is read does not depend on the window.

    Args:
        layer: labels with objects; closed with this one.
        contact: the rule.
    """

    def __init__(self, layer: ObjectLayer, contact: Contact) -> None:
        self.name = layer.name
        self.geobox: GeoBox = layer.geobox
        self.hidden = layer.hidden
        self._layer, self._contact = layer, contact

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and their validity mask, both (y, x)."""
        return self.read_objects(window)[:2]

    def read_objects(self, window: Window) -> tuple[Labels, Valid, Labels]:
        """Read; see ``ObjectLayer``. Pixels between objects belong to none."""
        margin = int(np.ceil(self._contact.within_px))
        height, width = (int(n) for n in self.geobox.shape)
        around = Window(
            window.row_start - margin, window.row_stop + margin, window.col_start - margin, window.col_stop + margin
        ).intersection(Window.whole((height, width)))
        labels, valid, objects = self._layer.read_objects(around)
        nearest, second = two_nearest(objects, self._contact.within_px)
        between = valid & (nearest + second <= self._contact.within_px)
        if self._contact.code is None:
            valid = valid & ~between
        else:
            labels = np.where(between, self._contact.code, labels)
        at = window.within(around)
        return labels[at], valid[at], np.where(between, 0, objects)[at]

    def close(self) -> None:
        """Close the layer."""
        self._layer.close()
