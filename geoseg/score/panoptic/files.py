"""Panoptic scores of files: rasters of labels over whole mosaics, and documents of COCO."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geoseg.core.layer import PANOPTIC, raster_suffix
from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.coco_panoptic import (
    CocoPanoptic,
    CocoSegment,
    keep_coco_panoptic,
    picture_folder,
    read_coco_panoptic,
    write_coco_panoptic,
)
from geoseg.io.labels.contact_labels import NumberedLabels, ObjectLayer
from geoseg.io.labels.label_layer import MOST_CODE
from geoseg.io.labels.polygon_layer import PolygonLabels
from geoseg.io.labels.resampled_layer import Fit, on_grid
from geoseg.io.vectors.names import is_vector
from geoseg.io.vectors.read import VectorRequest
from geoseg.score.pairs import partner
from geoseg.score.panoptic.known_classes import KnownClasses
from geoseg.score.panoptic.pairs import VOID, SegmentMap, count_pairs
from geoseg.score.panoptic.quality import SegmentTable, Tally, tally
from geoseg.score.panoptic.segment_maps import (
    LabelSegments,
    ObjectSegments,
    PictureSegments,
    ScoredMap,
    thing_codes,
)

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
        coco: folder to write both maps to as COCO panoptic, ``prediction.json`` and ``reference.json`` with a folder of
            pictures each; None: they are not written.
        overwrite: replace documents and pictures that stand there.
    """

    reference_objects: Path | None = None
    things: tuple[str, ...] = ()
    boundary_px: int = 0
    resample: bool = False
    coco: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    reference: ScoredMap
    prediction: ScoredMap


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
        UsageError: options conflict, or what is read would be replaced.
        OutputError: COCO's documents or pictures exist already.
    """
    how, known = reading or PanopticReading(), KnownClasses()
    _keep_files(prediction, reference, how)
    with_json = [_is_document(path) for path in (prediction, reference)]
    if any(with_json):
        if reference is None or not all(with_json) or how.reference_objects is not None:
            raise UsageError("a COCO panoptic document is compared with another one; give two.")
        return _report(prediction, reference, how, _scored(_pictures(prediction, reference, how, known), how, known))
    with ExitStack() as stack:
        pairs = _rasters(prediction, reference, how, known, stack)
        return _report(prediction, reference or how.reference_objects, how, _scored(pairs, how, known))


def _scored(
    pairs: Iterator[_Pair], how: PanopticReading, known: KnownClasses
) -> tuple[KnownClasses, int, Tally, Tally | None]:
    masks: Tally | None = None
    edges: Tally | None = None
    count, written = 0, []
    for pair in pairs:
        counts = count_pairs(pair.reference, pair.prediction, boundary_px=how.boundary_px)
        theirs = pair.reference.table(np.unique(counts.reference))
        ours = pair.prediction.table(np.unique(counts.prediction))
        _learn_things(pair, (theirs, ours), known)
        size = 1 + int(max([0, *theirs.code.tolist(), *ours.code.tolist()]))
        one = tally(counts, theirs, ours, size)
        masks = one if masks is None else _longer(masks, one)
        if how.boundary_px:
            edge = tally(counts, theirs, ours, size, boundary=True)
            edges = edge if edges is None else _longer(edges, edge)
        if how.coco is not None:
            written.append((pair, (theirs, ours)))
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
    prediction: Path, reference: Path | None, how: PanopticReading, found: tuple[KnownClasses, int, Tally, Tally | None]
) -> UntypedDict:
    known, images, masks, edges = found
    report = {"prediction": str(prediction), "reference": str(reference), "images": images}
    report |= _values(masks, known)
    if edges is not None:
        report["boundary"] = {"boundary_px": how.boundary_px, **_values(edges, known)}
    return report


def _values(one: Tally, known: KnownClasses) -> UntypedDict:
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


def _keep_files(prediction: Path, reference: Path | None, how: PanopticReading) -> None:
    """Refuse to write COCO's files where they would replace what is read, or what exists already."""
    if how.coco is None:
        return
    read = [prediction, reference, how.reference_objects]
    read += [picture_folder(path) for path in (prediction, reference) if path is not None and _is_document(path)]
    for path in document_paths(how.coco):
        keep_coco_panoptic(path, read, overwrite=how.overwrite)


def document_paths(folder: Path) -> tuple[Path, Path]:
    """Return COCO's documents of the reference and of the prediction in a folder."""
    return folder / "reference.json", folder / "prediction.json"


def _is_document(path: Path | None) -> bool:
    return path is not None and path.suffix.lower() == ".json"


