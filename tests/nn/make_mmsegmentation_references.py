"""Write tests/nn/references: what mmsegmentation 1.2.2 answers with weights drawn from its tensors' names.

Not run by the tests. It needs mmsegmentation 1.2.2, mmengine 0.10.7 and mmcv-lite 2.2.0 in an environment of their own:
``python tests/nn/make_mmsegmentation_references.py``. A file holds the names and shapes of a network's tensors and its
logits for one drawn input at every fourth pixel; the weights are drawn again by the tests.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published_weights import drawn, pixels

OUT = Path(__file__).parent / "references"
NORM = {"type": "BN", "requires_grad": True}
CLASSES = 4


class _Absent(types.ModuleType):
    """Compiled operations, which the light build has not and these networks do not call."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


class _PSAMask:
    """The compiled operation of PSANet, by loops."""

    def __init__(self, kind: str, size: tuple[int, int]) -> None:
        self.kind, self.size = kind, size

    def __call__(self, x: Any) -> Any:
        from make_framework_references import psa_mask

        return psa_mask(x, 0 if self.kind == "collect" else 1, *self.size)


def _mmseg() -> Any:
    import mmcv

    mmcv.__version__ = "2.1.0"
    absent = _Absent("mmcv.ops")
    absent.PSAMask = _PSAMask  # type: ignore[attr-defined]
    absent.__spec__ = importlib.machinery.ModuleSpec("mmcv.ops", None)
    absent.__path__ = []
    sys.modules["mmcv.ops"] = absent
    import mmseg.models
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    del mmseg
    return MODELS, Config


NAMES = {
    "fcn_r50": ("fcn_r50-d8", (65, 97)),
    "pspnet_r50": ("pspnet_r50-d8", (65, 97)),
    "deeplabv3_r50": ("deeplabv3_r50-d8", (65, 97)),
    "deeplabv3plus_r50": ("deeplabv3plus_r50-d8", (64, 96)),
    "fastfcn_psp_r50": ("fastfcn_r50-d32_jpu_psp", (65, 97)),
    "fastfcn_deeplabv3_r50": ("fastfcn_r50-d32_jpu_psp", (65, 97)),
    "fastfcn_encnet_r50": ("fastfcn_r50-d32_jpu_psp", (65, 97)),
    "hrnet_w18": ("fcn_hr18", (64, 96)),
    "hrnet_ocr_w18": ("ocrnet_hr18", (64, 96)),
    "ocr_r101": ("ocrnet_r50-d8", (65, 97)),
    "setr_naive_b": ("setr_naive", (64, 96)),
    "setr_pup_b": ("setr_pup", (64, 96)),
    "setr_mla_b": ("setr_mla", (64, 96)),
}
TINY_VIT = {"img_size": (64, 64), "embed_dims": 64, "num_layers": 6, "num_heads": 2, "mlp_ratio": 3}
ASPP = {"type": "ASPPHead", "in_channels": 2048, "in_index": 2, "channels": 512, "dilations": (1, 12, 24, 36)}
ENC = {
    "type": "EncHead", "in_channels": [512, 1024, 2048], "in_index": (0, 1, 2), "channels": 512, "num_codes": 32,
    "use_se_loss": True, "add_lateral": False, "loss_se_decode": {"type": "CrossEntropyLoss", "use_sigmoid": True},
}  # fmt: skip


def _plain(config: Any) -> Any:
    """Batch norm of one machine, few classes, no file of weights."""
    if isinstance(config, dict):
        config = {key: _plain(value) for key, value in config.items() if key not in ("pretrained", "data_preprocessor")}
        if config.get("type") == "SyncBN":
            config["type"] = "BN"
        if "num_classes" in config:
            config["num_classes"] = CLASSES
        return config
    return type(config)(_plain(value) for value in config) if isinstance(config, (list, tuple)) else config


