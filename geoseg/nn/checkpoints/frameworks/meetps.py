"""SegNet and FCN-8s of https://github.com/meetps/pytorch-semseg, whose bands are those of guanfuchen/semseg.

Its FCN-32s and -16s resize by nearest neighbour, and its U-Net learns from answers that are stretched over the image;
they are not read.
"""

from __future__ import annotations

from geoseg.nn.checkpoints.frameworks.guanfuchen import segnet
from geoseg.nn.checkpoints.layout import Layout

_SOURCE = "meetps/pytorch-semseg"
SEGNET = segnet(_SOURCE, "cbr_unit")
FCN8S = Layout(
    source=_SOURCE,
    networks={"fcn8s": {}},
    required=(r"^conv_block5\.4\.weight$", r"^classifier\.6\.weight$", r"^score_pool3\.", r"^upscore8\.weight$"),
    renames=(
        (r"^conv_block(\d)\.", r"body.blocks.<\1-1>."),
        (r"^classifier\.0\.", "body.fc6."),
        (r"^classifier\.3\.", "body.fc7."),
        (r"^classifier\.6\.", "body.score."),
        (r"^upscore2\.", "body.rise_pool4."),
        (r"^upscore4\.", "body.rise_pool3."),
        (r"^upscore8\.", "body.rise."),
        (r"^(?=score_pool)", "body."),
    ),
    classifier="classifier.6.weight",
    scaling="centred",
    bgr=True,
)

LAYOUTS = (SEGNET, FCN8S)
