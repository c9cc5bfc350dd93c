"""Survey of labels: the classes that polygons or rasters hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.window import Window
from geoseg.data.sources.matching import partner
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.raster_legend import legend_of, made_up_colour
from geoseg.io.vectors.names import is_folder, is_vector
from geoseg.io.vectors.read import VectorRequest, read_everywhere

_MOST_CLASSES: Final = 60
_MOST_FILES: Final = 200
_STRIP_PX: Final = 1024
_LAST_CODE: Final = 254
_BACKGROUND: Final = LegendClass(code=0, name="background", colour="#d9d9d9")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSurvey:
    """Classes of the labels of a source.

    Attributes:
        legend: classes of the recipe, by code.
        codes: from each value in the labels to its code; empty where labels are the codes themselves.
        counts: polygons, or pixels, of each code; the background of polygons has none.
        vector: True for polygons.
    """

    legend: Legend
    codes: Mapping[str, int]
    counts: Mapping[int, int]
    vector: bool


def survey_labels(folder: Path, labels: str, names: list[str], *, attribute: str | None, title: str) -> LabelSurvey:
    """Find the classes of labels.

    Args:
        folder: folder that ``labels`` is relative to.
        labels: one file, or a pattern, as in a recipe.
        names: names of the images, for a pattern.
        attribute: field of the class of polygons; None: all polygons are one class.
        title: name of that one class.

    Raises:
        SceneError: a file is missing or cannot be read.
        UsageError: the labels have too many classes, or ``attribute`` does not fit.
    """
    single = "*" not in labels and not is_folder(folder / labels)
    files = [folder / labels] if single else [partner(folder, labels, name) for name in names[:_MOST_FILES]]
    if is_vector(labels) or any(is_vector(file) for file in files):
        return _of_polygons(files, attribute, title)
    if attribute is not None:
        raise UsageError(f"--attribute {attribute}: {labels} is a raster; an attribute is a field of polygons.")
    return _of_rasters(files)


def _of_polygons(files: list[Path], attribute: str | None, title: str) -> LabelSurvey:
    values: Counter[str] = Counter()
    for file in files:
        columns = () if attribute is None else (attribute,)
        frame = read_everywhere(VectorRequest(name=str(file), columns=columns))
        values.update([""] * len(frame) if attribute is None else map(_text, frame[attribute].tolist()))
    if attribute is None:
        legend = Legend(classes=(_BACKGROUND, LegendClass(code=1, name=title, colour="#d7301f")))
        return LabelSurvey(
            legend=legend, codes=MappingProxyType({}), counts=MappingProxyType({1: values[""]}), vector=True
        )
    named = sorted(value for value in values if value)
    if not named:
        raise SceneError(str(files[0]), f"field {attribute} of its polygons is empty.", "Name another --attribute.")
    _check_number(len(named), f"field {attribute} of {files[0]}")
    numbered = all(value.isascii() and value.isdigit() and 0 < int(value) <= _LAST_CODE for value in named)
    if numbered:
        codes = {value: int(value) for value in sorted(named, key=int)}
    else:
        codes = {value: code for code, value in enumerate(named, start=1)}
    classes = [
        LegendClass(code=code, name=f"class {value}" if numbered else _class_name(value), colour=made_up_colour(place))
        for place, (value, code) in enumerate(codes.items(), start=1)
    ]
    counts = {code: values[value] for value, code in codes.items()}
    return LabelSurvey(
        legend=Legend(classes=(_BACKGROUND, *classes)),
        codes=MappingProxyType(codes),
        counts=MappingProxyType(counts),
        vector=True,
    )


def _of_rasters(files: list[Path]) -> LabelSurvey:
    counts: Counter[int] = Counter()
    for file in files:
        with ClassRaster(file, ClassRules()) as raster:
            height, width = raster.geobox.shape
            for top in range(0, height, _STRIP_PX):
                labels, valid = raster.read(Window(top, min(top + _STRIP_PX, height), 0, width))
                found, pixels = np.unique(labels[valid], return_counts=True)
                counts.update(dict(zip(found.tolist(), pixels.tolist(), strict=True)))
        _check_number(len(counts), str(file))
    if not counts:
        raise SceneError(str(files[0]), "no pixel of it has a value.", "Check the file.")
    values = sorted(int(value) for value in counts)
    if values[0] >= 0 and values[-1] <= _LAST_CODE:
        return LabelSurvey(
            legend=legend_of(files[0], values),
            codes=MappingProxyType({}),
            counts=MappingProxyType({value: counts[value] for value in values}),
            vector=False,
        )
    classes = [
        LegendClass(code=code, name=f"class {value}", colour=made_up_colour(code)) for code, value in enumerate(values)
    ]
    return LabelSurvey(
        legend=Legend(classes=tuple(classes)),
        codes=MappingProxyType({str(value): code for code, value in enumerate(values)}),
        counts=MappingProxyType({code: counts[value] for code, value in enumerate(values)}),
        vector=False,
    )


def _check_number(number: int, where: str) -> None:
    if number > _MOST_CLASSES:
        raise UsageError(f"{where} has {number} different values: more than classes are likely. Name other labels.")


def _text(value: object) -> str:
    """Return a field's value as the recipe compares it."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)  # type: ignore[call-overload]


def _class_name(value: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in value)[:80]