def _model(name: str, config: dict[str, Any]) -> dict[str, Any]:
    common = {"dropout_ratio": 0.1, "num_classes": CLASSES, "norm_cfg": NORM, "align_corners": False}
    if name == "fastfcn_deeplabv3_r50":
        config["decode_head"] = {**ASPP, **common}
    if name == "fastfcn_encnet_r50":
        config["decode_head"] = {**ENC, **common}
    if name == "ocr_r101":
        # as in ocrnet_r101-d8, on the shallower backbone
        guess, head = config["decode_head"]
        guess.update(in_channels=1024, channels=256, in_index=2)
        head.update(in_channels=2048, in_index=3)
    if name.startswith("setr"):
        depths = (0, 2, 3, 5) if name == "setr_mla_b" else (1, 2, 4, 5)
        config["backbone"].update(TINY_VIT, out_indices=depths, drop_rate=0.0)
        if name == "setr_mla_b":
            config["neck"].update(in_channels=[64] * 4, out_channels=16)
            config["decode_head"].update(in_channels=[16] * 4, channels=32, mla_channels=8)
            for side in config["auxiliary_head"]:
                side.update(in_channels=16, channels=16)
        else:
            for head in (config["decode_head"], *config["auxiliary_head"]):
                head.update(in_channels=64, channels=16)
        if name == "setr_pup_b":  # as in its configuration for Cityscapes
            for side in config["auxiliary_head"]:
                side.update(num_convs=2)
    return config


