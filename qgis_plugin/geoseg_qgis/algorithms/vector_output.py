"""Algorithms whose result is one vector layer of ``geoseg vectorise``."""

from __future__ import annotations

import shlex
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..raster_input import raster_file
from ..results import LayerPlacer
from .geoseg_algorithm import GeosegAlgorithm


class VectorOutputAlgorithm(GeosegAlgorithm):
    """Algorithm with the parameters INPUT, OUTPUT, ADD and EXTRA that runs ``geoseg vectorise``.

    Subclasses set ``ROLE``, the name of the layer that is written.
    """

    ROLE = ""

    def vectorise(
        self,
        given: dict[str, str],
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Run ``geoseg vectorise`` and have its layer styled and grouped.

        Args:
            given: options and their values; those without a value are left out.
            parameters: of the algorithm.
            context: of the algorithm.
            feedback: of the algorithm.
        """
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        words = [word for option, value in given.items() if value for word in (option, value)]
        words += shlex.split(self.parameterAsString(parameters, "EXTRA", context))
        answer = self.run_geoseg(["vectorise", raster_file(layer), "--out", output, "--overwrite", *words], feedback)
        feedback.pushInfo(f"{answer[self.ROLE]:,} {'polygons' if self.ROLE == 'segments' else self.ROLE}")
        for note in answer["notes"]:
            feedback.pushInfo(note)
        if self.parameterAsBoolean(parameters, "ADD", context) and context.willLoadLayerOnCompletion(output):
            placer = LayerPlacer(f"geoseg: {layer.name()}", 0)
            context.layerToLoadOnCompletionDetails(output).setPostProcessor(placer)
        return {"OUTPUT": output}
