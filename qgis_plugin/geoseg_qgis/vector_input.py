"""A vector layer as a source that geoseg reads."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext, QgsProcessingFeedback


def vector_source(
    algorithm: QgsProcessingAlgorithm,
    name: str,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> str:
    """Return ``FILE`` or ``FILE:LAYER`` of a parameter; a layer without a file, or a selection, is exported first.

    Returns:
        Empty if the parameter is not given.
    """
    if not parameters.get(name):
        return ""
    path, layer = algorithm.parameterAsCompatibleSourceLayerPathAndLayerName(
        parameters, name, context, ["gpkg", "fgb", "geojson", "shp", "kml"], "gpkg", feedback
    )
    return f"{path}:{layer}" if layer else path
