"""PredictSpec: what one prediction run shall do. Values only; the CLI and the Python API fill it alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from geoseg.core.digest import sha256_of_json
from geoseg.core.tiling import Blend

RuntimeName = Literal["auto", "torch", "openvino"]
Tta = Literal["none", "flip", "d4"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class PredictSpec(BaseModel):
    """Options of ``geoseg predict``; what is None comes from the model's card.

    Attributes:
        bands: scene bands in the card's order, by number (1 is the first) or name.
        gsd_m: read the scene at this true ground sample distance instead of the card's rule.
        value_range: scene values that mean 0 and 1 to the network, or ``auto`` for the scene's 2nd and 98th percentile.
        block_px: wanted side of a block, on the finer of the scene's grid and the one the network sees.
        tta: average over 4 flips or the 8 symmetries of the square: better answers at 4 or 8 times the cost.
        aoi: a vector file; outside its polygons nothing is predicted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tile_px: Annotated[int, Field(ge=32, le=16384)] | None = None
    halo_px: Annotated[int, Field(ge=0, le=4096)] | None = None
    block_px: Annotated[int, Field(ge=32, le=65536)] = 2048
    blend: Blend = "core"
    tta: Tta = "none"
    bands: tuple[str, ...] | None = None
    gsd_m: Annotated[float, Field(gt=0)] | None = None
    value_range: tuple[float, float] | Literal["auto"] | None = None
    aoi: str | None = None
    simplify_m: Annotated[float, Field(ge=0)] = 0.0
    min_area_m2: Annotated[float, Field(ge=0)] = 0.0
    vector: bool = True
    confidence: bool = True

    def pixel_options(self) -> dict[str, Any]:
        """The options that can change a pixel; polygons and extra files are made from the pixels."""
        return self.model_dump(mode="json", include=_PIXEL_OPTIONS)

    def digest(self) -> str:
        """Digest of all options."""
        return sha256_of_json(self.model_dump(mode="json"))


_PIXEL_OPTIONS = {"tile_px", "halo_px", "block_px", "blend", "tta", "bands", "gsd_m", "value_range", "aoi"}
