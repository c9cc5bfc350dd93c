"""Names of class codes and the classes of things, as files, documents and options say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from geoseg.core.layer import CLASSES, PANOPTIC, raster_suffix
from geoseg.core.legend import LegendClass
from geoseg.errors import UsageError
from geoseg.io.labels.label_layer import MOST_CODE
from geoseg.io.labels.panoptic_raster import classes_in
from geoseg.io.labels.raster_legend import legend_of, made_up_colour

_SUFFIX: Final = raster_suffix(PANOPTIC)
_LONGEST_NAME: Final = 80


@dataclass(slots=True)
class KnownClasses:
    """Names of class codes, and the codes of things.

    Attributes:
        names: name of each code, as far as the files or the documents say.
        things: codes of the classes of things.
        settled: options or documents say which classes are things; labels add none.
        told: the metadata of all predictions say which classes are things.
    """

    names: dict[int, str] = field(default_factory=dict)
    things: set[int] = field(default_factory=set)
    settled: bool = False
    told: bool = False

    def shown(self, code: int) -> str:
        """Return the name of a class for display."""
        name = self.names.get(code, "").strip()
        return name if name and name.isprintable() and len(name) <= _LONGEST_NAME else f"class {code}"

    def listed(self, codes: Sequence[int]) -> list[LegendClass]:
        """List classes with made-up colours."""
        return [
            LegendClass(code=code, name=self.shown(code), colour=made_up_colour(place), countable=code in self.things)
            for place, code in enumerate(codes)
        ]

    def learn(self, path: Path) -> bool:
        """Learn names and kinds of classes from a raster's metadata, or names from the class map that lies by it.

        Returns:
            True if the raster's metadata say which classes are things.
        """
        tagged = classes_in(path)
        for code, (name, is_thing) in tagged.items():
            self.names.setdefault(code, name)
            if is_thing:
                self.things.add(code)
        stem = path.name.removesuffix(_SUFFIX)
        source = path if stem == path.name else path.with_name(stem + raster_suffix(CLASSES))
        if not tagged and source.is_file():
            for entry in legend_of(source, list(range(MOST_CODE + 1))).classes:
                if entry.name != f"class {entry.code}":
                    self.names.setdefault(entry.code, entry.name)
        return bool(tagged)

    def choose_things(self, asked: Iterable[str]) -> None:
        """Set the classes of things, by name or code.

        Raises:
            UsageError: there is no such class.
        """
        codes = {code for text in asked for code in self._named(text)}
        self.things.clear()
        self.things |= codes

    def _named(self, text: str) -> list[int]:
        named = [code for code, name in self.names.items() if name == text]
        if not named and text.isascii() and text.isdigit() and int(text) <= MOST_CODE:
            named = [int(text)]
        if not named:
            names = ", ".join(self.shown(code) for code in sorted(self.names))
            raise UsageError(f"--things {text}: no class has this name or code; known are {names or 'none'}.")
        return named
