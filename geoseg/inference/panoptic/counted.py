"""CountedThings: the objects that a class map is parted into, as the things of a panoptic map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window
from geoseg.vector.objects.scene import SceneObjects
from geoseg.vector.source import LabelTable

COLUMNS = np.dtype([("score", "f8"), ("touches_edge", "i8")])


class CountedThings:
    """Objects of a class map as things; see ``geoseg.inference.panoptic.scene.Things``. They have no scores.

    Args:
        found: the objects.
    """

    pixels = None

    def __init__(self, found: SceneObjects) -> None:
        self.shape, self._found = found.shape, found
        self.ids = np.asarray(found.objects.id, np.int64)
        columns = np.zeros(len(self.ids) + 1, COLUMNS)
        columns["score"] = np.nan
        columns["touches_edge"] = found.table.columns["touches_edge"]
        self.table = LabelTable(code=found.table.code, none=0, columns=columns)

    def __len__(self) -> int:
        return len(self.ids)

    def labels(self, window: Window) -> npt.NDArray[np.int32]:
        """Draw labels, (y, x) int32 over a window of the scene, 0 for none."""
        return self._found.labels(window)

    def percent(self, labels: npt.NDArray[np.int32]) -> None:
        """Return None: the confidence of a pixel is that of its class."""
        del labels
