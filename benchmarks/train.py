"""Images per second of geoseg's trainer and of torchgeo's SemanticSegmentationTask with its defaults, in one run.

    python benchmarks/train.py [--encoder resnet18] [--size 256] [--batch 8] [--steps 12] [--rounds 2] [--profile]

Both train the same network, segmentation-models-pytorch's U-Net with random weights, on the same drawn towns. geoseg
cuts, turns, scales and varies its chips on the fly; torchgeo's task gets random crops of the same images from a torch
DataLoader with its worker processes, cut and normalised only, which is less work. The two take turns, and of each the
fastest round counts, so that a neighbour's noise does not. The first steps of a round, which warm up, are left out.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader, Dataset
from torchgeo.trainers import SemanticSegmentationTask

from geoseg.data.chips import ChipMaker
from geoseg.data.labelled import LabelledImage, read_source
from geoseg.training.fit import FitPaths, fit
from geoseg.training.progress import TrainingProgress
from geoseg.training.recipe import Recipe
from geoseg.training.training_module import TrainingModule

_WARM_UP = 3
_TOWNS = 4


def recipe(arguments: argparse.Namespace) -> Recipe:
    """Make a recipe with defaults wherever it has them."""
    colours = ("#ffffff", "#0000ff", "#00ffff", "#00ff00", "#ffff00", "#ff0000")
    return Recipe.model_validate(
        {
            "name": "benchmark",
            "licence": "MIT",
            "architecture": {"name": "smp_unet", "options": {"encoder": arguments.encoder}},
            "bands": [{"name": name} for name in ("red", "green", "blue")],
            "gsd_m": {"min": 0.05, "max": 0.2},
            "legend": {"classes": [{"code": n, "name": str(n), "colour": c} for n, c in enumerate(colours)]},
            "sources": [{"kind": "towns", "name": "towns", "licence": "MIT", "train_seeds": [1, _TOWNS]}],
            "chips": {"size_px": arguments.size, "batch": arguments.batch},
            "schedule": {"steps": arguments.steps + _WARM_UP},
            "trainer": {"accelerator": "cpu", "tensorboard": False},
        }
    )


class Crops(Dataset[dict[str, torch.Tensor]]):
    """Random crops, as torchgeo's samplers would cut them from files already decoded."""

    def __init__(self, images: list[LabelledImage], size: int, count: int) -> None:
        self._images, self._size, self._count = images, size, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(number)
        image = self._images[int(rng.integers(len(self._images)))]
        top, left = (int(rng.integers(0, extent - self._size + 1)) for extent in image.class_indices.shape)
        place = (slice(top, top + self._size), slice(left, left + self._size))
        values = torch.from_numpy(image.values[:, *place].astype(np.float32))
        mask = torch.from_numpy(image.class_indices[place].astype(np.int64))
        return {"image": (values / 255 - 0.5) / 0.25, "mask": mask}


class Clock(Callback):
    """Note when each step of torchgeo's task ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Note the time."""
        del arguments
        self.ends.append(time.perf_counter())


def ours(wanted: Recipe, images: list[LabelledImage]) -> float:
    """Train by geoseg; images per second."""
    normalisation = [band.mean for band in wanted.bands], [band.std for band in wanted.bands]
    chips = ChipMaker(images, wanted.chips, wanted.augment, normalisation, wanted.seed)
    ends: list[float] = []

    def note(progress: TrainingProgress) -> None:
        del progress
        ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        places = FitPaths(checkpoint=place / "checkpoint", log=place / "log.csv", tensorboard=place / "board")
        fit(TrainingModule(wanted), chips, places, look=lambda *_: np.zeros((6, 6), np.int64), report=note)
    return _speed(ends, wanted)


def theirs(wanted: Recipe, images: list[LabelledImage], encoder: str, workers: int) -> float:
    """Train by torchgeo's task with its defaults; images per second."""
    task = SemanticSegmentationTask(
        model="unet", backbone=encoder, weights=None, in_channels=3, task="multiclass", num_classes=6
    )
    crops = Crops(images, wanted.chips.size_px, wanted.schedule.steps * wanted.chips.batch)
    loader = DataLoader(crops, batch_size=wanted.chips.batch, num_workers=workers)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            num_sanity_val_steps=0,
            limit_val_batches=1,
        )
        trainer.fit(task, loader, loader)  # its schedule asks for a validation loss at the end of the epoch
    return _speed(clock.ends, wanted)


def profile(wanted: Recipe, images: list[LabelledImage]) -> None:
    """Print where the time of our trainer goes."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        ours(wanted, images)
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=60))


def _speed(ends: list[float], wanted: Recipe) -> float:
    steady = ends[_WARM_UP - 1 :]
    return (len(steady) - 1) * wanted.chips.batch / (steady[-1] - steady[0])


def main() -> None:
    """Let the two take turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="worker processes of torchgeo's DataLoader")
    parser.add_argument("--profile", action="store_true", help="show where our time goes instead")
    arguments = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    wanted = recipe(arguments)
    images = read_source(wanted.sources[0], "train", Path(), wanted.legend)
    if arguments.profile:
        profile(wanted, images)
        return
    print(
        f"U-Net {arguments.encoder}, {arguments.batch} chips of {arguments.size} px, {torch.get_num_threads()} threads"
    )
    best = [0.0, 0.0]
    for number in range(arguments.rounds):
        found = (ours(wanted, images), theirs(wanted, images, arguments.encoder, arguments.workers))
        best = [max(pair) for pair in zip(best, found, strict=True)]
        print(f"round {number + 1}: geoseg {found[0]:.2f}, torchgeo {found[1]:.2f} images/s", flush=True)
    print(f"geoseg {best[0]:.2f}, torchgeo {best[1]:.2f} images/s: ratio {best[0] / best[1]:.2f}")


if __name__ == "__main__":
    main()
