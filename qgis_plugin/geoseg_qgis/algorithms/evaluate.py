"""Evaluate: scores of a class raster against a reference."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsRasterLayer,
)

from ..pages import score_page
from ..raster_input import raster_file
from ..vector_input import vector_source
from .geoseg_algorithm import GeosegAlgorithm

_PROTOCOLS = ("classes", "isprs", "deepglobe", "binary")


class Evaluate(GeosegAlgorithm):
    """``geoseg evaluate`` on layers."""

    NAME = "evaluate"
    TITLE = "Evaluate a class raster against a reference"
    TAGS = ("accuracy", "IoU", "confusion", "validation")
    HELP = (
        "Compares a class raster with a reference: a class raster on the same grid, or polygons with a field that "
        "holds code or name of the class. Writes a page with overall accuracy, IoU, F1, precision and recall, and all "
        "numbers as JSON. Unlabelled pixels do not count."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - called by QGIS
        """Declare the parameters and outputs."""
        del configuration
        kinds = [QgsProcessing.TypeRaster, QgsProcessing.TypeVectorPolygon]
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Class raster"))
        self.addParameter(QgsProcessingParameterMapLayer("REFERENCE", "Reference", types=kinds))
        self.addParameter(
            QgsProcessingParameterString("FIELD", "Polygons: field with code or name of the class", optional=True)
        )
        self.addParameter(
            QgsProcessingParameterEnum(
                "PROTOCOL", "Protocol", list(_PROTOCOLS), False, "classes", usesStaticStrings=True
            )
        )
        self.advanced(QgsProcessingParameterString("OUTSIDE", "Polygons: code where none lies, or none", optional=True))
        self.advanced(QgsProcessingParameterString("EXTRA", "Further options of geoseg evaluate", optional=True))
        self.addParameter(QgsProcessingParameterFileDestination("OUTPUT", "Page with the scores", "HTML (*.html)"))
        self.addParameter(
            QgsProcessingParameterFileDestination(
                "JSON", "All numbers", "JSON (*.json)", optional=True, createByDefault=False
            )
        )
        self.addOutput(QgsProcessingOutputNumber("OVERALL_ACCURACY", "Overall accuracy"))
        self.addOutput(QgsProcessingOutputNumber("MEAN_IOU", "Mean IoU"))

    def processAlgorithm(  # noqa: N802 - called by QGIS
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run geoseg and write its report."""
        prediction = self.parameterAsRasterLayer(parameters, "INPUT", context)
        given = {
            "--prediction": raster_file(prediction),
            "--reference": self._reference(parameters, context, feedback),
            "--protocol": self.parameterAsEnumString(parameters, "PROTOCOL", context),
            "--column": self.parameterAsString(parameters, "FIELD", context).strip(),
            "--outside": self.parameterAsString(parameters, "OUTSIDE", context).strip(),
        }
        words = [word for option, value in given.items() if value for word in (option, value)]
        words += shlex.split(self.parameterAsString(parameters, "EXTRA", context))
        report = self.run_geoseg(["evaluate", *words], feedback)
        page = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        page.write_text(score_page(report), encoding="utf-8")
        first = next(iter(report["results"].values()), {})
        results: dict[str, Any] = {"OUTPUT": str(page)}
        for output, key in (("OVERALL_ACCURACY", "overall_accuracy"), ("MEAN_IOU", "mean_iou")):
            if first.get(key) is not None:
                results[output] = first[key]
                feedback.pushInfo(f"{key.replace('_', ' ')}: {first[key]:.4f}")
        target = self.parameterAsFileOutput(parameters, "JSON", context)
        if target:
            Path(target).write_text(json.dumps(report, indent=1), encoding="utf-8")
            results["JSON"] = target
        return results

    def _reference(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> str:
        layer = self.parameterAsLayer(parameters, "REFERENCE", context)
        if layer is None:
            raise QgsProcessingException("The reference cannot be opened as a layer.")
        if isinstance(layer, QgsRasterLayer):
            return raster_file(layer)
        return vector_source(self, "REFERENCE", parameters, context, feedback)
