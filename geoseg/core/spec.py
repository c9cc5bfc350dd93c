"""PredictSpec: the options of one prediction run. Values only; the CLI and the Python API fill it alike."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from geoseg.core.choices import Blend, Overlaps, SplitMethod, Suppression, Tta
from geoseg.core.crf_spec import Crf
from geoseg.core.digest import sha256_of_json
from geoseg.core.tiling import LONGEST_TILE_PX
from geoseg.core.types.json_value import JsonDict, UntypedDict

Scale = Annotated[float, Field(ge=0.25, le=4)]


class ObjectChoice(BaseModel):
    """Options for objects: the classes that are counted, and how touching things are parted.

    Attributes:
        classes: names or codes with commas between them, or ``countable``: those that the model's legend marks so.
        split: see ``geoseg.vector.objects.spec.ObjectSpec``; None: by confidence where it is written, else by distance.
        neck: see there.
        min_area_m2: smaller objects are left out; None: those below the smallest polygon.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    classes: Annotated[str, Field(min_length=1)]
    split: SplitMethod | None = None
    neck: Annotated[float, Field(ge=0, le=1)] | None = None
    min_area_m2: Annotated[float, Field(ge=0)] | None = None

    @model_serializer(mode="wrap")
    def _without_unset_area(self, write: SerializerFunctionWrapHandler) -> UntypedDict:
        """Leave out an area that is not set, so that the digest of an older run stays equal."""
        values: UntypedDict = write(self)
        if self.min_area_m2 is None:
            values.pop("min_area_m2", None)
        return values


class InstanceChoice(BaseModel):
    """Options for models of task ``instance``, which detect objects.

    Attributes:
        min_score: least score of an object; None: that of the model's card.
        nms_iou: detections of one class with a larger intersection over union are one object.
        suppress: what becomes of them; see ``Suppression``.
        overlaps: what becomes of pixels of several objects; see ``Overlaps``.
        object_ids: also write a raster of the ids of objects.
        regularise: classes whose objects also get right angles, in a second layer: names or codes with commas between
            them; None: none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_score: Annotated[float, Field(ge=0, le=1)] | None = None
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    suppress: Suppression = "hard"
    overlaps: Overlaps = "resolve"
    object_ids: bool = False
    regularise: Annotated[str, Field(min_length=1)] | None = None


class PanopticChoice(BaseModel):
    """Options of panoptic maps.

    For models that name a class for each pixel they ask for a panoptic map: its things are the objects that the class
    map is parted into, see ``ObjectChoice``; by default those of all countable classes.

    Attributes:
        stuff_area_m2: smaller regions of stuff join the stuff that they touch most; 0: none does.
        objects: how a class map is parted into things, where no objects are asked for besides; None: as the card says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    stuff_area_m2: Annotated[float, Field(ge=0)] = 0.0
    objects: ObjectChoice | None = None