R18: dict[str, Any] = {"backbone.depth": 18, "decode_head.in_channels": 512, "decode_head.channels": 24}
SIDE: dict[str, Any] = {"auxiliary_head.in_channels": 256, "auxiliary_head.channels": 16}
SMALL: dict[str, Any] = {**R18, **SIDE}
D16: dict[str, Any] = {"backbone.strides": (1, 2, 2, 1), "backbone.dilations": (1, 1, 1, 2)}
V3PLUS = {**SMALL, "decode_head.c1_in_channels": 64, "decode_head.c1_channels": 12}
OCR: dict[str, Any] = {
    "backbone.depth": 18,
    "decode_head.0.in_channels": 256,
    "decode_head.0.channels": 16,
    "decode_head.0.in_index": 2,
    "decode_head.1.in_channels": 512,
    "decode_head.1.in_index": 3,
    "decode_head.1.channels": 24,
    "decode_head.1.ocr_channels": 12,
}
TWO = {"decode_head.0.align_corners": True, "decode_head.1.align_corners": True}
HR18S: dict[str, Any] = {
    "backbone.extra.stage1.num_blocks": (1,),
    "backbone.extra.stage2.num_blocks": (2, 2),
    "backbone.extra.stage3.num_blocks": (2, 2, 2),
    "backbone.extra.stage3.num_modules": 1,
    "backbone.extra.stage4.num_blocks": (2, 2, 2, 2),
    "backbone.extra.stage4.num_modules": 1,
    "backbone.extra.stage1.num_channels": (32,),
    "backbone.extra.stage2.num_channels": (16, 32),
    "backbone.extra.stage3.num_channels": (16, 32, 64),
    "backbone.extra.stage4.num_channels": (16, 32, 64, 128),
}
ALIGNED = {"decode_head.align_corners": True}
UNET: dict[str, Any] = {
    "backbone.base_channels": 8,
    "decode_head.in_channels": 8,
    "auxiliary_head.in_channels": 16,
    "auxiliary_head.channels": 10,
}
MOBILENET: dict[str, Any] = {
    "backbone": {
        "type": "MobileNetV2",
        "widen_factor": 1.0,
        "strides": (1, 2, 2, 1, 1, 1, 1),
        "dilations": (1, 1, 1, 2, 2, 4, 4),
        "out_indices": (1, 2, 4, 6),
        "norm_cfg": NORM,
    },
    "decode_head.in_channels": 320,
    "auxiliary_head.in_channels": 96,
    "auxiliary_head.channels": 8,
}
OPTIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "psanet_window": (
        "psanet_r50",
        "psanet_r50-d8",
        {**SMALL, "decode_head.mask_size": (7, 5), "auxiliary_head.in_channels": 256},
    ),
    "psanet_compact_distribute": (
        "psanet_r50",
        "psanet_r50-d8",
        {
            **SMALL,
            **ALIGNED,
            "decode_head.mask_size": (9, 13),
            "decode_head.psa_type": "distribute",
            "decode_head.compact": True,
            "decode_head.shrink_factor": 1,
        },
    ),
    "fcn_aligned": ("fcn_r18", "fcn_r50-d8", {**SMALL, **ALIGNED}),
    "fcn_rate_6": ("fcn_r18", "fcn_r50-d8", {**SMALL, "decode_head.dilation": 6}),
    "fcn_plain_stem": ("fcn_r18", "fcn_r50-d8", {**SMALL, "backbone.type": "ResNet"}),
    "fcn_not_contracted": ("fcn_r18", "fcn_r50-d8", {**SMALL, "backbone.contract_dilation": False}),
    "fcn_d16": (
        "fcn_r18",
        "fcn_r50-d8",
        {**SMALL, "backbone.strides": (1, 2, 2, 1), "backbone.dilations": (1, 1, 1, 2)},
    ),
    "fcn_d32_dilated": ("fcn_r18", "fcn_r50-d8", {**SMALL, "backbone.strides": (1, 2, 2, 2)}),
    "fcn_one_channel": (
        "fcn_r18",
        "fcn_r50-d8",
        {
            **SMALL,
            "decode_head.num_classes": 2,
            "decode_head.out_channels": 1,
            "decode_head.threshold": 0.4,
            "auxiliary_head.num_classes": 2,
            "auxiliary_head.out_channels": 1,
        },
    ),
    "pspnet_bins_aligned": ("pspnet_r18", "pspnet_r50-d8", {**SMALL, **ALIGNED, "decode_head.pool_scales": (1, 3, 4)}),
    "deeplabv3_multi_grid": (
        "deeplabv3_r18",
        "deeplabv3_r50-d8",
        {
            **SMALL,
            **D16,
            "backbone.multi_grid": (1, 4),
            "decode_head.dilations": (1, 6, 12, 18),
        },
    ),
    "deeplabv3plus_multi_grid": (
        "deeplabv3plus_r18",
        "deeplabv3plus_r50-d8",
        {
            **V3PLUS,
            **D16,
            "backbone.multi_grid": (1, 4),
            "decode_head.dilations": (1, 6, 12),
        },
    ),
    "deeplabv3plus_aligned": ("deeplabv3plus_r18", "deeplabv3plus_r50-d8", {**V3PLUS, **ALIGNED}),
    "ocr_aligned": ("ocr_r101", "ocrnet_r50-d8", {**OCR, **TWO}),
    "hrnet_aligned": (
        "hrnet_w18s_v1",
        "fcn_hr18",
        {**HR18S, **ALIGNED, "decode_head.in_channels": [16, 32, 64, 128], "decode_head.channels": 240},
    ),
    "hrnet_ocr_aligned": (
        "hrnet_ocr_w18",
        "ocrnet_hr18",
        {
            **HR18S,
            **TWO,
            "decode_head.0.in_channels": [16, 32, 64, 128],
            "decode_head.0.channels": 240,
            "decode_head.1.in_channels": [16, 32, 64, 128],
            "decode_head.1.channels": 24,
            "decode_head.1.ocr_channels": 12,
        },
    ),
    "fastfcn_aligned_rates": (
        "fastfcn_psp_r50",
        "fastfcn_r50-d32_jpu_psp",
        {
            **R18,
            **SIDE,
            "decode_head.in_channels": 48,
            "neck.in_channels": (128, 256, 512),
            "neck.mid_channels": 16,
            "neck.align_corners": True,
            "neck.dilations": (1, 2, 5),
            **ALIGNED,
        },
    ),
    "setr_naive_bicubic_aligned": ("setr_naive_b", "setr_naive", {"backbone.interpolate_mode": "bicubic", **ALIGNED}),
    "setr_pup_aligned": ("setr_pup_b", "setr_pup", ALIGNED),
    "unet_fcn": ("unet_s5_d16", "fcn_unet_s5-d16", {**UNET, "decode_head.channels": 12}),
    "unet_psp_aligned": ("unet_s5_d16", "pspnet_unet_s5-d16", {**UNET, **ALIGNED}),
    "unet_deeplabv3": ("unet_s5_d16", "deeplabv3_unet_s5-d16", {**UNET, "decode_head.dilations": (1, 2, 4, 6)}),
    "fcn_mobilenet": ("fcn_mobilenetv2", "fcn_r50-d8", {**MOBILENET, "decode_head.channels": 16}),
    "pspnet_mobilenet_aligned": (
        "pspnet_mobilenetv2",
        "pspnet_r50-d8",
        {**MOBILENET, **ALIGNED, "decode_head.channels": 16},
    ),
    "deeplabv3_mobilenet": ("deeplabv3_mobilenetv2", "deeplabv3_r50-d8", {**MOBILENET, "decode_head.channels": 16}),
    "deeplabv3plus_mobilenet": (
        "deeplabv3plus_mobilenetv2",
        "deeplabv3plus_r50-d8",
        {**MOBILENET, "decode_head.c1_in_channels": 24, "decode_head.c1_channels": 8, "decode_head.channels": 16},
    ),
    "fpn_r18_aligned": (
        "fpn_r50",
        "fpn_r50",
        {
            "backbone.depth": 18,
            "neck.in_channels": [64, 128, 256, 512],
            "neck.out_channels": 24,
            "decode_head.in_channels": [24] * 4,
            "decode_head.channels": 16,
            "decode_head.align_corners": True,
        },
    ),
    "upernet_r18": (
        "upernet_r50",
        "upernet_r50",
        {
            "backbone.depth": 18,
            "decode_head.in_channels": [64, 128, 256, 512],
            "decode_head.channels": 24,
            "decode_head.pool_scales": (1, 3),
            "auxiliary_head.in_channels": 256,
            "auxiliary_head.channels": 16,
        },
    ),
    "bisenet_r18": ("bisenet_r18", "bisenetv1_r18-d32", {}),
    "setr_mla_class_token": ("setr_mla_b", "setr_mla", {"backbone.with_cls_token": True, **ALIGNED}),
}
"""What a configuration can say, each by a small network: ours, the base of its configuration, the changes."""


