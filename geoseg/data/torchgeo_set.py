"""Data sets of torchgeo: opened by name and arguments, with what they say of their bands, classes and colours."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.legend_presets import bit_colour
from geoseg.core.types.json_value import UntypedMapping
from geoseg.errors import SceneError, UsageError
from geoseg.io.raster.bands import named as common_name

_ROOTS: Final = ("root", "paths")
_SPLITS: Final = ("split", "splits")
_HELD_OUT: Final = ("val", "valid", "validation", "test")
_FAULTS: Final = (AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""Errors that torchgeo's data sets raise for wrong arguments and damaged files; its own derive from OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReference:
    """A data set of torchgeo that is not opened yet; picklable.

    Attributes:
        name: its class in ``torchgeo.datasets``.
        root: folder of its files.
        arguments: further arguments of the class.
        side: value of its argument ``split``; None: it is not passed.
        bands: names of bands that the class is asked for; None: its default.
        labels: a second georeferenced data set, of the labels.
    """

    name: str
    root: Path
    arguments: Mapping[str, object] = field(default_factory=dict)
    side: str | None = None
    bands: tuple[str, ...] | None = None
    labels: SetReference | None = None

    def open(self) -> Any:
        """Open the data set.

        Raises:
            UsageError: torchgeo has no such data set, or it has no such argument or split.
            SceneError: its files are not there.
        """
        kind = set_class(self.name)
        known = inspect.signature(kind.__init__).parameters
        given = {key: _value(key, value) for key, value in self.arguments.items()}
        unknown = next((key for key in given if key not in known), None)
        if unknown is not None:
            raise UsageError(
                f"torchgeo's {self.name} has no argument {unknown!r}; it has {', '.join(list(known)[1:])}."
            )
        root = next((key for key in _ROOTS if key in known), None)
        given |= {} if root is None or root in given else {root: str(self.root)}
        split = split_argument(kind)
        if self.side is not None and split is not None:
            given[split] = [self.side] if split == "splits" else self.side
        given |= {} if self.bands is None else {"bands": list(self.bands)}
        try:
            made = kind(**given)
            return made if self.labels is None else made & self.labels.open()
        except _FAULTS as error:
            if isinstance(error, UsageError | SceneError):
                raise
            cause = " ".join(str(error).split())[:240] or type(error).__name__
            where = f"{self.root}: torchgeo's {self.name}"
            raise SceneError(where, f"cannot be opened ({cause}).", "Check folder and arguments.") from error


class OpenSet:
    """A data set of torchgeo, opened when first used. Thread-safe: one sample is read at a time; pickles unopened."""

    def __init__(self, reference: SetReference) -> None:
        self.reference = reference
        self._opened: Any = None
        self._lock = threading.Lock()

    @property
    def dataset(self) -> Any:
        """The data set."""
        with self._lock:
            if self._opened is None:
                self._opened = self.reference.open()
        return self._opened

    def sample(self, query: object) -> UntypedMapping:
        """Read one sample by its index, or by slices of coordinates.

        Raises:
            SceneError: a file is damaged.
        """
        dataset = self.dataset
        try:
            with self._lock:
                sample: UntypedMapping = dataset[query]
        except _FAULTS as error:
            cause = " ".join(str(error).split())[:240] or type(error).__name__
            where = f"{self.reference.root}: torchgeo's {self.reference.name}"
            raise SceneError(where, f"sample {query} cannot be read ({cause}).", "Check its files.") from error
        return sample

    def __reduce__(self) -> tuple[type[OpenSet], tuple[SetReference]]:
        return type(self), (self.reference,)


def set_class(name: str) -> type[object]:
    """Find a class of ``torchgeo.datasets``.

    Raises:
        UsageError: there is none of this name, or it is no data set.
    """
    from torchgeo import datasets  # noqa: PLC0415 - takes seconds to import

    kind = getattr(datasets, name, None)
    if inspect.isclass(kind) and issubclass(kind, datasets.GeoDataset | datasets.NonGeoDataset):
        found: type[object] = kind
        return found
    near = [other for other in datasets.__all__ if name.lower() in other.lower() or other.lower() in name.lower()]
    which = f"near are {', '.join(near)}" if near else "names are those of its classes"
    raise UsageError(f"torchgeo has no data set {name!r}; {which}.")


def is_placed(name: str) -> bool:
    """Return True if a data set is georeferenced."""
    from torchgeo.datasets import GeoDataset  # noqa: PLC0415 - takes seconds to import

    return issubclass(set_class(name), GeoDataset)


def split_argument(kind: type[object]) -> str | None:
    """Name the argument by which a data set is split; None if it has no split."""
    known = inspect.signature(kind.__init__).parameters
    return next((key for key in _SPLITS if key in known), None)


def takes_bands(name: str) -> bool:
    """Return True if a data set can be asked for bands by name."""
    return "bands" in inspect.signature(set_class(name).__init__).parameters


def held_out(name: str) -> str:
    """Name the split of a data set that is not for training: its validation split, else its test split."""
    kind = set_class(name)
    listed = getattr(kind, "splits", None) or getattr(kind, "valid_splits", None) or ()
    return next((side for side in _HELD_OUT if side in listed), _HELD_OUT[0])


def class_names(name: str) -> dict[int, str]:
    """Map the values of a data set's masks to class names; empty if it does not say."""
    classes = getattr(set_class(name), "classes", None)
    if isinstance(classes, Mapping):
        pairs = classes.items()
        if all(isinstance(key, int) and isinstance(value, str) for key, value in pairs):
            return dict(pairs)
        return {}
    listed = isinstance(classes, Sequence) and all(isinstance(entry, str) for entry in classes)
    return dict(enumerate(classes)) if listed and classes is not None else {}


