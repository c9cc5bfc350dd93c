"""Features: what every reader of a vector format gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS

Geometry = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Geometries of one layer with some of their fields.

    Attributes:
        geometry: (feature,) shapely geometries of any kind, None where a feature has none.
        columns: values of fields that were asked for and are there, (feature,) each.
        fields: names of all fields.
        crs: None where the file names none.
    """

    geometry: Geometry
    columns: Mapping[str, Any]
    fields: tuple[str, ...]
    crs: CRS | None


class LayerChoiceError(ValueError):
    """No layer of a file is meant, or it is not clear which.

    Args:
        cause: what is wrong.
        layers: names of those that are there.
    """

    def __init__(self, cause: str, layers: Sequence[str]) -> None:
        super().__init__(cause)
        self.layers = tuple(layers)


def choose_layer(layers: Sequence[str], named: str | None, default: str | None = None) -> str:
    """Choose one of a file's layers.

    Args:
        layers: those with geometries.
        named: by the user.
        default: taken where it is among several and none is named.

    Raises:
        LayerChoiceError: there is none, none of that name, or several and none is named.
    """
    if not layers:
        raise LayerChoiceError("it has no layer with geometries", layers)
    if named is not None:
        if named in layers:
            return named
        raise LayerChoiceError(f"it has no layer {named!r}, but {', '.join(layers)}", layers)
    if default in layers:
        return str(default)
    if len(layers) > 1:
        raise LayerChoiceError(f"it has {len(layers)} layers: {', '.join(layers)}", layers)
    return layers[0]
