"""Open a corrected map in the real QGIS and say, as JSON on stdout, what is seen. Run by Debian's Python.

usage: /usr/bin/python3 corrected_map_probe.py PROJECT.qgz PICTURE.png
"""

import json
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.core import QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QSize

app = QgsApplication([], False)
app.initQgis()
project = QgsProject.instance()
seen = {"opened": project.read(sys.argv[1]), "layers": []}
tree = project.layerTreeRoot()
shown = []
for entry in tree.findLayers():
    layer = entry.layer()
    vector = isinstance(layer, QgsVectorLayer)
    seen["layers"].append(
        {
            "name": entry.name(),
            "valid": layer.isValid(),
            "visible": entry.isVisible(),
            "features": layer.featureCount() if vector else None,
            "categories": [c.label() for c in layer.renderer().categories()] if vector else None,
            "tip": layer.mapTipTemplate() if vector else "",
        }
    )
    if vector and "corrections" in entry.name():
        shown.insert(0, layer)
    elif entry.isVisible():
        shown.append(layer)
settings = QgsMapSettings()
settings.setLayers(shown)
settings.setOutputSize(QSize(800, 600))
settings.setDestinationCrs(project.crs())
settings.setExtent(shown[0].extent().buffered(20))
job = QgsMapRendererParallelJob(settings)
job.start()
job.waitForFinished()
job.renderedImage().save(sys.argv[2])
print(json.dumps(seen))  # noqa: T201 - what the test reads
