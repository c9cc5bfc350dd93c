"""Pairs of finished scenes of an archive and references, and their comparison."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from geoseg.archive.manifest import Manifest
from geoseg.archive.record import SceneRecord
from geoseg.core.types.json_value import JsonDict
from geoseg.errors import ElsewhereError, SceneError
from geoseg.io.labels.legend_file import read_value_legend
from geoseg.io.labels.nodata import Nodata
from geoseg.io.publish.bundle import Bundle
from geoseg.io.vectors.names import split_layer
from geoseg.score.binary import BinaryCounts
from geoseg.score.comparison import LabelOptions, colours_of
from geoseg.score.evaluate import EvaluationPlan, Report, count_pair
from geoseg.score.pairs import Pair, partner
from geoseg.score.protocols import Counts


def find_references(archive: Path, reference: Path, eroded: Path | None = None) -> tuple[list[Pair], list[str]]:
    """Match the finished scenes of an archive with references, by the scene's name or that of its file.

    Args:
        archive: folder of its output.
        reference: folder of references, or polygons for all scenes (``FILE`` or ``FILE:LAYER``).
        eroded: folder of references without class borders.

    Returns:
        Pairs, and the names of finished scenes that have no reference.

    Raises:
        SceneError: no scene is finished, or none has a reference.
        UsageError: a scene has several references.
    """
    done = [record for record in Manifest(archive).records() if record.state == "done"]
    if not done:
        raise SceneError(str(archive), "no scene of this archive is done.", "Segment it first, or check the path.")
    pairs, without = [], []
    for record in done:
        try:
            pairs.append(_pair(archive, record, reference, eroded, len(done)))
        except SceneError:
            if not Path(split_layer(reference)[0]).exists() or (eroded is not None and not eroded.exists()):
                raise
            without.append(record.name)
    if not pairs:
        raise SceneError(str(reference), "nothing there matches a scene of the archive.", f"A scene: {without[0]}.")
    return pairs, without


def plan_of(
    protocol: str,
    legend: Path | None,
    unanswered: str,
    *,
    resample: bool,
    shared: bool = False,
    nodata: Nodata = None,
) -> EvaluationPlan:
    """Make the plan of an evaluation, as ``geoseg evaluate`` does; ``shared``: one reference for all scenes."""
    known = None if legend is None else read_value_legend(legend)
    reading = LabelOptions(
        colours=None if known is None else colours_of(known),
        names=None if known is None else {entry.name: entry.code for entry in known.classes},
        resample=resample,
        shared=shared,
        nodata=nodata,
    )
    return EvaluationPlan(protocol=protocol, reading=reading, legend=known, unanswered=unanswered)  # type: ignore[arg-type]


def count_located_pair(pair: Pair, plan: EvaluationPlan) -> Counts | BinaryCounts | None:
    """Compare one pair; None where one reference is for many scenes and does not reach this one.

    Raises:
        SceneError: a file cannot be read, or does not fit the other.
    """
    try:
        return count_pair(pair, plan)
    except ElsewhereError:
        if plan.reading.shared:
            return None
        raise


def score_rows(report: Report) -> list[dict[str, object]]:
    """Rows of a table: one for each scene."""
    return [
        {name: row[name] for name in ("scene", "scored_px", "labelled_px", "overall_accuracy")} for row in report.scenes
    ]


def total_rows(report: Report) -> list[JsonDict]:
    """Rows of a table: one for each number over all scenes."""
    return [
        {"table": section.title, "number": name, "value": value}
        for section in report.sections
        for name, value in section.as_json().items()
        if isinstance(value, int | float)
    ]


def _pair(archive: Path, record: SceneRecord, reference: Path, eroded: Path | None, scenes: int) -> Pair:
    bundle = Bundle.in_folder(archive, record.name)
    stem = PurePosixPath(record.uri).stem

    def of(folder: Path) -> Path:
        try:
            return partner(record.name, folder, scenes)
        except SceneError:
            return partner(stem, folder, scenes)

    return Pair(
        name=record.name,
        prediction=bundle.classes,
        reference=of(reference),
        eroded=None if eroded is None else of(eroded),
        confidence=bundle.confidence if bundle.confidence.is_file() else None,
    )
