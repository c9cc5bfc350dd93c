"""Write tests/nn/references/authors: what the authors' own code answers with weights drawn from its tensors' names.

Not run by the tests. ``python tests/nn/make_authors_references.py FOLDER`` needs a folder of clones, each named
``owner+name`` after its repository on GitHub. A file holds the names and shapes of a network's tensors and its logits
for one drawn input at every fourth pixel; the weights are drawn again by the tests. No code of theirs is kept.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from published_weights import drawn, pixels
from torch import Tensor, nn
from torch.nn import functional

OUT = Path(__file__).parent / "references" / "authors"
CLASSES = 4
Forward = Callable[[nn.Module, Tensor], Tensor]


@contextmanager
def importing(folder: Path) -> Iterator[None]:
    """Import from a clone, and forget its modules afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def _old_numpy() -> None:
    """Names that numpy had when the code was written."""
    for name, kind in (("int", int), ("float", float)):
        if name not in vars(np):
            setattr(np, name, kind)


class _Config(dict[str, Any]):
    __getattr__ = dict.__getitem__


def _hrnet_config(*, align_corners: bool) -> Any:
    def stage(block: str, *channels: int) -> _Config:
        blocks = [1] if block == "BOTTLENECK" else [2] * len(channels)
        return _Config(
            NUM_MODULES=1, NUM_BRANCHES=len(channels), BLOCK=block, NUM_BLOCKS=blocks, NUM_CHANNELS=list(channels),
            FUSE_METHOD="SUM",
        )  # fmt: skip

    extra = _Config(
        FINAL_CONV_KERNEL=1,
        STAGE1=stage("BOTTLENECK", 32),
        STAGE2=stage("BASIC", 16, 32),
        STAGE3=stage("BASIC", 16, 32, 64),
        STAGE4=stage("BASIC", 16, 32, 64, 128),
    )
    ocr = _Config(MID_CHANNELS=24, KEY_CHANNELS=12, DROPOUT=0.05, SCALE=1)
    model = _Config(EXTRA=extra, ALIGN_CORNERS=align_corners, OCR=ocr, PRETRAINED="", NUM_OUTPUTS=2)
    return SimpleNamespace(MODEL=model, DATASET=SimpleNamespace(NUM_CLASSES=CLASSES))


def _hrnet(clones: Path, file: str, *, align_corners: bool) -> tuple[nn.Module, Forward]:
    with importing(clones / "HRNet+HRNet-Semantic-Segmentation" / "lib"):
        module = importlib.import_module(f"models.{file}")
    network = module.HighResolutionNet(_hrnet_config(align_corners=align_corners))

    def forward(network: nn.Module, x: Tensor) -> Tensor:
        answer = network(x)
        logits = answer[-1] if isinstance(answer, list) else answer
        return functional.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=align_corners)

    return network, forward


def call(network: nn.Module, x: Tensor) -> Tensor:
    answer = network(x)
    logits: Tensor = answer[0] if isinstance(answer, tuple | list) else answer
    return logits


def _unet(clones: Path, *, bilinear: bool) -> tuple[nn.Module, Forward]:
    with importing(clones / "milesial+Pytorch-UNet" / "unet"):
        parts = importlib.import_module("unet_parts")
        source = (clones / "milesial+Pytorch-UNet" / "unet" / "unet_model.py").read_text()
    names: dict[str, Any] = dict(vars(parts))
    exec(source.replace("from .unet_parts import *", ""), names)  # noqa: S102 - the clone's own module
    return names["UNet"](3, CLASSES, bilinear=bilinear), call


def _nested(clones: Path, *, deep: bool) -> tuple[nn.Module, Forward]:
    with importing(clones / "4uiiurz1+pytorch-nested-unet"):
        module = importlib.import_module("archs")
    return module.NestedUNet(
        CLASSES, 3, deep
    ), lambda network, x: answer[-1] if isinstance(answer := network(x), list) else answer


def _vainf(clones: Path, head: str, backbone: str = "resnet50") -> tuple[nn.Module, Forward]:
    with importing(clones / "VainF+DeepLabV3Plus-Pytorch"):
        module = importlib.import_module("network.modeling")
    return getattr(module, f"{head}_{backbone}")(CLASSES, 16, False), call


