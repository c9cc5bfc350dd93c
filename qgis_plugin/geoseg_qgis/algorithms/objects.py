"""Objects: single things of a class raster."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from ..raster_input import raster_file
from .vector_output import VectorOutputAlgorithm

_SPLITS = ("auto", "distance", "confidence", "none")


class Objects(VectorOutputAlgorithm):
    """``geoseg vectorise --objects`` on a class raster."""

    NAME = "objects"
    TITLE = "Delineate objects of a class raster"
    TAGS = ("instances", "buildings", "count")
    ROLE = "objects"
    HELP = (
        "Writes one polygon with an id for each thing of the classes that are named, e.g. for each building. Touching "
        "things are parted where the region is narrow, or where the confidence is low if a confidence raster is given."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - called by QGIS
        """Declare the parameters."""
        del configuration
        number, double = QgsProcessingParameterNumber, QgsProcessingParameterNumber.Double
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Class raster"))
        self.addParameter(
            QgsProcessingParameterString("CLASSES", "Classes, by name or code, comma-separated", "countable")
        )
        self.addParameter(
            QgsProcessingParameterRasterLayer("CONFIDENCE", "Confidence raster on the same grid", optional=True)
        )
        self.addParameter(
            QgsProcessingParameterEnum(
                "SPLIT", "Part touching objects by", list(_SPLITS), False, "auto", usesStaticStrings=True
            )
        )
        self.advanced(
            number("NECK", "Passage from which two parts are one, share", double, None, True, minValue=0, maxValue=1)
        )
        self.addParameter(number("MIN_AREA", "Smallest object, square metres", double, 0.0, minValue=0))
        self.advanced(QgsProcessingParameterString("EXTRA", "Further options of geoseg vectorise", optional=True))
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", "Objects", QgsProcessing.TypeVectorPolygon))
        self.addParameter(QgsProcessingParameterBoolean("ADD", "Style and group the layer", defaultValue=True))

    def processAlgorithm(  # noqa: N802 - called by QGIS
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run geoseg."""
        split = self.parameterAsEnumString(parameters, "SPLIT", context)
        given = {
            "--objects": self.parameterAsString(parameters, "CLASSES", context).strip(),
            "--split": "" if split == "auto" else split,
            "--neck": self.parameterAsString(parameters, "NECK", context),
            "--min-area-m2": self.parameterAsString(parameters, "MIN_AREA", context),
        }
        confidence = self.parameterAsRasterLayer(parameters, "CONFIDENCE", context)
        if confidence is not None:
            given["--confidence"] = raster_file(confidence)
        return self.vectorise(given, parameters, context, feedback)
