"""ArrayLabels: a label layer in memory, and readers of published label files into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.core.closing import Closing
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.label_layer import Labels, Valid
from geoseg.io.labels.matlab_file import read_annotations
from geoseg.io.labels.run_lengths import decode_run_lengths
from geoseg.io.raster.scene import open_scene


class ArrayLabels(Closing):
    """Integer labels in memory, without a CRS.

    Args:
        name: for messages.
        labels: (y, x).
        valid: (y, x) bool; None: everywhere.
    """

    hidden: int | None = None

    def __init__(self, name: str, labels: npt.NDArray[np.integer], valid: Valid | None = None) -> None:
        self.name = name
        self.geobox = GeoBox(labels.shape, Affine.identity(), None)
        self._labels = labels
        self._valid = np.ones(labels.shape, bool) if valid is None else valid

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and their validity mask, both (y, x)."""
        return self._labels[window.slices], self._valid[window.slices]

    def close(self) -> None:
        """Do nothing: no file is open."""


def matlab_labels(path: Path) -> ArrayLabels:
    """Read the segmentation of a ``groundTruth`` .mat file with one annotator, as CrackForest has (1 road, 2 crack).

    Raises:
        SceneError: the file has another layout, or several annotators.
    """
    annotations = read_annotations(path)
    if len(annotations) != 1:
        raise SceneError(
            str(path),
            f"{len(annotations)} people annotated it, so a pixel has no one class.",
            "Compare boundaries with --protocol bsds.",
        )
    return ArrayLabels(str(path), annotations[0].segmentation)


def run_length_labels(
    name: str, runs: Sequence[tuple[str, int]], shape: tuple[int, int], *, overlap_counts: bool
) -> ArrayLabels:
    """Paint run-length masks over each other onto label 0.

    Args:
        name: for messages.
        runs: text and label of each mask; later ones win.
        shape: (rows, columns).
        overlap_counts: False: where masks of two labels overlap, the pixel has no label.

    Raises:
        SceneError: a mask is not run-length coded, or leaves the image.
    """
    labels, drawn = np.zeros(shape, np.int64), np.zeros(shape, np.uint16)
    for text, label in runs:
        try:
            mask = decode_run_lengths(text, shape)
        except ValueError as error:
            raise SceneError(
                name, f"label {label}: {error}.", "Give the csv file and the images as published."
            ) from error
        labels[mask] = label
        drawn += mask
    return ArrayLabels(name, labels, None if overlap_counts else drawn <= 1)


def painted_labels(name: str, files: Sequence[tuple[Path, int]], shape: tuple[int, int]) -> ArrayLabels:
    """Read masks, one file per label, painted in any colour but black; later ones win.

    Args:
        name: for messages.
        files: path and label of each mask; a missing file is an empty mask.
        shape: (rows, columns).

    Raises:
        SceneError: a file is broken or of another size.
    """
    labels = np.zeros(shape, np.int64)
    for path, label in files:
        if not path.exists():
            continue
        with open_scene(path, unplaced=True, palette_codes=True) as scene:
            found = (int(scene.geobox.shape[0]), int(scene.geobox.shape[1]))
            if found != shape:
                raise SceneError(str(path), f"it has {found} pixels, the image {shape}.", "Give masks of the image.")
            raster = scene.read(Window.whole(shape))
        labels[(raster.values != 0).any(axis=0) & raster.valid] = label
    return ArrayLabels(name, labels)


def boundary_labels(path: Path, *, edge_share: float, none_share: float) -> ArrayLabels:
    """Read boundaries of several annotators: 1 where many agree, 0 where few do, no label between.

    Args:
        path: ``groundTruth`` .mat file.
        edge_share: least share of annotators for a boundary pixel.
        none_share: largest share of annotators for a non-boundary pixel.

    Raises:
        SceneError: the file has another layout.
    """
    drawings = [annotation.boundaries for annotation in read_annotations(path)]
    share = np.mean(drawings, axis=0)
    edge = share >= edge_share
    return ArrayLabels(str(path), edge.astype(np.int64), edge | (share <= none_share))