def _jfzhang(clones: Path) -> tuple[nn.Module, Forward]:
    with importing(clones / "jfzhang95+pytorch-deeplab-xception"):
        module = importlib.import_module("modeling.deeplab")
        body = importlib.import_module("modeling.backbone.resnet")
    module.build_backbone = lambda _name, stride, norm: body.ResNet(body.Bottleneck, [3, 4, 6, 3], stride, norm, False)
    return module.DeepLab(num_classes=CLASSES, sync_bn=False), call


def _jfzhang_mobilenet(clones: Path) -> tuple[nn.Module, Forward]:
    with importing(clones / "jfzhang95+pytorch-deeplab-xception"):
        module = importlib.import_module("modeling.deeplab")
        body = importlib.import_module("modeling.backbone.mobilenet")
    module.build_backbone = lambda _name, stride, norm: body.MobileNetV2(stride, norm, pretrained=False)
    return module.DeepLab("mobilenet", num_classes=CLASSES, sync_bn=False), call


def _kazuto(clones: Path, file: str, network: str) -> tuple[nn.Module, Forward]:
    with importing(clones / "kazuto1011+deeplab-pytorch" / "libs"):
        module = importlib.import_module(f"models.{file}")

    def forward(network: nn.Module, x: Tensor) -> Tensor:
        logits = network(x.flip(1))  # its bands are blue, green, red
        return functional.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)

    return getattr(module, network)(CLASSES, [3, 4, 6, 3], [6, 12, 18], [1, 2, 4], 16), forward


def _zijundeng(clones: Path, file: str, network: str) -> tuple[nn.Module, Forward]:
    from torchvision import models

    with importing(clones), _shallow(models):
        folder = "zijundeng+pytorch-semantic-segmentation"
        names = {"models": models, "torch": torch, "nn": nn, "F": functional, "initialize_weights": lambda *_: None}
        source = (clones / folder / "models" / f"{file}.py").read_text().splitlines()
        exec("\n".join(line for line in source if not line.startswith(("import", "from"))), names)  # noqa: S102
        functional.upsample = functional.interpolate
        made = names[network](CLASSES, pretrained=False)  # type: ignore[operator]
    return made, call


@contextmanager
def _shallow(models: Any) -> Iterator[None]:
    """Let deep ResNets be built with 50 layers."""
    kept = models.resnet101, models.resnet152
    models.resnet101 = models.resnet152 = lambda **_: models.resnet50()
    try:
        yield
    finally:
        models.resnet101, models.resnet152 = kept


def _light_refinenet(clones: Path) -> tuple[nn.Module, Forward]:
    with importing(clones / "DrSleep+light-weight-refinenet"):
        module = importlib.import_module("models.resnet")

    def forward(network: nn.Module, x: Tensor) -> Tensor:
        return functional.interpolate(network(x), size=x.shape[2:], mode="bilinear", align_corners=False)

    return module.ResNetLW(module.Bottleneck, [3, 4, 6, 3], CLASSES), forward


def _deeplabv2(clones: Path) -> tuple[nn.Module, Forward]:
    with importing(clones / "kazuto1011+deeplab-pytorch" / "libs"):
        module = importlib.import_module("models.deeplabv2")
        scales = importlib.import_module("models.msc")

    def forward(network: nn.Module, x: Tensor) -> Tensor:
        logits = network(x.flip(1))
        return functional.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)

    base = module.DeepLabV2(CLASSES, [3, 4, 6, 3], [6, 12, 18, 24])
    return scales.MSC(base=base, scales=[0.5, 0.75]), forward


def _wkentaro(clones: Path, stride: int) -> tuple[nn.Module, Forward]:
    sys.modules["fcn"] = types.ModuleType("fcn")
    with importing(clones / "wkentaro+pytorch-fcn" / "torchfcn"):
        module = importlib.import_module(f"models.fcn{stride}s")
    return getattr(module, f"FCN{stride}s")(n_class=CLASSES), lambda network, x: network(x.flip(1))


