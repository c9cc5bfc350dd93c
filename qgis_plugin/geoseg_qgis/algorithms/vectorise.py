"""Vectorise: polygons of a class raster."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from ..raster_input import raster_file
from .vector_output import VectorOutputAlgorithm


class Vectorise(VectorOutputAlgorithm):
    """``geoseg vectorise`` on a class raster."""

    NAME = "vectorise"
    TITLE = "Vectorise a class raster"
    TAGS = ("polygonize", "polygons", "raster to vector")
    ROLE = "segments"
    HELP = (
        "Turns a class raster into polygons that share their edges, without gaps or overlaps, with class, area, "
        "perimeter and, where a confidence raster is given, confidence. Names and colours are those of the raster."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - called by QGIS
        """Declare the parameters."""
        del configuration
        number, double = QgsProcessingParameterNumber, QgsProcessingParameterNumber.Double
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Class raster"))
        self.addParameter(
            QgsProcessingParameterRasterLayer("CONFIDENCE", "Confidence raster on the same grid", optional=True)
        )
        self.addParameter(
            number("SIMPLIFY", "Tolerance for simpler polygons, metres (0: exact)", double, 0.0, minValue=0)
        )
        self.addParameter(number("MIN_AREA", "Smallest polygon, square metres", double, 0.0, minValue=0))
        self.advanced(
            QgsProcessingParameterString("REGULARISE", "Add a layer of these classes with right angles", optional=True)
        )
        self.advanced(QgsProcessingParameterString("EXTRA", "Further options of geoseg vectorise", optional=True))
        self.addParameter(
            QgsProcessingParameterVectorDestination("OUTPUT", "Polygons", QgsProcessing.TypeVectorPolygon)
        )
        self.addParameter(QgsProcessingParameterBoolean("ADD", "Style and group the layer", defaultValue=True))

    def processAlgorithm(  # noqa: N802 - called by QGIS
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run geoseg."""
        given = {
            "--simplify-m": self.parameterAsString(parameters, "SIMPLIFY", context),
            "--min-area-m2": self.parameterAsString(parameters, "MIN_AREA", context),
            "--regularise": self.parameterAsString(parameters, "REGULARISE", context).strip(),
        }
        confidence = self.parameterAsRasterLayer(parameters, "CONFIDENCE", context)
        if confidence is not None:
            given["--confidence"] = raster_file(confidence)
        return self.vectorise(given, parameters, context, feedback)
