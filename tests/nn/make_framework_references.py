"""Write more of tests/nn/references/authors: the networks of frameworks that have many.

Not run by the tests. ``python tests/nn/make_framework_references.py FOLDER [NAME...]``, as
``make_authors_references``.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import math
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_authors_references import Forward, Networks, call, importing, torchseg, write
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

CLASSES = 4


def _turned(network: nn.Module, x: Tensor) -> Tensor:
    """Run a network whose bands are blue, green, red; turning its first layer gives the rounding that ours has."""
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    first.weight.copy_(first.weight.flip(1))
    return call(network, x)


def _define(names: dict[str, Any], *paths: Path, left_out: tuple[str, ...] = (), python_2: bool = False) -> None:
    """Run the classes and functions of files; in Python 2 ``/`` divides whole numbers."""
    for path in paths:
        module = ast.parse(path.read_text())
        for part in ast.walk(module) if python_2 else ():
            if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Div):
                part.op = ast.FloorDiv()
        definitions = [part for part in module.body if isinstance(part, ast.ClassDef | ast.FunctionDef)]
        kept: list[ast.stmt] = [part for part in definitions if part.name not in left_out]
        exec(compile(ast.Module(kept, []), str(path), "exec"), names)  # noqa: S102 - the clone's own module


def _guanfuchen(file: str, build: Callable[[dict[str, Any]], nn.Module]) -> Callable[[Path], tuple[nn.Module, Forward]]:
    """Run a file's module without its imports, which ask for libraries that no network needs."""

    def make(clones: Path) -> tuple[nn.Module, Forward]:
        folder = clones / "guanfuchen+semseg" / "semseg" / "modelloader"
        names: dict[str, Any] = {"torch": torch, "nn": nn, "F": functional, "models": models}
        _define(names, folder / "utils.py", folder / f"{file}.py")
        if file == "segnet":
            names["segnet"].init_weights = lambda *_, **__: None
        return build(names), call if file == "duc_hdc" else _turned

    return make


def _shallow_duc(names: dict[str, Any]) -> nn.Module:
    kept = models.resnet152
    models.resnet152 = lambda **_: models.resnet50()
    try:
        network: nn.Module = names["ResNetDUCHDC"](CLASSES, pretrained=False)
    finally:
        models.resnet152 = kept
    return network


def _vedaseg(config: str, arch: str = "resnet50") -> Callable[[Path], tuple[nn.Module, Forward]]:
    def make(clones: Path) -> tuple[nn.Module, Forward]:
        folder = clones / "Media-Smart+vedaseg"
        addict = types.ModuleType("addict")
        addict.Dict = dict  # type: ignore[attr-defined]
        sys.modules["addict"] = addict
        models.resnet.model_urls = {}
        nn.SyncBatchNorm._specify_ddp_gpu_num = lambda *_: None
        with importing(folder):
            build = importlib.import_module("vedaseg.models").build_model
            names: dict[str, Any] = {}
            source = (folder / "configs" / f"{config}.py").read_text().replace("import cv2", "cv2 = None")
            exec(source.partition("# 2. configuration")[0], names)  # noqa: S102 - the clone's own configuration
        model = names["inference"]["model"]
        model["encoder"]["backbone"] |= {"pretrain": False, "arch": arch}
        model["head"]["out_channels"] = CLASSES
        return build(model), call

    return make


def psa_mask(x: Tensor, kind: int, rows: int, cols: int) -> Tensor:
    """Do by loops what the authors' compiled operation does."""
    count, _, height, width = x.shape
    full = torch.zeros(count, height, width, height, width)
    windows = x.view(count, rows, cols, height, width)
    for top, left in itertools.product(range(height), range(width)):
        for row, col in itertools.product(range(rows), range(cols)):
            y, z = row + top - (rows - 1) // 2, col + left - (cols - 1) // 2
            if 0 <= y < height and 0 <= z < width:
                place = (y, z, top, left) if kind == 0 else (top, left, y, z)
                full[(slice(None), *place)] = windows[:, row, col, top, left]
    return full.view(count, height * width, height, width)


