"""Published layouts become our networks and answer as their authors' code does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_weights import drawn, pixels
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn import NETWORKS, build
from geoseg.nn.checkpoints import fit, strip_wrapper
from geoseg.nn.checkpoints.layouts import LAYOUTS
from geoseg.nn.parts.auxiliary import forward_all

REFERENCES = Path(__file__).parent / "references"
SMALL: dict[str, dict[str, Any]] = {
    "ocr_r101": {"backbone": "resnet50c"},
    "setr_naive_b": {"vit": "test_vit", "width": 16},
    "setr_pup_b": {"vit": "test_vit", "width": 16},
    "setr_mla_b": {"vit": "test_vit", "width": 16},
}
SLOW = {"deeplabv3_r50", "deeplabv3plus_r50", "fastfcn_deeplabv3_r50", "fastfcn_psp_r50", "hrnet_ocr_w18", "ocr_r101"}


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def reference(name: str) -> tuple[dict[str, tuple[int, ...]], np.ndarray[Any, Any]]:
    with np.load(REFERENCES / f"mmsegmentation_{name}.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
        return {key: tuple(map(int, sides)) for key, *sides in lines}, file["logits"]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem.removeprefix("mmsegmentation_"), marks=[pytest.mark.slow] if slow else [])
        for path in sorted(REFERENCES.glob("*.npz"))
        if (slow := path.stem.removeprefix("mmsegmentation_") in SLOW) or True
    ],
)
def test_mmsegmentations_weights_answer_as_in_mmsegmentation(name: str) -> None:
    shapes, expected = reference(name)
    size = (64, 96) if name.startswith(("hrnet", "setr", "deeplabv3plus")) else (65, 97)
    fitted = fit(name, strip_wrapper({"state_dict": drawn(shapes), "meta": {}}), chosen=SMALL.get(name))
    assert fitted.layout.source == "mmsegmentation"
    assert (fitted.bands, fitted.classes) == (3, 4)
    with torch.inference_mode():
        logits, beside = forward_all(fitted.network, pixels(*size))
    heads = {key.split(".")[1] if name.startswith("setr") else "" for key in shapes if key.startswith("auxiliary")}
    assert len([a for a in beside if a.target == "codes"]) >= len(heads)
    assert np.abs(logits.numpy()[..., ::4, ::4] - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        pytest.param("fcn_r50", "fcn_resnet50", marks=pytest.mark.slow),
        ("deeplabv3_r50", "deeplabv3_resnet50"),
        ("torchvision_deeplabv3_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"),
        ("torchvision_lraspp_mobilenet_v3_large", "lraspp_mobilenet_v3_large"),
    ],
)
def test_torchvisions_weights_answer_as_in_torchvision(name: str, theirs: str) -> None:
    models = pytest.importorskip("torchvision").models.segmentation
    aux = {} if theirs.startswith("lraspp") else {"aux_loss": True}
    other = getattr(models, theirs)(weights=None, weights_backbone=None, num_classes=5, **aux).eval()
    other.load_state_dict(drawn(shapes_of(other)))
    fitted = fit(name, strip_wrapper({f"module.{key}": value for key, value in other.state_dict().items()}))
    x = pixels(65, 97)
    with torch.inference_mode():
        assert torch.equal(fitted.network(x), other(x)["out"])


@pytest.mark.parametrize(
    ("name", "theirs", "encoder"),
    [("smp_unet", "Unet", "resnet18"), ("smp_fpn", "FPN", "mobilenet_v2"), ("smp_segformer", "Segformer", "mit_b0")],
)
def test_smps_weights_answer_as_in_smp(name: str, theirs: str, encoder: str) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    other = getattr(smp, theirs)(encoder, encoder_weights=None, in_channels=5, classes=3).eval()
    other.load_state_dict(drawn(shapes_of(other)))
    config = {"_model_class": theirs, "encoder_name": encoder, "in_channels": 5, "classes": 3, "activation": None}
    fitted = fit(name, strip_wrapper(other.state_dict()), metadata={"config": config})
    assert (fitted.bands, fitted.classes) == (5, 3)
    x = pixels(64, 96, bands=5)
    with torch.inference_mode():
        assert torch.equal(fitted.network(x), other(x))


def test_a_sigmoids_probabilities_stay_as_a_softmax_over_two_classes() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    other = smp.Unet("resnet18", encoder_weights=None, classes=1).eval()
    other.load_state_dict(drawn(shapes_of(other)))
    fitted = fit("smp_unet", strip_wrapper(other.state_dict()), chosen={"encoder": "resnet18"})
    assert fitted.sigmoid
    assert fitted.classes == 2
    x = pixels(64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(fitted.network(x).softmax(1)[:, 1], other(x).sigmoid()[:, 0])


def test_a_torchgeo_tasks_checkpoint_tells_its_network() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    other = smp.Unet("resnet18", encoder_weights=None, in_channels=4, classes=3).eval()
    state = {f"model.{key}": value for key, value in drawn(shapes_of(other)).items()}
    state["criterion.weight"] = torch.ones(3)
    metadata = {"hyper_parameters": {"model": "unet", "backbone": "resnet18", "in_channels": 4, "num_classes": 3}}
    content = {"state_dict": state, "epoch": 3, "pytorch-lightning_version": "2.5.0", **metadata}
    fitted = fit("smp_unet", strip_wrapper(content), metadata=metadata)
    assert fitted.options["encoder"] == "resnet18"
    assert (fitted.bands, fitted.classes) == (4, 3)
    with pytest.raises(ModelError, match="name the model 'unet'; import it as smp_unet"):
        fit("smp_fpn", strip_wrapper(content), metadata=metadata)


@pytest.mark.parametrize(
    ("name", "options"), [("torchgeo_fcn", {"filters": 8}), ("torchgeo_farseg", {"backbone": "resnet18"})]
)
def test_torchgeos_own_networks_answer_as_in_torchgeo(name: str, options: dict[str, Any]) -> None:
    from torchgeo import models

    without_weights = None  # by place, since the argument has another name in each version
    made = models.FCN(4, 3, 8) if name == "torchgeo_fcn" else models.FarSeg("resnet18", 3, without_weights)
    other = made.eval()
    fitted = fit(name, strip_wrapper(other.state_dict()), chosen=options)
    x = pixels(64, 96, bands=fitted.bands)
    with torch.inference_mode():
        assert torch.equal(fitted.network(x), other(x))


def test_torchgeos_fcn_is_told_by_its_names() -> None:
    """As torchgeo 0.8 names them."""
    shapes: dict[str, tuple[int, ...]] = {"last.weight": (3, 8, 1, 1), "last.bias": (3,)}
    for place in (0, 2, 4, 6, 8):
        shapes |= {f"backbone.{place}.weight": (8, 8 if place else 4, 3, 3), f"backbone.{place}.bias": (8,)}
    assert [layout.source for layout in LAYOUTS if layout.fits(shapes)] == ["torchgeo"]


def inverse(name: str, renames: tuple[tuple[str, str], ...], **options: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    """Weights of our network under a source's names, made by a table of the other direction."""
    ours = build(name, 3, 4, **options).eval()
    ours.load_state_dict(drawn(shapes_of(ours)))
    theirs = {}
    for key, tensor in ours.state_dict().items():
        name_there = key
        for pattern, replacement in renames:
            name_there = re.sub(pattern, replacement, name_there)
        theirs[name_there] = tensor
    assert len(theirs) == len(ours.state_dict())
    return ours, theirs


