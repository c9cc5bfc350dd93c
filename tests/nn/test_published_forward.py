"""Forward passes of published code, written anew with its names: imported weights answer as there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_weights import drawn, pixels
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn import build
from geoseg.nn.checkpoints import fit, strip_wrapper
from geoseg.nn.parts.auxiliary import forward_all

State = dict[str, Tensor]
CLASSES = 4


def up(x: Tensor, size: Any = None, factor: int | None = None) -> Tensor:
    return functional.interpolate(x, size=size, scale_factor=factor, mode="bilinear", align_corners=True)


class Names:
    """Layers by their published names; a first pass makes the weights, a second uses them."""

    def __init__(self) -> None:
        self.state: State = {}

    def made(self, run: Callable[[Tensor], Any], side: int = 32) -> State:
        run(torch.zeros(1, 3, side, side))
        return self.state

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self.state:
            self.state |= drawn({name: shape})
        return self.state[name]

    def conv(self, name: str, x: Tensor, after: int, size: int = 3, stride: int = 1, *, bias: bool = False) -> Tensor:
        weight = self._tensor(f"{name}.weight", (after, x.shape[1], size, size))
        shift = self._tensor(f"{name}.bias", (after,)) if bias else None
        return functional.conv2d(x, weight, shift, stride, size // 2)

    def norm(self, name: str, x: Tensor) -> Tensor:
        parts = [self._tensor(f"{name}.{p}", (x.shape[1],)) for p in ("running_mean", "running_var", "weight", "bias")]
        self._tensor(f"{name}.num_batches_tracked", ())
        return functional.batch_norm(x, *parts, training=False, eps=1e-5)

    def linear(self, name: str, x: Tensor, after: int) -> Tensor:
        weight = self._tensor(f"{name}.weight", (after, x.shape[1]))
        return functional.linear(x, weight, self._tensor(f"{name}.bias", (after,)))

    def resnet50(self, x: Tensor, before: str = "", *, deep: bool = False) -> list[Tensor]:
        """Stages of torchvision's ResNet-50, or with the deep stem of 64, 64 and 128 channels."""
        if deep:
            for place, after, stride in ((0, 64, 2), (3, 64, 1)):
                x = self.conv(f"{before}conv1.{place}", x, after, 3, stride)
                x = self.norm(f"{before}conv1.{place + 1}", x).relu()
            x = self.conv(f"{before}conv1.6", x, 128)
        else:
            x = self.conv(f"{before}conv1", x, 64, 7, 2)
        x = functional.max_pool2d(self.norm(f"{before}bn1", x).relu(), 3, 2, 1)
        stages = []
        for stage, depth in enumerate((3, 4, 6, 3), start=1):
            width = 32 * 2**stage
            for place in range(depth):
                name, stride = f"{before}layer{stage}.{place}", 2 if stage > 1 and place == 0 else 1
                inner = self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x, width, 1)).relu()
                inner = self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", inner, width, 3, stride)).relu()
                inner = self.norm(f"{name}.bn3", self.conv(f"{name}.conv3", inner, 4 * width, 1))
                if place == 0:
                    x = self.conv(f"{name}.downsample.0", x, 4 * width, 1, stride)
                    x = self.norm(f"{name}.downsample.1", x)
                x = (x + inner).relu()
            stages.append(x)
        return stages