def _semseg(clones: Path) -> tuple[nn.Module, Forward]:
    with importing(clones / "hszhao+semseg"):
        module = importlib.import_module("model.pspnet")
    return module.PSPNet(classes=CLASSES, pretrained=False), call


def _fastfcn(clones: Path, name: str, network: str, **options: Any) -> tuple[nn.Module, Forward]:
    folder = clones / "wuhuikai+FastFCN"
    for stub in ("encoding.datasets", "encoding.parallel"):
        sys.modules[stub] = types.ModuleType(stub)
    with importing(folder):
        encoding = types.ModuleType("encoding")
        encoding.__path__ = [str(folder / "encoding")]
        sys.modules["encoding"] = encoding
        for part in ("functions", "utils", "nn", "dilated"):
            setattr(encoding, part, importlib.import_module(f"encoding.{part}"))
        base = importlib.import_module("encoding.dilated.resnet")
        base.get_model_file = lambda *_, **__: None
        made = base.resnet50
        encoding.dilated.resnet50 = lambda pretrained=False, **keys: made(pretrained=False, **keys)  # type: ignore[attr-defined]
        module = importlib.import_module(f"encoding.models.{name}")
    norm = nn.SyncBatchNorm if name == "encnet" else nn.BatchNorm2d  # the first takes codes too
    network_ = getattr(module, network)(CLASSES, backbone="resnet50", aux=True, jpu="JPU", norm_layer=norm, **options)
    return network_, call


def torchseg(clones: Path, folder: str, network: str, answer: Callable[[Any], Tensor]) -> tuple[nn.Module, Forward]:
    root = clones / "ycszen+TorchSeg"
    stub = types.ModuleType("config")
    stub.config = SimpleNamespace(bn_eps=1e-5, bn_momentum=0.1, aux_loss_ratio=0.4)  # type: ignore[attr-defined]
    sys.modules["config"] = stub
    with importing(root / "furnace"):
        base = importlib.import_module("base_model")
        base.resnet101 = base.resnet50
        with importing(root / "model" / folder):
            module = importlib.import_module("network")
    made = getattr(module, network)(
        CLASSES, None, **({"pretrained_model": None} if network not in {"DFN", "BiSeNet"} else {"criterion": None})
    )
    return made, lambda network, x: answer(network(x))


