"""Run-length coded masks, as Kaggle's competitions publish them in csv files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geoseg.errors import SceneError
from geoseg.io.files.input_file import open_input

_MOST_CHARACTERS = 100_000_000
"""Size limit of a csv field; Python's default of 131072 is too low for masks."""


def decode_run_lengths(text: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Decode "start length start length ...": starts count from 1, down the columns first.

    Args:
        text: the runs; empty for a mask without a pixel.
        shape: (rows, columns) of the mask.

    Returns:
        (y, x) bool.

    Raises:
        ValueError: no pairs of whole numbers, or a run leaves the mask.

    Examples:
        >>> decode_run_lengths("2 3", (3, 2)).astype(int).tolist()
        [[0, 1], [1, 0], [1, 0]]
    """
    words = text.split()
    if len(words) % 2 or not all(word.isdecimal() for word in words):
        raise ValueError("the runs are not pairs of whole numbers")
    starts, lengths = (np.array(words[side::2], np.int64) for side in (0, 1))
    total = shape[0] * shape[1]
    if (starts < 1).any() or (lengths < 0).any() or (starts + lengths - 1 > total).any():
        raise ValueError(f"a run leaves the {shape[0]} x {shape[1]} pixels")
    # the number of runs open at each pixel; overlapping runs do no harm
    steps = np.zeros(total + 1, np.int64)
    np.add.at(steps, starts - 1, 1)
    np.add.at(steps, starts + lengths - 1, -1)
    return np.cumsum(steps[:-1]).reshape(shape, order="F") > 0


def encode_run_lengths(mask: npt.NDArray[np.bool_]) -> str:
    """Encode a mask (y, x); the inverse of ``decode_run_lengths``."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, stops = edges[0::2], edges[1::2]
    return " ".join(f"{start + 1} {stop - start}" for start, stop in zip(starts, stops, strict=True))


def read_table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Read columns of a csv file with a header, row by row; a missing value is empty.

    Args:
        path: the file.
        columns: names of the columns.

    Yields:
        Values of the columns, one tuple per row.

    Raises:
        SceneError: it cannot be read, or has no such column.
    """
    csv.field_size_limit(_MOST_CHARACTERS)
    try:
        with TextIOWrapper(open_input(path), encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                known = ", ".join(rows.fieldnames or ()) or "none"
                raise SceneError(str(path), f"it has no column {missing[0]!r}.", f"Its columns are: {known}.")
            for row in rows:
                yield tuple((row[name] or "").strip() for name in columns)
    except OSError as error:
        raise SceneError(str(path), f"it cannot be read ({error.strerror}).", "Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SceneError(str(path), f"it is no csv file ({error}).", "Give the file as published.") from error
