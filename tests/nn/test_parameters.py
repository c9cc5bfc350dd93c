"""Networks have as many parameters as the published ones, to the last digit; counted without memory for a weight."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from geoseg.nn import NETWORKS, build

MMSEG_R50: dict[str, Any] = {"backbone": "resnet50c", "auxiliary": False}
DRN: dict[str, Any] = {"backbone": "drn_d_54", "output_stride": 8}
MMSEG_R101: dict[str, Any] = {"backbone": "resnet101c", "auxiliary": False}


def count(name: str, bands: int, classes: int, **options: Any) -> int:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no-op.*")
        network = build(name, bands, classes, **options)
    return sum(p.numel() for p in network.parameters())


@pytest.mark.slow_after(15)
@pytest.mark.parametrize(
    ("name", "bands", "classes", "options", "published"),
    [
        ("fcn32s", 3, 21, {}, 136_152_917),
        ("fcn16s", 3, 21, {}, 134_815_994),
        ("fcn8s", 3, 21, {}, 134_489_759),
        ("fcn_r50", 3, 21, {}, 35_322_218),
        ("fcn_r101", 3, 21, {}, 54_314_346),
        ("segnet", 3, 19, {}, 29_454_009),
        ("unet", 1, 2, {"convolution": "valid", "norm": None}, 31_030_658),
        ("unet", 1, 1, {"convolution": "valid", "norm": None, "width": 32}, 7_759_521),
        ("unet", 3, 2, {}, 31_037_698),
        ("unet", 3, 2, {"up": "bilinear"}, 17_263_042),
        ("unetplusplus", 3, 1, {}, 9_042_276),
        ("unetplusplus", 3, 1, {"norm": "batch", "up": "bilinear"}, 9_163_428),
        ("unetplusplus", 3, 1, {"norm": "batch", "up": "bilinear", "deep_supervision": False}, 9_163_329),
        ("unet_r101", 3, 21, {}, 51_513_445),
        ("fpn_r101", 3, 21, {"backbone": "resnet101", "form": "vedaseg"}, 47_914_197),
        ("deeplabv1", 3, 21, {}, 20_505_429),
        ("deeplabv2_r101", 3, 21, {}, 44_048_532),
        ("deeplabv3_r50", 3, 21, {}, 42_004_074),
        ("deeplabv3_r101", 3, 21, {}, 60_996_202),
        ("deeplabv3plus_r50", 3, 19, {}, 41_225_187),
        ("deeplabv3plus_r101", 3, 19, {}, 60_217_315),
        ("deeplabv3plus_xception65", 3, 4, {"backbone": "xception_jfzhang", "form": "full"}, 54_700_948),
        ("deeplabv3plus", 3, 4, {**DRN, "form": "full", "width": 256}, 40_732_692),
        ("pspnet_r50", 3, 150, {}, 49_180_908),
        ("pspnet_r101", 3, 19, {}, 68_072_166),
        ("psanet_r50", 3, 21, {}, 53_174_506),
        ("duc_hdc_r152", 3, 19, {}, 80_560_768),
        ("refinenet_r101", 3, 21, {}, 118_052_437),
        # FastFCN's count holds the classifier of its backbone for ImageNet, which no forward pass uses
        ("fastfcn_fcn_r50", 3, 19, {}, 57_229_006 - 2049 * 1000),
        ("fastfcn_psp_r50", 3, 19, {}, 70_864_590 - 2049 * 1000),
        ("fastfcn_deeplabv3_r50", 3, 19, {}, 63_911_374 - 2049 * 1000),
        ("dfn_r101", 3, 19, {}, 90_217_888),
        ("dfn_r101", 3, 21, {}, 90_724_344),
        ("hrnet_ocr_w48", 3, 19, {}, 70_372_678),
        ("hrnet_w48", 3, 19, {}, 65_859_379),
        ("hrnet_w18s_v2", 3, 19, {}, 3_939_579),
        ("hrnet_w18s_v1", 3, 19, {}, 1_540_819),
    ],
)
def test_parameters_are_as_many_as_published(
    name: str, bands: int, classes: int, options: dict[str, Any], published: int
) -> None:
    assert count(name, bands, classes, **options) == published


@pytest.mark.parametrize(
    ("name", "options", "published_m"),
    [
        ("fcn_r50", {**MMSEG_R50, "head": "concat"}, 47.13),
        ("fcn_r101", {**MMSEG_R101, "head": "concat"}, 66.13),
        ("deeplabv3_r50", {**MMSEG_R50, "form": "mmseg"}, 65.75),
        ("deeplabv3_r101", {**MMSEG_R101, "form": "mmseg"}, 84.74),
        ("pspnet_r50", MMSEG_R50, 46.61),
        ("pspnet_r101", MMSEG_R101, 65.60),
        ("ocr_r101", {}, 55.52),
        ("setr_naive_l", {"auxiliary": False}, 305.73),
        ("setr_pup_l", {"auxiliary": False}, 309.59),
        ("setr_pup_l", {}, 318.47),
        ("setr_mla_l", {"auxiliary": False}, 310.66),
    ],
)
def test_mmsegmentations_forms_have_the_millions_it_states(
    name: str, options: dict[str, Any], published_m: float
) -> None:
    assert round(count(name, 3, 19, **options) / 1e6, 2) == published_m


def test_parsenet_adds_two_norms_and_a_wider_classifier_to_the_trunk() -> None:
    hidden, classes = 1024, 21
    assert count("parsenet", 3, classes) == count("deeplabv1", 3, classes) + 2 * hidden + hidden * classes


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_builds_and_takes_any_number_of_bands(name: str) -> None:
    if (library := NETWORKS[name].family.requires) is not None:
        pytest.importorskip(library, reason=f"{library} is an extra")
    assert count(name, 1, 2) < count(name, 10, 2)
