"""A checkpoint of mmsegmentation becomes a model whose card says what its configuration says, or what was assumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from geoseg.cli.main import app
from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.import_model import ImportRequest, import_model
from geoseg.models.network import load_network

OPTIONS = Path(__file__).parents[1] / "nn" / "references" / "options"
MODEL = (
    "model = dict(type='EncoderDecoder', backbone=dict(type='ResNetV1c', depth=18, strides=(1, 2, 1, 1), "
    "dilations=(1, 1, 2, 4), contract_dilation=True), decode_head=dict(type='FCNHead', align_corners=True), "
    "test_cfg=TEST)\ndata_preprocessor = BEFORE\n"
)
WHOLE, SLIDE = "dict(mode='whole')", "dict(mode='slide', crop_size=(769, 800), stride=(513, 600))"
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BEFORE = f"dict(mean={list(MEAN)}, std={list(STD)}, bgr_to_rgb=True, size=(512, 1024))"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    with np.load(OPTIONS / "fcn_aligned.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
    torch.manual_seed(0)
    shapes = {key: tuple(map(int, sides)) for key, *sides in lines}
    return {
        key: torch.tensor(1) if key.endswith("tracked") else torch.rand(shape) * 0.1 + 0.05
        for key, shape in shapes.items()
    }


def imported(state: dict[str, Tensor], folder: Path, test: str, before: str, **wanted: Any) -> tuple[Path, ModelCard]:
    text = MODEL.replace("TEST", test).replace("BEFORE", before)
    meta = {"cfg": text, "dataset_meta": {"classes": tuple("abcd"), "palette": [[i, i, i] for i in range(4)]}}
    torch.save({"state_dict": state, "meta": meta}, folder / "fcn.pth")
    return import_model(folder / "fcn.pth", "fcn_r18", folder / "m.safetensors", request=ImportRequest(**wanted))


def test_the_card_says_what_the_configuration_says(state: dict[str, Tensor], tmp_path: Path) -> None:
    _, card = imported(state, tmp_path, SLIDE, BEFORE)
    assert card.warnings == ()
    assert card.architecture.options["align_corners"] is True
    assert [band.mean * 255 for band in card.bands] == pytest.approx(MEAN)
    assert [band.std * 255 for band in card.bands] == pytest.approx(STD)
    assert (card.tile_px, card.halo_px) == (769, (769 - 513) // 2)
    assert card.legend.names == ("a", "b", "c", "d")


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("test", "wanted", "tile"),
    [
        (WHOLE, {}, (512, 64)),
        (SLIDE, {"tile_px": 256}, (256, 32)),
        (SLIDE, {"halo_px": 20}, (769, 20)),
        ("dict(mode='slide', crop_size=64, stride=64)", {}, (64, 0)),
        ("dict(mode='slide', crop_size=65, stride=1)", {}, (65, 32)),
    ],
)
def test_tiles_are_those_it_slides_over_or_learnt_from(
    test: str, wanted: dict[str, Any], tile: tuple[int, int], state: dict[str, Tensor], tmp_path: Path
) -> None:
    _, card = imported(state, tmp_path, test, BEFORE, **wanted)
    assert (card.tile_px, card.halo_px) == tile


def test_a_network_of_blue_green_red_sees_what_it_saw(state: dict[str, Tensor], tmp_path: Path) -> None:
    """Its mean is of blue first; the card is of red first, and the first layer is turned."""
    rgb, _ = imported(state, tmp_path, WHOLE, BEFORE)
    straight = load_network(rgb)[0]
    rgb.unlink()
    model, card = imported(state, tmp_path, WHOLE, BEFORE.replace("bgr_to_rgb=True, ", ""))
    assert card.band_names == ("red", "green", "blue")
    assert card.recipe["imported"]["bgr"] is True
    assert [band.mean * 255 for band in card.bands] == pytest.approx(MEAN[::-1])
    x = torch.randn(1, 3, 33, 41)
    with torch.inference_mode():
        torch.testing.assert_close(load_network(model)[0](x.flip(1)), straight(x), atol=1e-4, rtol=1e-4)


def test_pixels_that_it_does_not_scale_are_taken_as_0_to_255(state: dict[str, Tensor], tmp_path: Path) -> None:
    _, card = imported(state, tmp_path, WHOLE, "dict(bgr_to_rgb=True)")
    assert [(band.mean, band.std) for band in card.bands] == [(0.0, 1 / 255)] * 3


def test_what_is_assumed_is_told_by_the_card_and_the_command(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"state_dict": state}, tmp_path / "bare.pth")
    arguments = [
        "models",
        "import",
        str(tmp_path / "bare.pth"),
        "--as",
        "fcn_r18",
        "--out",
        str(tmp_path / "m.safetensors"),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "Warning: The checkpoint does not state the options output_stride=8, align_corners=false" in words
    assert "ImageNet's mean and deviation" in words
    _, card = load_network(tmp_path / "m.safetensors")
    assert card.warnings[0] in words
    told = ImportRequest(options={"output_stride": 16, "align_corners": True}, mean=(0.5,), std=(0.5,))
    assert import_model(tmp_path / "bare.pth", "fcn_r18", tmp_path / "n.safetensors", request=told)[1].warnings == ()


def test_what_the_network_cannot_do_is_refused_with_the_files_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    meta = {"config": MODEL.replace("'ResNetV1c'", "'ResNetV1d'").replace("TEST", WHOLE).replace("BEFORE", BEFORE)}
    torch.save({"state_dict": state, "meta": meta}, tmp_path / "fcn.pth")
    with pytest.raises(ModelError, match=r"fcn\.pth: its configuration says model\.backbone\.type='ResNetV1d'"):
        import_model(tmp_path / "fcn.pth", "fcn_r18", tmp_path / "m.safetensors")
