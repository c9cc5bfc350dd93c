"""Weights and tasks of torchgeo become models: their metadata is the card, and the answers are torchgeo's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from conftest import WriteScene
from typer.testing import CliRunner

import geoseg
from geoseg.cli.main import app
from geoseg.errors import ModelError, UsageError
from geoseg.models.import_model import ImportRequest, import_model
from geoseg.models.named_weights import look_up
from geoseg.models.network import load_network

FIELDS = "torchgeo:Unet_Weights.SENTINEL2_2CLASS_FTW"
TREES = "torchgeo:Unet_Weights.OAM_RGB_RESNET34_TCD"


def written(name: str, path: Path) -> torch.nn.Module:
    """Weights as torchgeo writes them: its own network, drawn at random."""
    from torchgeo.models import get_weight, unet

    meta = get_weight(name.partition(":")[2]).meta
    torch.manual_seed(1)
    network = unet(classes=meta["num_classes"], encoder_name=meta["encoder"], encoder_weights=None,
                   in_channels=meta["in_chans"])  # fmt: skip
    torch.save(network.state_dict(), path)
    return network.eval()


def test_the_meta_of_sentinel_2_weights_is_the_card(tmp_path: Path) -> None:
    from torchgeo.models import Unet_Weights

    other = written(FIELDS, tmp_path / "weights.pth")
    model, card = import_model(FIELDS, out=tmp_path / "m.safetensors", file=tmp_path / "weights.pth")
    assert card.architecture.name == "smp_unet"
    assert card.architecture.options == {"encoder": "efficientnet-b3"}
    assert card.band_names == ("red", "green", "blue", "nir", "red_date2", "green_date2", "blue_date2", "nir_date2")
    assert card.licence == "CC-BY-4.0"
    assert card.radiometry == "reflectance"
    assert len(card.legend) == 2
    numbers = torch.randint(0, 8000, (1, 8, 64, 96)).float()  # digital numbers, a reflectance of 1 being 10000
    mean, std = (torch.tensor([getattr(band, key) for band in card.bands])[:, None, None] for key in ("mean", "std"))
    transforms = Unet_Weights.SENTINEL2_2CLASS_FTW.transforms
    with torch.inference_mode():
        expected = other(transforms(numbers.clone()))
        found = load_network(model)[0]((numbers / 10_000 - mean) / std)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_the_meta_of_aerial_weights_is_the_card(tmp_path: Path) -> None:
    written(TREES, tmp_path / "weights.pth")
    _, card = import_model(TREES, out=tmp_path / "m.safetensors", file=tmp_path / "weights.pth")
    assert card.band_names == ("red", "green", "blue")
    assert card.legend.names == ("background", "tree-canopy")
    assert (card.gsd_m.min, card.gsd_m.max) == (0.1, 0.1)
    assert card.tile_px == 1024
    assert card.licence == "CC-BY-NC-4.0"
    assert card.radiometry == "display"
    assert {(band.mean, round(band.std * 255, 9)) for band in card.bands} == {(0.0, 1.0)}  # pixels as they are
    assert card.recipe["imported"]["weights"] == TREES


def test_what_the_caller_says_comes_before_the_meta(tmp_path: Path) -> None:
    written(TREES, tmp_path / "weights.pth")
    wanted = ImportRequest(gsd_m=(0.05, 0.2), tile_px=512, mean=(0.5,), std=(0.25,), licence="CC0-1.0")
    _, card = import_model(TREES, out=tmp_path / "m.safetensors", file=tmp_path / "weights.pth", request=wanted)
    assert (card.gsd_m.min, card.gsd_m.max, card.tile_px, card.licence) == (0.05, 0.2, 512, "CC0-1.0")
    assert {(band.mean, band.std) for band in card.bands} == {(0.5, 0.25)}


def test_every_segmentation_weight_of_torchgeo_names_its_network_and_scaling() -> None:
    from torchgeo.models import Unet_Weights

    for weights in Unet_Weights:
        named = look_up(f"torchgeo:{weights}")
        assert named.network == "smp_unet"
        assert named.scaling is not None


def test_weights_of_an_encoder_alone_are_no_model(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 13, 7, 7)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="encoder_weights"):
        import_model("torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO", file=tmp_path / "w.pth")


def test_a_file_alone_needs_the_networks_name(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match="--as"):
        import_model(tmp_path / "w.pth")
    with pytest.raises(UsageError, match="--file"):
        import_model(tmp_path / "w.pth", "unet", file=tmp_path / "w.pth")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("model", "backbone"), [("unet", "resnet18"), ("deeplabv3+", "resnet18"), ("fcn", "resnet18")])
def test_a_tasks_checkpoint_predicts_a_scene(
    model: str, backbone: str, write_scene: WriteScene, tmp_path: Path
) -> None:
    from lightning import Trainer
    from torchgeo.trainers import SemanticSegmentationTask

    torch.manual_seed(2)
    task = SemanticSegmentationTask(model=model, backbone=backbone, in_channels=3, num_classes=3, num_filters=8)
    trainer = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / "epoch=3.ckpt")
    out = tmp_path / "task.safetensors"
    arguments = ["--out", str(out), "--licence", "CC0-1.0", "--mean", "0.5", "--std", "0.25", "--tile-px", "128"]
    done = CliRunner().invoke(app, ["models", "import", str(tmp_path / "epoch=3.ckpt"), *arguments, "--json"])
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)["card"]
    assert card["architecture"]["name"] == {"unet": "smp_unet", "fcn": "torchgeo_fcn"}.get(model, "smp_deeplabv3plus")
    values = np.random.default_rng(3).integers(0, 256, (3, 128, 128)).astype(np.uint8)
    layers = geoseg.predict(
        write_scene(values), geoseg.load_model(out, runtime="torch", precision="fp32"), tmp_path / "maps",
        spec=geoseg.PredictSpec(vector=False),
    )  # fmt: skip
    with torch.inference_mode():
        logits = task.eval()(torch.from_numpy((values[None] / 255 - 0.5) / 0.25).float())[0].numpy()
    best = np.sort(logits, axis=0)
    sure = best[-1] - best[-2] > 1e-3
    with rasterio.open(layers.bundle.classes) as file:
        found = file.read(1)
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(found[sure], logits.argmax(0)[sure])
