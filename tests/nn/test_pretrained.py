"""Encoders begin with published weights, whatever the library calls them and however many bands there are."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from published_weights import drawn
from timm.models._manipulate import adapt_input_conv

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.parts.vit import ViT, ViTForm
from geoseg.nn.zoo.pretrained import adapt_bands, find_encoder, load_encoder_weights


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7, 13])
def test_bands_are_adapted_as_timm_does(bands: int) -> None:
    weight = torch.randn(8, 3, 5, 5)
    torch.testing.assert_close(adapt_bands(weight, bands), adapt_input_conv(bands, weight))


@pytest.mark.parametrize(("old", "bands"), [(3, 4), (13, 3), (2, 1), (13, 10)])
def test_equal_bands_keep_the_answer_where_the_numbers_divide(old: int, bands: int) -> None:
    weight = torch.randn(4, old, 3, 3)
    adapted = adapt_bands(weight, bands)
    assert adapted.shape == (4, bands, 3, 3)
    alike = torch.ones(4, 1, 3, 3) * torch.randn(1, old, 1, 1).mean()
    torch.testing.assert_close(adapt_bands(alike.expand(4, old, 3, 3), bands).sum(1), alike[:, 0] * old)


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "timm": ("timm_unet", {"encoder": "resnet18", "widths": [16, 16, 16, 16]}, "resnet18"),
    "dilated": ("deeplabv3_r50", {"backbone": "resnet18"}, "resnet18"),
    "hrnet": ("hrnet", {"width": "w18_small_v1"}, "hrnet_w18_small"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_timm_networks_features_are_ours_after_loading(case: str) -> None:
    name, options, theirs = CASES[case]
    other = timm.create_model(theirs).eval()
    other.load_state_dict(drawn({k: tuple(v.shape) for k, v in other.state_dict().items()}))
    network = build(name, 3, 2, **options).eval()
    encoder = find_encoder(network)
    assert encoder is not None
    load_encoder_weights(encoder, other.state_dict())
    weights = other.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in encoder.state_dict().items())


@pytest.mark.parametrize("name", ["smp_unet", "torchvision_fcn_resnet50", "fcn_r50"])
def test_torchvisions_resnet_fits_every_librarys_encoder(name: str) -> None:
    models = pytest.importorskip("torchvision").models
    if name == "smp_unet":
        pytest.importorskip("segmentation_models_pytorch")
    other = models.resnet50(weights=None)
    options = {"encoder": "resnet50"} if name == "smp_unet" else {}
    network = build(name, 4, 2, **options)
    encoder = find_encoder(network)
    assert encoder is not None
    load_encoder_weights(encoder, other.state_dict())
    state, weights = encoder.state_dict(), other.state_dict()
    assert torch.equal(state["layer4.2.bn3.weight"], weights["layer4.2.bn3.weight"])
    assert torch.equal(state["conv1.weight"], adapt_bands(weights["conv1.weight"], 4))


def test_vgg_weights_begin_an_fcn() -> None:
    models = pytest.importorskip("torchvision").models
    weights = {k: v for k, v in models.vgg11(weights=None).state_dict().items() if k.startswith("features.0.")}
    network = build("fcn8s", 3, 2, width=64, hidden=16)
    encoder = find_encoder(network)
    assert encoder is not None
    with pytest.raises(ModelError, match="the first that differs is 0.2.weight"):
        load_encoder_weights(encoder, weights)
    shapes = {f"features.{i}": tuple(t.shape) for i, t in enumerate(encoder.state_dict().values())}
    load_encoder_weights(encoder, drawn(shapes))


def test_a_transformers_positions_are_resized_and_hold_the_bias_of_its_patches() -> None:
    theirs = timm.create_model("test_vit", img_size=64, num_classes=0).eval()
    torch.nn.init.normal_(theirs.patch_embed.proj.bias)
    ours = ViT("test_vit", 3, 64, ViTForm(depths=(1.0,))).eval()
    load_encoder_weights(ours, theirs.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs.forward_intermediates(x, indices=[5], norm=False, intermediates_only=True)[0]
        torch.testing.assert_close(ours(x)[0], expected, atol=1e-5, rtol=1e-4)
    larger = ViT("test_vit", 3, 96, ViTForm(depths=(1.0,)))
    load_encoder_weights(larger, theirs.state_dict())
    assert larger.positions.shape == (1, 37, 64)


def test_weights_of_another_size_are_refused() -> None:
    network = build("fcn_r50", 3, 2, backbone="resnet18")
    encoder = find_encoder(network)
    assert encoder is not None
    with pytest.raises(ModelError, match=r"the first that differs is layer1\.0\."):
        load_encoder_weights(encoder, timm.create_model("resnet50").state_dict())
