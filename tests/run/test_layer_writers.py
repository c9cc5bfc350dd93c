"""Every writer of a raster layer keeps the laws that are shipped for writers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from geoseg.core.layer import RasterLayer, class_layer, confidence_layer, whole_class_map_schema
from geoseg.run.layer_writers import WRITERS, Writer
from geoseg.testing.layer_writers import LEGEND, SHAPE, LayerWriterTests


class _OwnWriter(LayerWriterTests):
    def writer(self) -> Writer:
        return WRITERS[self.layer.role]


class TestClasses(_OwnWriter):
    layer = class_layer(LEGEND.nodata)

    def values(self, random: np.random.Generator) -> npt.NDArray[Any]:
        return random.choice(np.array(LEGEND.codes, np.uint8), SHAPE)


class TestConfidence(_OwnWriter):
    layer = confidence_layer()


class TestUncertainty(_OwnWriter):
    layer = whole_class_map_schema(LEGEND).raster("mutual_information")


class TestProbability(_OwnWriter):
    layer = whole_class_map_schema(LEGEND).raster("probability_5")


def test_no_role_of_a_class_map_is_left_out() -> None:
    tested = {kind.layer.role for kind in _OwnWriter.__subclasses__()}
    drawn = {layer.role for layer in whole_class_map_schema(LEGEND) if isinstance(layer, RasterLayer)}
    assert drawn == tested