Networks = dict[str, tuple[str, Callable[[Path], tuple[nn.Module, Forward]]]]
"""Name of a file to the network of ours and what builds the authors'."""
NETWORKS: Networks = {
    "hrnet": ("hrnet_w18s_v1", lambda clones: _hrnet(clones, "seg_hrnet", align_corners=False)),
    "hrnet_aligned": ("hrnet_w18s_v1", lambda clones: _hrnet(clones, "seg_hrnet", align_corners=True)),
    "hrnet_ocr_aligned": ("hrnet_ocr_w18", lambda clones: _hrnet(clones, "seg_hrnet_ocr", align_corners=True)),
    "milesial_unet": ("unet", lambda clones: _unet(clones, bilinear=False)),
    "milesial_unet_bilinear": ("unet", lambda clones: _unet(clones, bilinear=True)),
    "nested_unet": ("unetplusplus", lambda clones: _nested(clones, deep=False)),
    "nested_unet_supervised": ("unetplusplus", lambda clones: _nested(clones, deep=True)),
    "vainf_deeplabv3": ("deeplabv3_r50", lambda clones: _vainf(clones, "deeplabv3")),
    "vainf_deeplabv3plus": ("deeplabv3plus_r50", lambda clones: _vainf(clones, "deeplabv3plus")),
    "vainf_deeplabv3_mobilenet": (
        "deeplabv3_mobilenetv2",
        lambda clones: _vainf(clones, "deeplabv3", "mobilenet"),
    ),
    "vainf_deeplabv3plus_mobilenet": (
        "deeplabv3plus_mobilenetv2",
        lambda clones: _vainf(clones, "deeplabv3plus", "mobilenet"),
    ),
    "jfzhang_deeplabv3plus_mobilenet": ("deeplabv3plus_mobilenetv2", _jfzhang_mobilenet),
    "jfzhang_deeplabv3plus": ("deeplabv3plus_r50", _jfzhang),
    "kazuto_deeplabv3": ("deeplabv3_r50", lambda clones: _kazuto(clones, "deeplabv3", "DeepLabV3")),
    "kazuto_deeplabv3plus": ("deeplabv3plus_r50", lambda clones: _kazuto(clones, "deeplabv3plus", "DeepLabV3Plus")),
    "zijundeng_duc_hdc": ("duc_hdc_r152", lambda clones: _zijundeng(clones, "duc_hdc", "ResNetDUCHDC")),
    "zijundeng_duc": ("duc_hdc_r152", lambda clones: _zijundeng(clones, "duc_hdc", "ResNetDUC")),
    "zijundeng_pspnet": ("pspnet_r50", lambda clones: _zijundeng(clones, "psp_net", "PSPNet")),
    "kazuto_deeplabv2": ("deeplabv2_r101", _deeplabv2),
    "wkentaro_fcn32s": ("fcn32s", lambda clones: _wkentaro(clones, 32)),
    "wkentaro_fcn16s": ("fcn16s", lambda clones: _wkentaro(clones, 16)),
    "wkentaro_fcn8s": ("fcn8s", lambda clones: _wkentaro(clones, 8)),
    "semseg_pspnet": ("pspnet_r50", _semseg),
    "fastfcn_fcn": ("fastfcn_fcn_r50", lambda clones: _fastfcn(clones, "fcn", "FCN", se_loss=False)),
    "fastfcn_psp": ("fastfcn_psp_r50", lambda clones: _fastfcn(clones, "psp", "PSP", se_loss=False)),
    "fastfcn_deeplab": (
        "fastfcn_deeplabv3_r50",
        lambda clones: _fastfcn(clones, "deeplabv3", "DeepLabV3", se_loss=False),
    ),
    "fastfcn_encnet": ("fastfcn_encnet_r50", lambda clones: _fastfcn(clones, "encnet", "EncNet", lateral=False)),
    "torchseg_pspnet": (
        "pspnet_r50",
        lambda clones: torchseg(clones, "pspnet/ade.pspnet.R50_v1c", "PSPNet", lambda logits: logits),
    ),
    "torchseg_fcn": (
        "fcn_r50",
        lambda clones: torchseg(clones, "fcn/voc.fcn32s.R101_v1c", "FCN", lambda logits: logits),
    ),
    "torchseg_bisenet": (
        "bisenet_r18",
        lambda clones: torchseg(clones, "bisenet/cityscapes.bisenet.R18", "BiSeNet", lambda logits: logits),
    ),
    "light_refinenet": ("refinenet_lw_r50", _light_refinenet),
}
SIZES: dict[str, tuple[int, int]] = {
    "nested_unet": (64, 96),
    "nested_unet_supervised": (64, 96),
    "zijundeng_duc_hdc": (64, 96),
    "zijundeng_duc": (64, 96),
    "torchseg_pspnet": (64, 96),
    "torchseg_fcn": (64, 96),
    "torchseg_bisenet": (64, 96),
}
"""Where the authors' network takes certain multiples alone."""


def write(networks: Networks, sizes: dict[str, tuple[int, int]]) -> None:
    """Write one file for each network, or for those that the command names."""
    clones, names = Path(sys.argv[1]).resolve(), sys.argv[2:]
    warnings.simplefilter("ignore")
    _old_numpy()
    OUT.mkdir(parents=True, exist_ok=True)
    for name, (ours, build) in networks.items():
        if names and name not in names:
            continue
        network, forward = build(clones)
        network.eval()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        network.load_state_dict(drawn(shapes))
        size = sizes.get(name, (65, 97))
        with torch.inference_mode():
            logits = forward(network, pixels(*size)).numpy()
        keys = "\n".join(f"{key} {' '.join(map(str, shape))}".strip() for key, shape in shapes.items())
        np.savez_compressed(
            OUT / f"{name}.npz",
            network=np.array(ours),
            tensors=np.array(keys),
            size=np.array(size),
            logits=logits[..., ::4, ::4],
        )
        sys.stderr.write(f"{name} {len(shapes)} {logits.shape} {np.abs(logits).max()}\n")


if __name__ == "__main__":
    write(NETWORKS, SIZES)
