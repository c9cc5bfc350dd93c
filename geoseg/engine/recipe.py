"""Recipe: everything a training run is told, as data. Read from YAML, checked whole, never executed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard, Score, TrainingSource
from geoseg.core.legend import Legend
from geoseg.data.augment import Augmentation
from geoseg.data.chips import ChipSpec
from geoseg.data.labelled import Source
from geoseg.engine.losses import LossMix
from geoseg.errors import UsageError

_MAX_BYTES = 1_000_000


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(_Config):
    """How long and how fast to learn: AdamW, one rise and one cosine fall of the learning rate.

    Attributes:
        steps: batches.
        minutes: stop the fall of the learning rate so that training ends within this time; the result then depends on
            the machine's speed. None: only ``steps`` count, and the same seed on the same machine gives the same
            weights.
        learning_rate: its peak.
        warm_up: share of the run in which it rises.
        clip_norm: largest norm of the gradient.
        ema: decay of the moving average of the weights that is kept as the result; 0 for none.
        save_every: steps between checkpoints.
    """

    steps: Annotated[int, Field(ge=1)]
    minutes: Annotated[float, Field(gt=0)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warm_up: Annotated[float, Field(gt=0, lt=1)] = 0.08
    clip_norm: Annotated[float, Field(gt=0)] = 2.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    save_every: Annotated[int, Field(ge=1)] = 100


class Recipe(_Config):
    """A model to be: what it is for, what it learns from and how. See ``configs/train``."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: str = "1"
    title: str = ""
    description: str = ""
    licence: str
    architecture: Architecture
    bands: tuple[CardBand, ...] = Field(min_length=1)
    gsd_m: GsdRange
    tile_px: int = 768
    halo_px: int = 64
    legend: Legend
    sources: tuple[Source, ...] = Field(min_length=1)
    chips: ChipSpec = ChipSpec()
    augment: Augmentation = Augmentation()
    loss: LossMix = LossMix()
    schedule: Schedule
    seed: Annotated[int, Field(ge=0)] = 1

    def card(self, scores: tuple[Score, ...] = (), run: dict[str, Any] | None = None) -> ModelCard:
        """Make the card of the trained model."""
        trained_on = [
            TrainingSource(name=s.name, licence=s.licence, split=_split(s)) for s in self.sources if _learns(s)
        ]
        recipe = self.model_dump(mode="json", include={"chips", "augment", "loss", "schedule", "seed"})
        return ModelCard(
            **{key: getattr(self, key) for key in ("name", "version", "title", "description", "licence")},
            architecture=self.architecture,
            bands=self.bands,
            gsd_m=self.gsd_m,
            tile_px=self.tile_px,
            halo_px=self.halo_px,
            legend=self.legend,
            trained_on=tuple(trained_on),
            scores=scores,
            recipe=recipe | (run or {}),
        )


def _learns(source: Source) -> bool:
    return (source.train_seeds if source.kind == "towns" else source.train) is not None


def _split(source: Source) -> str:
    if source.kind == "towns":
        return "" if source.train_seeds is None else f"seeds {source.train_seeds[0]} to {source.train_seeds[1]}"
    return "" if source.train is None else f"rows {source.train[0]} to {source.train[1] - 1}"


def read_recipe(path: Path) -> Recipe:
    """Read a training recipe from YAML.

    Raises:
        UsageError: the file cannot be read, is not YAML, or holds what a recipe must not; all errors at once.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MAX_BYTES:
            raise UsageError(f"{path}: {len(content)} bytes; a recipe has at most {_MAX_BYTES}.")
        document = yaml.load(content.decode("utf-8"), _Loader)  # noqa: S506 - a SafeLoader without aliases
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'top'}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{path}: {faults}") from error


class _Loader(yaml.SafeLoader):
    """Plain data only: no tags, no aliases, no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases are not allowed{self.peek_event().start_mark}")  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key, (key_node, _) in zip(keys, node.value, strict=True):
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key!r} stands twice{key_node.start_mark}")
        return super().construct_mapping(node, deep=deep)
