"""Scoring of files against files: the function behind ``geoseg evaluate`` and ``geoseg.evaluate``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from geoseg.core.choices import FileProtocol, Unanswered
from geoseg.core.legend import Legend
from geoseg.core.paths import path_text
from geoseg.errors import UsageError
from geoseg.io.labels.nodata import Nodata
from geoseg.io.vectors.names import is_folder
from geoseg.score.boundary import Distance
from geoseg.score.comparison import LabelOptions, colours_of
from geoseg.score.edges.files import evaluate_edges
from geoseg.score.evaluate import EvaluationPlan, Report
from geoseg.score.evaluate import evaluate as evaluate_pairs
from geoseg.score.label_meaning import Positive
from geoseg.score.pairs import find_pairs


def evaluate(  # noqa: PLR0913 - an evaluation's options, each with a default
    prediction: str | Path,
    reference: str | Path,
    *,
    protocol: FileProtocol = "classes",
    eroded: str | Path | None = None,
    confidence: str | Path | None = None,
    legend: Legend | None = None,
    distances: Sequence[Distance] = (),
    unanswered: Unanswered = "ignore",
    resample: bool = False,
    positive: Collection[int] = (),
    reference_positive: Collection[int] = (),
    column: str | None = None,
    outside: int | None = 0,
    reference_layer: str | None = None,
    allow_empty_reference: bool = False,
    nodata: Nodata = None,
    prediction_nodata: Nodata = None,
    thresholds: int = 99,
) -> Report:
    """Score predictions against references: one confusion matrix over all scenes, each pixel once.

    Args:
        prediction: a class raster, a scene's output folder, or a folder of either.
        reference: a class raster, coloured raster, polygons (``FILE`` or ``FILE:LAYER``) or ``.mat``; or a folder,
            matched by name.
        protocol: the evaluation protocol, see ``docs/evaluate.md``.
        eroded: ``isprs``: the eroded references; None: derived.
        confidence: confidence raster, 0 to 100; None: the one next to the prediction, if any.
        legend: names and colours of the classes, a ``ValueLegend`` if values of the files are not codes; None: the
            prediction's own.
        distances: distances of boundary scores, such as ``(1, "px")`` or ``(0.5, "m")``; empty: none.
        unanswered: treatment of labelled pixels without prediction.
        resample: resample by nearest neighbour where grids differ, instead of refusing.
        positive: ``binary``: labels that count; empty: all but 0.
        reference_positive: the same for the reference; empty: as ``positive``.
        column: polygons: field of the class, code or name.
        outside: polygons: code where none lies; None for unlabelled.
        reference_layer: polygons: layer of a file that has several.
        allow_empty_reference: polygons: accept a file without any, for an area without objects.
        nodata: one more value of the reference that means no class; ``"none"``: its own nodata value is a class.
        prediction_nodata: the same of the prediction.
        thresholds: ``bsds``: number of thresholds.

    Returns:
        The report; ``as_json()`` gives its numbers.

    Raises:
        UsageError: options conflict, or files do not match one to one.
        SceneError: a file cannot be read, has another grid, or holds an unknown class.

    Examples:
        >>> report = geoseg.evaluate("out/scene", "labels.tif")  # doctest: +SKIP
        >>> report.as_json()["results"]["all"]["mean_iou"]  # doctest: +SKIP
    """
    if protocol != "isprs" and eroded is not None:
        raise UsageError(f"eroded references: only the protocol isprs has any, not {protocol}.")
    if protocol in {"binary", "bsds"} and distances:
        raise UsageError(f"boundary scores: not with the protocol {protocol}; use classes.")
    maps = "files or folders as prediction and reference"
    instead = "Write arrays to a raster first: array.rio.to_raster(...)."
    prediction, reference = (
        Path(path_text(path, function="evaluate", meant=maps, instead=instead)) for path in (prediction, reference)
    )
    pairs = find_pairs(
        prediction,
        reference,
        eroded=None if eroded is None else Path(eroded),
        confidence=None if confidence is None else Path(confidence),
    )
    if protocol == "bsds":
        return evaluate_edges(pairs, number=thresholds)
    binary = protocol == "binary"
    ours, theirs = frozenset(positive), frozenset(reference_positive) or frozenset(positive)
    reading = LabelOptions(
        predicted=Positive(labels=ours) if binary else None,
        reference=Positive(labels=theirs) if binary else None,
        colours=None if legend is None else colours_of(legend),
        column=column,
        names=None if legend is None else {entry.name: entry.code for entry in legend.classes},
        outside=outside,
        layer=reference_layer,
        shared=len(pairs) > 1 and not is_folder(reference),
        may_be_empty=allow_empty_reference,
        nodata=nodata,
        prediction_nodata=prediction_nodata,
        resample=resample,
    )
    plan = EvaluationPlan(
        protocol=protocol, reading=reading, legend=legend, distances=tuple(distances), unanswered=unanswered
    )
    return evaluate_pairs(pairs, plan)
