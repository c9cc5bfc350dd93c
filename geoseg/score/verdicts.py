"""Verdicts on the objects of a prediction: which are hits, misses and false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import pandas as pd

from geoseg.io.polygons.verdicts import FALSE_ALARM, HIT, MISS, write_picture, write_verdicts
from geoseg.score.objects import Matching, Polygons


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFiles:
    """Files of verdicts to write; None: not written.

    Attributes:
        layer: GeoPackage for QGIS.
        picture: PNG.
    """

    layer: Path | None = None
    picture: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Predicted and reference objects with their matching.

    Attributes:
        matching: pairs.
        found: predicted objects, in the CRS of the prediction.
        truth: reference objects, in theirs.
        predicted: the predicted polygons in a common plane.
        expected: the reference polygons there.
    """

    matching: Matching
    found: geopandas.GeoDataFrame
    truth: geopandas.GeoDataFrame
    predicted: Polygons
    expected: Polygons


def write_files(compared: Compared, files: VerdictFiles) -> None:
    """Write the requested verdicts.

    A hit is a reference object with a pair; a miss is one without; a false alarm is a predicted object without a pair.

    Raises:
        WriteError: the disk is full or fails.
    """
    if files.layer is not None:
        write_verdicts(files.layer, verdict_frame(compared))
    if files.picture is not None:
        alarms = _without(len(compared.predicted), compared.matching.predicted)
        shapes = np.concatenate([compared.expected, compared.predicted[alarms]])
        verdicts = np.concatenate([_of_reference(compared), np.full(int(alarms.sum()), FALSE_ALARM, object)])
        write_picture(files.picture, shapes, verdicts)


def verdict_frame(compared: Compared) -> geopandas.GeoDataFrame:
    """Make a table of verdicts: reference objects, then false alarms, in the CRS of the prediction."""
    matching = compared.matching
    iou = np.full(len(compared.truth), np.nan)
    iou[matching.reference] = matching.iou
    truth = compared.truth[["geometry"]].copy()
    truth["verdict"], truth["iou"] = _of_reference(compared), iou
    alarms = compared.found[_without(len(compared.found), matching.predicted)]
    others = alarms[["geometry", *(name for name in ("score",) if name in alarms)]].copy()
    others["verdict"], others["iou"] = FALSE_ALARM, np.nan
    if compared.found.crs is not None and truth.crs is not None:
        truth = truth.to_crs(compared.found.crs)
    frame = pd.concat([truth, others], ignore_index=True)
    return geopandas.GeoDataFrame(frame, geometry="geometry", crs=compared.found.crs)


def _of_reference(compared: Compared) -> npt.NDArray[np.object_]:
    missed = _without(len(compared.expected), compared.matching.reference)
    return np.where(missed, MISS, HIT).astype(object)


def _without(count: int, matched: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    out = np.ones(count, np.bool_)
    out[matched] = False
    return out
