"""Features: the common result of the readers of all vector formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import CRS

Geometry = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Geometries of one layer with some of their fields.

    Attributes:
        geometry: (feature,) shapely geometries of any kind, None where a feature has none.
        columns: values of the requested fields that exist, (feature,) each.
        fields: names of all fields.
        crs: None if the file has none.
    """

    geometry: Geometry
    columns: Mapping[str, object]
    fields: tuple[str, ...]
    crs: CRS | None


class LayerChoiceError(ValueError):
    """The requested layer of a file does not exist, or the choice is ambiguous.

    Args:
        cause: cause of the error.
        layers: names of the existing layers.
    """

    def __init__(self, cause: str, layers: Sequence[str]) -> None:
        super().__init__(cause)
        self.layers = tuple(layers)


def choose_layer(layers: Sequence[str], named: str | None, default: str | None = None) -> str:
    """Choose one of a file's layers.

    Args:
        layers: layers with geometries.
        named: name from the user, or None.
        default: used if no name is given and it is among several.

    Raises:
        LayerChoiceError: there is no layer, none of that name, or several without a name given.
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
