"""The U-Net of milesial/Pytorch-UNet, on either way up, whose bands are divided by 255; 4uiiurz1's UNet++."""

from __future__ import annotations

from geoseg.nn.checkpoints.layout import Layout, Rename

_SOURCE = "milesial/Pytorch-UNet"
_RENAMES: tuple[Rename, ...] = (
    (r"^inc\.double_conv\.", "down.0."),
    (r"^down(\d)\.maxpool_conv\.1\.double_conv\.", r"down.\1."),
    (r"^up(\d)\.up\.", r"rise.<\1-1>."),
    (r"^up(\d)\.conv\.double_conv\.", r"merge.<\1-1>."),
    (r"^outc\.conv\.", "head."),
)
_REQUIRED = (r"^inc\.double_conv\.0\.weight$", r"^up4\.conv\.double_conv\.", r"^outc\.conv\.weight$")
_UP = r"^up1\.up\.weight$"
_LAST = "outc.conv.weight"
_SINGLE = (_LAST, "outc.conv.bias")

TRANSPOSE = Layout(
    source=_SOURCE,
    networks={"unet": {"ragged": "zeros"}},
    required=(*_REQUIRED, _UP),
    renames=_RENAMES,
    classifier=_LAST,
    scaling="unit",
    single=_SINGLE,
)
BILINEAR = Layout(
    source=_SOURCE,
    networks={"unet": {"up": "bilinear", "ragged": "zeros"}},
    required=_REQUIRED,
    forbidden=(_UP,),
    renames=_RENAMES,
    classifier=_LAST,
    scaling="unit",
    single=_SINGLE,
)

_NESTED: tuple[Rename, ...] = (
    *(
        (rf"^conv(\d)_(\d)\.{layer}\.", rf"body.nodes.\1_\2.{place}.")
        for layer, place in (("conv1", 0), ("bn1", 1), ("conv2", 3), ("bn2", 4))
    ),
    (r"^final(\d)\.", r"body.heads.<\1-1>."),
    (r"^final\.", "body.heads.0."),
)
_NESTED_FORM = {"norm": "batch", "up": "bilinear"}
NESTED = Layout(
    source="4uiiurz1/pytorch-nested-unet",
    networks={"unetplusplus": {**_NESTED_FORM, "deep_supervision": False}},
    required=(r"^conv0_4\.conv2\.weight$", r"^conv1_1\.conv1\.weight$", r"^final\.weight$"),
    renames=_NESTED,
    classifier="final.weight",
    single=("final.weight", "final.bias"),
)
NESTED_SUPERVISED = Layout(
    source="4uiiurz1/pytorch-nested-unet",
    networks={"unetplusplus": {**_NESTED_FORM, "deep_supervision": True}},
    required=(r"^conv0_4\.conv2\.weight$", r"^conv1_1\.conv1\.weight$", r"^final4\.weight$"),
    renames=_NESTED,
    classifier="final4.weight",
    single=("final4.weight", "final4.bias", *(f"final{i}.{part}" for i in (1, 2, 3) for part in ("weight", "bias"))),
)

LAYOUTS = (TRANSPOSE, BILINEAR, NESTED, NESTED_SUPERVISED)