def class_colours(name: str) -> dict[int, str]:
    """Map the values of a data set's masks to colours ``#rrggbb``; empty if it does not say."""
    kind = set_class(name)
    table = getattr(kind, "cmap", None) or getattr(kind, "colormap", None) or {}
    table = getattr(table, "colors", table)  # matplotlib's, whose numbers end at 1
    if isinstance(table, str):
        return {}
    pairs = table.items() if isinstance(table, Mapping) else enumerate(table)
    return {int(value): _hex(colour) for value, colour in pairs}


def legend_of(name: str) -> Legend:
    """Make the legend of a data set: the values of its masks are codes.

    Raises:
        UsageError: torchgeo does not say what its classes are.
    """
    names, colours = class_names(name), class_colours(name)
    if not names:
        raise UsageError(f"torchgeo does not say what the classes of {name} are. Give a legend in the recipe.")
    entries = (
        LegendClass(code=code, name=words, colour=colours.get(code) or bit_colour(code + 1))
        for code, words in sorted(names.items())
    )
    return Legend(classes=tuple(entries))


def card_bands(name: str, asked: Sequence[str | int] | None) -> tuple[str, ...]:
    """Name the bands of a data set for a card: common names where known.

    Args:
        name: its class.
        asked: names or numbers that a source chooses; None: all.

    Returns:
        Names; red, green and blue for a data set that does not name its bands.
    """
    listed = getattr(set_class(name), "all_bands", ())
    known = [str(band) for band in listed] if isinstance(listed, Sequence) and listed else ["red", "green", "blue"]
    chosen = known if asked is None else [str(band) if isinstance(band, str) else _nth(known, band) for band in asked]
    return common_names(chosen, name)


def common_names(bands: Sequence[str], hint: str) -> tuple[str, ...]:
    """Convert band names to those of cards: common ones where known.

    Args:
        bands: names as torchgeo has them.
        hint: class of the data set, which may name the satellite.
    """
    slugs = (re.sub(r"[^a-z0-9]+", "_", band.lower()).strip("_") for band in bands)
    spaced = re.sub(r"(?<=[a-z])(?=[0-9A-Z])", " ", hint)
    return tuple(
        common_name(band, spaced) or (slug if slug[:1].isalpha() else f"band_{slug}")
        for band, slug in zip(bands, slugs, strict=True)
    )


def _nth(names: Sequence[str], number: int) -> str:
    return names[number - 1] if number <= len(names) else f"band_{number}"


def _hex(colour: Any) -> str:
    """Format a colour of numbers up to 255, or fractions, as ``#rrggbb``; text stays."""
    if isinstance(colour, str):
        return colour
    scale = 255 if any(isinstance(part, float) for part in colour) else 1
    return "#" + "".join(f"{round(float(part) * scale):02x}" for part in list(colour)[:3])


def _value(key: str, value: object) -> object:
    """Convert a value of a recipe to what torchgeo takes: a CRS from its name."""
    if key != "crs":
        return value
    from pyproj import CRS  # noqa: PLC0415 - only georeferenced sets need it
    from pyproj.exceptions import CRSError  # noqa: PLC0415

    try:
        return CRS.from_user_input(value)
    except CRSError as error:
        raise UsageError(f"crs: {value!r} is no CRS.") from error
