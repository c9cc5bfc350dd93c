"""Panoptic scores of files: rasters of labels over whole mosaics, and documents of COCO."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geoseg.core.layer import CLASSES, PANOPTIC, raster_suffix
from geoseg.core.legend import LegendClass
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.coco_panoptic import CocoPanoptic, CocoSegment, read_coco_panoptic, write_coco_panoptic
from geoseg.io.labels.contact_labels import NumberedLabels, ObjectLayer
from geoseg.io.labels.panoptic_raster import classes_in
from geoseg.io.labels.polygon_layer import PolygonLabels
from geoseg.io.labels.raster_legend import legend_of, made_up_colour
from geoseg.io.labels.resampled_layer import Fit, on_grid
from geoseg.io.vectors.names import is_vector
from geoseg.io.vectors.read import VectorRequest
from geoseg.score.pairs import partner
from geoseg.score.panoptic.pairs import VOID, SegmentMap, count_pairs
from geoseg.score.panoptic.quality import SegmentTable, Tally, tally
from geoseg.score.panoptic.segment_maps import LabelSegments, ObjectSegments, PictureSegments

_SUFFIX = raster_suffix(PANOPTIC)
_CURE = "Pass --resample to take the nearest label, or bring it onto that grid."


@dataclass(frozen=True, slots=True, kw_only=True)
class PanopticReading:
    """How files are read and compared.

    Attributes:
        reference_objects: polygons, or a raster of numbers, that tell the things of the reference apart; None: the
            reference does.
        things: names or codes of the classes of things; empty: as the prediction says.
        boundary_px: width of boundaries, pixels; 0: no boundary scores.
        resample: resample the reference by nearest neighbour where grids differ, instead of refusing.
        coco: folder to write both maps to as COCO panoptic; None: they are not written.
    """

    reference_objects: Path | None = None
    things: tuple[str, ...] = ()
    boundary_px: int = 0
    resample: bool = False
    coco: Path | None = None


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    reference: SegmentMap
    prediction: SegmentMap
    tables: tuple[SegmentTable, SegmentTable]


@dataclass(slots=True)
class _Classes:
    """Names of class codes, and the codes of things, as far as the files say."""

    names: dict[int, str] = field(default_factory=dict)
    things: set[int] = field(default_factory=set)

    def listed(self, codes: list[int]) -> list[LegendClass]:
        return [
            LegendClass(
                code=code,
                name=self.names.get(code, f"class {code}"),
                colour=made_up_colour(place),
                countable=code in self.things,
            )
            for place, code in enumerate(codes)
        ]


def evaluate_panoptic(prediction: Path, reference: Path | None, reading: PanopticReading | None = None) -> UntypedDict:
    """Score panoptic maps against a reference: one tally over all scenes, each pixel once.

    A whole mosaic is one image: each of its classes of stuff is one segment.

    Args:
        prediction: a scene's output folder, a folder of such, a raster of panoptic labels, or a COCO panoptic document.
        reference: a raster of panoptic labels or of classes, a folder of such, or a COCO panoptic document; None: all
            pixels without an object are of the only class of stuff.
        reading: how they are read.

    Returns:
        ``all``, ``things`` and ``stuff`` with means, ``classes`` with the scores of each; with boundaries the same in
        ``boundary``.

    Raises:
        SceneError: a file cannot be read, or its grid differs.
        UsageError: options conflict.
    """
    how, known = reading or PanopticReading(), _Classes()
    with_json = [path is not None and path.suffix.lower() == ".json" for path in (prediction, reference)]
    if any(with_json):
        if reference is None or not all(with_json) or how.reference_objects is not None:
            raise UsageError("a COCO panoptic document is compared with another one; give two.")
        return _report(prediction, reference, how, _scored(_pictures(prediction, reference, known), how, known))
    with ExitStack() as stack:
        pairs = _rasters(prediction, reference, how, known, stack)
        return _report(prediction, reference or how.reference_objects, how, _scored(pairs, how, known))


def _scored(pairs: Iterator[_Pair], how: PanopticReading, known: _Classes) -> tuple[_Classes, int, Tally, Tally | None]:
    masks: Tally | None = None
    edges: Tally | None = None
    count, written = 0, []
    for pair in pairs:
        counts = count_pairs(pair.reference, pair.prediction, boundary_px=how.boundary_px)
        theirs, ours = pair.tables
        size = 1 + int(max([0, *theirs.code.tolist(), *ours.code.tolist()]))
        one = tally(counts, theirs, ours, size)
        masks = one if masks is None else _longer(masks, one)
        if how.boundary_px:
            edge = tally(counts, theirs, ours, size, boundary=True)
            edges = edge if edges is None else _longer(edges, edge)
        if how.coco is not None:
            written.append(pair)
        count += 1
    if masks is None:
        raise UsageError("there is nothing to compare.")
    if how.coco is not None:
        _write_coco(how.coco, written, known)
    return known, count, masks, edges


def _longer(one: Tally, other: Tally) -> Tally:
    """Add tallies of different numbers of codes."""
    size = max(len(one.iou), len(other.iou))

    def grown(t: Tally) -> Tally:
        pad = (0, size - len(t.iou))
        return Tally(**{name: np.pad(getattr(t, name), pad) for name in ("iou", "matched", "extra", "missed")})

    return grown(one) + grown(other)


def _report(
    prediction: Path, reference: Path | None, how: PanopticReading, found: tuple[_Classes, int, Tally, Tally | None]
) -> UntypedDict:
    known, images, masks, edges = found
    report = {"prediction": str(prediction), "reference": str(reference), "images": images}
    report |= _values(masks, known)
    if edges is not None:
        report["boundary"] = {"boundary_px": how.boundary_px, **_values(edges, known)}
    return report


def _values(one: Tally, known: _Classes) -> UntypedDict:
    codes = np.flatnonzero(one.occurs).tolist()
    return {
        "all": one.mean(codes),
        "things": one.mean(code for code in codes if code in known.things),
        "stuff": one.mean(code for code in codes if code not in known.things),
        "classes": [
            {"code": entry.code, "name": entry.name, "thing": entry.countable, **one.of_class(entry.code)}
            for entry in known.listed(codes)
        ],
    }


def _pictures(prediction: Path, reference: Path, known: _Classes) -> Iterator[_Pair]:
    ours, theirs = read_coco_panoptic(prediction), read_coco_panoptic(reference)
    _same_categories(ours, theirs)
    known.names |= dict(theirs.categories)
    known.things |= theirs.things
    for image_id, picture in theirs.pictures.items():
        if image_id not in ours.pictures:
            raise SceneError(ours.name, f"it has no picture {image_id!r} of the reference.", "Predict it too.")
        one, other = PictureSegments(picture), PictureSegments(ours.pictures[image_id])
        if one.shape != other.shape:
            raise SceneError(other.name, f"it has {other.shape} pixels, the reference {one.shape}.", "Check the files.")
        yield _Pair(image_id, one, other, (one.table(), other.table()))


def _same_categories(ours: CocoPanoptic, theirs: CocoPanoptic) -> None:
    missing = sorted(set(ours.categories) - set(theirs.categories))
    if missing:
        raise SceneError(
            ours.name, f"its category {missing[0]} is none of {theirs.name}.", "Give documents with equal categories."
        )


def _rasters(
    prediction: Path, reference: Path | None, how: PanopticReading, known: _Classes, stack: ExitStack
) -> Iterator[_Pair]:
    predictions = _predictions(prediction)
    for name, path in predictions:
        ours = stack.enter_context(ClassRaster(path, ClassRules(nodata=None)))
        _learn(path, known)
        mine = LabelSegments(ours)
        table = mine.table()
        known.things |= set(table.code[table.number - 1 >= 256].tolist())
        things = _things(how, known)
        fit = Fit(of=f"the prediction {path}", cure=_CURE, resample=how.resample, covering=True)
        classes = None
        if reference is not None:
            labels = partner(name, reference, len(predictions))
            classes = stack.enter_context(on_grid(ClassRaster(labels, ClassRules(nodata=None)), ours.geobox, fit))
            _learn(labels, known)
        if how.reference_objects is not None:
            objects = _objects(how.reference_objects, ours, fit, stack)
            theirs: Any = ObjectSegments(classes, objects, things, _rest(classes is None, things, known))
        elif classes is not None:
            theirs = LabelSegments(classes)
        else:
            raise UsageError("panoptic scores need --reference, --reference-objects, or both.")
        yield _Pair(name, theirs, mine, (theirs.table(), table))


def _predictions(path: Path) -> list[tuple[str, Path]]:
    """List rasters of labels as (scene name, file), sorted."""
    if not path.exists():
        raise SceneError(str(path), "there is no such file or folder.", "Check the path.")
    if not path.is_dir():
        return [(path.stem, path)]
    for pattern in (f"*{_SUFFIX}", f"[!.]*/*{_SUFFIX}"):
        found = sorted(path.glob(pattern))
        if found:
            return [(file.name.removesuffix(_SUFFIX), file) for file in found]
    raise SceneError(
        str(path), f"no raster of panoptic labels (*{_SUFFIX}) lies in this folder.", "Predict with a panoptic model."
    )


def _learn(path: Path, known: _Classes) -> None:
    """Learn names and kinds of classes from a raster's metadata, or from the class map that lies by it."""
    tagged = classes_in(path)
    for code, (name, is_thing) in tagged.items():
        known.names.setdefault(code, name)
        if is_thing:
            known.things.add(code)
    by_it = path.with_name(path.name.removesuffix(_SUFFIX) + raster_suffix(CLASSES))
    source = by_it if path.name.endswith(_SUFFIX) and by_it.is_file() else path
    if not tagged and not path.name.endswith(_SUFFIX):
        for entry in legend_of(source, list(range(255))).classes:
            if entry.name != f"class {entry.code}":
                known.names.setdefault(entry.code, entry.name)


