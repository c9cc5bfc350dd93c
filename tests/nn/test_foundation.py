"""Encoders of torchgeo and timm under the decoders: their tensors are taken, and their features are theirs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from published_weights import pixels
from torch import nn

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.parts.foundation import BAND_UM
from geoseg.nn.zoo.pretrained import find_encoder, load_encoder_weights
from geoseg.training.recipe import Recipe


def encoder_of(name: str, bands: int, weights: dict[str, torch.Tensor], **options: Any) -> nn.Module:
    """Our encoder with another library's weights."""
    network = build(name, bands, 3, **options).eval()
    encoder = find_encoder(network)
    assert encoder is not None
    load_encoder_weights(encoder, weights)
    with torch.inference_mode():
        assert network(pixels(50, 70, bands=bands)).shape == (1, 3, 50, 70)
    return encoder


@pytest.fixture
def small_dofa(monkeypatch: pytest.MonkeyPatch) -> Any:
    """torchgeo's DOFA, narrow, under a name that geoseg knows."""
    from torchgeo import models

    def small(**_: Any) -> nn.Module:
        return models.DOFA(embed_dim=64, depth=4, num_heads=2)

    monkeypatch.setattr(models, "dofa_small_patch16_224", small)
    torch.manual_seed(1)
    made = small()
    nn.init.normal_(made.pos_embed, std=0.02)
    return made.eval()


@pytest.mark.parametrize("name", ["foundation_upernet", "foundation_unet", "foundation_setr"])
def test_dofa_sees_what_torchgeos_sees_whatever_the_bands(name: str, small_dofa: Any) -> None:
    bands = ("red", "green", "blue", "nir", "swir16")
    waves = [BAND_UM[band] for band in bands]
    size = {"widths": (16, 16, 16)} if name == "foundation_unet" else {"width": 16}
    options = {"encoder": "dofa_small_patch16_224", "wavelengths": waves, **size}
    encoder = encoder_of(name, 5, small_dofa.state_dict(), **options)
    x = pixels(224, 224, bands=5)
    with torch.inference_mode():
        last = encoder(x)[-1].flatten(2).mean(-1)
        torch.testing.assert_close(small_dofa.fc_norm(last), small_dofa.forward_features(x, waves), atol=1e-5, rtol=0)


def test_swin_of_satlas_is_torchvisions() -> None:
    """torchgeo builds SATLAS' Swin by torchvision, with as many bands as it was trained on."""
    from torchgeo.models import swin_t
    from torchvision.models import swin_v2_t

    for name, other in (("swin_t", swin_t().eval()), ("swin_v2_t", swin_v2_t().eval())):
        encoder = encoder_of("foundation_upernet", 3, other.state_dict(), encoder=name, width=16)
        x = pixels(96, 64)
        with torch.inference_mode():
            expected = other.features(x).permute(0, 3, 1, 2)
            assert torch.equal(encoder(x)[-1], expected)


def test_a_vit_of_torchgeo_is_timms() -> None:
    import timm
    from torchgeo.models import vit_small_patch16_224

    torch.manual_seed(2)
    other = vit_small_patch16_224(in_chans=13, num_classes=0).eval()
    assert isinstance(other, timm.models.VisionTransformer)
    encoder = encoder_of("foundation_setr", 13, other.state_dict(), width=16)
    x = pixels(224, 224, bands=13)
    with torch.inference_mode():
        expected = other.get_intermediate_layers(x, 1)[0]
        found = encoder(x)[-1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


def test_wavelengths_come_from_the_recipes_bands() -> None:
    facts: dict[str, Any] = {
        "name": "land", "licence": "CC0-1.0", "gsd_m": {"min": 9, "max": 11}, "schedule": {"steps": 10},
        "architecture": {"name": "foundation_upernet", "options": {"encoder": "dofa_small_patch16_224"}},
        "bands": [{"name": "red"}, {"name": "nir"}],
        "legend": {"classes": [{"code": 0, "name": "a", "colour": "#000000"}]},
        "sources": [{"kind": "files", "name": "s", "licence": "CC0-1.0", "image": "a.tif", "labels": "b.tif"}],
    }  # fmt: skip
    assert Recipe.model_validate(facts).card().architecture.options["wavelengths"] == [0.665, 0.842]
    facts["bands"][1] = {"name": "dsm"}
    with pytest.raises(ValueError, match="wavelength of band dsm is unknown"):
        Recipe.model_validate(facts)


def test_what_no_encoder_is_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="one wavelength for each of 4 bands; no wavelengths are given"):
        build("foundation_unet", 4, 2, encoder="dofa_base_patch16_224")
    with pytest.raises(ModelError, match="is none of dofa_small"):
        build("foundation_unet", 3, 2, encoder="dofa_tiny")
    with pytest.raises(ModelError, match="three widths"):
        build("foundation_unet", 3, 2, widths=(8, 8))
    with pytest.raises(ModelError, match="cannot be a backbone"):
        build("foundation_setr", 3, 2, encoder="resnet_none")