HRNET = (
    (r"^body\.head\.", "last_layer."),
    (r"^body\.backbone\.", ""),
    (r"^", "model."),
)
SEMSEG = (
    (r"^body\.backbone\.conv1\.", "layer0."),
    (r"^body\.backbone\.bn1\.", "layer0.7."),
    (r"^body\.backbone\.", ""),
    (r"^body\.head\.0\.levels\.(\d)\.0\.", r"ppm.features.\1.1."),
    (r"^body\.head\.0\.levels\.(\d)\.1\.", r"ppm.features.\1.2."),
    (r"^body\.head\.1\.0\.", "cls."),
    (r"^body\.head\.1\.2\.", "cls.4."),
    (r"^body\.sides\.0\.0\.", "aux."),
    (r"^body\.sides\.0\.2\.", "aux.4."),
    (r"^", "module."),
)
FASTFCN_BODY = (
    (r"^body\.backbone\.", "pretrained."),
    (r"^body\.neck\.narrow\.0\.", "jpu.conv5."),
    (r"^body\.neck\.narrow\.1\.", "jpu.conv4."),
    (r"^body\.neck\.narrow\.2\.", "jpu.conv3."),
    *((rf"^body\.neck\.dilated\.{i}\.0\.0\.", f"jpu.dilation{i + 1}.0.conv1.") for i in range(4)),
    *((rf"^body\.neck\.dilated\.{i}\.0\.1\.", f"jpu.dilation{i + 1}.0.bn.") for i in range(4)),
    *((rf"^body\.neck\.dilated\.{i}\.1\.0\.", f"jpu.dilation{i + 1}.0.pointwise.") for i in range(4)),
    *((rf"^body\.neck\.dilated\.{i}\.1\.1\.", f"jpu.dilation{i + 1}.1.") for i in range(4)),
    (r"^body\.sides\.0\.0\.", "auxlayer.conv5."),
    (r"^body\.sides\.0\.2\.", "auxlayer.conv5.4."),
)
FASTFCN_ENC = (
    *FASTFCN_BODY,
    (r"^body\.head\.narrow\.", "head.conv5."),
    (r"^body\.head\.prepare\.", "head.encmodule.encoding."),
    (r"^body\.head\.encoding\.codewords", "head.encmodule.encoding.3.codewords"),
    (r"^body\.head\.encoding\.smoothing", "head.encmodule.encoding.3.scale"),
    (r"^body\.head\.norm\.", "head.encmodule.encoding.4."),
    (r"^body\.head\.weigh\.0\.", "head.encmodule.fc.0."),
    (r"^body\.head\.presence\.", "head.encmodule.selayer."),
    (r"^body\.head\.classify\.1\.", "head.conv6.1."),
)
FASTFCN_PSP = (
    *FASTFCN_BODY,
    *((rf"^body\.head\.0\.levels\.{i}\.", f"head.conv5.0.conv{i + 1}.") for i in range(4)),
    (r"^body\.head\.1\.0\.0\.", "head.conv5.1."),
    (r"^body\.head\.1\.0\.1\.", "head.conv5.2."),
    (r"^body\.head\.1\.2\.", "head.conv5.5."),
)
FASTFCN_DEEPLAB = (
    *FASTFCN_BODY,
    (r"^body\.head\.0\.branches\.(\d)\.", r"head.aspp.b\1."),
    (r"^body\.head\.0\.image_pool\.0\.", "head.aspp.b4.gap.1."),
    (r"^body\.head\.0\.image_pool\.1\.", "head.aspp.b4.gap.2."),
    (r"^body\.head\.0\.merge\.", "head.aspp.project."),
    (r"^body\.head\.2\.", "head.block."),
    (r"^body\.head\.3\.", "head.block.4."),
)
FASTFCN_FCN = (*FASTFCN_BODY, (r"^body\.head\.0\.", "head.conv5."), (r"^body\.head\.2\.", "head.conv5.4."))
OCR = (
    (r"^body\.head\.narrow\.", "conv3x3_ocr."),
    *(
        (rf"^body\.head\.attention\.{ours}\.{i}\.{j}\.", f"ocr_distri_head.object_context_block.{theirs}.{place}.")
        for ours, theirs in (("pixel", "f_pixel"), ("region", "f_object"))
        for i in (0, 1)
        for j, place in ((0, 2 * i), (1, f"{2 * i + 1}.0"))
    ),
    (r"^body\.head\.attention\.(up|down)\.0\.", r"ocr_distri_head.object_context_block.f_\1.0."),
    (r"^body\.head\.attention\.(up|down)\.1\.", r"ocr_distri_head.object_context_block.f_\1.1.0."),
    (r"^body\.head\.merge\.0\.", "ocr_distri_head.conv_bn_dropout.0."),
    (r"^body\.head\.merge\.1\.", "ocr_distri_head.conv_bn_dropout.1.0."),
    (r"^body\.head\.classify\.1\.", "cls_head."),
    (r"^body\.guess\.", "aux_head."),
    (r"^body\.backbone\.0\.", ""),
)
EARLY_SETR = (
    (r"^body\.backbone\.class_token$", "backbone.cls_token"),
    (r"^body\.backbone\.positions$", "backbone.pos_embed"),
    (r"^body\.backbone\.patches\.", "backbone.patch_embed.proj."),
    (r"^body\.backbone\.", "backbone."),
    (r"^body\.head\.", "decode_head."),
    (r"^body\.sides\.", "auxiliary_head."),
    (r"^(decode_head|auxiliary_head\.\d)\.0\.", r"\1.norm."),
    (r"^(decode_head|auxiliary_head\.\d)\.1\.0\.", r"\1.up_convs.0.0.conv."),
    (r"^(decode_head|auxiliary_head\.\d)\.1\.1\.", r"\1.up_convs.0.0.bn."),
    (r"^(decode_head|auxiliary_head\.\d)\.3\.", r"\1.conv_seg."),
)
KAZUTO = (
    (r"^body\.backbone\.conv1\.", "base.layer1.conv1.conv."),
    (r"^body\.backbone\.bn1\.", "base.layer1.conv1.bn."),
    *((rf"^body\.backbone\.layer{i}\.", f"base.layer{i + 1}.") for i in (4, 3, 2, 1)),
    *((rf"^(base\.layer\d)\.{i}\.", rf"\1.block{i + 1}.") for i in range(23)),
    *((rf"\.conv{i}\.", f".{n}.conv.") for i, n in ((2, "conv3x3"), (3, "increase"))),
    (r"(block\d+)\.conv1\.", r"\1.reduce.conv."),
    *((rf"(block\d+)\.bn{i}\.", rf"\1.{n}.bn.") for i, n in ((1, "reduce"), (2, "conv3x3"), (3, "increase"))),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.bn."),
    (r"^body\.head\.branches\.", "base.aspp.c"),
)