def _changed(config: Any, changes: dict[str, Any]) -> Any:
    for path, value in changes.items():
        *parents, last = path.split(".")
        part = config
        for parent in parents:
            part = part[int(parent) if parent.isdigit() else parent]
        part[last] = value
    return config


def _write_options(models: Any, configs: Any, folder: Path) -> None:
    """Write one file for each option: the configuration's text, the tensors' names, the logits."""
    only = set(sys.argv[2:])
    for option, (name, base, changes) in OPTIONS.items():
        if only and option not in only:
            continue
        config = _model(
            name if name.startswith("setr") else "", _plain(configs.fromfile(folder / f"{base}.py").model.to_dict())
        )
        config = _changed(config, changes)
        network = models.build(config).eval()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        network.load_state_dict(drawn(shapes))
        size = (64, 96) if name.startswith("unet") else (65, 97)
        with torch.inference_mode():
            logits = network.encode_decode(pixels(*size), [{"img_shape": size, "ori_shape": size, "pad_shape": size}])
        keys = "\n".join(f"{key} {' '.join(map(str, shape))}".strip() for key, shape in shapes.items())
        text = configs({"model": config, "data_preprocessor": PREPROCESSOR}).pretty_text
        np.savez_compressed(
            OUT / "options" / f"{option}.npz",
            network=np.array(name),
            config=np.array(text),
            tensors=np.array(keys),
            logits=logits.numpy()[..., ::4, ::4],
        )
        sys.stderr.write(f"{option} {len(shapes)} {tuple(logits.shape)}\n")


PREPROCESSOR = {
    "type": "SegDataPreProcessor",
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "bgr_to_rgb": True,
    "size": (512, 1024),
}


def main() -> None:
    """Write one file for each network, and one for each option of a configuration."""
    warnings.simplefilter("ignore")
    models, configs = _mmseg()
    import mmseg

    folder = Path(mmseg.__file__).parent / ".mim/configs/_base_/models"
    (OUT / "options").mkdir(parents=True, exist_ok=True)
    _write_options(models, configs, folder)
    if "--options-only" in sys.argv:
        return
    OUT.mkdir(exist_ok=True)
    for name, (base, size) in NAMES.items():
        config = _model(name, _plain(configs.fromfile(folder / f"{base}.py").model.to_dict()))
        network = models.build(config).eval()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        network.load_state_dict(drawn(shapes))
        x = pixels(*size)
        with torch.inference_mode():
            logits = network.encode_decode(x, [{"img_shape": size, "ori_shape": size, "pad_shape": size}])
        keys = "\n".join(f"{key} {' '.join(map(str, shape))}".strip() for key, shape in shapes.items())
        np.savez_compressed(
            OUT / f"mmsegmentation_{name}.npz", tensors=np.array(keys), logits=logits.numpy()[..., ::4, ::4]
        )
        sys.stderr.write(f"{name} {len(shapes)} {tuple(logits.shape)}\n")


if __name__ == "__main__":
    main()
