"""Open a bundle in the real QGIS and say, as JSON on stdout, what is seen. Run by Debian's Python, never by pytest's.

usage: /usr/bin/python3 qgis_probe.py FOLDER PROJECT.qgz CLASSES.tif SEGMENTS.gpkg PICTURES WIDTH HEIGHT
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.core import (
    QgsApplication,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemScaleBar,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QEventLoop, QSize
from qgis.PyQt.QtGui import QColor

folder, project_name, classes_name, segments_name, pictures, width, height = sys.argv[1:]
app = QgsApplication([], False)
app.initQgis()
project = QgsProject.instance()
seen = {"opened": project.read(str(Path(folder, project_name)))}


def draw(layers, name, extent=None):
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setOutputSize(QSize(int(width), int(height)))
    settings.setDestinationCrs(project.crs() if project.crs().isValid() else layers[0].crs())
    settings.setBackgroundColor(QColor(255, 0, 255))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    settings.setFlag(QgsMapSettings.DrawLabeling, False)
    settings.setExtent(extent if extent is not None else layers[0].extent())
    job = QgsMapRendererParallelJob(settings)
    job.start()
    while job.isActive():  # tiles of services arrive as events of this thread
        app.processEvents(QEventLoop.AllEvents, 50)
    job.renderedImage().save(str(Path(pictures, name)))


def colour_classes(layer):
    if isinstance(layer, QgsRasterLayer) and layer.renderer().type() == "paletted":
        return [[c.value, c.label, c.color.name()] for c in layer.renderer().classes()]
    if isinstance(layer, QgsVectorLayer) and layer.renderer().type() == "categorizedSymbol":
        return [[c.value(), c.label(), c.symbol().color().name()] for c in layer.renderer().categories()]
    return []


def tip(layer):
    """The map tip of the largest polygon of class 1, filled in."""
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    found = [one for one in layer.getFeatures() if one["class_code"] == 1]
    if not found:
        return ""
    context.setFeature(max(found, key=lambda one: one["area_m2"]))
    return QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)


def labels(layer):
    """The label of one polygon of each class, by their codes."""
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    expression = QgsExpression(layer.labeling().settings().fieldName)
    found = {}
    for one in layer.getFeatures():
        context.setFeature(one)
        label = expression.evaluate(context)
        found[one["class_code"]] = label if isinstance(label, str) else None
    return [found[code] for code in sorted(found)]


layers = {}
for node in project.layerTreeRoot().findLayers():
    layer = node.layer()
    layers[node.layerId().rpartition("_")[0]] = layer
    valid = layer is not None and layer.isValid()
    vector = valid and isinstance(layer, QgsVectorLayer)
    seen.setdefault("layers", []).append(
        {
            "name": node.name(),
            "group": node.parent().name(),
            "title": layer.metadata().title() if layer else None,
            "abstract": layer.metadata().abstract() if layer else None,
            "licences": layer.metadata().licenses() if layer else None,
            "history": layer.metadata().history() if layer else None,
            "tip": tip(layer) if vector else None,
            "display": layer.displayExpression() if vector else None,
            "labels": labels(layer) if vector else None,
            "labelled": layer.labeling().settings().minimumScale if vector else None,
            "aliases": {f.name(): f.alias() for f in layer.fields() if f.alias()} if vector else None,
            "valid": valid,
            "visible": node.isVisible(),
            "source": layer.source() if layer else None,
            "renderer": layer.renderer().type() if valid else None,
            "classes": colour_classes(layer) if valid else [],
            "crs": layer.crs().authid() if valid else None,
            "crs_valid": layer.crs().isValid() if valid else None,
        }
    )
seen["listed"] = len(project.mapLayers())
seen["crs"] = project.crs().authid()
seen["crs_valid"] = project.crs().isValid()
seen["title"] = project.title()
view = project.viewSettings().defaultViewExtent()
seen["view"] = [view.xMinimum(), view.yMinimum(), view.xMaximum(), view.yMaximum()]
seen["project"] = [project.metadata().title(), project.metadata().abstract(), project.metadata().history()]
shown = [n.layer() for n in project.layerTreeRoot().findLayers() if n.isVisible() and n.layer() and n.layer().isValid()]
if shown:
    draw(shown, "project.png", QgsRectangle(*seen["view"]))
    draw(shown, "first.png")
for name, layer in layers.items():
    if layer is not None and layer.isValid():
        draw([layer], name + "_alone.png")
if layers.get("imagery") is not None and layers["imagery"].isValid() and "classes" in layers:
    draw([layers["imagery"]], "imagery_there.png", layers["classes"].extent())
themes = project.mapThemeCollection()
seen["themes"] = {name: [layer.name() for layer in themes.mapThemeVisibleLayers(name)] for name in themes.mapThemes()}
seen["bookmarks"] = [
    {
        "name": mark.name(),
        "group": mark.group(),
        "crs": mark.extent().crs().authid(),
        "bounds": [
            mark.extent().xMinimum(),
            mark.extent().yMinimum(),
            mark.extent().xMaximum(),
            mark.extent().yMaximum(),
        ],
    }
    for mark in project.bookmarkManager().bookmarks()
]
seen["layouts"] = []
for layout in project.layoutManager().layouts():
    items = layout.items()
    page = layout.pageCollection().page(0).pageSize()
    printed = {"name": layout.name(), "page": [page.width(), page.height()], "scale": layout.referenceMap().scale()}
    printed["theme"] = layout.referenceMap().followVisibilityPresetName()
    printed["labels"] = {item.id(): item.currentText() for item in items if isinstance(item, QgsLayoutItemLabel)}
    for item in items:
        if isinstance(item, QgsLayoutItemLegend):
            model = item.model()
            node = item.model().rootGroup().findLayers()[0]
            printed["legend"] = [one.data(0) for one in model.layerLegendNodes(node)]
        if isinstance(item, QgsLayoutItemScaleBar):
            printed["bar"] = [item.unitLabel(), item.unitsPerSegment()]
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = 60
    settings.exportMetadata = False
    QgsLayoutExporter(layout).exportToImage(str(Path(pictures, "printed.png")), settings)
    seen["layouts"].append(printed)
for key, layer in (
    ("classes_alone", QgsRasterLayer(str(Path(folder, classes_name)), "c", "gdal")),
    ("segments_alone", QgsVectorLayer(str(Path(folder, segments_name)) + "|layername=segments", "s", "ogr")),
):
    style = layer.renderer().type() if layer.isValid() else None
    seen[key] = {"valid": layer.isValid(), "renderer": style, "classes": colour_classes(layer)}
    seen[key] |= {"title": layer.metadata().title(), "abstract": layer.metadata().abstract()}
    if isinstance(layer, QgsVectorLayer):
        seen[key] |= {"tip": tip(layer), "aliases": {f.name(): f.alias() for f in layer.fields() if f.alias()}}
        seen[key] |= {"drawn": [c.label() for c in layer.renderer().categories() if c.renderState()]}
sys.stdout.write(json.dumps(seen) + "\n")
sys.stdout.flush()
os._exit(0)  # QGIS may crash while it tears its layers down