@pytest.mark.parametrize(
    ("name", "renames", "options", "facts"),
    [
        ("hrnet_w18s_v1", HRNET, {}, {"model.last_layer.3.weight", "model.stage4.0.fuse_layers.0.1.0.weight"}),
        ("pspnet_r50", SEMSEG, {}, {"module.layer0.6.weight", "module.layer0.7.running_var", "module.cls.4.bias"}),
        (
            "fastfcn_encnet_r50",
            FASTFCN_ENC,
            {},
            {"head.encmodule.encoding.3.scale", "jpu.dilation4.0.pointwise.weight"},
        ),
        pytest.param("fastfcn_psp_r50", FASTFCN_PSP, {}, {"head.conv5.0.conv4.1.weight"}, marks=pytest.mark.slow),
        pytest.param(
            "fastfcn_deeplabv3_r50", FASTFCN_DEEPLAB, {}, {"head.aspp.b4.gap.1.weight"}, marks=pytest.mark.slow
        ),
        pytest.param("fastfcn_fcn_r50", FASTFCN_FCN, {}, {"head.conv5.4.weight"}, marks=pytest.mark.slow),
        (
            "setr_naive_b",
            EARLY_SETR,
            {"vit": "test_vit", "width": 16, "image_px": 64},
            {"backbone.blocks.5.attn.qkv.weight", "auxiliary_head.2.up_convs.0.0.bn.running_mean"},
        ),
        (
            "hrnet_ocr_w18",
            OCR,
            {"width": "w18_small_v1"},
            {"conv3x3_ocr.0.bias", "ocr_distri_head.object_context_block.f_pixel.3.0.weight", "aux_head.3.weight"},
        ),
    ],
)
def test_a_layouts_true_names_come_back_to_where_they_were(
    name: str, renames: tuple[tuple[str, str], ...], options: dict[str, Any], facts: set[str]
) -> None:
    ours, theirs = inverse(name, renames, **options)
    assert facts <= theirs.keys()
    assert not any(key.startswith(("body.", "module.body")) for key in theirs)
    fitted = fit(name, strip_wrapper({"epoch": 1, "state_dict": theirs}), chosen=options)
    found = fitted.network.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in ours.state_dict().items())