def _psanet(**options: Any) -> Callable[[Path], tuple[nn.Module, Forward]]:
    def make(clones: Path) -> tuple[nn.Module, Forward]:
        operation = types.ModuleType("lib.psa.functional")
        operation.psa_mask = psa_mask  # type: ignore[attr-defined]
        for name in ("lib", "lib.psa"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["lib.psa.functional"] = sys.modules["lib.psa"].functional = operation  # type: ignore[attr-defined]
        with importing(clones / "hszhao+semseg"):
            module = importlib.import_module("model.psanet")
        return module.PSANet(classes=CLASSES, pretrained=False, **options), call

    return make


def _torchseg_psanet(clones: Path) -> tuple[nn.Module, Forward]:
    """Build it for 64 x 64 pixels; its own size is 480."""
    network, forward = torchseg(clones, "psanet/ade.psanet.R50_v1c", "PSPNet", lambda logits: logits)
    for attention in (network.psa_layer.collect_attention, network.psa_layer.distribute_attention):
        attention[1].conv = nn.Conv2d(512, 64, 1, bias=False)
    return network, forward


def _torchseg_bisenet_x39(clones: Path) -> tuple[nn.Module, Forward]:
    root = clones / "ycszen+TorchSeg"
    stub = types.ModuleType("config")
    sys.modules["config"] = stub
    stub.config = types.SimpleNamespace(bn_eps=1e-5, bn_momentum=0.1)  # type: ignore[attr-defined]
    with importing(root / "furnace"), importing(root / "model" / "bisenet" / "cityscapes.bisenet.X39"):
        module = importlib.import_module("network")
    return module.BiSeNet(CLASSES, False, None, None), call


def _meetps(
    file: str, network: str, forward: Forward = _turned, **options: Any
) -> Callable[[Path], tuple[nn.Module, Forward]]:
    def make(clones: Path) -> tuple[nn.Module, Forward]:
        folder = clones / "meetshah1995+pytorch-semseg" / "ptsemseg" / "models"
        names: dict[str, Any] = {
            "torch": torch, "nn": nn, "F": functional, "functools": functools, "np": np, "cross_entropy2d": print,
            "multi_scale_cross_entropy2d": print,
        }  # fmt: skip
        _define(names, folder / "utils.py", folder / f"{file}.py")
        return names[network](n_classes=CLASSES, **options), forward

    return make


def _stretched(network: nn.Module, x: Tensor) -> Tensor:
    """Stretch the logits over the image, as the framework's loss does."""
    return functional.interpolate(_turned(network, x), size=x.shape[2:], mode="bilinear", align_corners=True)


def _guanfuchen_transposed(kind: str) -> Callable[[dict[str, Any]], nn.Module]:
    def build(names: dict[str, Any]) -> nn.Module:
        network: nn.Module = names["fcn_resnet"](
            names["BasicBlock"], [2, 2, 2, 2], module_type=kind, n_classes=CLASSES, upsample_method="ConvTranspose2d"
        )
        return network

    return build


def _zijundeng(
    file: str, network: str, forward: Forward = call, **options: Any
) -> Callable[[Path], tuple[nn.Module, Forward]]:
    """Run a file's module without its imports."""

    def make(clones: Path) -> tuple[nn.Module, Forward]:
        folder = clones / "zijundeng+pytorch-semantic-segmentation"
        names: dict[str, Any] = {
            "torch": torch, "nn": nn, "F": functional, "models": models, "np": np, "Variable": Tensor,
            "vgg16_caffe_path": None, "vgg16_path": None,
        }  # fmt: skip
        _define(names, folder / "utils" / "misc.py", folder / "models" / f"{file}.py", python_2=file == "seg_net")
        return names[network](CLASSES, **options), forward

    return make


def _jfzhang(backbone: str) -> Callable[[Path], tuple[nn.Module, Forward]]:
    def make(clones: Path) -> tuple[nn.Module, Forward]:
        with importing(clones / "jfzhang95+pytorch-deeplab-xception"):
            module = importlib.import_module("modeling.deeplab")
            body = importlib.import_module(f"modeling.backbone.{backbone}")
        kinds = {
            "xception": lambda _, stride, norm: body.AlignedXception(stride, norm, pretrained=False),
            "drn": lambda _, __, norm: body.drn_d_54(norm, pretrained=False),
        }
        module.build_backbone = kinds[backbone]
        return module.DeepLab(backbone, num_classes=CLASSES, sync_bn=False), call

    return make


class _Registry:
    """mmcv's registry, which keeps nothing here."""

    @staticmethod
    def register_module() -> Callable[[Any], Any]:
        return lambda kind: kind


class _DecodeHead(nn.Module):
    """What the heads take of the decode head of mmsegmentation 0.x: its map and its unused classifier."""

    def __init__(
        self, *, in_channels: int, channels: int, in_index: int, num_classes: int, align_corners: bool
    ) -> None:
        super().__init__()
        self.in_channels, self.in_index, self.num_classes = in_channels, in_index, num_classes
        self.align_corners = align_corners
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def _transform_inputs(self, maps: Any) -> Any:
        return maps[self.in_index]


class _Setr(nn.Module):
    def __init__(self, backbone: nn.Module, decode_head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.decode_head = backbone, decode_head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.decode_head(self.backbone(x))
        return logits


def _setr(file: str, head: str, kinds: tuple[str, str], **options: Any) -> Callable[[Path], tuple[nn.Module, Forward]]:
    def make(clones: Path) -> tuple[nn.Module, Forward]:
        folder = clones / "fudan-zvg+SETR" / "mmseg" / "models"
        names: dict[str, Any] = {
            "torch": torch, "nn": nn, "F": functional, "math": math, "partial": functools.partial,
            "BACKBONES": _Registry, "HEADS": _Registry, "BaseDecodeHead": _DecodeHead, "warnings": warnings,
            "build_norm_layer": lambda _, width: ("bn", nn.BatchNorm2d(width)), "to_2tuple": lambda side: (side, side),
        }  # fmt: skip
        paths = (folder / "backbones" / f"{file}.py", folder / "decode_heads" / f"{head}.py")
        _define(names, *paths, left_out=("to_2tuple",))
        tiny = {"img_size": 64, "embed_dim": 64, "depth": 6, "num_heads": 2, "mlp_ratio": 3}
        levels = {"mla_channels": 16, "mla_index": (0, 2, 3, 5)} if file == "vit_mla" else {}
        common = {"in_channels": 64, "channels": 16, "in_index": 5, "num_classes": CLASSES, "align_corners": False}
        backbone = names[kinds[0]](**tiny, **levels)
        return _Setr(backbone, names[kinds[1]](img_size=64, **common, **options)), call

    return make


_UP = ("vit", "vit_up_head", ("VisionTransformer", "VisionTransformerUpHead"))
_SIMPLE: dict[str, Any] = {"embed_dim": 64, "conv3x3_conv1x1": False}
NETWORKS: Networks = {
    "fudan_setr_naive": ("setr_naive_b", _setr(*_UP, num_conv=2, **_SIMPLE)),
    "fudan_setr_pup": ("setr_pup_b", _setr(*_UP, num_conv=4, num_upsampe_layer=4, **_SIMPLE)),
    "fudan_setr_mla": (
        "setr_mla_b",
        _setr("vit_mla", "vit_mla_head", ("VIT_MLA", "VIT_MLAHead"), mla_channels=16, mlahead_channels=8),
    ),
    **{
        f"guanfuchen_fcn{stride}s": (
            f"fcn{stride}s",
            _guanfuchen("fcn", lambda names, stride=stride: names[f"fcn_{stride}s"](CLASSES)),  # type: ignore[misc]
        )
        for stride in (32, 16, 8)
    },
    **{
        f"guanfuchen_fcn_r{depth}_{stride}s": (
            f"fcn_r{depth}",
            _guanfuchen(
                "fcn_resnet",
                lambda names, which=(depth, stride): names["fcn_resnet{}_{}s".format(*which)](CLASSES),  # type: ignore[misc]
            ),
        )
        for depth, stride in ((18, 32), (18, 16), (18, 8), (50, 32))
    },
    **{
        f"guanfuchen_fcn_r18_{kind}_transposed": ("fcn_r18", _guanfuchen("fcn_resnet", _guanfuchen_transposed(kind)))
        for kind in ("32s", "16s")
    },
    "guanfuchen_unet": ("unet", _guanfuchen("unet", lambda names: names["unet"](CLASSES))),
    "guanfuchen_segnet": ("segnet", _guanfuchen("segnet", lambda names: names["segnet"](CLASSES))),
    "guanfuchen_deeplab": ("deeplabv2_r101", _guanfuchen("deeplabv3", lambda names: names["Res_Deeplab_50"](CLASSES))),
    "guanfuchen_duc_hdc": (
        "duc_hdc_r152",
        _guanfuchen("duc_hdc", _shallow_duc),
    ),
    "jfzhang_deeplabv3plus_xception": ("deeplabv3plus_xception65", _jfzhang("xception")),
    "jfzhang_deeplabv3plus_drn": ("deeplabv3plus", _jfzhang("drn")),
    "meetps_segnet": ("segnet", _meetps("segnet", "segnet")),
    "meetps_fcn8s": ("fcn8s", _meetps("fcn", "fcn8s")),
    "meetps_fcn8s_nearest": ("fcn8s", _meetps("fcn", "fcn8s", learned_billinear=False)),
    "meetps_fcn16s": ("fcn16s", _meetps("fcn", "fcn16s")),
    "meetps_fcn32s": ("fcn32s", _meetps("fcn", "fcn32s")),
    "meetps_unet": ("unet", _meetps("unet", "unet", _stretched)),
    "meetps_unet_plain": ("unet", _meetps("unet", "unet", _stretched, is_batchnorm=False)),
    "meetps_pspnet": ("pspnet_r50", _meetps("pspnet", "pspnet", block_config=[3, 4, 6, 3])),
    "semseg_psanet": ("psanet_r50", _psanet(mask_h=7, mask_w=7)),
    "semseg_psanet_compact": ("psanet_r50", _psanet(compact=True, mask_h=5, mask_w=7)),
    "semseg_psanet_distribute": ("psanet_r50", _psanet(psa_type=1, mask_h=9, mask_w=13, shrink_factor=1)),
    "torchseg_bisenet_x39": ("bisenet_x39", _torchseg_bisenet_x39),
    "torchseg_psanet": (
        "psanet_r50",
        _torchseg_psanet,
    ),
    "vedaseg_unet": ("unet_r50", _vedaseg("voc_unet")),
    "vedaseg_fpn": ("fpn_r50", _vedaseg("voc_fpn")),
    "vedaseg_pspnet": ("pspnet_r50", _vedaseg("voc_pspnet")),
    "vedaseg_pspnet_v1c": ("pspnet_r50", _vedaseg("voc_pspnet_v1c", "resnet50_v1c")),
    "vedaseg_deeplabv3": ("deeplabv3_r50", _vedaseg("voc_deeplabv3")),
    "vedaseg_deeplabv3plus": ("deeplabv3plus_r50", _vedaseg("voc_deeplabv3plus")),
    "zijundeng_fcn8s": ("fcn8s", _zijundeng("fcn8s", "FCN8s", pretrained=False)),
    "zijundeng_fcn16s": ("fcn16s", _zijundeng("fcn16s", "FCN16VGG", _turned, pretrained=False)),
    "zijundeng_fcn32s": ("fcn32s", _zijundeng("fcn32s", "FCN32VGG", _turned, pretrained=False)),
    "zijundeng_segnet": ("segnet", _zijundeng("seg_net", "SegNet", pretrained=False)),
    "zijundeng_unet": ("unet", _zijundeng("u_net", "UNet")),
}
SIZES: dict[str, tuple[int, int]] = {
    "guanfuchen_unet": (189, 203),
    "meetps_unet": (188, 220),
    "meetps_unet_plain": (188, 220),
    "zijundeng_segnet": (64, 96),
    "zijundeng_unet": (189, 203),
    "guanfuchen_duc_hdc": (64, 96),
    "torchseg_bisenet_x39": (64, 96),
    "torchseg_psanet": (64, 64),
    **dict.fromkeys(("fudan_setr_naive", "fudan_setr_pup", "fudan_setr_mla"), (64, 64)),
}

if __name__ == "__main__":
    write(NETWORKS, SIZES)
