"""Predict: segment a raster layer, or the part of it on the map."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputFile,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..raster_input import RasterInput, raster_input
from ..results import ResultLayer
from ..vector_input import vector_source
from .geoseg_algorithm import GeosegAlgorithm

_WIDGET = f"{__package__.rpartition('.')[0]}.model_widget.ModelWidget"
_RASTERS = (("CONFIDENCE", "confidence"), ("CLASSES", "classes"))
_VECTORS = (("OBJECTS_LAYER", "objects"), ("SEGMENTS", "segments"))


class Predict(GeosegAlgorithm):
    """``geoseg predict`` on a layer."""

    NAME = "predict"
    TITLE = "Predict classes of imagery"
    TAGS = ("segmentation", "deep learning", "land cover", "buildings", "roads")
    HELP = (
        "Segments a raster layer with a neural network: class raster, confidence, polygons, and objects if asked for. "
        "The layers are added to the project in a group, with their styles.\n\n"
        "Extent: only this part is segmented, e.g. the canvas extent; it is cut out by whole pixels first. Map "
        "services (XYZ, WMS) need an extent and a pixel size: what they show there is exported first. Mind their terms "
        "of use.\n\n"
        "A run that was cancelled goes on where it stopped when it is started again with the same output folder."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - called by QGIS
        """Declare the parameters and outputs."""
        del configuration
        number, double = QgsProcessingParameterNumber, QgsProcessingParameterNumber.Double
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Imagery"))
        model = QgsProcessingParameterString("MODEL", "Model: name of a bundled one, or a model file")
        model.setMetadata({"widget_wrapper": {"class": _WIDGET}})
        self.addParameter(model)
        self.addParameter(QgsProcessingParameterExtent("EXTENT", "Extent (empty: all of the layer)", optional=True))
        self.addParameter(QgsProcessingParameterFolderDestination("OUTPUT", "Folder for the layers"))
        self.addParameter(QgsProcessingParameterBoolean("ADD", "Add the layers to the project", defaultValue=True))
        self.advanced(_text("OBJECTS", "Objects of these classes (comma-separated, or countable)"))
        self.advanced(_text("BANDS", "Bands of the imagery for those of the model, e.g. 3,2,1"))
        self.advanced(
            QgsProcessingParameterFeatureSource(
                "AOI", "Predict inside these polygons only", [QgsProcessing.TypeVectorPolygon], optional=True
            )
        )
        self.advanced(number("SIMPLIFY", "Tolerance for simpler polygons, metres (0: exact)", double, 0.0, minValue=0))
        self.advanced(number("MIN_AREA", "Smallest polygon, square metres", double, None, optional=True, minValue=0))
        self.advanced(
            number("PIXEL_SIZE", "Pixel size of map services, units of their CRS", double, None, True, minValue=0)
        )
        self.advanced(
            QgsProcessingParameterBoolean("OVERWRITE", "Replace a result made with other options", defaultValue=False)
        )
        self.advanced(_text("EXTRA", "Further options of geoseg predict, e.g. --tta flip"))
        self.addOutput(QgsProcessingOutputRasterLayer("CLASSES", "Classes"))
        self.addOutput(QgsProcessingOutputRasterLayer("CONFIDENCE", "Confidence"))
        self.addOutput(QgsProcessingOutputVectorLayer("SEGMENTS", "Polygons"))
        self.addOutput(QgsProcessingOutputVectorLayer("OBJECTS_LAYER", "Objects"))
        self.addOutput(QgsProcessingOutputFile("PROJECT", "QGIS project"))

    def prepareAlgorithm(  # noqa: N802 - called by QGIS
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Take what is needed of the layers, in the main thread."""
        del feedback
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        extent = self.parameterAsExtent(parameters, "EXTENT", context, layer.crs())
        size = self.parameterAsDouble(parameters, "PIXEL_SIZE", context)
        self._input: RasterInput = raster_input(layer, extent, size)
        return True

    def processAlgorithm(  # noqa: N802 - called by QGIS
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run geoseg and describe its layers."""
        out = Path(self.parameterAsString(parameters, "OUTPUT", context))
        scene = self._input.path(out / "imagery")
        options = self._options(parameters, context, feedback)
        words = ["predict", str(scene), "--out", str(out), *options, "--progress", "json"]
        answer = self.run_geoseg(words, feedback)
        results: dict[str, Any] = {"OUTPUT": str(out), "PROJECT": answer["layers"]["project"]}
        results.update((name, answer["layers"][role]) for name, role in _RASTERS if role in answer["layers"])
        results.update((name, answer["layers"][role]) for name, role in _VECTORS if role in answer["layers"])
        for entry in answer["classes"]:
            feedback.pushInfo(f"{entry['name']}: {entry['area_m2'] or 0:,.1f} m²")
        if self.parameterAsBoolean(parameters, "ADD", context):
            model = Path(self.parameterAsString(parameters, "MODEL", context)).stem
            self.add_layers(_layers(results, scene.stem), f"geoseg: {scene.stem} ({model})", context)
        return results

    def _options(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> list[str]:
        given = {
            "--model": self.parameterAsString(parameters, "MODEL", context).strip(),
            "--objects": self.parameterAsString(parameters, "OBJECTS", context).strip(),
            "--bands": self.parameterAsString(parameters, "BANDS", context).strip(),
            "--simplify-m": self.parameterAsString(parameters, "SIMPLIFY", context),
            "--min-area-m2": self.parameterAsString(parameters, "MIN_AREA", context),
            "--aoi": vector_source(self, "AOI", parameters, context, feedback),
        }
        words = [word for option, value in given.items() if value for word in (option, value)]
        if self.parameterAsBoolean(parameters, "OVERWRITE", context):
            words.append("--overwrite")
        return words + shlex.split(self.parameterAsString(parameters, "EXTRA", context))


def _text(name: str, title: str) -> QgsProcessingParameterDefinition:
    return QgsProcessingParameterString(name, title, optional=True)


def _layers(results: dict[str, Any], stem: str) -> list[ResultLayer]:
    """List the layers of a run, the top one first."""
    vectors = [
        ResultLayer(name, f"{results[name]}|layername={role}", f"{stem} {role}", raster=False)
        for name, role in _VECTORS
        if name in results
    ]
    rasters = [
        ResultLayer(name, results[name], f"{stem} {role}", raster=True)
        for name, role in reversed(_RASTERS)
        if name in results
    ]
    return vectors + rasters