@pytest.mark.slow
def test_weights_from_caffe_see_red_green_and_blue() -> None:
    ours, theirs = inverse("deeplabv2_r101", KAZUTO)
    assert {"base.layer5.block3.increase.bn.weight", "base.layer4.block23.reduce.conv.weight"} <= theirs.keys()
    fitted = fit("deeplabv2_r101", strip_wrapper(theirs), chosen={"scales": []})
    assert fitted.layout.scaling == "caffe"
    single = build("deeplabv2_r101", 3, 4, scales=[]).eval()
    single.load_state_dict(ours.state_dict())
    x = pixels(33, 41)
    with torch.inference_mode():
        torch.testing.assert_close(fitted.network(x), single(x.flip(1)), atol=1e-4, rtol=1e-4)


def test_the_neck_of_mmsegmentations_fastfcn_is_turned_not_only_renamed() -> None:
    layout = next(a for a in LAYOUTS if a.source == "mmsegmentation" and "fastfcn_psp_r50" in a.networks)
    assert layout.target_name("neck.conv_layers.0.0.conv.weight") == "body.neck.narrow.2.0.weight"
    assert [blocks.order for blocks in layout.blocks] == [(2, 1, 0)] * 3


def _tiny() -> dict[str, Tensor]:
    models = pytest.importorskip("torchvision").models.segmentation
    other = models.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5)
    state: Mapping[str, Tensor] = other.state_dict()
    return dict(state)


