"""Pairing of predictions with references by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geoseg.core.layer import CLASSES, CONFIDENCE, raster_suffix
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import is_address
from geoseg.io.vectors.names import VECTOR_SUFFIXES, is_folder, is_vector, split_layer

_RASTERS = frozenset({".tif", ".tiff", ".png", ".jp2", ".jpg", ".jpeg", ".bmp"})
_CLASSES, _CONFIDENCE = raster_suffix(CLASSES), raster_suffix(CONFIDENCE)
_ROLE = re.compile(r"[_-](?:classes|panoptic|labels?|noboundary|masks?|sat|gt|irrg|rgbir|rgb)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One prediction and its reference.

    Attributes:
        name: name of the scene.
        prediction: class raster.
        reference: class raster, Matlab file or polygons (``FILE`` or ``FILE:LAYER``).
        eroded: reference without class borders, or None.
        confidence: percent, on the prediction's grid, or None.
    """

    name: str
    prediction: Path
    reference: Path
    eroded: Path | None = None
    confidence: Path | None = None


def find_pairs(
    prediction: Path, reference: Path, *, eroded: Path | None = None, confidence: Path | None = None
) -> list[Pair]:
    """Match predictions with references.

    Args:
        prediction: a class raster, the folder of a scene as ``geoseg predict`` writes it, a folder of such, or a folder
            of class rasters.
        reference: a raster, a vector file for all predictions, or a folder of either.
        eroded: same for the eroded reference.
        confidence: raster for a single prediction; None: the one next to each prediction, if any.

    Returns:
        One pair per prediction, by name. Names match if they are equal without suffixes for the kind of file, such as
        ``_classes``, ``_RGB``, ``_label`` or ``_noBoundary``.

    Raises:
        SceneError: there is no prediction, or a prediction has no reference.
        UsageError: the choice is ambiguous, or a reference would count twice.
    """
    predictions = list_predictions(prediction)
    if confidence is not None and len(predictions) > 1:
        raise UsageError(f"--confidence {confidence}: one file for {len(predictions)} predictions. Leave it out.")
    pairs = []
    for name, path in predictions:
        candidate = path.with_name(path.name.removesuffix(_CLASSES) + _CONFIDENCE)
        found = candidate if path.name.endswith(_CLASSES) and candidate.is_file() else None
        pairs.append(
            Pair(
                name=name,
                prediction=path,
                reference=partner(name, reference, len(predictions)),
                eroded=None if eroded is None else partner(name, eroded, len(predictions)),
                confidence=confidence or found,
            )
        )
    _refuse_shared(pairs, reference)
    return pairs


def _refuse_shared(pairs: Sequence[Pair], reference: Path) -> None:
    """Refuse two predictions for one reference of a folder: its pixels would count twice."""
    taken: dict[Path, Pair] = {}
    for pair in pairs if is_folder(reference) else ():
        other = taken.setdefault(pair.reference, pair)
        if other is not pair:
            raise UsageError(
                f"{pair.reference}: {other.prediction.name} and {pair.prediction.name} both match it, so its pixels "
                "would count twice. Keep one prediction for each reference."
            )


def list_predictions(path: Path) -> list[tuple[str, Path]]:
    """List class rasters as (scene name, file), sorted.

    Raises:
        SceneError: there are no predictions.
    """
    if not path.exists():
        raise SceneError(str(path), "there is no such file or folder.", "Check the path.")
    if not path.is_dir():
        return [(_scene_name(path), path)]
    for pattern in (f"*{_CLASSES}", f"[!.]*/*{_CLASSES}"):
        found = sorted(path.glob(pattern))
        if found:
            return [(_scene_name(file), file) for file in found]
    rasters = sorted(file for file in path.iterdir() if file.suffix.lower() in _RASTERS)
    if not rasters:
        raise SceneError(str(path), "no class raster lies in this folder.", "Give a folder that geoseg predict wrote.")
    return [(_scene_name(file), file) for file in rasters]


def scene_of(stem: str) -> str:
    """Remove suffixes for the kind of file from a stem.

    Examples:
        >>> scene_of("top_potsdam_2_10_label_noBoundary")
        'top_potsdam_2_10'
    """
    while _ROLE.search(stem):
        stem = _ROLE.sub("", stem)
    return stem


def _scene_name(path: Path) -> str:
    return path.name.removesuffix(_CLASSES) if path.name.endswith(_CLASSES) else path.stem


def partner(name: str, reference: Path, predictions: int) -> Path:
    """Find the reference of a prediction by its name.

    Args:
        name: name of the scene.
        reference: file or folder of references.
        predictions: number of predictions.

    Raises:
        SceneError: there is no reference.
        UsageError: there are several, or one raster for many predictions.
    """
    if is_address(str(reference)):
        raise UsageError(f"{reference}: remote references are not read. Download it first.")
    if not Path(split_layer(reference)[0]).exists():
        raise SceneError(str(reference), "there is no such file or folder.", "Check the path.")
    if not is_folder(reference):
        if predictions > 1 and not is_vector(reference):
            raise UsageError(
                f"{reference}: one reference raster for {predictions} predictions. Give a folder of references."
            )
        return reference
    known = _RASTERS | (VECTOR_SUFFIXES - {".zip"}) | {".mat"}
    files = sorted(file for file in reference.iterdir() if file.suffix.lower() in known)
    for same in (_equal, _equal_scene):
        found = [file for file in files if same(name, file.stem)]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise UsageError(f"{reference}: {_names(found)} all match {name}. Keep one reference for each scene.")
    raise SceneError(str(reference), f"nothing there matches {name}.", f"Its references are: {_names(files)}.")


def _equal(name: str, stem: str) -> bool:
    return name == stem


def _equal_scene(name: str, stem: str) -> bool:
    return scene_of(name) == scene_of(stem)


def _names(files: Sequence[Path]) -> str:
    shown = ", ".join(file.name for file in files[:5])
    return (shown or "none") + (f" and {len(files) - 5} more" if len(files) > 5 else "")
