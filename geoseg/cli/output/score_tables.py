"""Reports as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from geoseg.core.text import printable
from geoseg.core.types.json_value import UntypedDict

if TYPE_CHECKING:
    from geoseg.score.evaluate import Report
    from geoseg.score.matrix import Scores

_NAME = 26
_UNITS = {"m": "metres", "units": "units of the coordinates"}


def print_report(report: Report) -> None:
    """Print every section, then further measures, then the notes."""
    shown = None
    for section in report.sections:
        print(printable(section.title))
        if section.scores is not None:
            if section.scores.classes != shown:
                _print_classes(section.scores)
            shown = section.scores.classes
            _print_means(section.scores)
        for name, value in section.values.items():
            _line(name.replace("_", " "), value)
        print()
    for row in report.boundary or []:
        _line(f"boundary F1 at {row['distance']:g} {row['unit']}", row["mean_boundary_f1"])
        _line(f"boundary IoU at {row['distance']:g} {row['unit']}", row["mean_boundary_iou"])
    if report.calibration is not None:
        _line("expected calibration error", report.calibration["expected_calibration_error"])
        _line("mean confidence", report.calibration["mean_confidence"])
    print(f"{len(report.scenes)} scene{'s' if len(report.scenes) != 1 else ''}, protocol {report.protocol}")
    for note in report.notes:
        print(printable(f"note: {note}"))


def print_seams(values: UntypedDict) -> None:
    """Print the seam error and its profile."""
    _line(f"differing, within {values['near_px']} px of a seam", values["differing_near"])
    _line("differing elsewhere", values["differing_elsewhere"])
    _line("seam error (difference)", values["seam_error"])
    _line("relative to elsewhere", values["relative_to_elsewhere"])
    for row in values["profile"]:
        reach = f"{row['from_px']} px and more" if row["to_px"] is None else f"{row['from_px']}-{row['to_px'] - 1} px"
        _line(f"  {reach} from a seam", row["differing"])


def print_objects(values: UntypedDict) -> None:
    """Print counts, scores and distances under headings."""
    print("Objects")
    for name, key in (("predicted", "predicted"), ("in the reference", "reference"), ("matched pairs", "matched")):
        _line(name, values[key])
    print(f"Scores (a pair has an intersection over union of at least {values['least_iou']:g})")
    for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1")):
        _line(name, values[key])
    if "mask" in values:
        for word, key in (("masks", "mask"), ("boxes", "box")):
            _line(f"average precision of {word} (IoU 0.5 to 0.95)", values[key]["ap"])
            _line(f"average precision of {word} at IoU 0.5", values[key]["ap50"])
            _line(f"average recall of {word}", values[key]["ar"])
    print(f"Counts in squares of {values['per_area']['side']:g} {_UNITS.get(values['unit'], values['unit'])}")
    for name, key in (
        ("error of the total", "error"),
        ("relative error of the total", "relative_error"),
        ("mean absolute error", "mean_absolute_error"),
        ("root mean square error", "root_mean_square_error"),
    ):
        _line(name, values["per_area"][key])
    print(f"Outlines of matched pairs (distances in {_UNITS.get(values['unit'], values['unit'])})")
    _line("mean IoU", values["mean_iou_of_matched"])
    for name, key in (("PoLiS distance", "polis"), ("Hausdorff distance", "hausdorff")):
        _line(f"{name}, mean", values[f"{key}_mean"])
        _line(f"{name}, median", values[f"{key}_median"])
    if values["reference_outside"]:
        print(f"note: {values['reference_outside']} reference polygons lie outside the map and are left out")


def print_panoptic(values: UntypedDict) -> None:
    """Print the scores of each class, and the means over things, stuff and all."""
    _print_qualities("Panoptic quality", values)
    if "boundary" in values:
        _print_qualities(f"Boundaries of {values['boundary']['boundary_px']} px", values["boundary"])
    print(f"{values['images']} image{'s' if values['images'] != 1 else ''}")


def _print_qualities(title: str, values: UntypedDict) -> None:
    print(title)
    rows = [
        (
            f"{entry['code']} {entry['name']}",
            "thing" if entry["thing"] else "stuff",
            *(_number(entry[key]) for key in ("pq", "sq", "rq")),
            *(f"{entry[key]:,}" for key in ("matched", "extra", "missed")),
        )
        for entry in values["classes"]
    ]
    for name in ("things", "stuff", "all"):
        mean = values[name]
        rows.append((name, "mean", *(_number(mean[key]) for key in ("pq", "sq", "rq")), "", "", ""))
    _table(("class", "kind", "PQ", "SQ", "RQ", "matched", "extra", "missed"), rows)


def print_estimate(values: UntypedDict) -> None:
    """Print accuracies and areas with their intervals."""
    print(f"overall accuracy {_interval(values, 'overall_accuracy', '.4f')}  (95 % intervals)")
    rows = [
        (
            f"{entry['code']} {entry['name']}",
            _interval(entry, "users_accuracy", ".3f"),
            _interval(entry, "producers_accuracy", ".3f"),
            f"{entry['mapped_m2'] / 1e4:,.2f}",
            _interval(entry, "area_m2", ",.2f", 1e-4),
        )
        for entry in values["classes"]
    ]
    _table(("class", "user's", "producer's", "mapped, ha", "area, ha"), rows)
    if values["points_without_class"]:
        print(f"note: {values['points_without_class']} points have no class and are left out")


def _print_classes(scores: Scores) -> None:
    rows = [
        (f"{entry.code} {entry.name}", *(_number(v) for v in (entry.precision, entry.recall, entry.f1, entry.iou)))
        for entry in scores.classes
    ]
    shares = [f"{entry.reference_px / scores.scored_px:.2%}" if scores.scored_px else "-" for entry in scores.classes]
    rows = [(*row, share) for row, share in zip(rows, shares, strict=True)]
    _table(("class", "precision", "recall", "F1", "IoU", "share"), rows)


def _print_means(scores: Scores) -> None:
    _line("overall accuracy", scores.overall_accuracy)
    _line("mean F1", scores.mean_f1)
    _line("mean IoU", scores.mean_iou)
    _line("kappa", scores.kappa)
    _line("frequency weighted IoU", scores.frequency_weighted_iou)


def _interval(values: UntypedDict, key: str, style: str, factor: float = 1.0) -> str:
    value, half = values[key], values[f"{key}_ci95"]
    if value is None:
        return "-"
    return f"{value * factor:{style}}" + ("" if half is None else f" ± {half * factor:{style}}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, *rows):
        cells = [
            f"{cell:<{width}}" if not place else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(printable("  " + "  ".join(cells)))


def _line(name: str, value: float | None) -> None:
    print(f"  {name:<{_NAME}}  {_number(value)}")


def _number(value: float | None) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
