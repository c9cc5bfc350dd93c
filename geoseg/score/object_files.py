"""Evaluation of objects of a prediction against reference polygons, from files of any kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from pyproj import CRS

from geoseg.core.layer import CLASSES, OBJECTS, SEGMENTS, raster_suffix, vector_suffix
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import ElsewhereError, SceneError, UsageError
from geoseg.io.labels.class_map import ClassMap
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.label_layer import NO_CLASS
from geoseg.io.labels.raster_legend import legend_of
from geoseg.io.vectors.names import is_vector
from geoseg.io.vectors.projection import ProjectionError, to_crs
from geoseg.io.vectors.read import VectorRequest, read_polygons
from geoseg.score.average_precision import average_precision, boxes_of, overlapping
from geoseg.score.metric_crs import metric
from geoseg.score.object_curves import counts_per_area, f1_by_iou, f1_by_score
from geoseg.score.objects import match_objects, object_scores
from geoseg.score.pairs import list_predictions
from geoseg.score.verdicts import Compared, VerdictFiles, write_files
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

_CURE = "Give polygons; widen lines and points first, with a buffer."
_CLASSES, _SEGMENTS, _OBJECTS = raster_suffix(CLASSES), vector_suffix(SEGMENTS), vector_suffix(OBJECTS)
SCORE = "score"
"""Column of scores, by which average precision orders objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Polygons of one class.

    Attributes:
        frame: their geometries.
        source: the file they come from.
        area: mapped area, in the frame's CRS; None: unknown.
        tolerance: tolerance for densifying edges in that CRS, a tenth of a pixel.
    """

    frame: geopandas.GeoDataFrame
    source: Path
    area: Any = None
    tolerance: float = 0.01


def evaluate_objects(  # noqa: PLR0913 - an evaluation's options, each with a default
    prediction: Path,
    reference: Path,
    *,
    of_class: str | None = None,
    layer: str | None = None,
    reference_layer: str | None = None,
    reference_column: str | None = None,
    reference_class: str | None = None,
    iou: float = 0.5,
    keep_multiparts: bool = False,
    cell: float = 100.0,
    files: VerdictFiles | None = None,
) -> dict[str, object]:
    """Compare the objects of a prediction with reference polygons.

    Args:
        prediction: folder of a scene (its objects are used, else its segments, else the regions of its class raster),
            a vector file (``FILE`` or ``FILE:LAYER``), or a class raster (its regions are traced).
        reference: vector file, any CRS; ``FILE`` or ``FILE:LAYER``.
        of_class: name or code of the class in the prediction; None: the only one, or the only one but code 0.
        layer: layer of the prediction; None: of a folder, see there; of a vector file, ``segments``, or the only one.
        reference_layer: layer of the reference; None: the only one.
        reference_column: field of the reference that names classes; None: all its polygons.
        reference_class: value of that field for the requested objects.
        iou: least intersection over union of a pair.
        keep_multiparts: a MultiPolygon is one object; else each of its parts is one. Layers of objects that geoseg has
            detected are always read so.
        cell: side of the squares in which objects are counted, metres, or units of files without a CRS.
        files: pictures and layers of hits, misses and false alarms to write.

    Returns:
        Counts, precision, recall, F1 and distances, see ``object_scores``; ``f1_by_iou``; ``per_area``, see
        ``counts_per_area``; where the prediction has scores ``f1_by_score``, ``mask`` and ``box``, see
        ``average_precision``. If the prediction's raster is known,
        reference polygons with their centre outside it are left out.

    Raises:
        SceneError: a file cannot be read.
        UsageError: the class is ambiguous or unknown.
    """
    if reference_class is not None and reference_column is None:
        raise UsageError(f"--reference-class {reference_class}: name the field too, with --reference-column.")
    found = read_objects(prediction, of_class, layer, parts=not keep_multiparts)
    truth = read_reference(
        VectorRequest(name=str(reference), layer=reference_layer, parts=not keep_multiparts, cure_of_others=_CURE),
        reference_column,
        reference_class,
    )
    everything = len(truth)
    if (truth.crs is None) != (found.frame.crs is None):
        without, other = (reference, found.source) if truth.crs is None else (found.source, reference)
        raise SceneError(str(without), f"it has no CRS, {other} has one.", "Save it with its CRS.")
    try:
        if found.area is not None:
            truth = truth[_middles_inside(truth, found)]
        if everything and not len(truth):
            raise ElsewhereError(
                str(reference), "no polygon of it lies on the prediction.", "Check the file and its CRS."
            )
        predicted, expected, unit = metric(found.frame, truth)
    except ProjectionError as error:
        cure = "Save both in a CRS of the Earth."
        raise SceneError(str(reference), f"it cannot be laid over {found.source}: {error}.", cure) from error
    predicted, expected = _mended(predicted), _mended(expected)
    matching = match_objects(predicted, expected, iou=iou)
    scores = object_scores(matching, predicted, expected) | {
        "f1_by_iou": f1_by_iou(predicted, expected),
        "per_area": counts_per_area(predicted, expected, cell),
    }
    if SCORE in found.frame:
        score = found.frame[SCORE].to_numpy(np.float64)
        scores |= {
            "f1_by_score": f1_by_score(predicted, expected, score, iou),
            "mask": average_precision(overlapping(predicted, expected), score, len(expected)),
            "box": average_precision(overlapping(boxes_of(predicted), boxes_of(expected)), score, len(expected)),
        }
    if files is not None:
        compared = Compared(matching=matching, found=found.frame, truth=truth, predicted=predicted, expected=expected)
        write_files(compared, files)
    return {
        "prediction": str(found.source),
        "reference": str(reference),
        "least_iou": iou,
        "unit": unit,
        "reference_outside": everything - len(truth),
    } | scores


def read_reference(request: VectorRequest, column: str | None, of_class: str | None) -> geopandas.GeoDataFrame:
    """Read the reference polygons of one class.

    Args:
        request: the vector file and its layer.
        column: field that names classes; None: all polygons.
        of_class: value of that field.

    Raises:
        SceneError: the file cannot be read, holds no polygon, or none of the class.
        UsageError: a column is named without a class.
    """
    if column is None:
        return read_polygons(request)
    if of_class is None:
        raise UsageError(f"--reference-column {column}: name the class too, with --reference-class.")
    truth = read_polygons(replace(request, columns=(column,)))
    hit = _are(truth[column], of_class)
    if not hit.any():
        values = sorted({str(value) for value in truth[column]})
        shown = ", ".join(values[:10]) + (" ..." if len(values) > 10 else "")
        raise SceneError(request.name, f"no polygon has {column} {of_class!r}.", f"Its values are: {shown}.")
    return truth[hit]


def read_objects(path: Path, of_class: str | None, layer: str | None = None, *, parts: bool = True) -> Objects:
    """Read the polygons of one class of a prediction.

    Args:
        path: see ``evaluate_objects``.
        of_class: name or code of the class.
        layer: of a vector file.
        parts: each part of a MultiPolygon is an object of its own.

    Raises:
        SceneError: it cannot be read.
        UsageError: the class is ambiguous or unknown.
    """
    if is_vector(path):
        return Objects(frame=_chosen(path, _predicted(path, layer, parts=parts), of_class), source=path)
    files = list_predictions(path)
    if len(files) > 1:
        raise UsageError(f"{path}: it holds {len(files)} scenes. Give one of them.")
    raster = files[0][1]
    stem = raster.name.removesuffix(_CLASSES)
    segments, detected = raster.with_name(stem + _SEGMENTS), raster.with_name(stem + _OBJECTS)
    with ClassRaster(raster, ClassRules(unplaced=False)) as classes:
        area = shapely.Polygon(_corners(classes.geobox))
        ground: UntypedDict = {"area": area, "tolerance": 0.1 * np.sqrt(abs(classes.geobox.transform.determinant))}
        of_objects = layer in (None, OBJECTS) and detected.is_file()
        if raster.name.endswith(_CLASSES) and of_objects:
            frame = _chosen(detected, _predicted(detected, OBJECTS, parts=False), of_class)
            return Objects(frame=frame, source=detected, **ground)
        if raster.name.endswith(_CLASSES) and segments.is_file():
            frame = _chosen(segments, _predicted(segments, layer, parts=parts), of_class)
            return Objects(frame=frame, source=segments, **ground)
        return Objects(frame=_traced(raster, classes, of_class), source=raster, **ground)


def _predicted(path: Path, layer: str | None, *, parts: bool) -> geopandas.GeoDataFrame:
    request = VectorRequest(
        name=str(path),
        layer=layer,
        default_layer=SEGMENTS,
        optional=("class_name", "class_code", SCORE),
        parts=parts,
        may_be_empty=True,
        cure_of_others=_CURE,
    )
    return read_polygons(request)


def _middles_inside(truth: geopandas.GeoDataFrame, found: Objects) -> Any:
    here = truth.geometry.to_numpy()
    if truth.crs is not None and found.frame.crs is not None:
        here = to_crs(here, CRS(truth.crs), CRS(found.frame.crs), tolerance=found.tolerance)
    return shapely.within(shapely.centroid(here), found.area)


def _traced(raster: Path, classes: ClassRaster, of_class: str | None) -> geopandas.GeoDataFrame:
    source = ClassMap(classes)
    code = _code(raster, legend_of(raster, source.present()), of_class)
    batches = vectorise_codes(source, classes.geobox, nodata=NO_CLASS, spec=VectorSpec(simplify_m=0.0))
    parts = [batch.geometry[batch.class_code == code] for batch in batches]
    crs = classes.geobox.crs
    geometry = np.concatenate(parts) if parts else np.zeros(0, object)
    return geopandas.GeoDataFrame(geometry=list(geometry), crs=None if crs is None else crs.to_wkt())


def _code(path: Path, legend: Legend, of_class: str | None) -> int:
    if of_class is None:
        codes = [code for code in legend.codes if len(legend) == 1 or code != 0]
    else:
        codes = [entry.code for entry in legend.classes if of_class in {entry.name, str(entry.code)}]
    if len(codes) != 1:
        known = ", ".join(f"{entry.code} {entry.name}" for entry in legend.classes)
        raise UsageError(f"{path}: name one class with --class. It has: {known}.")
    return codes[0]


def _chosen(path: Path, frame: geopandas.GeoDataFrame, of_class: str | None) -> geopandas.GeoDataFrame:
    fields = [name for name in ("class_name", "class_code") if name in frame]
    if frame.empty:
        return frame
    if of_class is None:
        if "class_code" not in frame or frame["class_code"].nunique() < 2:
            return frame
        frame = frame[frame["class_code"] != 0]
        if frame["class_code"].nunique() < 2:
            return frame
    elif fields:
        hit = np.logical_or.reduce([_are(frame[name], of_class) for name in fields])
        if hit.any():
            return frame[hit]
    known = sorted({str(value) for name in fields for value in frame[name]})
    raise UsageError(f"{path}: name one class with --class. Its classes are: {', '.join(known) or 'not named'}.")


def _are(values: Any, text: str) -> npt.NDArray[np.bool_]:
    """Compare values with a text, which may hold what is no UTF-8: text of pandas cannot be compared with that."""
    return np.array([value == text for value in values.astype(str)], dtype=bool)


def _mended(shapes: Any) -> Any:
    """Make polygons valid and drop the lines that spikes become, since a mixed collection has no outline."""
    valid = shapely.make_valid(shapes)
    areal = np.isin(shapely.get_type_id(valid), [shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON])
    return np.where(areal, valid, shapely.buffer(valid, 0))


def _corners(geobox: GeoBox) -> list[tuple[float, float]]:
    height, width = geobox.shape
    return [geobox.transform * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
