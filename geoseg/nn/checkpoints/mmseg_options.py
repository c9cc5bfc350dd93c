"""Options of geoseg's networks from a configuration of mmsegmentation; unsupported settings are refused by name.

Keys that are not written have the values that mmsegmentation's classes give them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.checkpoints.mmseg_config import MmsegConfig, kind

_IDLE = (
    *("type", "pretrained", "init_cfg", "norm_eval", "frozen_stages", "with_cp", "zero_init_residual", "in_channels"),
    *("base_channels", "channels", "num_classes", "out_channels", "threshold", "dropout_ratio", "loss_decode"),
    *("ignore_index", "sampler", "in_index", "num_stages", "out_indices", "style", "drop_rate", "drop_path_rate"),
    *("attn_drop_rate", "frozen_exclude"),
)
"""Keys that decide nothing which the tensors do not tell, or only training."""
_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_STRIDES: dict[tuple[int, ...], int] = {(1, 2, 1, 1): 8, (1, 2, 2, 1): 16, (1, 2, 2, 2): 32}
_USUAL_RATES = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}
MMSEGMENTATION = "mmsegmentation"
_USUAL_THRESHOLD = 0.3
_IMPLIED = {"output_stride": 32, "class_token": True, "dilate_second": False, "head_rate": 1}
"""Options that a network may lack because it always has this value."""
_BATCH_NORMS = ("BN", "BN2d", "SyncBN", "MMSyncBN")


def mmseg_options(config: MmsegConfig, name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a configuration into options of the network whose layout its checkpoint has.

    Args:
        config: of the checkpoint.
        name: of the network.
        defaults: its options.

    Raises:
        ModelError: it says something that no network here does, or not this one.
    """
    model = _Part("model", config.model)
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
    head = None if config is None else _Part("model", config.model).parts("decode_head")[-1]
    threshold = None if head is None else head.take("threshold", default=None)
    threshold = _USUAL_THRESHOLD if threshold is None else threshold
    if head is not None and not (isinstance(threshold, (int, float)) and 0 < threshold < 1):
        head.refuse("threshold", threshold)
    return float(threshold)


def refuse_other_heads(config: MmsegConfig, network: nn.Module) -> None:
    """Refuse a transformer whose attention has another number of heads, which its tensors do not tell.

    Raises:
        ModelError: the configuration says another number than the network has.
    """
    backbone = config.model["backbone"]
    found = {heads for module in network.modules() if (heads := getattr(module, "num_heads", None)) is not None}
    if kind(backbone) == "VisionTransformer" and found != {backbone.get("num_heads", 12)}:
        _Part("model.backbone", backbone).refuse("num_heads", backbone.get("num_heads", 12))


class _Part:
    """One mapping of a configuration, whose keys are taken one by one."""

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values = values
        self.taken = set(_IDLE)

    def take(self, key: str, *, default: Any) -> Any:
        self.taken.add(key)
        value = self.values.get(key, default)
        return tuple(value) if isinstance(value, list) else value

    def only(self, key: str, known: Sequence[Any], default: Any = None) -> None:
        """Take a key that must have one of some values."""
        value = self.take(key, default=known[0] if default is None else default)
        plain = value.rpartition(".")[2] if key == "type" and isinstance(value, str) else value
        if plain not in known:
            self.refuse(key, value)

    def refuse(self, key: str, value: Any) -> None:
        text = repr(value)
        text = text if len(text) <= 80 else f"{text[:77]}..."
        raise ModelError(f"its configuration says {self.path}.{key}={text}, which no network here does")

    def refuse_rest(self) -> None:
        for key in sorted(self.values.keys() - self.taken):
            value = self.values[key]
            if any(value) if isinstance(value, (list, tuple)) else value:
                self.refuse(key, value)

    def part(self, key: str) -> _Part:
        value = self.values.get(key)
        if not isinstance(value, Mapping | None):
            self.refuse(key, value)
        return _Part(f"{self.path}.{key}", value or {})

    def parts(self, key: str) -> list[_Part]:
        value = self.values.get(key)
        found = list(value) if isinstance(value, (list, tuple)) else [value]
        if not found or not all(isinstance(one, Mapping) for one in found):
            self.refuse(key, value)
        return [_Part(f"{self.path}.{key}", one) for one in found if isinstance(one, Mapping)]

    def rates(self, key: str, default: Sequence[int]) -> tuple[int, ...]:
        """Take whole numbers above 0."""
        value = self.take(key, default=default)
        numbers = value if isinstance(value, tuple) else (value,)
        if not numbers or not all(isinstance(number, int) and number > 0 for number in numbers):
            self.refuse(key, value)
        return tuple(numbers)

    def layers(self, activation: str = "ReLU") -> None:
        """Take what layers are made of: plain convolutions, batch norms and activations as everywhere here."""
        for key, known in (("conv_cfg", ("Conv2d", "Conv")), ("act_cfg", (activation,))):
            value = self.take(key, default=None)
            if value is not None and not (isinstance(value, Mapping) and kind(value) in known):
                self.refuse(key, value)

    def norm(self, key: str, kinds: Sequence[str] = _BATCH_NORMS, usual: float = 1e-5, eps: float = 1e-5) -> None:
        """Take a norm, whose tensors do not tell its least deviation; ``usual`` is the one that is not written."""
        value = self.take(key, default=None)
        written = value if isinstance(value, Mapping) else {}
        known = value is None or (isinstance(value, Mapping) and kind(value) in kinds)
        if not known or written.get("eps", usual) != eps:
            self.refuse(key, value)


