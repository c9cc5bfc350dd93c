"""TiledPrediction: the map of a scene, tile by tile, is what the task says of the whole scene at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from conftest import WriteScene
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset
from torchgeo.trainers import SemanticSegmentationTask

import geoseg
from geoseg.models.task_card import task_card

PLAIN: dict[str, Any] = {"runtime": "torch", "precision": "fp32"}
SPEC = geoseg.PredictSpec(tile_px=96, halo_px=16)
MEAN, STD = (110.0, 120.0, 130.0), (60.0, 50.0, 40.0)


class Chips(Dataset[dict[str, torch.Tensor]]):
    """Four chips; what torchgeo's data sets say of themselves."""

    classes = ("ground", "roof", "water")

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(index)
        return {"image": torch.rand(3, 32, 32), "mask": torch.randint(0, 3, (32, 32))}


class Module(LightningDataModule):
    """As torchgeo's data modules."""

    mean, std, patch_size = torch.tensor(MEAN), torch.tensor(STD), 96

    def setup(self, stage: str) -> None:
        self.train_dataset = self.val_dataset = Chips()

    def train_dataloader(self) -> Any:
        return DataLoader(self.train_dataset, batch_size=2)

    def val_dataloader(self) -> Any:
        return DataLoader(self.val_dataset, batch_size=2)


def local_task(**options: Any) -> SemanticSegmentationTask:
    """A network that sees five pixels around each: what it says of tiles is what it says of the whole."""
    torch.manual_seed(4)
    task = SemanticSegmentationTask(model="fcn", in_channels=3, num_classes=3, num_filters=8, lr=1e-6, **options)
    for layer in task.model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return task


def trainer(*callbacks: Any) -> Trainer:
    return Trainer(
        max_epochs=1, accelerator="cpu", logger=False, callbacks=list(callbacks), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


def whole(task: SemanticSegmentationTask, values: np.ndarray, mean: Any, std: Any) -> np.ndarray:
    scaled = (torch.from_numpy(values).float() - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.inference_mode():
        return task.eval().cpu()(scaled[None])[0].numpy()  # type: ignore[no-any-return]


def assert_map_is(logits: np.ndarray, path: Path) -> None:
    with rasterio.open(path) as file:
        found = file.read(1)
    best = np.sort(logits, axis=0)
    sure = best[-1] - best[-2] > 1e-4
    assert sure.mean() > 0.99
    assert len(np.unique(found)) > 1
    np.testing.assert_array_equal(found[sure], logits.argmax(0)[sure])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # Lightning's advice on workers
def test_a_fit_ends_with_the_map_of_a_scene(write_scene: WriteScene, tmp_path: Path) -> None:
    values = np.random.default_rng(5).integers(0, 256, (3, 150, 230)).astype(np.uint8)
    task, tiled = local_task(), geoseg.TiledPrediction(write_scene(values), tmp_path / "maps", **PLAIN)
    trainer(tiled).fit(task, datamodule=Module())
    (layers,) = tiled.layers
    assert_map_is(whole(task, values, MEAN, STD), layers.bundle.classes)
    card = layers.record["model"]
    assert card["name"] == "task"
    with rasterio.open(layers.bundle.classes) as file:
        assert "roof" in str(file.tags(1)) + str(file.tags())


def test_a_call_predicts_without_a_trainer(write_scene: WriteScene, tmp_path: Path) -> None:
    values = np.random.default_rng(6).integers(0, 256, (3, 150, 230)).astype(np.uint8)
    task = local_task()
    tiled = geoseg.TiledPrediction([write_scene(values)], tmp_path / "maps", spec=SPEC, **PLAIN)
    for _ in range(2):  # again: replaced
        (layers,) = tiled.predict(task)
    assert_map_is(whole(task, values, [0.0] * 3, [255.0] * 3), layers.bundle.classes)


def test_the_card_is_what_task_and_data_module_say() -> None:
    data = Module()
    data.setup("fit")
    card = task_card(local_task(), data)
    assert card.band_names == ("red", "green", "blue")
    assert card.legend.names == Chips.classes
    np.testing.assert_allclose([band.mean for band in card.bands], np.array(MEAN) / 255)
    np.testing.assert_allclose([band.std for band in card.bands], np.array(STD) / 255)
    assert (card.radiometry, card.tile_px, card.warnings) == ("display", 96, ())
    assert task_card(local_task()).warnings
    two = task_card(SemanticSegmentationTask(model="fcn", in_channels=4, task="binary", num_filters=8))
    assert len(two.legend) == 2
    assert two.architecture.options == {"activation": "sigmoid"}


def test_digital_numbers_of_a_satellite_are_reflectance() -> None:
    class Satellite(Module):
        mean, std = torch.tensor((1300.0, 1200.0, 1100.0)), torch.tensor(2000.0)

    card = task_card(local_task(), Satellite())
    assert card.radiometry == "reflectance"
    assert [band.mean for band in card.bands] == pytest.approx([0.13, 0.12, 0.11])
    assert card.bands[0].std == pytest.approx(0.2)


def test_what_nothing_says_is_asked_for() -> None:
    with pytest.raises(geoseg.UsageError, match="Pass a card"):
        task_card(torch.nn.Conv2d(3, 2, 1))
    with pytest.raises(geoseg.UsageError, match="what its 7 bands are"):
        task_card(SemanticSegmentationTask(model="fcn", in_channels=7, num_classes=2, num_filters=8))
    with pytest.raises(geoseg.UsageError, match="no scene"):
        geoseg.TiledPrediction([], "maps")
