"""Evaluation of predictions against references, scene by scene, and its report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from geoseg.core.choices import ScoreProtocol, Unanswered
from geoseg.core.deepglobe_legend import DEEPGLOBE
from geoseg.core.legend import Legend, ValueLegend
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import ElsewhereError, SceneError
from geoseg.io.labels.label_layer import NO_LABEL
from geoseg.io.labels.raster_legend import legend_of
from geoseg.io.vectors.names import is_vector
from geoseg.score.binary import BinaryCounts
from geoseg.score.boundary import Distance
from geoseg.score.comparison import Comparison, Hidden, LabelOptions, colours_of
from geoseg.score.hidden import HiddenClasses
from geoseg.score.label_meaning import Positive, Recoded
from geoseg.score.matrix import Matrix, jsonable, ratio
from geoseg.score.pairs import Pair
from geoseg.score.protocols import (
    ISPRS,
    Counts,
    Section,
    class_list,
    classes,
    deepglobe,
    isprs,
    present,
)

_SYNONYMS = {"clutterbackground": "clutter", "background": "clutter", "lowveg": "lowvegetation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """Options of an evaluation.

    Attributes:
        protocol: the evaluation protocol.
        reading: conversion of files to codes; completed by the protocol.
        legend: names and colours of the classes; None: the prediction's own.
        distances: distances of boundary scores; empty: none.
        unanswered: treatment of labelled pixels without prediction.
    """

    protocol: ScoreProtocol = "classes"
    reading: LabelOptions = field(default_factory=LabelOptions)
    legend: Legend | None = None
    distances: tuple[Distance, ...] = ()
    unanswered: Unanswered = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Report of an evaluation.

    Attributes:
        protocol: its name.
        sections: tables, in order.
        scenes: one line per scene.
        calibration: see ``CalibrationCounts.as_json``; None without confidence.
        boundary: see ``BoundaryCounts.as_json``; None if not requested.
        notes: notes for the interpretation of the numbers.
    """

    protocol: str
    sections: tuple[Section, ...]
    scenes: tuple[dict[str, object], ...]
    calibration: UntypedDict | None = None
    boundary: list[UntypedDict] | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> UntypedDict:
        """Convert to JSON values."""
        values: UntypedDict = {
            "protocol": self.protocol,
            "results": {section.key: section.as_json() for section in self.sections},
            "scenes": list(self.scenes),
            "notes": list(self.notes),
        }
        if self.calibration is not None:
            values["calibration"] = self.calibration
        if self.boundary is not None:
            values["boundary"] = self.boundary
        return values


def evaluate(pairs: Sequence[Pair], plan: EvaluationPlan) -> Report:
    """Compare every pair and report over all of them: one confusion matrix, every pixel counted once.

    If several predictions share one file of polygons, those outside its area are left out, with a note in the report.

    Args:
        pairs: predictions with their references.
        plan: options of the evaluation.

    Raises:
        SceneError: a file cannot be read, has another grid or place, or holds an unknown class.
    """
    evaluation = Evaluation(plan)
    outside: ElsewhereError | None = None
    for pair in pairs:
        try:
            counts = count_pair(pair, plan)
        except ElsewhereError as error:
            if not plan.reading.shared:
                raise
            outside = error
            evaluation.leave_out(pair)
        else:
            evaluation.add(pair, counts)
    if outside is not None and evaluation.empty:
        raise outside
    return evaluation.report()


def count_pair(pair: Pair, plan: EvaluationPlan) -> Counts | BinaryCounts:
    """Compare one pair.

    Args:
        pair: prediction and reference.
        plan: options of the evaluation.

    Returns:
        Its counts for the report.

    Raises:
        SceneError: a file cannot be read, has another grid, or holds an unknown class.
    """
    with Comparison(pair, _reading(plan, pair)) as comparison:
        if plan.protocol == "binary":
            found = BinaryCounts()
            found.add(comparison, plan.unanswered)
            return found
        counts = Counts.empty(plan.protocol, comparison, plan.distances)
        for view in comparison.views(counts.halo_px):
            counts.add(view)
        return counts


