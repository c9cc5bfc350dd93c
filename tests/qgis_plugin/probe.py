"""Use the plugin in the real QGIS as a user would, and write what is seen as JSON. Run by Debian's Python.

usage: /usr/bin/python3 probe.py PLUGINS GEOSEG SCENE MODEL FOLDER [TILES-URL]
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.core import (
    QgsApplication,
    QgsLayerTreeGroup,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsSettings,
)
from qgis.gui import QgsBrowserGuiModel, QgsMapCanvas
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QMainWindow

plugins, geoseg, scene, model, folder = sys.argv[1:6]
tiles = sys.argv[6] if len(sys.argv) > 6 else ""
sys.path[:0] = [plugins, "/usr/share/qgis/python/plugins"]
QCoreApplication.setOrganizationName("geoseg-probe")
app = QgsApplication([], True, folder)
app.initQgis()
QgsSettings().setValue("/Processing/Configuration/GEOSEG_EXECUTABLE", geoseg)

import qgis.utils  # noqa: E402

canvas, window, browser = QgsMapCanvas(), QMainWindow(), QgsBrowserGuiModel()


class Interface:
    """The few things of the application that Processing asks for."""

    def mapCanvas(self):  # noqa: N802
        return canvas

    def mainWindow(self):  # noqa: N802
        return window

    def browserModel(self):  # noqa: N802
        return browser

    def messageBar(self):  # noqa: N802
        return None

    def activeLayer(self):  # noqa: N802
        return None


qgis.utils.iface = Interface()
from processing.core.Processing import Processing  # noqa: E402
from processing.gui.AlgorithmDialog import AlgorithmDialog  # noqa: E402
from processing.gui.Postprocessing import handleAlgorithmResults  # noqa: E402

Processing.initialize()
import geoseg_qgis  # noqa: E402

plugin = geoseg_qgis.classFactory(qgis.utils.iface)
plugin.initGui()
registry = QgsApplication.processingRegistry()
seen = {"algorithms": sorted(one.id() for one in registry.providerById("geoseg").algorithms())}

project = QgsProject.instance()
layer = QgsRasterLayer(scene, "scene", "gdal")
project.addMapLayer(layer)
canvas.setDestinationCrs(layer.crs())
canvas.setLayers([layer])
canvas.setExtent(layer.extent())


class Log(QgsProcessingFeedback):
    """Feedback that keeps what it is told; cancels at the first line if asked to."""

    def __init__(self, cancels=False):
        super().__init__(False)
        self.lines, self.percents, self.cancels = [], [], cancels
        self.progressChanged.connect(self.percents.append)

    def _keep(self, line):
        self.lines.append(line)
        if self.cancels:
            self.cancel()

    def pushInfo(self, line):  # noqa: N802
        self._keep(line)

    def pushCommandInfo(self, line):  # noqa: N802
        self._keep(line)

    def pushConsoleInfo(self, line):  # noqa: N802
        self._keep(line)

    def reportError(self, line, fatalError=False):  # noqa: N802, N803
        self._keep(line)


def run(name, parameters, cancels=False):
    """Run an algorithm of the plugin as its dialog does, layers and all."""
    feedback, context = Log(cancels), QgsProcessingContext()
    context.setProject(project)
    algorithm = registry.createAlgorithmById("geoseg:" + name)
    results, ok = algorithm.run(parameters, context, feedback)
    if ok:
        handleAlgorithmResults(algorithm, context, feedback)
    return {"ok": ok, "results": results, "log": feedback.lines, "percents": feedback.percents}


def tree(node):
    """The layer tree: groups as lists, layers with the renderer they have."""
    if isinstance(node, QgsLayerTreeGroup):
        return [node.name(), [tree(child) for child in node.children()]]
    one = node.layer()
    classes = []
    if one.renderer().type() == "paletted":
        classes = [entry.color.name() for entry in one.renderer().classes()]
    elif one.renderer().type() == "categorizedSymbol":
        classes = [entry.symbol().color().name() for entry in one.renderer().categories()]
    return {
        "name": node.name(),
        "visible": node.isVisible(),
        "valid": one.isValid(),
        "renderer": one.renderer().type(),
        "colours": classes,
    }


out = Path(folder, "out")
seen["predict"] = run("predict", {"INPUT": layer, "MODEL": model, "OUTPUT": str(out), "EXTRA": "--runtime torch"})
classes = seen["predict"]["results"].get("CLASSES", "")
codes = QgsRasterLayer(classes, "codes", "gdal")
project.addMapLayer(codes, False)
box = layer.extent()
part = QgsRectangle(box.xMinimum() + 20.2, box.yMinimum() + 10, box.xMinimum() + 70.2, box.yMinimum() + 60.3)
seen["part"] = run(
    "predict",
    {
        "INPUT": layer,
        "MODEL": model,
        "EXTENT": f"{part.xMinimum()},{part.xMaximum()},{part.yMinimum()},{part.yMaximum()} [{layer.crs().authid()}]",
        "OUTPUT": str(Path(folder, "part")),
        "EXTRA": "--runtime torch",
    },
)
polygons, roofs = (
    QgsProcessingOutputLayerDefinition(str(Path(folder, name)), project) for name in ("polygons.gpkg", "roofs.gpkg")
)
seen["vectorise"] = run("vectorise", {"INPUT": codes, "OUTPUT": polygons})
seen["objects"] = run("objects", {"INPUT": codes, "CLASSES": "roof", "OUTPUT": roofs})
polygons = {"INPUT": codes, "REFERENCE": str(Path(folder, "polygons.gpkg")), "FIELD": "class_code", "OUTSIDE": "none"}
seen["evaluate"] = run("evaluate", {**polygons, "OUTPUT": str(Path(folder, "scores.html"))})
seen["inspect"] = run("inspect", {"INPUT": layer, "OUTPUT": str(Path(folder, "inspect.html"))})
again = {"INPUT": layer, "MODEL": model, "OUTPUT": str(Path(folder, "cancelled"))}
seen["cancelled"] = run("predict", again, cancels=True)
seen["refused"] = run("predict", {**again, "MODEL": "no-such-model"})
if tiles:
    service = QgsRasterLayer(f"type=xyz&url={tiles}&zmin=0&zmax=20", "service", "wms")
    seen["service_valid"] = service.isValid()
    project.addMapLayer(service, False)
    wanted = {"INPUT": service, "MODEL": model, "OUTPUT": str(Path(folder, "service")), "ADD": False}
    wanted["EXTRA"] = "--runtime torch"
    seen["service_without_extent"] = run("predict", wanted)
    wanted |= {"EXTENT": "0,100,0,80 [EPSG:3857]", "PIXEL_SIZE": 0.5}
    seen["service"] = run("predict", wanted)
seen["tree"] = tree(project.layerTreeRoot())

dialog = AlgorithmDialog(registry.createAlgorithmById("geoseg:predict"))
dialog.resize(980, 760)
dialog.show()
app.processEvents()
dialog.grab().save(str(Path(folder, "dialog.png")))
wrapper = dialog.mainWidget().wrappers["MODEL"]
names = wrapper.widget.findChildren(qgis.PyQt.QtWidgets.QComboBox)[0]
seen["dialog"] = {"models": [names.itemText(i) for i in range(names.count())], "value": wrapper.value()}
seen["dialog"]["words"] = [one.text() for one in wrapper.widget.findChildren(qgis.PyQt.QtWidgets.QLabel)]
seen["dialog"]["preview"] = any(one.pixmap() for one in wrapper.widget.findChildren(qgis.PyQt.QtWidgets.QLabel))
plugin.unload()
seen["after_unload"] = registry.providerById("geoseg") is None
Path(folder, "seen.json").write_text(json.dumps(seen, default=str))
os._exit(0)  # QGIS may crash while it tears its layers down
