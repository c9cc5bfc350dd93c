"""Inspect: how geoseg reads a raster layer, and which models fit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterLayer,
)

from ..pages import best_model, inspection_page
from ..raster_input import raster_file
from .geoseg_algorithm import GeosegAlgorithm


class Inspect(GeosegAlgorithm):
    """``geoseg inspect`` on a layer."""

    NAME = "inspect"
    TITLE = "Inspect imagery and the models that fit it"
    TAGS = ("bands", "resolution", "models")
    HELP = (
        "Shows grid, bands, nodata and pixel size of a raster layer as geoseg reads it, and for each bundled model "
        "whether it can read the bands and how well the pixel size fits."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - called by QGIS
        """Declare the parameters and outputs."""
        del configuration
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Imagery"))
        self.addParameter(QgsProcessingParameterFileDestination("OUTPUT", "Page", "HTML (*.html)"))
        self.addOutput(QgsProcessingOutputString("MODEL", "Model that fits best"))
        self.addOutput(QgsProcessingOutputNumber("PIXEL_SIZE_M", "Size of a pixel on the ground, metres"))

    def processAlgorithm(  # noqa: N802 - called by QGIS
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run geoseg and write a page."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        facts = self.run_geoseg(["inspect", raster_file(layer)], feedback)
        page = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        page.write_text(inspection_page(facts), encoding="utf-8")
        model = best_model(facts)
        feedback.pushInfo(f"Model that fits best: {model or 'none'}")
        results: dict[str, Any] = {"OUTPUT": str(page), "MODEL": model}
        if facts["gsd_m"][0] is not None:
            results["PIXEL_SIZE_M"] = facts["gsd_m"][0]
        return results
