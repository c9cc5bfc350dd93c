"""Draft of a recipe: written with comments from what images and labels hold, then read back and checked on them."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from geoseg.core.card import ModelCard
from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, LabelledScene, read_source
from geoseg.errors import UsageError
from geoseg.io.files.yaml_file import parse_config
from geoseg.models.packages import open_package
from geoseg.training.drafts.image_survey import ImageSurvey, survey_images
from geoseg.training.drafts.label_survey import LabelSurvey, survey_labels
from geoseg.training.drafts.recipe_text import Facts, recipe_text
from geoseg.training.recipe import Recipe

_GUARD_PX: Final = 128
_CHIP_PX: Final = 320
_LEAST_CHIP_PX: Final = 64
_MOST_COUNTED_PX: Final = 400_000_000
_SPREAD: Final = 1.25  # pixel sizes that a model is for lie this factor around those of its images
_NETWORK: Final = ("timm_unet", {"encoder": "mobilenetv2_100", "widths": [128, 64, 48, 32]})
_TILE_PX: Final = (1152, 160)


class RecipeRequest(BaseModel):
    """Request for a recipe.

    Attributes:
        data: folder that images and labels are relative to; ``--data`` of ``geoseg train``.
        images: a file, a folder or a pattern with one ``*``.
        labels: polygons or rasters: one file, or a pattern with the images' names.
        attribute: field of the class of polygons; None: every polygon is the one class ``class_name``.
        class_name: name of that class.
        name: of the model.
        licence: of the model.
        start_from: bundled model or model file whose weights the training begins with; None: random weights.
        minutes: length of the training; or
        steps: the same in steps of the optimiser.
        assume_crs: CRS of images that carry none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path()
    images: Annotated[str, Field(min_length=1)]
    labels: Annotated[str, Field(min_length=1)]
    attribute: str | None = None
    class_name: Annotated[str, Field(min_length=1, max_length=80)] = "object"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = "my-model"
    licence: Annotated[str, Field(min_length=1)] = "all rights reserved"
    start_from: str | None = None
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    assume_crs: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeDraft:
    """A recipe that was checked on its data.

    Attributes:
        text: the YAML.
        recipe: the same, read.
        findings: facts about the data, a sentence each.
        warnings: what should be changed before training.
        shares: of each class, by name: its share of the labelled pixels for training and for validation.
        options: options of ``geoseg train`` besides the recipe's path.
    """

    text: str
    recipe: Recipe
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    shares: dict[str, tuple[float, float]]
    options: tuple[str, ...]

    def command(self, path: Path) -> str:
        """Return the command that trains the recipe saved at a path."""
        return shlex.join(["geoseg", "train", str(path), *self.options])


def draft_recipe(request: RecipeRequest) -> RecipeDraft:
    """Write a recipe for images and labels, and check it on them.

    Args:
        request: images, labels and wishes.

    Raises:
        SceneError: a file is missing or cannot be read, or labels lie elsewhere.
        UsageError: images, labels and the model to start from do not fit each other.
        ModelError: the model to start from is broken.
    """
    images = survey_images(request.data, request.images, assume_crs=request.assume_crs)
    labels = survey_labels(
        request.data,
        request.labels,
        list(images.names),
        attribute=request.attribute,
        title=request.class_name,
    )
    start = None if request.start_from is None else open_package(request.start_from).card
    if start is not None:
        _check_start(request.start_from or "", start, images, labels)
    facts = _facts(request, images, labels, start)
    text = recipe_text(facts)
    recipe = parse_config(text.encode(), Recipe, "the new recipe")
    shares, pixels = _class_shares(recipe, request.data)
    return RecipeDraft(
        text=text,
        recipe=recipe,
        findings=tuple(_findings(images, labels, pixels)),
        warnings=tuple(_warnings(images, recipe, shares)),
        shares=shares,
        options=_options(request),
    )


