"""Open an archive's project in the real QGIS and say, as JSON, what is seen. Run by Debian's Python, never by pytest's.

usage: /usr/bin/python3 archive_map_probe.py FOLDER PICTURES
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.core import (
    QgsApplication,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemScaleBar,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

folder, pictures = sys.argv[1:]
app = QgsApplication([], False)
app.initQgis()
project = QgsProject.instance()
seen = {"opened": project.read(str(Path(folder, "archive.qgz"))), "layers": []}


def draw(layers, name, crs, extent):
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setOutputSize(QSize(400, 300))
    settings.setDestinationCrs(crs)
    settings.setBackgroundColor(QColor(255, 0, 255))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    settings.setExtent(extent)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(Path(pictures, name)))


shown = []
for node in project.layerTreeRoot().findLayers():
    layer = node.layer()
    valid = layer is not None and layer.isValid()
    facts = {"name": node.name(), "valid": valid, "source": layer.source() if layer else None}
    facts |= {"group": node.parent().name(), "visible": node.isVisible()}
    if valid:
        facts |= {"crs": layer.crs().authid(), "renderer": layer.renderer().type()}
        facts |= {"scaled": layer.hasScaleBasedVisibility(), "closest": layer.minimumScale()}
        if node.isVisible():
            shown.append(layer)
        if layer.renderer().type() == "categorizedSymbol":
            facts["states"] = [[c.value(), c.symbol().color().name()] for c in layer.renderer().categories()]
            facts["rows"] = layer.featureCount()
        else:
            draw([layer], f"{len(seen['layers'])}.png", layer.crs(), layer.extent())
    seen["layers"].append(facts)
view = project.viewSettings().defaultViewExtent()
draw(shown, "project.png", project.crs(), QgsRectangle(view))
alone = QgsVectorLayer(str(Path(folder, "scenes.gpkg")) + "|layername=scenes", "alone", "ogr")
seen["alone"] = alone.renderer().type() if alone.isValid() else None
seen["crs"] = project.crs().authid()
themes = project.mapThemeCollection()
seen["themes"] = {name: [layer.name() for layer in themes.mapThemeVisibleLayers(name)] for name in themes.mapThemes()}
(layout,) = project.layoutManager().layouts()
(legend,) = (item for item in layout.items() if isinstance(item, QgsLayoutItemLegend))
(entry,) = legend.model().rootGroup().findLayers()
seen["legend"] = [node.data(0) for node in legend.model().layerLegendNodes(entry)]
seen["labels"] = [item.currentText() for item in layout.items() if isinstance(item, QgsLayoutItemLabel)]
(bar,) = (item for item in layout.items() if isinstance(item, QgsLayoutItemScaleBar))
seen["bar"] = [
    bar.unitLabel(),
    bar.unitsPerSegment(),
    bar.rect().width(),
    layout.referenceMap().mapUnitsToLayoutUnits(),
]
seen["ellipsoid"] = project.ellipsoid()
settings = QgsLayoutExporter.ImageExportSettings()
settings.dpi = 100
settings.exportMetadata = False
QgsLayoutExporter(layout).exportToImage(str(Path(pictures, "printed.png")), settings)
sys.stdout.write(json.dumps(seen) + "\n")
sys.stdout.flush()
os._exit(0)  # QGIS may crash while it tears its layers down
