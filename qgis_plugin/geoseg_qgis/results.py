"""Layers of a run in the project: styled as geoseg styles them, in a group of the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from qgis.core import (
    QgsLayerTree,
    QgsLayerTreeGroup,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingUtils,
)
from qgis.PyQt.QtCore import QTimer


@dataclass(frozen=True)
class ResultLayer:
    """A layer to add to the project.

    Attributes:
        output: name of the algorithm's output.
        source: path, or ``path|layername=NAME``.
        title: name in the layer tree.
        raster: True for a raster, False for a vector layer.
    """

    output: str
    source: str
    title: str
    raster: bool


def load_on_completion(layer: ResultLayer, placer: LayerPlacer, context: QgsProcessingContext) -> None:
    """Have QGIS add a layer to the project when the algorithm is done."""
    project = context.project()
    if project is None:
        return
    hint = QgsProcessingUtils.LayerHint.Raster if layer.raster else QgsProcessingUtils.LayerHint.Vector
    details = QgsProcessingContext.LayerDetails(layer.title, project, layer.output, hint)
    details.forceName = True
    if hasattr(details, "groupName"):  # from QGIS 3.32 on it groups and sorts by itself
        details.groupName, details.layerSortKey = placer.group, placer.index
    details.setPostProcessor(placer)
    context.addLayerToLoadOnCompletion(layer.source, details)


class LayerPlacer(QgsProcessingLayerPostProcessorInterface):
    """Styles a layer that was added, moves it into the group of its run, and hides all but the first of them.

    Args:
        group: name of the group.
        index: place among the layers of the run, 0 is the top.
    """

    _waiting: ClassVar[set[LayerPlacer]] = set()  # QGIS keeps no reference, and the algorithm is gone by then

    def __init__(self, group: str, index: int) -> None:
        super().__init__()
        self.group, self.index = group, index
        self._waiting.add(self)

    def postProcessLayer(  # noqa: N802 - called by QGIS
        self, layer: Any, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Load the style that geoseg wrote with the layer, and move the layer."""
        del feedback
        self._waiting.discard(self)
        layer.loadDefaultStyle()  # the QML next to it, or the default style inside a GeoPackage
        layer.triggerRepaint()
        root = context.project().layerTreeRoot()
        node = root.findLayer(layer.id())
        if node is not None and node.parent().name() != self.group:
            group = root.findGroup(self.group) or root.insertGroup(0, self.group)
            group.insertChildNode(_place(group, self.index), node.clone())
            node.parent().removeChildNode(node)
        if self.index == 0:
            return
        if node is None:  # from QGIS 3.32 on the layer comes into the tree after this
            QTimer.singleShot(0, partial(_hide, root, layer.id()))
        else:
            _hide(root, layer.id())


def _hide(root: QgsLayerTree, layer_id: str) -> None:
    """Untick a layer: the first of a run is seen over the imagery, the others would cover it."""
    node = root.findLayer(layer_id)
    if node is not None:
        node.setItemVisibilityChecked(False)


def _place(group: QgsLayerTreeGroup, index: int) -> int:
    """Return the number of children of a group that come before a layer."""
    return min(index, len(group.children()))