def test_misfits_are_told_by_name_and_in_few_words() -> None:
    name, state = "torchvision_lraspp_mobilenet_v3_large", _tiny()
    state["backbone.extra.weight"] = torch.zeros(3)
    del state["classifier.cbr.0.weight"]
    state["classifier.cbr.1.bias"] = torch.zeros(7)
    with pytest.raises(ModelError) as refusal:
        fit(name, state)
    words = str(refusal.value)
    assert "1 missing: classifier.cbr.0.weight" in words
    assert "1 extra: backbone.extra.weight" in words
    assert "1 misshapen: classifier.cbr.1.bias (7,) for (128,)" in words
    assert len(words) < 400


def test_a_truncated_state_dict_lists_a_few_of_many() -> None:
    state = dict(list(_tiny().items())[:80]) | {"classifier.low_classifier.weight": torch.zeros(5, 40, 1, 1)}
    with pytest.raises(ModelError, match=r"\d+ missing: .*, …") as refusal:
        fit("torchvision_lraspp_mobilenet_v3_large", state)
    assert len(str(refusal.value)) < 500


def test_tensors_of_too_few_dimensions_are_misfits_too() -> None:
    nothing = torch.zeros(())
    fcn = {"backbone.layer4.0.conv1.weight": nothing, "classifier.0.weight": nothing, "classifier.4.weight": nothing}
    jpu = {"backbone.stem.0.weight": nothing, "decode_head.psp_modules.0.1.conv.weight": nothing}
    jpu["neck.dilation_layers.0.0.depthwise_conv.conv.weight"] = nothing
    jpu["decode_head.conv_seg.weight"] = nothing[None]
    setr = {f"{name}.weight": torch.zeros(5) for name in ("neck.mla.channel_proj.0.conv", "decode_head.conv_seg")}
    setr |= {"backbone.pos_embed": torch.zeros(3), "decode_head.up_convs.3.1.conv.weight": torch.zeros(1)}
    smp = {"encoder.a": nothing, "segmentation_head.0.weight": torch.zeros(1, 16, 3, 3)}
    smp |= {"segmentation_head.0.bias": nothing}
    with pytest.raises(ModelError, match=r"its classifier\.4\.weight is a single number"):
        fit("fcn_r50", fcn)
    for name, state in (("fastfcn_psp_r50", jpu), ("setr_mla_b", setr), ("smp_unet", smp)):
        if name == "smp_unet":
            pytest.importorskip("segmentation_models_pytorch", reason="segmentation_models_pytorch is an extra")
        with pytest.raises(ModelError, match=f"does not fit {name}: .*misshapen"):
            fit(name, state, chosen=SMALL.get(name))
    patchless = {**setr, "backbone.pos_embed": torch.zeros(1, 1, 8)}
    with pytest.raises(ModelError, match="option image_px=0"):
        fit("setr_mla_b", patchless)


def test_another_networks_weights_name_what_they_are() -> None:
    with pytest.raises(ModelError, match="is of torchvision, and not a pspnet_r50; import it as torchvision_lraspp"):
        fit("pspnet_r50", _tiny())
    with pytest.raises(
        ModelError, match=r"is of no layout known for pspnet_r50 \([^)]*hszhao/semseg, [^)]*mmsegmentation, [^)]*\);"
    ):
        fit("pspnet_r50", {"a.weight": torch.zeros(2)})
    with pytest.raises(ModelError, match="no layout of published weights is known for parsenet"):
        fit("parsenet", {"a.weight": torch.zeros(2)})


def test_side_heads_can_be_left_behind() -> None:
    shapes, _ = reference("setr_naive_b")
    chosen = {**SMALL["setr_naive_b"], "auxiliary": False}
    fitted = fit("setr_naive_b", strip_wrapper(drawn(shapes)), chosen=chosen)
    assert not any(".sides." in key for key in fitted.network.state_dict())


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, 2).to_sparse(), torch.zeros(2, dtype=torch.complex64), torch.zeros(1, device="meta")]
)
def test_tensors_that_are_not_plain_are_refused(tensor: Tensor) -> None:
    with pytest.raises(ModelError, match="not a plain dense one"):
        strip_wrapper({"state_dict": {"a": tensor}})


def test_every_layout_names_networks_that_there_are() -> None:
    assert {name for layout in LAYOUTS for name in layout.networks} <= NETWORKS.keys()