def _pictures(prediction: Path, reference: Path, how: PanopticReading, known: KnownClasses) -> Iterator[_Pair]:
    ours, theirs = read_coco_panoptic(prediction), read_coco_panoptic(reference)
    _check_categories(ours, theirs)
    known.names |= dict(theirs.categories)
    known.things |= theirs.things
    _settle_things(how, known)
    known.settled = True
    for image_id, picture in theirs.pictures.items():
        if image_id not in ours.pictures:
            raise SceneError(ours.name, f"it has no picture {image_id!r} of the reference.", "Predict it too.")
        one, other = PictureSegments(picture), PictureSegments(ours.pictures[image_id])
        if one.shape != other.shape:
            raise SceneError(other.name, f"it has {other.shape} pixels, the reference {one.shape}.", "Check the files.")
        yield _Pair(image_id, one, other)


def _check_categories(ours: CocoPanoptic, theirs: CocoPanoptic) -> None:
    missing = sorted(set(ours.categories) - set(theirs.categories))
    if missing:
        raise SceneError(
            ours.name, f"its category {missing[0]} is none of {theirs.name}.", "Give documents with equal categories."
        )
    if max(theirs.categories, default=0) > MOST_CODE:
        raise SceneError(
            theirs.name,
            f"it has category {max(theirs.categories)}.",
            f"Give documents whose categories have ids of 0 to {MOST_CODE}.",
        )


def _rasters(
    prediction: Path, reference: Path | None, how: PanopticReading, known: KnownClasses, stack: ExitStack
) -> Iterator[_Pair]:
    predictions = _predictions(prediction)
    partners = [None if reference is None else partner(name, reference, len(predictions)) for name, _ in predictions]
    untold = [path for _, path in predictions if not known.learn(path)]
    for labels in partners:
        if labels is not None:
            known.learn(labels)
    if how.reference_objects is not None and not how.things:
        for path in untold:
            with ClassRaster(path, ClassRules(nodata=None)) as raster:
                known.things |= LabelSegments(raster).things()
    things = _settle_things(how, known)
    known.settled, known.told = bool(how.things), not untold
    for (name, path), labels in zip(predictions, partners, strict=True):
        ours = stack.enter_context(ClassRaster(path, ClassRules(nodata=None)))
        fit = Fit(of=f"the prediction {path}", cure=_CURE, resample=how.resample, covering=True)
        classes = None
        if labels is not None:
            classes = stack.enter_context(on_grid(ClassRaster(labels, ClassRules(nodata=None)), ours.geobox, fit))
        if how.reference_objects is not None:
            objects = _objects(how.reference_objects, ours, fit, stack)
            theirs: ScoredMap = ObjectSegments(classes, objects, things, _rest(classes is None, things, known))
        elif classes is not None:
            theirs = LabelSegments(classes)
        else:
            raise UsageError("panoptic scores need --reference, --reference-objects, or both.")
        yield _Pair(name, theirs, LabelSegments(ours))


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


def _settle_things(how: PanopticReading, known: KnownClasses) -> tuple[int, ...]:
    """Return the codes of the classes of things, those of the options if they name some."""
    if how.things:
        known.choose_things(how.things)
    if how.reference_objects is not None and not known.things:
        raise UsageError("the prediction has no things; name their classes with --things.")
    return tuple(sorted(known.things))


def _learn_things(pair: _Pair, tables: tuple[SegmentTable, SegmentTable], known: KnownClasses) -> None:
    """Learn the classes of things from labels, where neither options nor documents settle which are.

    Raises:
        SceneError: the reference has things of a class that is stuff in the prediction.
    """
    if known.settled:
        return
    if isinstance(pair.prediction, LabelSegments):
        known.things |= thing_codes(tables[1].number)
    more = thing_codes(tables[0].number) - known.things if isinstance(pair.reference, LabelSegments) else set()
    if more and known.told:
        code = min(more)
        raise SceneError(
            pair.reference.name,
            f"it has labels above 255 of class {code} ({known.shown(code)}), whose pixels are stuff in the prediction.",
            "Give class codes of 0 to 255, or labels of 256 * thing + code; --things names the classes of things.",
        )
    known.things |= more


def _rest(needed: bool, things: tuple[int, ...], known: KnownClasses) -> int | None:
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


def _write_coco(
    folder: Path, pairs: list[tuple[_Pair, tuple[SegmentTable, SegmentTable]]], known: KnownClasses
) -> None:
    codes = sorted({code for _, tables in pairs for table in tables for code in table.code.tolist()})
    classes = known.listed(codes)
    for place, path in enumerate(document_paths(folder)):
        pictures = (
            (pair.name, _numbered(pair.reference if place == 0 else pair.prediction, tables[place]))
            for pair, tables in pairs
        )
        write_coco_panoptic(path, pictures, classes)


def _numbered(one: SegmentMap, table: SegmentTable) -> tuple[Any, list[CocoSegment]]:
    """Number the segments of a map from 1, as pictures of three bytes need it."""
    numbers = one.numbers(Window.whole(one.shape))
    ids = np.where(numbers == VOID, 0, table.find(numbers.ravel()).reshape(numbers.shape) + 1)
    rows = zip(table.code.tolist(), table.crowd.tolist(), strict=True)
    return ids, [CocoSegment(id=i, category=code, crowd=crowd) for i, (code, crowd) in enumerate(rows, start=1)]
