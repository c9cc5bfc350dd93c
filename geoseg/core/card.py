"""ModelCard: the inputs a network needs and the meaning of its outputs. Vocabulary of the STAC MLM extension."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from geoseg.core.choices import SplitMethod
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import JsonObject, UntypedDict

Positive = Annotated[float, Field(gt=0)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Architecture(_Value):
    """A network of the registry: ``geoseg.nn.build(name, in_channels, classes, **options)``."""

    name: str
    options: UntypedDict = Field(default_factory=dict)


class CardBand(_Value):
    """One input band, in the network's order.

    The network sees ``(value - mean) / std``, where value is the pixel on the card's ``radiometry`` scale, 0 to 1.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    mean: float = 0.5
    std: Positive = 0.25


class GsdRange(_Value):
    """Ground sample distances the network was trained for, metres."""

    min: Positive
    max: Positive

    @model_validator(mode="after")
    def _ordered(self) -> GsdRange:
        if self.min > self.max:
            raise ValueError(f"gsd range starts at {self.min} and ends at {self.max}")
        return self


class TrainingSource(_Value):
    """One data set that the network was trained on, with its licence."""

    name: str
    licence: str
    split: str = ""


class Score(_Value):
    """One measured score: on which data, by which metric."""

    on: str
    metric: str
    value: float


class ScoreCalibration(_Value):
    """How scores of objects become probabilities of being right: a line in their logits (Platt 1999).

    Attributes:
        slope: factor of the logit.
        intercept: added to it.
    """

    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    intercept: Annotated[float, Field(allow_inf_nan=False)]


class CountingDefaults(_Value):
    """How objects of the network's classes are best counted, measured by whoever trained it.

    Attributes:
        split: where touching objects are parted; None: as ``geoseg.core.spec.ObjectChoice`` says.
        neck: see ``geoseg.vector.objects.spec.ObjectSpec``; None: its default.
        min_area_m2: smaller objects are left out; None: the card's smallest polygon.
    """

    split: SplitMethod | None = None
    neck: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    min_area_m2: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @property
    def words(self) -> str:
        """The values in words; as options they would also be for other layers than the objects."""
        said = [] if self.split is None else ["not split" if self.split == "none" else f"split by {self.split}"]
        said += [f"neck {self.neck:g}"] if self.neck is not None else []
        said += [f"those under {self.min_area_m2:g} m2 left out"] if self.min_area_m2 else []
        said += ["those of any size counted"] if self.min_area_m2 == 0 else []
        return ", ".join(said)


class Quantisation(_Value):
    """The network's form in 8-bit integers and what it was measured to lose.

    Attributes:
        on: data that it was measured on.
        agreement: share of the pixels that get the class that they get in float32.
        metric: score that both forms have on labels; empty where the data has none.
        score_fp32: score of the network in float32.
        score_int8: score of the quantised network.
        preferred: True if ``--precision auto`` takes it.
        sha256: digest of the quantised network.
    """

    on: str
    agreement: Annotated[float, Field(ge=0, le=1)]
    metric: str = ""
    score_fp32: float | None = None
    score_int8: float | None = None
    preferred: bool = True
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


_LATER_FIELDS = frozenset({"task", "warnings", "min_score", "score_calibration", "objects", "int8"})


class ModelCard(_Value):
    """Description of a network for a run: its inputs, its classes, its tile size and its provenance.

    Attributes:
        task: kind of its result: ``semantic`` (a class for each pixel), or another task of
            ``geoseg.inference.tasks``.
        radiometry: ``display`` for networks trained on 8-bit images (0-255 is 0-1), ``reflectance`` for networks
            trained on surface or top-of-atmosphere reflectance (0-1).
        gsd_m: range the network may be fed; a scene outside it is resampled to the nearer end.
        tile_px: side of the square the network sees at once.
        halo_px: context pixels dropped or tapered on each side; see ``geoseg.inference.receptive_field``.
        temperature: logits are divided by it before the softmax, so that probabilities are calibrated; above 1 for an
            overconfident network. See ``geoseg.training.calibrate``.
        warnings: reasons not to trust the network, one sentence each: a training that ended in one class, for instance.
        min_area_m2: polygons smaller than this are merged into a neighbour unless a run sets another limit; 0, the
            default: every region is a polygon.
        min_score: of task ``instance``, least score of an object unless a run sets another.
        score_calibration: of task ``instance``, turns the network's scores into the probability that an object of the
            labels agrees by at least half of the union; ``min_score`` is compared with the result. None: scores are
            the network's.
        objects: of task ``semantic``, how objects are counted unless a run says otherwise; None: no advice.
        int8: the network's form in 8-bit integers, which is in the same file; None: there is none.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: str = "1"
    title: str = ""
    description: str = ""
    architecture: Architecture
    task: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")] = "semantic"
    bands: tuple[CardBand, ...] = Field(min_length=1)
    radiometry: Literal["display", "reflectance"] = "display"
    gsd_m: GsdRange
    tile_px: Annotated[int, Field(ge=32, le=8192)] = 512
    halo_px: Annotated[int, Field(ge=0, le=2048)] = 64
    legend: Legend
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    min_area_m2: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    min_score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    score_calibration: ScoreCalibration | None = None
    objects: CountingDefaults | None = None
    int8: Quantisation | None = None
    licence: str
    trained_on: tuple[TrainingSource, ...] = ()
    scores: tuple[Score, ...] = ()
    warnings: tuple[str, ...] = ()
    recipe: UntypedDict = Field(default_factory=dict)
    weights_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @model_validator(mode="after")
    def _fits(self) -> ModelCard:
        if 2 * self.halo_px >= self.tile_px:
            raise ValueError(f"a halo of {self.halo_px} px on each side leaves nothing of a tile of {self.tile_px} px")
        names = [band.name for band in self.bands]
        if len(set(names)) != len(names):
            raise ValueError(f"bands repeat: {names}")
        return self

    @model_serializer(mode="wrap")
    def _without_unset(self, serialise: SerializerFunctionWrapHandler) -> UntypedDict:
        """Leave out unset fields that older cards lack, so that the digest of an older card stays equal."""
        values: JsonObject = serialise(self)
        unset = {name for name in _LATER_FIELDS if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in values.items() if name not in unset}

    def identity(self, precision: str) -> UntypedDict:
        """Return all that a map depends on; the quantised form only where it is used.

        Args:
            precision: as requested, or as a runtime computes.
        """
        values: UntypedDict = self.model_dump(mode="json")
        if self.int8 is not None and not (
            precision.startswith("int8") or (precision == "auto" and self.int8.preferred)
        ):
            del values["int8"]
        return values

    @property
    def band_names(self) -> tuple[str, ...]:
        """Band names in the network's order."""
        return tuple(band.name for band in self.bands)
