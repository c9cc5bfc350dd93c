"""The models that geoseg lists: bands, pixel sizes, classes and preview. Imports nothing of QGIS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .process import run

_known: dict[tuple[str, int], tuple[Model, ...]] = {}


@dataclass(frozen=True)
class Model:
    """A model of ``geoseg models --json``.

    Attributes:
        name: value of ``--model``.
        title: one line.
        bands: names of its bands.
        gsd_m: smallest and largest size of a pixel on the ground, metres.
        classes: names of its classes.
        licence: licence of the weights.
        preview: picture of imagery beside result; None if there is none.
    """

    name: str
    title: str
    bands: tuple[str, ...]
    gsd_m: tuple[float, float]
    classes: tuple[str, ...]
    licence: str
    preview: Path | None

    @property
    def label(self) -> str:
        """One line for a list."""
        return f"{self.name}: {', '.join(self.bands)}; pixels of {self.gsd_m[0]:g} to {self.gsd_m[1]:g} m"


def read_models(text: str) -> tuple[Model, ...]:
    """Read the output of ``geoseg models --json``."""
    return tuple(_model(card) for card in json.loads(text)["models"])


def models_of(program: Path) -> tuple[Model, ...]:
    """Ask a geoseg program for its models, once as long as it stays the same file.

    Raises:
        RuntimeError: it does not list them; the message is its own.
        OSError: it cannot be started.
    """
    key = str(program), program.stat().st_mtime_ns
    if key not in _known:
        ran = run([str(program), "models", "--json"], lambda _: None, lambda: False)
        if ran.code:
            raise RuntimeError(ran.last_line or f"{program} ended with code {ran.code}")
        _known[key] = read_models(ran.stdout)
    return _known[key]


def _model(card: dict[str, Any]) -> Model:
    preview = card.get("preview")
    return Model(
        name=card["name"],
        title=card["title"] or card["description"],
        bands=tuple(band["name"] for band in card["bands"]),
        gsd_m=(card["gsd_m"]["min"], card["gsd_m"]["max"]),
        classes=tuple(entry["name"] for entry in card["legend"]["classes"]),
        licence=card["licence"],
        preview=Path(preview) if preview else None,
    )