def _things(how: PanopticReading, known: _Classes) -> tuple[int, ...]:
    if how.things:
        codes = set()
        for text in how.things:
            named = [code for code, name in known.names.items() if name == text]
            if not named and not text.isdigit():
                raise UsageError(
                    f"--things {text}: no class has this name; known are {', '.join(known.names.values())}."
                )
            codes.add(named[0] if named else int(text))
        known.things.clear()
        known.things |= codes
    if how.reference_objects is not None and not known.things:
        raise UsageError("the prediction has no things; name their classes with --things.")
    return tuple(sorted(known.things))


def _rest(needed: bool, things: tuple[int, ...], known: _Classes) -> int | None:
    if not needed:
        return None
    stuff = sorted(set(known.names) - set(things))
    if len(things) != 1 or len(stuff) != 1:
        raise UsageError(
            f"without --reference the map must have one class of things and one of stuff, not {len(things)} and "
            f"{len(stuff)}. Give a class raster too."
        )
    return stuff[0]


def _objects(path: Path, ours: ClassRaster, fit: Fit, stack: ExitStack) -> ObjectLayer:
    if is_vector(path):
        request = VectorRequest(
            name=str(path),
            grid=ours.geobox,
            of_grid="prediction",
            cure_of_others="Give polygons; widen lines and points first, with a buffer.",
            may_be_empty=True,
        )
        return stack.enter_context(PolygonLabels(request))
    numbers = ClassRaster(path, ClassRules(nodata="none"))
    return NumberedLabels(stack.enter_context(on_grid(numbers, ours.geobox, fit)))


def _write_coco(folder: Path, pairs: list[_Pair], known: _Classes) -> None:
    codes = sorted({code for pair in pairs for table in pair.tables for code in table.code.tolist()})
    classes = known.listed(codes)
    for place, name in enumerate(("reference", "prediction")):
        maps = (pair.reference if place == 0 else pair.prediction for pair in pairs)
        pictures: UntypedMapping = {
            pair.name: _numbered(one, pair.tables[place]) for pair, one in zip(pairs, maps, strict=True)
        }
        write_coco_panoptic(folder / f"{name}.json", pictures, classes)


def _numbered(one: SegmentMap, table: SegmentTable) -> tuple[Any, list[CocoSegment]]:
    """Number the segments of a map from 1, as pictures of three bytes need it."""
    numbers = one.numbers(Window.whole(one.shape))
    ids = np.where(numbers == VOID, 0, table.find(numbers.ravel()).reshape(numbers.shape) + 1)
    rows = zip(table.code.tolist(), table.crowd.tolist(), strict=True)
    return ids, [CocoSegment(id=i, category=code, crowd=crowd) for i, (code, crowd) in enumerate(rows, start=1)]