class PredictSpec(BaseModel):
    """Options of ``geoseg predict``; options that are None are taken from the model's card.

    Attributes:
        tile_px: side of a tile, or ``largest``: as large as memory allows, so that less is computed twice; see
            ``geoseg.inference.tile_choice``.
        bands: scene bands in the card's order, by number (1 is the first) or name.
        gsd_m: read the scene at this true ground sample distance instead of the card's rule.
        value_range: scene values that mean 0 and 1 to the network, or ``auto`` for the scene's 2nd and 98th percentile.
        block_px: approximate side of a block, on the finer of the scene's grid and the network's.
        tta: average over 4 flips or the 8 symmetries of the square: better results at 4 or 8 times the cost.
        tta_scales: average over the scene read at these multiples of its resolution for the network, each with every
            view of ``tta``; the cost grows with their squares. Sorted; their order has no effect.
        crf: sharpen the probabilities by the scene's colours; see ``parse_crf`` for accepted text.
        min_area_m2: smaller polygons join a neighbour; 0: every region is a polygon.
        aoi: a vector file, or ``FILE:LAYER``; outside its polygons nothing is predicted.
        uncertainty: keep the entropy of the probabilities and, where several predictions are averaged, their mutual
            information.
        probabilities: keep the probability of every class.
        objects: classes that are counted, each thing as one polygon; None: none. Objects below ``min_area_m2`` are left
            out.
        instances: options of models that detect objects; None: their defaults, and for all other models.
        panoptic: options of panoptic maps; None: their defaults, and for all other models.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tile_px: Annotated[int, Field(ge=32, le=LONGEST_TILE_PX)] | Literal["largest"] | None = None
    halo_px: Annotated[int, Field(ge=0, le=4096)] | None = None
    block_px: Annotated[int, Field(ge=32, le=65536)] = 2048
    blend: Blend = "core"
    tta: Tta = "none"
    tta_scales: Annotated[tuple[Scale, ...], Field(min_length=1, max_length=16)] = (1.0,)
    crf: Crf = None
    bands: tuple[str, ...] | None = None
    gsd_m: Annotated[float, Field(gt=0)] | None = None
    value_range: tuple[float, float] | Literal["auto"] | None = None
    aoi: str | None = None
    simplify_m: Annotated[float, Field(ge=0)] = 0.0
    min_area_m2: Annotated[float, Field(ge=0)] | None = None
    vector: bool = True
    confidence: bool = True
    uncertainty: bool = False
    probabilities: bool = False
    objects: ObjectChoice | None = None
    instances: InstanceChoice | None = None
    panoptic: PanopticChoice | None = None

    @field_validator("value_range")
    @classmethod
    def _some_values(cls, values: tuple[float, float] | str | None) -> tuple[float, float] | str | None:
        if not isinstance(values, tuple):
            return values
        width = values[1] - values[0]
        if not (math.isfinite(width) and width > 0 and math.isfinite(1 / width)):
            raise ValueError(f"{values[0]:g} to {values[1]:g} holds no values; give LOW,HIGH with LOW below HIGH")
        return values

    @field_validator("tta_scales")
    @classmethod
    def _sorted(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(scales)) != len(scales):
            raise ValueError(f"a scale stands twice: {scales}")
        return tuple(sorted(scales))

    @field_validator("objects", "panoptic")
    @classmethod
    def _confidence_is_kept(
        cls, asked: ObjectChoice | PanopticChoice | None, info: ValidationInfo
    ) -> ObjectChoice | PanopticChoice | None:
        objects = asked.objects if isinstance(asked, PanopticChoice) else asked
        if objects is not None and objects.split == "confidence" and not info.data.get("confidence", True):
            raise ValueError("they are parted by the confidence, which is not written; keep it, or split by distance")
        return asked

    @model_serializer(mode="wrap")
    def _as_before_objects(self, write: SerializerFunctionWrapHandler) -> UntypedDict:
        values: UntypedDict = write(self)
        for name in ("objects", "instances", "panoptic"):  # so that runs without objects stay the runs they were
            if getattr(self, name) is None:
                values.pop(name, None)
        return values

    @property
    def counted(self) -> ObjectChoice:
        """How a class map is parted into objects: as ``objects`` say, else as the panoptic map asks."""
        asked = None if self.panoptic is None else self.panoptic.objects
        return self.objects or asked or ObjectChoice(classes="countable")

    def answers(self, members: int = 1) -> int:
        """Count the predictions averaged for each pixel: networks times views times scales."""
        return members * len(self.tta_scales) * {"none": 1, "flip": 4, "d4": 8}[self.tta]

    def pixel_options(self) -> JsonDict:
        """Options that can change a pixel; polygons and extra files are made from the pixels."""
        return self.model_dump(mode="json", include=_PIXEL_OPTIONS)

    def digest(self) -> str:
        """Digest of all options."""
        return sha256_of_json(self.model_dump(mode="json"))


_PIXEL_OPTIONS = {
    "tile_px",
    "halo_px",
    "block_px",
    "blend",
    "tta",
    "tta_scales",
    "crf",
    "bands",
    "gsd_m",
    "value_range",
    "aoi",
    "uncertainty",
    "probabilities",
    "instances",
}
