"""Options of geoseg's networks from a configuration of mmsegmentation; unsupported settings are refused by name.

Keys that are not written have the values that mmsegmentation's classes give them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.checkpoints.mmseg.config import MmsegConfig, kind
from geoseg.nn.checkpoints.mmseg.part import ConfigPart

_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_STRIDES: dict[tuple[int, ...], int] = {(1, 2, 1, 1): 8, (1, 2, 2, 1): 16, (1, 2, 2, 2): 32}
_MOBILENET_STRIDES: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {
    ((1, 2, 2, 1, 1, 1, 1), (1, 1, 1, 2, 2, 4, 4)): 8,
    ((1, 2, 2, 2, 1, 1, 1), (1, 1, 1, 1, 1, 2, 2)): 16,
}
_USUAL_RATES = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}
MMSEGMENTATION = "mmsegmentation"
_USUAL_THRESHOLD = 0.3
_IMPLIED = {"output_stride": 32, "class_token": True, "dilate_second": False, "head_rate": 1, "align_corners": False}
"""Options that a network may lack because it always has this value."""
_PSP_KEYS = ("conv_cfg", "act_cfg", "norm_cfg", "pool_scales")


def mmseg_options(config: MmsegConfig, name: str, defaults: Mapping[str, object]) -> dict[str, object]:
    """Turn a configuration into options of the network whose layout its checkpoint has.

    Args:
        config: of the checkpoint.
        name: of the network.
        defaults: its options.

    Raises:
        ModelError: it says something that no network here does, or not this one.
    """
    model = ConfigPart("model", config.model)
    model.only("type", ("EncoderDecoder", "CascadeEncoderDecoder"))
    backbone = model.part("backbone")
    heads = model.parts("decode_head")
    options = _BACKBONES.get(kind(backbone.values), _unknown)(backbone)
    for head in heads:
        options |= _HEADS.get(kind(head.values), _unknown)(head)
    aligned = {bool(head.take("align_corners", default=False)) for head in heads}
    if len(aligned) > 1:
        raise ModelError("its configuration aligns the corners of one decode_head and not of another, as nothing here")
    options["align_corners"] = aligned.pop() if aligned else False
    neck = model.part("neck")
    if neck.values:
        options |= _NECKS.get(kind(neck.values), _unknown)(neck)
    for part in (backbone, neck, *heads):
        part.refuse_rest()
    lacking = {key: value for key, value in options.items() if key not in defaults and value != _IMPLIED.get(key)}
    if lacking:
        said = ", ".join(f"{key}={value}" for key, value in sorted(lacking.items()))
        raise ModelError(f"its configuration asks for {said}, which {name} cannot do")
    return {key: value for key, value in options.items() if key in defaults}


def single_threshold(config: MmsegConfig | None) -> float:
    """Tell from which probability on mmsegmentation calls a pixel the class, where its head has one channel.

    Raises:
        ModelError: the configuration says no number between 0 and 1.
    """
    head = None if config is None else ConfigPart("model", config.model).parts("decode_head")[-1]
    threshold = None if head is None else head.take("threshold", default=None)
    threshold = _USUAL_THRESHOLD if threshold is None else threshold
    if head is not None and not (isinstance(threshold, (int, float)) and 0 < threshold < 1):
        head.refuse("threshold", threshold)
    return float(threshold)


def refuse_other_heads(config: MmsegConfig, network: nn.Module) -> None:
    """Refuse a transformer whose attention has another number of heads, which its tensors do not show.

    Raises:
        ModelError: the configuration says another number than the network has.
    """
    backbone = config.model["backbone"]
    found = {heads for module in network.modules() if (heads := getattr(module, "num_heads", None)) is not None}
    if kind(backbone) == "VisionTransformer" and found != {backbone.get("num_heads", 12)}:
        ConfigPart("model.backbone", backbone).refuse("num_heads", backbone.get("num_heads", 12))


def _unknown(part: ConfigPart) -> dict[str, object]:
    part.refuse("type", part.values.get("type"))
    return {}


def _resnet(part: ConfigPart) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    part.only("deep_stem", (kind(part.values) == "ResNetV1c",))
    for key, known in (("avg_down", False), ("style", "pytorch"), ("num_stages", 4), ("stem_channels", 64)):
        part.only(key, (known,))
    depth = part.take("depth", default=50)
    if not isinstance(depth, int) or depth not in _DEPTHS:
        part.refuse("depth", depth)
    strides = part.rates("strides", (1, 2, 2, 2))
    dilations = part.rates("dilations", (1, 1, 1, 1))
    if strides not in _STRIDES:
        part.refuse("strides", strides)
    if len(dilations) != len(strides):
        part.refuse("dilations", dilations)
    contract = bool(part.take("contract_dilation", default=False))
    grid = part.take("multi_grid", default=None)
    grid = None if grid is None else part.rates("multi_grid", ())
    stages = [
        [rate // 2 if contract and rate > 1 else rate, *[rate] * (count - 1)]
        for rate, count in zip(dilations, _DEPTHS[depth], strict=True)
    ]
    if grid is not None:
        if len(grid) != len(stages[-1]):
            part.refuse("multi_grid", grid)
        stages[-1] = list(grid)
    output_stride = _STRIDES[strides]
    options: dict[str, Any] = {"output_stride": output_stride}
    if grid is not None or dilations != _USUAL_RATES[output_stride] or (not contract and output_stride < 32):
        options["block_rates"] = [stage[:1] if len(set(stage)) == 1 else stage for stage in stages]
    return options | ({"dilate_second": False} if depth < 50 else {})


def _hrnet(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.take("extra", default=None)
    part.only("multiscale_output", (True,))
    return {"form": "mmseg"}


def _mobilenet(part: ConfigPart) -> dict[str, object]:
    part.layers("ReLU6")
    part.norm("norm_cfg")
    part.only("widen_factor", (1.0, 1))
    strides = part.rates("strides", (1, 2, 2, 2, 1, 2, 1))
    dilations = part.rates("dilations", (1,) * 7)
    stride = _MOBILENET_STRIDES.get((strides, dilations))
    if stride is None:
        part.refuse("dilations", dilations)
    return {"output_stride": stride}


def _bisenet(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    for key in ("context_channels", "spatial_channels"):  # the tensors show them
        part.take(key, default=None)
    part.only("align_corners", (False,))
    body = part.part("backbone_cfg")
    part.taken.add("backbone_cfg")
    options = _BACKBONES.get(kind(body.values), _unknown)(body)
    body.refuse_rest()
    if options.get("output_stride") != 32 or "block_rates" in options:
        part.refuse("backbone_cfg", dict(body.values))
    return {"form": "mmseg"}


def _unet(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.only("num_stages", (5,))
    for key, value in (("strides", 1), ("enc_num_convs", 2), ("enc_dilations", 1), ("downsamples", True)):
        part.only(key, ((value,) * (4 if key == "downsamples" else 5),))
    part.only("dec_num_convs", ((2,) * 4,))
    part.only("dec_dilations", ((1,) * 4,))
    upsample = part.take("upsample_cfg", default=None)
    if upsample not in (None, {"type": "InterpConv"}):
        part.refuse("upsample_cfg", upsample)
    return {}


def _vit(part: ConfigPart) -> dict[str, Any]:
    part.layers("GELU")
    part.norm("norm_cfg", ("LN",), eps=1e-6)
    for key in ("img_size", "patch_size", "embed_dims", "mlp_ratio", "patch_bias"):  # the tensors show them
        part.take(key, default=None)
    for key in ("patch_norm", "pre_norm", "final_norm", "output_cls_token"):
        part.only(key, (False,))
    part.only("qkv_bias", (True,))
    part.only("num_fcs", (2,))
    part.only("patch_pad", ("corner",))
    part.take("num_heads", default=12)
    blocks = part.take("num_layers", default=12)
    if not isinstance(blocks, int) or blocks < 1:
        part.refuse("num_layers", blocks)
    listed = part.take("out_indices", default=-1)
    ends = listed if isinstance(listed, tuple) else (listed,)
    if not all(isinstance(end, int) and -blocks <= end < blocks for end in ends):
        part.refuse("out_indices", listed)
    return {
        "interpolation": part.take("interpolate_mode", default="bicubic"),
        "class_token": bool(part.take("with_cls_token", default=True)),
        "depths": [(end % blocks + 1) / blocks for end in ends],
    }


def _fcn(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    rates = part.rates("dilation", (1,))
    for key in ("num_convs", "concat_input", "kernel_size", "input_transform"):  # the tensors show them
        part.take(key, default=None)
    return {"head_rate": rates[0]}


def _psp(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.only("input_transform", (None,))
    return {"bins": list(part.rates("pool_scales", (1, 2, 3, 6)))}


def _psa(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.only("input_transform", (None,))
    part.only("normalization_factor", (1.0, 1))
    part.only("psa_softmax", (True,))
    mask = part.rates("mask_size", (97, 97))
    kind_ = part.take("psa_type", default="bi-direction")
    direction = {"collect": "collect", "distribute": "distribute", "bi-direction": "both"}.get(str(kind_))
    if direction is None:
        part.refuse("psa_type", kind_)
    shrink = part.take("shrink_factor", default=2)
    compact = bool(part.take("compact", default=False))
    if not isinstance(shrink, int) or shrink < 1:
        part.refuse("shrink_factor", shrink)
    return {"mask": list(mask), "direction": direction, "shrink": shrink, "compact": compact}


def _fpn_head(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.only("feature_strides", ((4, 8, 16, 32),))
    part.take("input_transform", default=None)
    return {}


def _fpn_neck(part: ConfigPart) -> dict[str, object]:
    part.only("num_outs", (4,))
    part.only("upsample_cfg", ({"mode": "nearest"},))
    return {}


def _uper(part: ConfigPart) -> dict[str, object]:
    part.take("input_transform", default=None)
    return _psp(ConfigPart(part.path, {key: part.take(key, default=None) for key in _PSP_KEYS if key in part.values}))


def _aspp(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    for key in ("c1_in_channels", "c1_channels"):
        part.take(key, default=None)
    first, *rates = part.rates("dilations", (1, 6, 12, 18))
    if first != 1 or not rates or 1 in rates:
        part.refuse("dilations", part.values.get("dilations"))
    return {"rates": rates}


def _ocr(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.only("scale", (1,))
    for key in ("ocr_channels", "input_transform"):
        part.take(key, default=None)
    return {}


def _enc(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    for key in ("num_codes", "use_se_loss", "add_lateral", "loss_se_decode"):
        part.take(key, default=None)
    return {}


def _setr_up(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.norm("norm_layer", ("LN",), usual=1e-5 if "norm_layer" in part.values else 1e-6, eps=1e-6)
    convs = part.take("num_convs", default=1)
    if convs not in (1, 4):
        part.refuse("num_convs", convs)
    part.only("up_scale", (4 if convs == 1 else 2,), 4)
    part.take("kernel_size", default=3)
    return {}


def _setr_mla(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.only("up_scale", (4,))
    for key in ("mla_channels", "input_transform"):
        part.take(key, default=None)
    return {}


def _jpu(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    for key, value in (("start_level", 0), ("end_level", -1)):
        part.only(key, (value,))
    part.take("mid_channels", default=512)
    aligned = bool(part.take("align_corners", default=False))
    return {"neck_rates": list(part.rates("dilations", (1, 2, 4, 8))), "align_neck": aligned}


def _mla_neck(part: ConfigPart) -> dict[str, object]:
    part.layers()
    part.norm("norm_cfg")
    part.norm("norm_layer", ("LN",), usual=1e-5 if "norm_layer" in part.values else 1e-6, eps=1e-6)
    part.take("out_channels", default=None)
    return {}


_BACKBONES = {
    "ResNet": _resnet,
    "ResNetV1c": _resnet,
    "HRNet": _hrnet,
    "MobileNetV2": _mobilenet,
    "BiSeNetV1": _bisenet,
    "UNet": _unet,
    "VisionTransformer": _vit,
}
_HEADS = {
    "FCNHead": _fcn,
    "PSPHead": _psp,
    "PSAHead": _psa,
    "FPNHead": _fpn_head,
    "UPerHead": _uper,
    "ASPPHead": _aspp,
    "DepthwiseSeparableASPPHead": _aspp,
    "OCRHead": _ocr,
    "EncHead": _enc,
    "SETRUPHead": _setr_up,
    "SETRMLAHead": _setr_mla,
}
_NECKS = {"JPU": _jpu, "MLANeck": _mla_neck, "FPN": _fpn_neck}