def _facts(request: RecipeRequest, images: ImageSurvey, labels: LabelSurvey, start: ModelCard | None) -> Facts:
    low, high = (_round(images.gsd_m[0] / _SPREAD), _round(images.gsd_m[1] * _SPREAD))
    tile_px, halo_px = _TILE_PX if start is None else (start.tile_px, start.halo_px)
    network, options = _NETWORK if start is None else (start.architecture.name, start.architecture.options)
    rows = min(shape[0] for shape in images.shapes)
    side = min(min(shape) for shape in images.shapes)
    chip = max(_LEAST_CHIP_PX, min(_CHIP_PX, side // 2 // 32 * 32))
    several = len(images.names) >= 4
    bands = start.bands if start is not None else ()
    return Facts(
        words={
            "name": request.name,
            "title": f"{', '.join(entry.name for entry in labels.legend.classes[1:4])} from imagery"[:120],
            "licence": request.licence,
            "images": request.images,
            "labels": request.labels,
            "source": Path(request.images).parent.name or Path(request.images).stem.replace("*", "") or "images",
        },
        network=(network, json.dumps(dict(options))),
        bands=tuple((band.name, band.mean, band.std) for band in bands)
        or tuple(zip(images.bands, images.mean, images.std, strict=True)),
        gsd_m=(low, high),
        tile_px=tile_px,
        halo_px=halo_px,
        legend=labels.legend,
        codes=dict(labels.codes),
        vector=labels.vector,
        attribute=request.attribute,
        assume_crs=request.assume_crs,
        value_range=images.value_range,
        split="{by: share, validate_share: 0.25, seed: 1}" if several else "{by: rows, validate_share: 0.25}",
        guard_px=max(1, min(_GUARD_PX, rows // 8)),
        chip_px=chip,
        learning_rate=0.002 if start is None else 0.0005,
        steps=request.steps,
        minutes=request.minutes if request.minutes or request.steps else 30.0,
    )


def _check_start(name: str, card: ModelCard, images: ImageSurvey, labels: LabelSurvey) -> None:
    if len(card.bands) != len(images.bands):
        raise UsageError(
            f"--start-from {name}: it has {len(card.bands)} bands ({', '.join(card.band_names)}), the images have "
            f"{len(images.bands)} ({', '.join(images.bands)}). Leave it out, or give images with those bands."
        )
    if len(card.legend) != len(labels.legend):
        raise UsageError(
            f"--start-from {name}: it has {len(card.legend)} classes ({', '.join(card.legend.names)}), the labels have "
            f"{len(labels.legend)} ({', '.join(labels.legend.names)}). Leave it out, or name another model."
        )


def _class_shares(recipe: Recipe, folder: Path) -> tuple[dict[str, tuple[float, float]], tuple[int, int]]:
    """Count the pixels of each class on both sides of the split, as the training will see them."""
    counts = []
    for split in ("train", "validate"):
        scenes = [scene for source in recipe.sources for scene in read_source(source, split, folder, recipe.legend)]
        counts.append(_count(scenes, len(recipe.legend)))
    train, validate = counts
    parts = [side / max(1, int(side.sum())) for side in counts]
    shares = {
        name: (round(float(parts[0][place]), 6), round(float(parts[1][place]), 6))
        for place, name in enumerate(recipe.legend.names)
    }
    return shares, (int(train.sum()), int(validate.sum()))


def _count(scenes: Sequence[LabelledScene], classes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    counts, seen = np.zeros(classes, np.int64), 0
    for scene, window in _windows(scenes):
        class_indices = scene.read(window).class_indices
        counts += np.bincount(class_indices[class_indices != UNLABELLED], minlength=classes)[:classes]
        seen += window.pixels
        if seen > _MOST_COUNTED_PX:
            break
    return counts


def _windows(scenes: Sequence[LabelledScene]) -> Iterator[tuple[LabelledScene, Window]]:
    for scene in scenes:
        height, width = scene.shape
        for top in range(0, height, _CHIP_PX * 4):
            for left in range(0, width, _CHIP_PX * 4):
                window = Window(top, min(top + _CHIP_PX * 4, height), left, min(left + _CHIP_PX * 4, width))
                yield scene, window


def _findings(images: ImageSurvey, labels: LabelSurvey, pixels: tuple[int, int]) -> Iterator[str]:
    low, high = images.gsd_m
    size = f"{low:.4g}" if math.isclose(low, high, rel_tol=1e-3) else f"{low:.4g} to {high:.4g}"
    number = "1 image" if len(images.names) == 1 else f"{len(images.names)} images"
    yield f"{number}, bands {', '.join(images.bands)}, {', '.join(images.crs)}, pixels of {size} m"
    if images.value_range is not None:
        yield "values from {:g} to {:g} (2nd to 98th percentile) are scaled to 0 to 1".format(*images.value_range)
    kind = "polygons" if labels.vector else "pixels"
    found = (
        f"{entry.name} {labels.counts[entry.code]:,}" for entry in labels.legend.classes if entry.code in labels.counts
    )
    yield f"{kind} of each class: {', '.join(found)}"
    yield f"{pixels[0]:,} labelled pixels to train on, {pixels[1]:,} to validate on"


def _warnings(images: ImageSurvey, recipe: Recipe, shares: dict[str, tuple[float, float]]) -> Iterator[str]:
    for name, (train, validate) in shares.items():
        if not train:
            yield f"no pixel of {name!r} is on the side of training: change split"
        elif not validate:
            yield f"no pixel of {name!r} is on the side of validation, so it will have no score: change split"
    if len(recipe.legend) == 1:
        yield (
            "the labels have one class only: if their nodata value is a class too, add labels_nodata: none to the "
            "source and the class to the legend"
        )
    if images.gsd_m[1] > 4 * images.gsd_m[0]:
        yield "pixel sizes differ by more than a factor of four: make two models of them"
    if recipe.licence == RecipeRequest.model_fields["licence"].default:
        yield "licence is that of unpublished work: change it if others shall use the model"


def _options(request: RecipeRequest) -> tuple[str, ...]:
    words = [] if request.data == Path() else ["--data", str(request.data)]
    return (*words, *(["--start-from", request.start_from] if request.start_from else []))


def _round(value: float) -> float:
    return float(f"{value:.2g}")
