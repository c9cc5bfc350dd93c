"""Matlab files of ground truth, in the layout that BSDS500 and CrackForest share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from geoseg.core.types.arrays import AnyArray
from geoseg.errors import SceneError
from geoseg.io.files.input_file import open_input


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """Annotation by one annotator.

    Attributes:
        segmentation: (y, x) int64, one number per region.
        boundaries: (y, x) bool, one pixel wide.
    """

    segmentation: npt.NDArray[np.int64]
    boundaries: npt.NDArray[np.bool_]


def read_annotations(path: Path) -> list[Annotation]:
    """Read the cell array ``groundTruth`` of structures ``Segmentation`` and ``Boundaries``.

    Raises:
        SceneError: the file cannot be read or holds something else.
    """
    try:
        with open_input(path) as file:
            cells = loadmat(file)["groundTruth"].ravel()
        return [
            Annotation(
                segmentation=_unwrapped(cell["Segmentation"]).astype(np.int64),
                boundaries=_unwrapped(cell["Boundaries"]).astype(bool),
            )
            for cell in cells
        ]
    except OSError as error:
        raise SceneError(str(path), f"it cannot be read ({error.strerror or error}).", "Check the path.") from error
    except (KeyError, IndexError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise SceneError(
            str(path),
            f"it is no Matlab file with a cell array groundTruth of Segmentation and Boundaries ({error}).",
            "Give the ground truth of BSDS500 or CrackForest as published.",
        ) from error


def _unwrapped(value: AnyArray) -> AnyArray:
    """Unwrap nested cells: BSDS500 has a cell array of structures, CrackForest one structure."""
    while value.dtype == object:
        value = value.ravel()[0]
    if value.ndim != 2:
        raise ValueError(f"an image of {value.ndim} dimensions")
    return value