def _unknown(part: _Part) -> dict[str, Any]:
    part.refuse("type", part.values.get("type"))
    return {}


def _resnet(part: _Part) -> dict[str, Any]:
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


def _hrnet(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    part.take("extra", default=None)
    part.only("multiscale_output", (True,))
    return {"form": "mmseg"}


def _unet(part: _Part) -> dict[str, Any]:
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


def _vit(part: _Part) -> dict[str, Any]:
    part.layers("GELU")
    part.norm("norm_cfg", ("LN",), eps=1e-6)
    for key in ("img_size", "patch_size", "embed_dims", "mlp_ratio", "patch_bias"):  # the tensors tell
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


def _fcn(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    rates = part.rates("dilation", (1,))
    for key in ("num_convs", "concat_input", "kernel_size", "input_transform"):  # the tensors tell
        part.take(key, default=None)
    return {"head_rate": rates[0]}


def _psp(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    part.only("input_transform", (None,))
    return {"bins": list(part.rates("pool_scales", (1, 2, 3, 6)))}


def _aspp(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    for key in ("c1_in_channels", "c1_channels"):
        part.take(key, default=None)
    first, *rates = part.rates("dilations", (1, 6, 12, 18))
    if first != 1 or not rates or 1 in rates:
        part.refuse("dilations", part.values.get("dilations"))
    return {"rates": rates}


def _ocr(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    part.only("scale", (1,))
    for key in ("ocr_channels", "input_transform"):
        part.take(key, default=None)
    return {}


def _enc(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    for key in ("num_codes", "use_se_loss", "add_lateral", "loss_se_decode"):
        part.take(key, default=None)
    return {}


def _setr_up(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    part.norm("norm_layer", ("LN",), usual=1e-5 if "norm_layer" in part.values else 1e-6, eps=1e-6)
    convs = part.take("num_convs", default=1)
    if convs not in (1, 4):
        part.refuse("num_convs", convs)
    part.only("up_scale", (4 if convs == 1 else 2,), 4)
    part.take("kernel_size", default=3)
    return {}


def _setr_mla(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    part.only("up_scale", (4,))
    for key in ("mla_channels", "input_transform"):
        part.take(key, default=None)
    return {}


def _jpu(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    for key, value in (("start_level", 0), ("end_level", -1)):
        part.only(key, (value,))
    part.take("mid_channels", default=512)
    aligned = bool(part.take("align_corners", default=False))
    return {"neck_rates": list(part.rates("dilations", (1, 2, 4, 8))), "align_neck": aligned}


def _mla_neck(part: _Part) -> dict[str, Any]:
    part.layers()
    part.norm("norm_cfg")
    part.norm("norm_layer", ("LN",), usual=1e-5 if "norm_layer" in part.values else 1e-6, eps=1e-6)
    part.take("out_channels", default=None)
    return {}


_BACKBONES = {
    "ResNet": _resnet,
    "ResNetV1c": _resnet,
    "HRNet": _hrnet,
    "UNet": _unet,
    "VisionTransformer": _vit,
}
_HEADS = {
    "FCNHead": _fcn,
    "PSPHead": _psp,
    "ASPPHead": _aspp,
    "DepthwiseSeparableASPPHead": _aspp,
    "OCRHead": _ocr,
    "EncHead": _enc,
    "SETRUPHead": _setr_up,
    "SETRMLAHead": _setr_mla,
}
_NECKS = {"JPU": _jpu, "MLANeck": _mla_neck}
