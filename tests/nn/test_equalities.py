"""The same weights give the same logits as in libraries that have the same network."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import timm
import torch
from torch import nn

from geoseg.nn import build
from geoseg.nn.parts.auxiliary import forward_all
from geoseg.nn.parts.vit import ViT, ViTForm

torchvision = pytest.importorskip("torchvision")


def share_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """Give both networks the same random weights and statistics; they list them in the same order."""
    generator = torch.Generator().manual_seed(0)
    state = theirs.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            positive = name.endswith(("running_var", "weight")) and value.ndim == 1
            scale = 1.0 if value.ndim < 2 else value[0].numel() ** -0.5
            value.copy_(torch.randn(value.shape, generator=generator) * scale)
            value.copy_(value.abs() * 0.2 + 0.7 if positive else value)
    mine = ours.state_dict()
    assert [v.shape for v in mine.values()] == [v.shape for v in state.values()]
    ours.load_state_dict(dict(zip(mine, state.values(), strict=True)))
    ours.eval()
    theirs.eval()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("fcn_r50", "fcn_resnet50"),
        ("deeplabv3_r50", "deeplabv3_resnet50"),
        pytest.param("fcn_r101", "fcn_resnet101", marks=pytest.mark.slow),
        pytest.param("deeplabv3_r101", "deeplabv3_resnet101", marks=pytest.mark.slow),
    ],
)
def test_fcn_and_deeplab_v3_answer_as_torchvisions(name: str, theirs: str) -> None:
    builder = getattr(torchvision.models.segmentation, theirs)
    other = builder(weights=None, weights_backbone=None, num_classes=5, aux_loss=True)
    network = build(name, 3, 5)
    share_weights(network, other)
    x = torch.randn(1, 3, 65, 97)  # an odd size too: neither pads
    with torch.inference_mode():
        expected = other(x)
        logits, (beside,) = forward_all(network, x)
        assert torch.equal(logits, expected["out"])
        assert torch.equal(beside.logits, expected["aux"])
        assert torch.equal(network(x), logits)


def test_deeplab_v3_answers_as_the_one_of_segmentation_models_on_timms_encoder() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    other: Any = smp.DeepLabV3("tu-resnet18", encoder_weights=None, encoder_output_stride=8, classes=5)
    network = build("deeplabv3_r50", 3, 5, backbone="resnet18", auxiliary=False)
    share_weights(network, other)
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode(), warnings.catch_warnings():
        # its last resizing aligns corners, ours not: the logits before it are compared
        expected = other.segmentation_head[0](other.decoder(other.encoder(x)))
        found = network.body.head(network.body.backbone(x)[-1])
    assert torch.equal(found, expected)


def test_torchvisions_own_network_answers_as_itself() -> None:
    network = build("torchvision_deeplabv3_mobilenet_v3_large", 3, 4).eval()
    x = torch.randn(1, 3, 50, 65)
    with torch.inference_mode():
        expected = network.body.network(x)
        logits, (beside,) = forward_all(network, x)
        assert torch.equal(network(x), expected["out"])
        assert torch.equal(logits, expected["out"])
        assert torch.equal(beside.logits, expected["aux"])


@pytest.mark.parametrize("size", [(64, 64), (96, 80)])
def test_a_vits_maps_are_those_of_timm(size: tuple[int, int]) -> None:
    """With timm's bias at zero, and for other tiles timm's positions at theirs: a bilinear picture of those we have."""
    theirs = timm.create_model("test_vit", img_size=size, num_classes=0).eval()
    nn.init.zeros_(theirs.patch_embed.proj.bias)
    ours = ViT("test_vit", 3, 64, ViTForm(depths=(1 / 3, 1.0))).eval()
    ours.patches.load_state_dict({"weight": theirs.patch_embed.proj.weight})
    ours.blocks.load_state_dict(theirs.blocks.state_dict())
    ours.class_token.data = theirs.cls_token.data
    picture = ours.positions[:, 1:].reshape(1, 4, 4, -1).movedim(-1, 1)
    picture = nn.functional.interpolate(picture, size=(size[0] // 16, size[1] // 16), mode="bilinear")
    theirs.pos_embed.data = torch.cat([ours.positions[:, :1], picture.flatten(2).transpose(1, 2)], dim=1).data
    x = torch.randn(1, 3, *size)
    with torch.inference_mode():
        expected = theirs.forward_intermediates(x, indices=[1, 5], norm=False, intermediates_only=True)
        for found, arguments in zip(ours(x), expected, strict=True):
            torch.testing.assert_close(found, arguments)


def test_setr_takes_its_maps_where_mmsegmentation_does() -> None:
    with torch.device("meta"):
        late, even = (build(name, 3, 2).body.backbone for name in ("setr_pup_l", "setr_mla_l"))
    assert sorted(late.ends) == [9, 14, 19, 23]
    assert sorted(even.ends) == [5, 11, 17, 23]
