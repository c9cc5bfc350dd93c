"""The Berkeley benchmark over folders: boundary maps as images, annotations as Matlab files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.matlab_file import read_annotations
from geoseg.io.raster.scene import open_scene
from geoseg.score.edges.benchmark import TOLERANCE, Counts, count_edges, summarise, thresholds
from geoseg.score.evaluate import Report
from geoseg.score.pairs import Pair
from geoseg.score.protocols import Section


def evaluate_edges(pairs: Sequence[Pair], *, number: int = 99) -> Report:
    """Score boundary maps by ODS, OIS and AP.

    Args:
        pairs: an image of boundary strength (first band; 0-255, 0-65535 or 0-1) and a .mat file of annotations each.
        number: number of thresholds.

    Raises:
        SceneError: a file cannot be read, or sizes differ.
    """
    at = thresholds(number)
    counts: list[Counts] = []
    scenes: list[UntypedDict] = []
    for pair in pairs:
        strength = read_strength(pair.prediction)
        drawings = [annotation.boundaries for annotation in read_annotations(pair.reference)]
        wrong = next((drawing.shape for drawing in drawings if drawing.shape != strength.shape), None)
        if wrong is not None:
            raise SceneError(
                str(pair.prediction), f"it has {strength.shape} pixels, the drawings {wrong}.", "Give the same size."
            )
        counts.append(count_edges(strength, drawings, at))
        alone = summarise(counts[-1:], at)
        scenes.append(
            {"scene": pair.name, "prediction": str(pair.prediction), "reference": str(pair.reference), "f": alone.ods}
        )
    found = summarise(counts, at)
    values: dict[str, float | int | None] = {
        "ods_f": found.ods,
        "ods_threshold": found.threshold,
        "ods_recall": found.recall,
        "ods_precision": found.precision,
        "ois_f": found.ois,
        "ap": found.ap,
        "images": len(counts),
        "thresholds": number,
        "tolerance_of_diagonal": TOLERANCE,
    }
    section = Section(key="edges", title="boundaries, Berkeley benchmark", values=values)
    return Report(protocol="bsds", sections=(section,), scenes=tuple(scenes))


def read_strength(path: Path) -> npt.NDArray[np.float64]:
    """Read a boundary map (y, x) in [0, 1].

    Raises:
        SceneError: it cannot be read, or a float image leaves [0, 1].
    """
    with open_scene(path, unplaced=True, palette_codes=True) as scene:
        height, width = (int(n) for n in scene.geobox.shape)
        raster = scene.read(Window.whole((height, width)), bands=[1])
    values = raster.values[0].astype(np.float64)
    if raster.values.dtype.kind in "iu":
        values /= np.iinfo(raster.values.dtype).max
    values = np.where(raster.valid, values, 0.0)
    if values.min() < 0 or values.max() > 1:
        raise SceneError(str(path), f"its values go from {values.min():g} to {values.max():g}.", "Scale them to 0-1.")
    return values
