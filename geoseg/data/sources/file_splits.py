"""Splits by file: assignment of a source's images to training and validation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from geoseg.data.sources.model import Config, Share
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.input_file import read_input
from geoseg.io.labels.run_lengths import read_table

Names = tuple[str, ...]
Sides = tuple[list[str], list[str]]
"""Training names and validation names."""


class ByShare(Config):
    """Random share of the files; a file mostly stays on its side when others are added or removed.

    Attributes:
        validate_share: share of the files for validation.
        seed: seed of the draw.
    """

    by: Literal["share"]
    validate_share: Share = 1 / 3
    seed: Annotated[int, Field(ge=0)] = 1


class ByNames(Config):
    """Files by name.

    Attributes:
        train: training names; None: all others.
        validate_on: validation names.
    """

    by: Literal["names"]
    train: Names | None = None
    validate_on: Names = ()

    @model_validator(mode="after")
    def _apart(self) -> ByNames:
        both = sorted(set(self.train or ()) & set(self.validate_on))
        if both:
            raise ValueError(f"{both[0]} stands on both sides of the split; a score would be a lie")
        return self


class ByLists(Config):
    """Files by lists in text files, one name per line; paths and suffixes are ignored.

    Attributes:
        train: file of training names, relative to the source's folder; None: all others.
        validate_on: file of validation names.
        skip: a pattern; lines that match it completely are skipped.
    """

    by: Literal["lists"]
    train: str | None = None
    validate_on: str | None = None
    skip: str = ""


class ByTable(Config):
    """Files by a csv table with the side of each.

    Attributes:
        table: csv file with a header, relative to the source's folder.
        name: column of names; paths and suffixes are ignored.
        side: column of sides.
        train: values of that column for training.
        validate_on: values for validation.
    """

    by: Literal["table"]
    table: str
    name: str = "name"
    side: str = "split"
    train: Names = ("train",)
    validate_on: Names = ("val", "validate", "validation")


class OneSide(Config):
    """All files on one side."""

    by: Literal["none"]
    all: Literal["train", "validate"]


class Published(Config):
    """The split published with the data set.

    Attributes:
        complete: refuse if an image of the split is missing; otherwise use those that exist.
    """

    by: Literal["published"] = "published"
    complete: bool = True


FileSplit = Annotated[ByShare | ByNames | ByLists | ByTable | OneSide, Field(discriminator="by")]
FileOrPublishedSplit = Annotated[ByShare | ByNames | ByLists | ByTable | OneSide | Published, Field(discriminator="by")]


def sides(split: FileSplit | Published, names: Sequence[str], folder: Path, name_of: Callable[[str], str]) -> Sides:
    """Assign every file to a side; files on none are not used.

    Args:
        split: split from the recipe; not the published one, which only the source defines.
        names: names of the files.
        folder: folder that lists are relative to.
        name_of: maps an entry of a list to a name.

    Raises:
        UsageError: a name does not exist, or is on both sides.
        SceneError: a list cannot be read.
    """
    if isinstance(split, OneSide):
        return (list(names), []) if split.all == "train" else ([], list(names))
    if isinstance(split, ByShare):
        ordered = sorted(names, key=lambda name: hashlib.sha256(f"{split.seed}:{name}".encode()).digest())
        count = min(max(1, round(split.validate_share * len(names))), len(names))
        chosen = set(ordered[:count])
        return [n for n in names if n not in chosen], [n for n in names if n in chosen]
    assert not isinstance(split, Published)  # noqa: S101 - see above
    train, validate_on, where = _listed(split, folder)
    training = None if train is None else [_known(entry, names, name_of, where) for entry in train]
    scored = [_known(entry, names, name_of, where) for entry in validate_on]
    training = [name for name in names if name not in set(scored)] if training is None else training
    both = sorted(set(training) & set(scored))
    if both:
        raise UsageError(f"{where}: {both[0]} stands on both sides of the split; a score would be a lie.")
    return list(dict.fromkeys(training)), list(dict.fromkeys(scored))


def describe_split(split: FileSplit | Published) -> str:
    """Describe the training files, for the card."""
    match split:
        case Published():
            text = "published split, training images" + ("" if split.complete else ", those at hand")
        case OneSide():
            text = "all files" if split.all == "train" else ""
        case ByShare():
            text = f"all files but a share of {split.validate_share:.3g} drawn with seed {split.seed}"
        case ByNames(train=tuple() as training):
            text = f"{len(training)} files: {', '.join(training)}"
        case ByNames():
            text = "all files but " + ", ".join(split.validate_on) if split.validate_on else "all files"
        case ByLists(train=None):
            text = f"all files but those listed in {split.validate_on}"
        case ByLists():
            text = f"files listed in {split.train}"
        case ByTable():
            text = f"files of {split.table} with {split.side} {' or '.join(split.train)}"
    return text


def has_training(split: FileSplit | Published) -> bool:
    """Return True if any file is used for training."""
    return not (isinstance(split, OneSide) and split.all == "validate") and not (
        isinstance(split, ByNames) and split.train == ()
    )


def _listed(split: ByNames | ByLists | ByTable, folder: Path) -> tuple[list[str] | None, list[str], str]:
    if isinstance(split, ByNames):
        return None if split.train is None else list(split.train), list(split.validate_on), "split"
    if isinstance(split, ByTable):
        rows = list(read_table(folder / split.table, (split.name, split.side)))
        train = [name for name, side in rows if side in split.train]
        return train, [name for name, side in rows if side in split.validate_on], str(folder / split.table)
    lists = [None if name is None else _lines(folder / name, split.skip) for name in (split.train, split.validate_on)]
    return lists[0], lists[1] or [], str(folder / str(split.train or split.validate_on))


def _lines(path: Path, skip: str) -> list[str]:
    try:
        lines = [line.strip() for line in read_input(path).decode("utf-8").splitlines()]
    except OSError as error:
        raise SceneError(str(path), f"it cannot be read ({error.strerror}).", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise SceneError(str(path), "it is no list of names.", "Give a text file, one name a line.") from error
    return [line for line in lines if line and not (skip and re.fullmatch(skip, line))]


def _known(entry: str, names: Sequence[str], name_of: Callable[[str], str], where: str) -> str:
    for name in (entry, name_of(entry)):
        if name in names:
            return name
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise UsageError(f"{where}: no image is called {entry!r}. There are {some}")