class Evaluation:
    """An evaluation in progress: pairs are added one by one; only sums are kept.

    Args:
        plan: options of the evaluation.
    """

    def __init__(self, plan: EvaluationPlan) -> None:
        self._plan = plan
        self._total: Counts | BinaryCounts = BinaryCounts() if plan.protocol == "binary" else Counts()
        self._scenes: list[UntypedDict] = []
        self._first: Pair | None = None
        self._outside: list[str] = []
        self._hidden = HiddenClasses()

    @property
    def empty(self) -> bool:
        """True if nothing was added."""
        return self._first is None

    def leave_out(self, pair: Pair) -> None:
        """Note a pair whose prediction lies outside of the reference."""
        self._outside.append(pair.name)

    def add(self, pair: Pair, counts: Counts | BinaryCounts) -> None:
        """Add the result of ``count_pair`` for a pair under the same plan."""
        self._first = self._first or pair
        if isinstance(self._total, BinaryCounts) and isinstance(counts, BinaryCounts):
            self._total.merge(counts)
            self._record(pair, counts.matrix, counts.hidden)
        elif isinstance(self._total, Counts) and isinstance(counts, Counts):
            self._total.merge(counts)
            self._record(pair, counts.full, counts.hidden)
        else:
            raise TypeError(f"{type(counts).__name__} of another protocol than {self._plan.protocol}")

    def _record(self, pair: Pair, matrix: Matrix, hidden: Hidden) -> None:
        self._scenes.append(_scene(pair, matrix))
        self._hidden.add(pair, matrix, hidden)

    def report(self) -> Report:
        """Report over all pairs that were added, at least one.

        Raises:
            SceneError: no pixel is labelled, or a class is not in the legend.
        """
        plan, total, scenes, first = self._plan, self._total, tuple(self._scenes), self._first
        if first is None:
            raise ValueError("nothing was added")
        if isinstance(total, BinaryCounts):
            notes = self._hidden.notes() + _notes(total.matrix, plan) + self._left_out()
            if total.too_big:
                notes += (f"{total.too_big} images are too big for the region scores of ISBI and have none",)
            return Report(
                protocol=plan.protocol,
                sections=tuple(total.sections(plan.unanswered)),
                scenes=scenes,
                calibration=total.confidence.as_json(),
                notes=notes,
            )
        if not total.full[:255].sum():
            raise SceneError(str(first.reference), "the reference labels no pixel of the prediction.", "Check both.")
        legend = _legend(first.prediction, total.full, plan)
        return Report(
            protocol=plan.protocol,
            sections=tuple(_sections(plan, total, legend)),
            scenes=scenes,
            calibration=total.confidence.as_json(),
            boundary=None if total.boundary is None else total.boundary.as_json(dict(class_list(legend))),
            notes=self._hidden.notes() + _notes(total.full, plan) + self._left_out(),
        )

    def _left_out(self) -> tuple[str, ...]:
        if not self._outside:
            return ()
        shown = ", ".join(self._outside[:5]) + (" ..." if len(self._outside) > 5 else "")
        return (f"{len(self._outside)} predictions lie outside the reference and are left out: {shown}",)


def _reading(plan: EvaluationPlan, pair: Pair) -> LabelOptions:
    reading = plan.reading
    if plan.protocol == "binary":
        colours = reading.colours or {(0, 0, 0): 0, (255, 255, 255): 1}
        if is_vector(pair.reference) and reading.column is None:
            return replace(reading, colours=colours, reference=Positive(labels=frozenset({1})))
        return replace(reading, colours=colours)
    if plan.protocol == "classes":
        unlabelled = plan.legend.nodata if plan.legend is not None and reading.nodata is None else reading.nodata
        table = plan.legend.table if isinstance(plan.legend, ValueLegend) else None
        meaning = None if table is None else Recoded(table=table)
        return replace(reading, nodata=unlabelled, predicted=meaning, reference=meaning)
    official = ISPRS if plan.protocol == "isprs" else DEEPGLOBE
    colours = colours_of(official)
    if plan.protocol == "isprs":
        colours[0, 0, 0] = NO_LABEL
    return replace(
        reading,
        colours=colours,
        names={entry.name: entry.code for entry in official.classes},
        predicted=Recoded(table=_table(pair.prediction, official)),
        reference=Recoded(table=_table(pair.reference, official)),
    )


def _table(path: Path, official: Legend) -> dict[int, int]:
    """Map a file's codes to the official ones: by its own class names, or unchanged."""
    table = {code: code for code in official.codes}
    if path.suffix.lower() not in {".tif", ".tiff"}:
        return table
    named = {_plain(entry.name): entry.code for entry in legend_of(path, list(range(255))).classes}
    code_of = {_plain(entry.name): entry.code for entry in official.classes}
    if len(code_of.keys() & named.keys()) < len(code_of) - 1:
        return table
    return {named[name]: code for name, code in code_of.items() if name in named}


def _plain(name: str) -> str:
    letters = re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")
    return _SYNONYMS.get(letters, letters)


def _legend(path: Path, matrix: Matrix, plan: EvaluationPlan) -> Legend:
    if plan.protocol != "classes":
        return ISPRS if plan.protocol == "isprs" else DEEPGLOBE
    if plan.legend is None:
        return legend_of(path, present(matrix))
    unknown = sorted(set(present(matrix)) - set(plan.legend.codes))
    if unknown:
        raise SceneError(str(path), f"class codes {unknown} occur and are not in the legend.", "Add them to --legend.")
    return plan.legend


def _sections(plan: EvaluationPlan, counts: Counts, legend: Legend) -> list[Section]:
    if plan.protocol == "isprs":
        return isprs(counts, plan.unanswered)
    if plan.protocol == "deepglobe":
        return deepglobe(counts, plan.unanswered)
    return classes(counts, legend, plan.unanswered)


def _scene(pair: Pair, matrix: Matrix) -> dict[str, object]:
    labelled, answered = int(matrix[:255].sum()), int(matrix[:255, :255].sum())
    return {
        "scene": pair.name,
        "prediction": str(pair.prediction),
        "reference": str(pair.reference),
        "labelled_px": labelled,
        "scored_px": answered,
        "overall_accuracy": jsonable(ratio(int(matrix.diagonal()[:255].sum()), answered)),
    }


def _notes(matrix: Matrix, plan: EvaluationPlan) -> tuple[str, ...]:
    labelled, missing = int(matrix[:255].sum()), int(matrix[:255, 255].sum())
    if not missing:
        return ()
    fate = (
        "count as errors" if plan.unanswered == "wrong" else "are left out (--unanswered wrong counts them as errors)"
    )
    return (f"{missing:,} of {labelled:,} labelled pixels ({missing / labelled:.2%}) have no prediction and {fate}",)
