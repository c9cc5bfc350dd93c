"""Text of a recipe: YAML with a comment at each key that a user may want to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geoseg.core.legend import Legend
from geoseg.io.files.yaml_file import yaml_scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Contents of a recipe.

    Attributes:
        words: name, title, licence, images, labels and source (its name).
        network: its name and its options as JSON.
        bands: name, mean and standard deviation of each.
        gsd_m: smallest and largest pixel size that the model is for, metres.
        tile_px: side of a tile of prediction.
        halo_px: context around it.
        legend: classes.
        codes: from values of the labels to codes; empty where labels are codes.
        vector: True for polygons.
        attribute: field of the class of polygons.
        assume_crs: CRS of images that carry none.
        value_range: values that mean 0 and 1.
        split: split of the source, YAML.
        guard_px: pixels between training and validation ground.
        chip_px: side of a chip.
        learning_rate: its peak.
        steps: length of the training, or None.
        minutes: the same, or None.
    """

    words: Mapping[str, str]
    network: tuple[str, str]
    bands: tuple[tuple[str, float, float], ...]
    gsd_m: tuple[float, float]
    tile_px: int
    halo_px: int
    legend: Legend
    codes: Mapping[str, int]
    vector: bool
    attribute: str | None
    assume_crs: str | None
    value_range: tuple[float, float] | None
    split: str
    guard_px: int
    chip_px: int
    learning_rate: float
    steps: int | None
    minutes: float | None


def recipe_text(facts: Facts) -> str:
    """Write the recipe as YAML with comments."""
    words = {key: yaml_scalar(value) for key, value in facts.words.items()}
    network, options = facts.network
    bands = [f"  - {{name: {name}, mean: {mean:g}, std: {std:g}}}" for name, mean, std in facts.bands]
    classes = [
        f'    - {{code: {entry.code}, name: {yaml_scalar(entry.name)}, colour: "{entry.colour}"}}'
        for entry in facts.legend.classes
    ]
    length = [f"  steps: {facts.steps}"] if facts.steps else []
    length += [f"  minutes: {facts.minutes:g}"] if facts.minutes else []
    return "\n".join(
        [
            "# A training recipe of geoseg. All keys: docs/training.md and docs/training_data.md.",
            f"name: {words['name']}",
            'version: "1"',
            f"title: {words['title']}",
            f"licence: {words['licence']}  # of the model that you make; mind those of images and labels",
            "",
            "# The network. `geoseg models` lists all; `geoseg models show NAME` has the options.",
            "architecture:",
            f"  name: {network}",
            f"  options: {options}",
            "",
            "# Bands in the order of the image files; mean and std are of values on the scale from 0 to 1.",
            "bands:",
            *bands,
            "",
            "# Pixel sizes on the ground that the model is for, metres; other scenes are resampled for it.",
            f"gsd_m: {{min: {facts.gsd_m[0]:g}, max: {facts.gsd_m[1]:g}}}",
            f"tile_px: {facts.tile_px}  # side of a tile in prediction",
            f"halo_px: {facts.halo_px}  # context around it; `geoseg models halo` measures what the network needs",
            "min_area_m2: 0  # smaller polygons of maps join a neighbour",
            "",
            "# Classes of the maps. Names and colours are yours to change; codes are those of the labels.",
            "legend:",
            "  classes:",
            *classes,
            "",
            "sources:",
            "  - kind: georeferenced",
            f"    name: {words['source']}",
            "    licence: unknown  # of images and labels; it goes into the model's card",
            f"    images: {words['images']}  # relative to --data of geoseg train",
            f"    labels: {words['labels']}",
            *_labels(facts),
            "    # Never used for training. Also: {by: blocks, ...}, {by: area, ...}, {by: names, ...}",
            f"    split: {facts.split}",
            f"    guard_px: {facts.guard_px}  # between training and validation ground",
            "",
            "# Samples: cut at random places, scales and turns.",
            "chips:",
            f"  size_px: {facts.chip_px}",
            "  batch: 6",
            f"  gsd_m: [{facts.gsd_m[0]:g}, {facts.gsd_m[1]:g}]",
            "  balance: 0.3  # share of the samples that are cut around a pixel of a class drawn at random",
            "",
            "augment: {brightness: 0.1, contrast: 0.2, gamma: 0.1, saturation: 0.2, blur_px: 0.5}"
            if len(facts.bands) == 3
            else "augment: {brightness: 0.1, contrast: 0.2, gamma: 0.1, blur_px: 0.5}",
            "",
            "loss: {cross_entropy: 1.0, dice: 0.5}",
            "",
            "schedule:",
            *length,
            f"  learning_rate: {facts.learning_rate:g}",
            "  save_every: 100  # steps between checkpoints, from which an interrupted training goes on",
            "",
            "seed: 1",
            "",
        ]
    )


def _labels(facts: Facts) -> list[str]:
    lines = []
    if facts.attribute is not None:
        lines.append(f"    attribute: {yaml_scalar(facts.attribute)}  # field of the polygons with the class")
    if facts.codes:
        table = ", ".join(f"{yaml_scalar(value)}: {code}" for value, code in facts.codes.items())
        lines.append(f"    classes: {{{table}}}  # values of the labels; `ignore` instead of a code: no class")
    if facts.attribute is not None:
        lines.append("    others: ignore  # polygons without a value there")
    if facts.vector:
        lines.append("    outside: 0  # class where no polygon lies; ignore: not labelled")
    if facts.value_range is not None:
        lines.append("    # values that mean 0 and 1: here the 2nd and 98th percentile of the images")
        lines.append(f"    value_range: [{facts.value_range[0]:g}, {facts.value_range[1]:g}]")
    if facts.assume_crs is not None:
        lines.append(f"    assume_crs: {yaml_scalar(facts.assume_crs)}")
    return lines
