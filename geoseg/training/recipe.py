"""Recipe: the configuration of a training run, as plain data from YAML, validated as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from geoseg.core.card import Architecture, CardBand, CountingDefaults, GsdRange, ModelCard, Score, TrainingSource
from geoseg.core.digest import sha256_of_json
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.data.augment import Augmentation
from geoseg.data.chips import ChipSpec
from geoseg.data.sources.kinds import Source
from geoseg.data.torchgeo_set import card_bands, legend_of
from geoseg.io.files.yaml_file import faults, read_config
from geoseg.models.encoder_weights import EncoderWeights, NamedEncoder
from geoseg.nn import NETWORKS
from geoseg.nn.parts.foundation import BAND_UM
from geoseg.training.losses import LossMix
from geoseg.training.optimiser import OptimiserSettings
from geoseg.training.schedule import Schedule
from geoseg.training.settings import Settings
from geoseg.training.trainer_settings import TrainerSettings

_DECIDES = {
    "architecture",
    "task",
    "encoder_weights",
    "bands",
    "legend",
    "sources",
    "chips",
    "augment",
    "loss",
    "schedule",
    "optimiser",
    "seed",
}
_DECIDES_TOO = {"precision", "channels_last", "devices"}


def _task_of(network: str) -> str:
    """Task of a network of the registry; ``semantic`` for an unknown one, which is refused when it is built."""
    return NETWORKS[network].task if network in NETWORKS else "semantic"


def _as_text(version: object) -> object:
    """Convert ``version: 1``, which YAML reads as a number, to text."""
    return str(version) if isinstance(version, int | float) and not isinstance(version, bool) else version


class Recipe(Settings):
    """Training recipe: model, data and training settings. See ``configs/train`` and ``docs/training.md``.

    ``legend`` and ``bands`` may be left out where a source is a data set of torchgeo, which says them.
    """

    later: ClassVar[frozenset[str]] = frozenset({"optimiser", "trainer", "task"})

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[str, BeforeValidator(_as_text)] = "1"
    title: str = ""
    description: str = ""
    licence: str
    architecture: Architecture
    task: Literal["semantic", "instance", "interactive", "panoptic"] = "semantic"
    encoder_weights: EncoderWeights | NamedEncoder | None = None
    bands: tuple[CardBand, ...] = Field(min_length=1)
    gsd_m: GsdRange
    tile_px: int = 768
    halo_px: int = 64
    min_area_m2: float = 0.0
    objects: CountingDefaults | None = None
    legend: Legend
    sources: tuple[Source, ...] = Field(min_length=1)
    chips: ChipSpec = ChipSpec()
    augment: Augmentation = Augmentation()
    loss: LossMix = LossMix()
    schedule: Schedule
    optimiser: OptimiserSettings = OptimiserSettings()
    trainer: TrainerSettings = TrainerSettings()
    seed: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="before")
    @classmethod
    def _from_torchgeo(cls, values: object) -> object:
        """Take a missing legend and missing bands from the first data set of torchgeo among the sources."""
        if not isinstance(values, Mapping) or ("legend" in values and "bands" in values):
            return values
        sources = values.get("sources")
        listed = sources if isinstance(sources, list | tuple) else ()
        chosen = [s for s in listed if isinstance(s, Mapping) and s.get("kind") == "torchgeo" and "dataset" in s]
        if not chosen:
            return values
        first, filled = chosen[0], dict(values)
        name = str(first["dataset"])
        if "legend" not in values:
            filled["legend"] = legend_of(str(first.get("labels") or name)).model_dump()
        if "bands" not in values:
            filled["bands"] = [{"name": band} for band in card_bands(name, first.get("bands"))]
        return filled

    @model_validator(mode="after")
    def _wavelengths(self) -> Recipe:
        """Take the wavelengths that DOFA's first layer needs from the names of the bands."""
        options = self.architecture.options
        if not str(options.get("encoder", "")).startswith("dofa") or "wavelengths" in options:
            return self
        unknown = [band.name for band in self.bands if band.name not in BAND_UM]
        if unknown:
            raise ValueError(f"the wavelength of band {unknown[0]} is unknown: give the architecture's wavelengths")
        known = {**options, "wavelengths": [BAND_UM[band.name] for band in self.bands]}
        filled = self.architecture.model_copy(update={"options": known})
        object.__setattr__(self, "architecture", filled)  # the recipe is frozen, and not made yet
        return self

    @model_validator(mode="after")
    def _things(self) -> Recipe:
        """Take the classes of things that a panoptic network needs from the legend."""
        legend, options = self.legend, self.architecture.options
        if self.task != "panoptic":
            return self
        if not legend.countable or len(legend.countable) == len(legend):
            raise ValueError(
                "task: panoptic needs classes of things, marked countable: true in the legend, and others, of stuff"
            )
        known = {**options, "things": [legend.codes.index(code) for code in legend.countable]}
        filled = self.architecture.model_copy(update={"options": known})
        object.__setattr__(self, "architecture", filled)  # the recipe is frozen, and not made yet
        return self

    @model_validator(mode="after")
    def _fits_a_card(self) -> Recipe:
        """Validate the fields of the card before training."""
        if self.task == "instance" and (self.legend.background != self.legend.codes[0] or len(self.legend) < 2):
            raise ValueError("task: instance needs a legend whose first class is the background, and further classes")
        if self.task == "interactive" and (self.legend.background != self.legend.codes[0] or len(self.legend) != 2):
            raise ValueError("task: interactive needs a legend of two classes, the background and then the object")
        if (self.task == "interactive") != (_task_of(self.architecture.name) == "interactive"):
            raise ValueError(
                f"task: {self.task} and the network {self.architecture.name} do not go together; networks that read "
                f"clicks are {', '.join(name for name in NETWORKS if _task_of(name) == 'interactive')}"
            )
        try:
            self.card()
        except ValidationError as error:
            raise ValueError(faults(error)) from error
        return self

    def card(self, scores: tuple[Score, ...] = (), run: UntypedDict | None = None) -> ModelCard:
        """Make the card of the trained model.

        Args:
            scores: scores of the model.
            run: facts about the training run.
        """
        trained_on = [
            TrainingSource(name=s.name, licence=s.licence, split=s.split_words())
            for s in self.sources
            if s.has_training()
        ]
        recipe = self.model_dump(
            mode="json", include={"chips", "augment", "loss", "schedule", "optimiser", "trainer", "seed"}
        )
        if self.encoder_weights is not None:
            begun = self.encoder_weights
            recipe |= {"encoder_weights": begun.model_dump(mode="json")}
            trained_on.append(TrainingSource(name=begun.name, licence=begun.licence, split="encoder, before training"))
        return ModelCard(
            **{key: getattr(self, key) for key in ("name", "version", "title", "description", "licence")},
            architecture=self.architecture,
            bands=self.bands,
            gsd_m=self.gsd_m,
            tile_px=self.tile_px,
            halo_px=self.halo_px,
            min_area_m2=self.min_area_m2,
            objects=self.objects,
            task=self.task,
            legend=self.legend,
            trained_on=tuple(trained_on),
            scores=scores,
            recipe=recipe | (run or {}),
        )


def read_recipe(path: Path) -> Recipe:
    """Read a training recipe from YAML.

    Raises:
        UsageError: the file cannot be read, is not YAML, or is invalid; all errors at once.
    """
    return read_config(path, Recipe)


def recipe_digest(recipe: Recipe) -> str:
    """Digest the part of a recipe that the weights depend on; titles, scores and logs may change during training."""
    values = recipe.model_dump(mode="json", include=_DECIDES)
    trainer = recipe.trainer.model_dump(mode="json", include=_DECIDES_TOO, exclude_defaults=True)
    return sha256_of_json(values | ({"trainer": trainer} if trainer else {}))
