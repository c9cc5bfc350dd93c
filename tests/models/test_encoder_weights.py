"""An encoder begins with the weights that the recipe pins, and with no others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torchvision

from geoseg.errors import ModelError
from geoseg.models.encoder_weights import EncoderWeights, load_encoder
from geoseg.nn import build


def _saved(folder: Path, weights: dict[str, torch.Tensor]) -> tuple[EncoderWeights, Path]:
    path = folder / "weights.pt"
    torch.save(weights, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return EncoderWeights(name="n", licence="l", file=path.name, sha256=digest, get="fetch weights"), path


def test_weights_of_torchvision_give_the_features_of_torchvision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.mobilenet_v2(weights=None).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    network = build("timm_unet", 3, 2).eval()
    load_encoder(network, *_saved(tmp_path, theirs.state_dict()))
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        ours = network.body.encoder(x)[-1]
        expected = theirs.features[:18](x)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_another_file_is_refused_with_the_way_to_the_right_one(tmp_path: Path) -> None:
    wanted, path = _saved(tmp_path, {"a": torch.zeros(1)})
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelError, match=r"not the weights.pt that the recipe pins. Get it with: fetch weights"):
        load_encoder(build("timm_unet", 3, 2), wanted, path)
    with pytest.raises(ModelError, match="Get it with: fetch weights"):
        load_encoder(build("timm_unet", 3, 2), wanted, tmp_path / "missing.pt")


def test_tensors_of_another_encoder_are_refused(tmp_path: Path) -> None:
    network = build("timm_unet", 3, 2)
    weights = torchvision.models.mobilenet_v2(weights=None, width_mult=0.5).state_dict()
    with pytest.raises(ModelError, match="the first that differs is conv_stem.weight"):
        load_encoder(network, *_saved(tmp_path, weights))
    whole = torchvision.models.mobilenet_v2(weights=None).state_dict()
    short = dict(list(whole.items())[:40])
    with pytest.raises(ModelError, match="not the encoder's"):
        load_encoder(network, *_saved(tmp_path, short))


def test_a_network_without_an_encoder_takes_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no encoder"):
        load_encoder(build("unet", 3, 2, width=4), *_saved(tmp_path, {"a": torch.zeros(1)}))
