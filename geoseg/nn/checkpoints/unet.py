"""The U-Net of milesial/Pytorch-UNet, on either way up; bands are divided by 255 there."""

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
_MARKS = (r"^inc\.double_conv\.0\.weight$", r"^up4\.conv\.double_conv\.", r"^outc\.conv\.weight$")
_UP = r"^up1\.up\.weight$"
_LAST = "outc.conv.weight"
_SINGLE = (_LAST, "outc.conv.bias")

TRANSPOSE = Layout(
    source=_SOURCE,
    networks={"unet": {"ragged": "zeros"}},
    marks=(*_MARKS, _UP),
    renames=_RENAMES,
    classifier=_LAST,
    scaling="unit",
    single=_SINGLE,
)
BILINEAR = Layout(
    source=_SOURCE,
    networks={"unet": {"up": "bilinear", "ragged": "zeros"}},
    marks=_MARKS,
    strangers=(_UP,),
    renames=_RENAMES,
    classifier=_LAST,
    scaling="unit",
    single=_SINGLE,
)

LAYOUTS = (TRANSPOSE, BILINEAR)