class TorchSegDFN(Names):
    def rrb(self, name: str, x: Tensor, after: int) -> Tensor:
        x = self.conv(f"{name}.conv_1x1", x, after, 1)
        inner = self.norm(f"{name}.cbr.bn", self.conv(f"{name}.cbr.conv", x, after)).relu()
        return x + self.conv(f"{name}.conv_refine", inner, after)

    def head(self, name: str, x: Tensor, after: int, factor: int) -> Tensor:
        return up(self.conv(f"{name}.conv", self.rrb(f"{name}.rrb", x, 9 * after), after, 1, bias=True), factor=factor)

    def attend(self, name: str, fine: Tensor, coarse: Tensor) -> Tensor:
        means = torch.cat([fine, coarse], 1).mean((2, 3))
        hidden = self.linear(f"{name}.channel_attention.fc.0", means, 512).relu()
        return fine * self.linear(f"{name}.channel_attention.fc.2", hidden, 512).sigmoid()[:, :, None, None] + coarse

    def __call__(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        stages = self.resnet50(x, "backbone.", deep=True)
        pooled = self.conv("global_context.1.conv", stages[-1].mean((2, 3), keepdim=True), 512, 1)
        last = self.norm("global_context.1.bn", pooled).relu().expand(-1, -1, *stages[-1].shape[2:])
        smooth, border, total = [], [], x
        for i, stage in enumerate(reversed(stages)):
            chosen = self.attend(f"cabs.{i}", self.rrb(f"smooth_pre_rrbs.{i}", stage, 512).relu(), last)
            inner = self.rrb(f"smooth_aft_rrbs.{i}", chosen, 512).relu()
            smooth.append(self.head(f"smooth_heads.{i}", inner, CLASSES, 2 ** (5 - i)))
            last = up(inner, factor=2)
        for i, stage in enumerate(stages):
            inner = self.rrb(f"border_pre_rrbs.{i}", stage, 21).relu()
            total = inner if i == 0 else total + up(inner, factor=2**i)
            refined = self.rrb(f"border_aft_rrbs.{i}", total, 21).relu()
            total = inner if i == 0 else refined  # the first has weights that nothing uses
            border.append(self.head(f"border_heads.{i}", total, 1, 4))
        return smooth, border


class DrSleepRefineNet(Names):
    def units(self, name: str, x: Tensor, count: int) -> Tensor:
        for i in range(1, count + 1):
            inner = self.conv(f"{name}.0.{i}_conv", x.relu(), x.shape[1], bias=True)
            x = x + self.conv(f"{name}.0.{i}_conv_relu_varout_dimred", inner.relu(), x.shape[1])
        return x

    def chain(self, name: str, x: Tensor) -> Tensor:
        top = x
        for i in range(1, 5):
            pooled = functional.max_pool2d(top, 5, 1, 2)
            top = self.conv(f"{name}.0.{i}_outvar_dimred", pooled, x.shape[1])
            x = top + x
        return x

    def __call__(self, x: Tensor) -> Tensor:
        size, coarser = x.shape[2:], None
        for g, stage in enumerate(reversed(self.resnet50(x)), start=1):
            x = self.conv(f"p_ims1d2_outl{g}_dimred", stage, 512 if g == 1 else 256)
            x = self.units(f"adapt_stage{g}_b", x, 2)
            if coarser is not None:
                x = self.conv(f"adapt_stage{g}_b2_joint_varout_dimred", x, 256) + up(coarser, x.shape[2:])
            x = self.units(f"mflow_conv_g{g}_b", self.chain(f"mflow_conv_g{g}_pool", x.relu()), 3)
            coarser = self.conv(f"mflow_conv_g{g}_b3_joint_varout_dimred", x, 256) if g < 4 else x
        return up(self.conv("clf_conv", x, CLASSES, bias=True), size)


class MilesialUNet(Names):
    def __init__(self, *, bilinear: bool) -> None:
        super().__init__()
        self.bilinear = bilinear

    def double(self, name: str, x: Tensor, middle: int, after: int) -> Tensor:
        for place, width in ((0, middle), (3, after)):
            x = self.conv(f"{name}.double_conv.{place}", x, width)
            x = self.norm(f"{name}.double_conv.{place + 1}", x).relu()
        return x

    def __call__(self, x: Tensor) -> Tensor:
        less = 2 if self.bilinear else 1
        kept = [self.double("inc", x, 64, 64)]
        for i, width in enumerate((128, 256, 512, 1024 // less), start=1):
            kept.append(self.double(f"down{i}.maxpool_conv.1", functional.max_pool2d(kept[-1], 2), width, width))
        x = kept.pop()
        for i, width in enumerate((512, 256, 128, 64), start=1):
            if self.bilinear:
                x = up(x, factor=2)
            else:
                weight = self._tensor(f"up{i}.up.weight", (2 * width, width, 2, 2))
                x = functional.conv_transpose2d(x, weight, self._tensor(f"up{i}.up.bias", (width,)), stride=2)
            x = torch.cat([kept.pop(), x], 1)
            x = self.double(f"up{i}.conv", x, width, width // less if i < 4 else 64)
        return self.conv("outc.conv", x, CLASSES, 1, bias=True)


class MmsegV3PlusHead(Names):
    """``DepthwiseSeparableASPPHead`` at output stride 8."""

    def __init__(self, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners

    def resize(self, x: Tensor, size: Any) -> Tensor:
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=self.align_corners)

    def unit(self, name: str, x: Tensor, after: int, size: int = 1) -> Tensor:
        return self.norm(f"{name}.bn", self.conv(f"{name}.conv", x, after, size)).relu()

    def separable(self, name: str, x: Tensor, rate: int = 1) -> Tensor:
        weight = self._tensor(f"{name}.depthwise_conv.conv.weight", (x.shape[1], 1, 3, 3))
        x = functional.conv2d(x, weight, padding=rate, dilation=rate, groups=x.shape[1])
        return self.unit(f"{name}.pointwise_conv", self.norm(f"{name}.depthwise_conv.bn", x).relu(), 512)

    def __call__(self, fine: Tensor, coarse: Tensor, size: Any) -> Tensor:
        head = "decode_head"
        pooled = self.unit(f"{head}.image_pool.1", coarse.mean((2, 3), keepdim=True), 512)
        answers = [self.resize(pooled, coarse.shape[2:]), self.unit(f"{head}.aspp_modules.0", coarse, 512)]
        answers += [self.separable(f"{head}.aspp_modules.{i}", coarse, 12 * i) for i in (1, 2, 3)]
        x = self.unit(f"{head}.bottleneck", torch.cat(answers, 1), 512, 3)
        low = self.unit(f"{head}.c1_bottleneck", fine, 48)
        x = self.separable(f"{head}.sep_bottleneck.0", torch.cat([self.resize(x, low.shape[2:]), low], 1))
        x = self.separable(f"{head}.sep_bottleneck.1", x)
        return self.resize(self.conv(f"{head}.conv_seg", x, CLASSES, 1, bias=True), size)


def close(ours: Tensor, theirs: Tensor) -> bool:
    return bool((ours - theirs).abs().max() <= 2e-5 * theirs.abs().max())


@pytest.mark.parametrize("bilinear", [False, True])
def test_milesials_unet_answers_as_there(bilinear: bool) -> None:
    other = MilesialUNet(bilinear=bilinear)
    x = pixels(48, 80)
    with torch.inference_mode():
        fitted = fit("unet", strip_wrapper({**other.made(other), "mask_values": [0, 1, 2, 3]}))
        assert fitted.layout.scaling == "unit"
        assert close(fitted.network(x), other(x))


def test_a_unet_of_one_class_is_a_sigmoid_there() -> None:
    other = MilesialUNet(bilinear=False)
    x = pixels(16, 32)
    with torch.inference_mode():
        state = other.made(other)
        for name in ("outc.conv.weight", "outc.conv.bias"):
            state[name] = state[name][:1]
        fitted = fit("unet", strip_wrapper(state))
        assert fitted.sigmoid
        state |= {name: state[name].expand(CLASSES, *state[name].shape[1:]) for name in state if "outc" in name}
        assert close(fitted.network(x).softmax(1)[:, 1], other(x)[:, 0].sigmoid())


@pytest.mark.slow
def test_torchsegs_dfn_answers_as_there_with_every_head() -> None:
    other = TorchSegDFN()
    x = pixels(64, 96)
    with torch.inference_mode():
        content = {"model": {f"module.{key}": tensor for key, tensor in other.made(other).items()}, "epoch": 3}
        fitted = fit("dfn_r101", strip_wrapper(content), chosen={"backbone": "resnet50s"})
        assert fitted.layout.source == "ycszen/TorchSeg"
        logits, beside = forward_all(fitted.network, x)
        (*coarse, finest), borders = other(x)
    assert close(logits, finest)
    assert len(beside) == 7
    assert all(close(a.logits, b) for a, b in zip(beside, [*coarse, *borders], strict=True))


@pytest.mark.slow
def test_drsleeps_refinenet_answers_as_there() -> None:
    other = DrSleepRefineNet()
    x = pixels(65, 97)
    with torch.inference_mode():
        fitted = fit("refinenet_r101", strip_wrapper(other.made(other)), chosen={"backbone": "resnet50"})
        assert fitted.layout.source == "DrSleep/refinenet-pytorch"
        assert close(fitted.network(x), other(x))


@pytest.mark.parametrize("align_corners", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_mmsegmentations_deeplab_v3_plus_answers_as_there_at_sizes_of_no_multiple(align_corners: bool) -> None:
    """Weights are drawn from their names; the backbone's pass is compared at these sizes with DeepLab V3's."""
    with np.load(Path(__file__).parent / "references/mmsegmentation_deeplabv3plus_r50.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
    shapes = {key: tuple(map(int, sides)) for key, *sides in lines}
    fitted = fit("deeplabv3plus_r50", strip_wrapper(drawn(shapes)), chosen={"align_corners": align_corners})
    x = pixels(65, 97)
    with torch.inference_mode():
        fine, *_, coarse = fitted.network.body.backbone(x)
        expected = MmsegV3PlusHead(align_corners=align_corners)(fine, coarse, x.shape[2:])
        assert close(fitted.network(x), expected)


@pytest.mark.parametrize(
    ("name", "options", "weight"),
    [
        ("fcn_r50", {}, 0.5),
        ("fcn_r50", {"head": "concat"}, 0.4),
        ("deeplabv3_r50", {}, 0.5),
        ("deeplabv3_r50", {"form": "mmseg"}, 0.4),
        ("deeplabv3plus_r50", {"auxiliary": True, "width": 16}, 0.4),
        ("pspnet_r50", {}, 0.4),
        ("fastfcn_fcn_r50", {"width": 16}, 0.2),
        ("fastfcn_fcn_r50", {"width": 16, "form": "mmseg"}, 0.4),
    ],
)
def test_second_heads_weigh_as_published_and_drop_what_is_dropped_there(
    name: str, options: dict[str, Any], weight: float
) -> None:
    """torchvision drops single values, mmsegmentation, hszhao/semseg and FastFCN whole channels."""
    network = build(name, 3, 2, backbone="test_resnet", **options)
    (beside,) = forward_all(network.eval(), torch.zeros(1, 3, 32, 32))[1]
    assert beside.weight == weight
    side = network.body.side if name.startswith("deeplabv3plus") else network.body.sides[0]
    assert isinstance(side[1], nn.Dropout if weight == 0.5 else nn.Dropout2d)


@pytest.mark.parametrize(("name", "blocks"), [("setr_pup_b", [4, 7, 9, 11]), ("setr_naive_b", [2, 5, 8, 11])])
def test_setrs_heads_read_the_blocks_that_the_authors_base_networks_read(name: str, blocks: list[int]) -> None:
    """``in_index`` of the heads in the authors' configurations for DeiT-B."""
    with torch.device("meta"):
        network = build(name, 3, 2, image_px=64)
    assert sorted(network.body.backbone.ends) == blocks
