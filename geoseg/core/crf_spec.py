"""CrfSpec: the parameters of a fully connected CRF, with the published ones by name."""

from __future__ import annotations

import math
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from geoseg.core.types.json_value import JsonObject

Weight = Annotated[float, Field(ge=0, le=1000)]
Normalise = Literal["pixel", "symmetric"]

REACH = 3.0
"""Context around a block, in standard deviations of the wider kernel; docs/adr has the measurements."""


class CrfSpec(BaseModel):
    """Pairwise terms of a fully connected CRF (Kraehenbuehl and Koltun 2011).

    Between pixels i and j, at places p and of colours c::

        weight        * exp(-|p_i - p_j|^2 / (2 xy_px^2) - |c_i - c_j|^2 / (2 rgb^2))
      + smooth_weight * exp(-|p_i - p_j|^2 / (2 smooth_xy_px^2))

    Attributes:
        weight: weight of the bilateral kernel, over position and colour.
        xy_px: its standard deviation in pixels of the scene.
        rgb: its standard deviation in colour, of 0 to 255.
        smooth_weight: weight of the smoothness kernel, over position alone.
        smooth_xy_px: its standard deviation in pixels of the scene.
        iterations: mean-field updates.
        normalise: ``pixel``: a message is the mean over the other pixels, weighted by the kernel, as the code of
            2011 and DeepLab have it; ``symmetric``: the sum over the square roots of both pixels' total weights, as
            the code of 2013 and pydensecrf have it. Constant probabilities stay constant with ``pixel`` only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: Weight
    xy_px: Annotated[float, Field(ge=1, le=1000)]
    rgb: Annotated[float, Field(ge=0.5, le=1000)]
    smooth_weight: Weight = 3.0
    smooth_xy_px: Annotated[float, Field(gt=0, le=100)] = 3.0
    iterations: Annotated[int, Field(ge=1, le=100)] = 10
    normalise: Normalise = "pixel"

    @property
    def reach_px(self) -> int:
        """Context that a block needs on each side, in pixels of the scene."""
        wide = max(self.xy_px if self.weight else 0.0, self.smooth_xy_px if self.smooth_weight else 0.0)
        return math.ceil(REACH * wide)


PRESETS: dict[str, CrfSpec] = {
    "deeplabv1": CrfSpec(weight=5, xy_px=50, rgb=3, smooth_weight=3, smooth_xy_px=3),
    "deeplabv2": CrfSpec(weight=4, xy_px=67, rgb=3, smooth_weight=3, smooth_xy_px=1),
}
"""``deeplabv1``: Chen et al. 2015 fix the smoothness kernel at 3 and 3 and search the rest; these are the values that
their release ships for VGG-16, inside the searched ranges. ``deeplabv2``: Chen et al. 2018, ResNet-101 on VOC."""

MAX_SPAN = 2000.0
"""Most standard deviations that a block may span with its context."""

_FIELDS = ("weight", "xy_px", "rgb", "smooth_weight", "smooth_xy_px", "iterations")


def parse_crf(text: str) -> CrfSpec | None:
    """Parse ``none``, a preset's name or ``W,SXY,SRGB[,SMOOTH_W,SMOOTH_SXY[,ITERATIONS]]``.

    A preset or numbers may end in ``,symmetric`` or ``,pixel``, the normalisation.

    Raises:
        ValueError: it is none of these, or a number is out of range.

    Examples:
        >>> parse_crf("4,67,3").reach_px
        201
    """
    if text == "none":
        return None
    *before, last = text.split(",")
    named = last.strip() in get_args(Normalise)
    parts = before if named else [*before, last]
    changes: JsonObject = {"normalise": last.strip()} if named else {}
    if len(parts) == 1 and parts[0] in PRESETS:
        return PRESETS[parts[0]].model_copy(update=changes)
    if len(parts) not in (3, 5, 6):
        numbers = "W,SXY,SRGB[,SMOOTH_W,SMOOTH_SXY[,ITERATIONS]][,symmetric]"
        raise ValueError(f"{text} is not one of none, {', '.join(PRESETS)}, {numbers}")
    try:
        return CrfSpec.model_validate({**dict(zip(_FIELDS, parts, strict=False)), **changes})
    except ValidationError as error:
        faults = [f"{fault['loc'][0]} {fault['input']}: {fault['msg'].lower()}" for fault in error.errors()]
        raise ValueError("; ".join(faults)) from error


def _spelled_out(value: object) -> object:
    return parse_crf(value) if isinstance(value, str) else value


Crf = Annotated[CrfSpec | None, BeforeValidator(_spelled_out)]
"""Field type that accepts a ``CrfSpec`` or text that ``parse_crf`` reads."""
