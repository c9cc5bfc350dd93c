"""Objects to click on in an evaluation: images with masks, as GrabCut's and Berkeley's, or a scene with polygons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
import torch
from PIL import Image
from torch import Tensor

from geoseg.core.card import ModelCard
from geoseg.core.spec import PredictSpec
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.interactive.pixels import MOST_PX, covering, own_pixels, read_window, surroundings
from geoseg.interactive.simulate import IGNORED, Truth
from geoseg.io.raster.scene import Scene
from geoseg.io.vectors.read import VectorRequest, read_polygons

LAYOUTS = (("data_GT", "boundary_GT"), ("images", "masks"))
"""Folders of images and of masks: of GrabCut, and of Berkeley."""

_COLOURS = ("red", "green", "blue")
_UNKNOWN = 128
"""Value of a mask's pixels that do not count; larger ones are the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An object to click on.

    Attributes:
        name: file or number, for reports.
        image: (C, y, x), normalised.
        truth: (y, x) of the object.
    """

    name: str
    image: Tensor
    truth: Truth


def folder_targets(folder: Path, card: ModelCard) -> Iterator[Target]:
    """Read the images of a folder, each with one object.

    Args:
        folder: holds ``data_GT`` and ``boundary_GT`` as GrabCut does, or ``images`` and ``masks`` as Berkeley does; a
            mask has its image's name, with any ending. In a mask values above 128 are the object and 128 is unknown; a
            mask without larger values than 1 has 1 for the object.
        card: bands and normalisation.

    Raises:
        UsageError: the folder has neither layout, or the model reads other bands than pictures have.
        SceneError: an image has no mask or two, or one cannot be read or is of another size.
    """
    layout = next(((folder / i, folder / m) for i, m in LAYOUTS if (folder / i).is_dir()), None)
    if layout is None or not layout[1].is_dir():
        named = " or ".join(f"{i} and {m}" for i, m in LAYOUTS)
        raise UsageError(f"{folder}: it has no folders {named}. Put images and masks into such folders.")
    images, masks = layout
    by_stem: dict[str, Path] = {}
    for path in _files(masks):
        if path.stem in by_stem:
            raise SceneError(str(path), f"{by_stem[path.stem].name} is a mask of the same name.", "Keep one of them.")
        by_stem[path.stem] = path
    found = _files(images)
    if not found:
        raise UsageError(f"{images}: it holds no image.")
    for path in found:
        mask = by_stem.get(path.stem)
        if mask is None:
            raise SceneError(str(path), f"it has no mask in {masks}.", "Give each image a mask of its name.")
        yield _of_files(path, mask, card)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _of_files(path: Path, mask: Path, card: ModelCard) -> Target:
    names = card.band_names
    if len(names) not in {1, 3}:
        raise UsageError(
            f"{card.name} reads {len(names)} bands, pictures have one or three. Give --scene and --reference."
        )
    if len(names) == 3 and set(names) != set(_COLOURS):
        raise UsageError(
            f"{card.name} reads {', '.join(names)}, pictures have red, green and blue. Give --scene and --reference."
        )
    pixels = _picture(path)
    values = pixels.mean(axis=2, keepdims=True) if len(names) == 1 else pixels
    if len(names) == 3:
        values = values[..., [_COLOURS.index(name) for name in names]]
    mean, std = (np.array([getattr(band, key) for band in card.bands], np.float32) for key in ("mean", "std"))
    image = torch.from_numpy((values / np.float32(255) - mean) / std).permute(2, 0, 1).float().contiguous()
    marks = _picture(mask)[..., 0]
    if marks.shape != pixels.shape[:2]:
        cause = f"it is {marks.shape} px, its image {pixels.shape[:2]}."
        raise SceneError(str(mask), cause, "Give a mask of that size.")
    least = 0 if marks.max(initial=0) <= 1 else _UNKNOWN
    truth = np.where(marks > least, 1, 0).astype(np.int8)
    truth[marks == _UNKNOWN] = IGNORED
    if not (truth == 1).any():
        raise SceneError(str(mask), "it shows no object.", f"Values above {_UNKNOWN} are the object, or 1 of 0 and 1.")
    return Target(name=path.name, image=image, truth=truth)


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture of any format that Pillow reads, (y, x, 3)."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SceneError(str(path), f"the picture cannot be read ({error}).", "Check the file.") from error


def polygon_targets(
    scene: Scene, polygons: str, card: ModelCard, *, most: int, spec: PredictSpec | None = None
) -> Iterator[Target]:
    """Read the surroundings of polygons on a scene.

    Args:
        scene: an open scene.
        polygons: vector file in any CRS, ``FILE`` or ``FILE:LAYER``.
        card: bands and normalisation.
        most: number of polygons, spread evenly over the file; all if it has fewer.
        spec: bands and value range.

    Yields:
        Polygons that lie whole inside the scene, cover a pixel, and are no longer than an answer may be.

    Raises:
        SceneError: the file or the scene cannot be read.
        UsageError: no polygon is left.
    """
    plan = own_pixels(scene, card, spec)
    frame = read_polygons(VectorRequest(name=polygons, grid=scene.geobox, parts=True))
    whole = [
        (number, shape, window)
        for number, shape in enumerate(frame.geometry.to_numpy())
        if scene.extent.contains(window := covering(scene, shape)) and max(window.shape) <= MOST_PX
    ]
    chosen = (
        whole if len(whole) <= most else [whole[i] for i in np.linspace(0, len(whole) - 1, most).round().astype(int)]
    )
    left = 0
    for number, shape, around in chosen:
        window = surroundings(around, scene.extent)
        image, valid = read_window(scene, plan, window)
        truth = _drawn(scene, shape, window)
        truth[~valid] = IGNORED
        if (truth == 1).any():
            left += 1
            yield Target(name=f"polygon {number}", image=image, truth=truth)
    if not left:
        raise UsageError(f"{polygons}: no polygon lies whole inside {scene.uri} and covers a pixel of it.")


def _drawn(scene: Scene, shape: shapely.Geometry, window: Window) -> Truth:
    """1 where the centre of a pixel lies inside a shape."""
    rows, cols = np.mgrid[window.row_start : window.row_stop, window.col_start : window.col_stop]
    x, y = scene.geobox.transform * (cols + 0.5, rows + 0.5)
    return np.asarray(shapely.contains_xy(shape, x, y)).astype(np.int8)
