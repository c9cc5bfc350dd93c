"""Sampling of a class raster for interpreters, and area estimation from interpreted points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geoseg.core.choices import Allocation
from geoseg.core.legend import Legend, ValueLegend
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.class_map import ClassMap, hidden_note
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.nodata import Nodata
from geoseg.io.labels.raster_legend import legend_of
from geoseg.io.labels.sample_file import Sample, read_sample, write_sample
from geoseg.io.publish.grid import LayerGrid
from geoseg.score.area.design import allocate, draw, measure_strata, sample_size
from geoseg.score.area.estimate import estimate

_EXPECTED = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Options of the sampling design.

    Attributes:
        points: total number; None: as many as ``standard_error`` needs.
        standard_error: standard error of the overall accuracy.
        how: allocation of the points to classes.
        minimum: least number of points per class.
        expected: expected user's accuracy by code, 0.8 for other classes.
        seed: the same seed draws the same points.
    """

    points: int | None = None
    standard_error: float = 0.01
    how: Allocation = "proportional"
    minimum: int = 50
    expected: Mapping[int, float] = field(default_factory=dict)
    seed: int = 1


def draw_sample(
    path: Path, out: Path, design: Design, *, legend: Legend | None = None, nodata: Nodata = None
) -> UntypedDict:
    """Draw a stratified random sample of a class raster and write it for interpreters.

    Args:
        path: class raster.
        out: GeoPackage of points to write.
        design: options of the sampling design.
        legend: classes of the map; None: from the raster.
        nodata: see ``Nodata``.

    Returns:
        The number of points and the strata with their weights and points.

    Raises:
        SceneError: the map cannot be read, or has a class that is not in the legend.
        WriteError: the disk is full or fails.
    """
    values = legend if isinstance(legend, ValueLegend) else None
    with ClassRaster(path, ClassRules.of_map(legend, nodata)) as classes:
        source = ClassMap(classes, table=None if values is None else values.table)
        strata = measure_strata(source, classes.geobox)
        note = hidden_note(classes, None if values is None else values.labels, "are in no stratum")
        table = _legend(path, strata.codes, legend)
        expected = np.array([design.expected.get(code, _EXPECTED) for code in strata.codes])
        total = design.points or sample_size(strata.weights, expected, design.standard_error)
        allocated = allocate(strata, total, how=design.how, minimum=design.minimum, expected=design.expected)
        points = draw(source, strata, allocated, seed=design.seed)
        grid = LayerGrid(geobox=classes.geobox, gcps=classes.scene.gcps, gcps_crs=classes.scene.gcps_crs)
    drawn = Sample(
        rows=points.rows,
        cols=points.cols,
        map_codes=points.codes,
        legend=table,
        pixels=strata.pixels.sum(axis=1),
        area_m2=strata.area_m2,
    )
    write_sample(out, drawn, grid)
    rows = zip(table.classes, drawn.pixels, drawn.area_m2, strata.weights, allocated, strict=True)
    return {
        "map": str(path),
        "output": str(out),
        "points": len(points.rows),
        "seed": design.seed,
        "strata": [
            {
                "code": entry.code,
                "name": entry.name,
                "pixels": int(pixels),
                "area_m2": float(area),
                "weight": float(weight),
                "points": int(number),
            }
            for entry, pixels, area, weight, number in rows
        ],
        "notes": [] if note is None else [note],
    }


def estimate_sample(path: Path, *, column: str = "reference_code") -> dict[str, object]:
    """Estimate accuracies and areas from a sample that interpreters have filled in.

    Points without a reference class are left out and counted in ``points_without_class``: they must be missing at
    random.

    Args:
        path: sample file.
        column: field of the points with the reference class.

    Returns:
        Accuracies and areas with 95 % intervals, as JSON values.

    Raises:
        SceneError: the file cannot be read.
        UsageError: too few points are interpreted.
    """
    sample = read_sample(path, column=column)
    seen = sample.reference >= 0
    if not seen.any():
        raise UsageError(f"{path}: no point has a class in the field {column}. Interpret the points first.")
    unmapped = sorted(set(sample.reference[seen].tolist()) - set(sample.codes))
    codes = (*sample.codes, *unmapped)
    names = (*sample.names, *(f"class {code} (not in the map)" for code in unmapped))
    place = {code: position for position, code in enumerate(codes)}
    counts = np.zeros((len(codes), len(codes)), np.int64)
    for code, reference in zip(sample.map_codes[seen].tolist(), sample.reference[seen].tolist(), strict=True):
        counts[place[code], place[reference]] += 1
    area = np.concatenate([sample.area_m2, np.zeros(len(unmapped))])
    try:
        values = estimate(counts, area, codes).as_json(names)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return {
        "points": str(path),
        "interpreted": int(seen.sum()),
        "points_without_class": int((~seen).sum()),
        "counts": counts.tolist(),
    } | values


def _legend(path: Path, codes: tuple[int, ...], legend: Legend | None) -> Legend:
    found = legend_of(path, list(codes)) if legend is None else legend
    missing = sorted(set(codes) - set(found.codes))
    if missing:
        raise SceneError(str(path), f"class codes {missing} occur and are not in the legend.", "Add them to --legend.")
    return Legend(classes=tuple(found.by_code(code) for code in codes))
