"""A recipe against two plain ways of training, for the same minutes on the same data: scores on held-out imagery.

    python benchmarks/recipes.py configs/train/solar.yaml --data DIR --minutes 9 --out scores.jsonl \
        [--encoder-weights FILE | --model FILE]

Three networks learn from the images of the recipe's split for as long as each other and answer the same held-out
pixels by the same tiles, counted in one confusion matrix:

* ``geoseg``: the recipe itself, its schedule stretched over the minutes; or with ``--model`` the file that it made;
* ``torchgeo``: ``SemanticSegmentationTask`` with its defaults, a U-Net on ResNet-50 and cross-entropy, on random crops;
* ``smp``: segmentation-models-pytorch's U-Net on ResNet-34, cross-entropy, AdamW, on random crops and their flips.

Nothing is downloaded, so the last two begin with random weights, while a recipe may bring pretrained ones of its own.
Minutes bound the training alone. Needs torchgeo, which brings segmentation-models-pytorch.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from lightning.pytorch import Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from torchgeo.trainers import SemanticSegmentationTask

from geoseg.core.card import ModelCard
from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, LabelledScene, read_source
from geoseg.data.labelled_scene import read_padded, unit
from geoseg.models.network import load_network
from geoseg.nn.padding import Padded
from geoseg.training.recipe import Recipe, read_recipe
from geoseg.training.score import confusion, iou, predict_class_indices
from geoseg.training.train import train

_STRIDE_PX = 32


class Crops(IterableDataset[dict[str, torch.Tensor]]):
    """Random crops without end: images by their size, places alike."""

    def __init__(self, images: list[LabelledScene], recipe: Recipe, *, flips: bool) -> None:
        self._images, self._size, self._flips, self._seed = images, recipe.chips.size_px, flips, recipe.seed
        self._mean, self._std = (
            np.array([getattr(band, name) for band in recipe.bands], np.float32)[:, None, None]
            for name in ("mean", "std")
        )

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng = np.random.default_rng(self._seed)
        area = np.array([np.prod(image.shape) for image in self._images], float)
        while True:
            image = self._images[int(rng.choice(len(area), p=area / area.sum()))]
            top, left = (int(rng.integers(0, max(extent - self._size, 0) + 1)) for extent in image.shape)
            sample = read_padded(image, Window(top, top + self._size, left, left + self._size))
            values = np.where(sample.valid, (unit(sample.values) - self._mean) / self._std, 0).astype(np.float32)
            mask = sample.class_indices.astype(np.int64)
            if self._flips:
                for axis in (1, 2):
                    if rng.random() < 0.5:
                        values, mask = np.flip(values, axis), np.flip(mask, axis - 1)
            yield {"image": torch.from_numpy(values.copy()), "mask": torch.from_numpy(mask.copy())}


def by_torchgeo(recipe: Recipe, images: list[LabelledScene], minutes: float) -> nn.Module:
    """Train torchgeo's task with its defaults."""
    task = SemanticSegmentationTask(
        in_channels=len(recipe.bands), task="multiclass", num_classes=len(recipe.legend), ignore_index=UNLABELLED
    )
    loader = DataLoader(Crops(images, recipe, flips=False), batch_size=recipe.chips.batch)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_time=timedelta(minutes=minutes),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            limit_val_batches=0,
        )
        trainer.fit(task, loader)
    network: nn.Module = task.model
    return network


def by_smp(recipe: Recipe, images: list[LabelledScene], minutes: float) -> nn.Module:
    """Train a plain loop."""
    network: nn.Module = smp.Unet(
        encoder_weights=None, in_channels=len(recipe.bands), classes=len(recipe.legend)
    ).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    end = time.monotonic() + minutes * 60
    for batch in DataLoader(Crops(images, recipe, flips=True), batch_size=recipe.chips.batch):
        loss = nn.functional.cross_entropy(network(batch["image"]), batch["mask"], ignore_index=UNLABELLED)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if time.monotonic() > end:
            break
    return network


def score(network: nn.Module, images: list[LabelledScene], card: ModelCard) -> list[dict[str, Any]]:
    """Count each group of held-out images in a matrix of its own."""
    groups = dict.fromkeys(image.scored_as for image in images)
    rows = []
    for group in groups:
        counts = np.zeros((len(card.legend), len(card.legend)), np.int64)
        for image in images:
            if image.scored_as == group:
                counts += confusion(
                    image.class_indices, predict_class_indices(network.eval(), image, card), len(counts)
                )
        values = iou(counts)
        by_class = dict(zip(card.legend.names, values.tolist(), strict=True))
        rows.append(
            {
                "on": group,
                "iou": {name: round(value, 3) for name, value in by_class.items()},
                "f1": {name: round(2 * value / (1 + value), 3) for name, value in by_class.items()},
                "mean_iou": round(float(np.nanmean(values)), 3),
            }
        )
    return rows


def by_geoseg(recipe: Recipe, arguments: argparse.Namespace) -> nn.Module:
    """Train the recipe, or open what it made."""
    if arguments.model is not None:
        return load_network(arguments.model)[0]
    schedule = recipe.schedule.model_copy(update={"minutes": arguments.minutes, "steps": 1_000_000})
    with tempfile.TemporaryDirectory() as folder:
        made, _ = train(
            recipe.model_copy(update={"schedule": schedule}),
            arguments.data,
            Path(folder),
            encoder=arguments.encoder_weights,
        )
        return load_network(made)[0]


def main() -> None:
    """Train, score and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--encoder-weights", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", nargs="*", default=["geoseg", "torchgeo", "smp"])
    parser.add_argument("--out", type=Path, default=Path("scores.jsonl"))
    arguments = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    recipe = read_recipe(arguments.recipe)
    images, held_out = (
        [image for source in recipe.sources for image in read_source(source, side, arguments.data, recipe.legend)]
        for side in ("train", "validate")
    )
    ways: dict[str, Callable[[], nn.Module]] = {
        "geoseg": lambda: by_geoseg(recipe, arguments),
        "torchgeo": lambda: Padded(by_torchgeo(recipe, images, arguments.minutes), _STRIDE_PX),
        "smp": lambda: Padded(by_smp(recipe, images, arguments.minutes), _STRIDE_PX),
    }
    for way in arguments.only:
        seed_everything(recipe.seed, verbose=False)
        for row in score(ways[way](), held_out, recipe.card()):
            line = {"recipe": recipe.name, "way": way, "minutes": arguments.minutes, **row}
            with arguments.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"| {row['on']} | {way} | {arguments.minutes:g} | {row['mean_iou']} | {row['iou']} | {row['f1']} |")


if __name__ == "__main__":
    main()
