"""U-Net in its forms, and UNet++."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_UNET = Family(
    builder="geoseg.nn.unet:build",
    paper="Ronneberger, Fischer, Brox 2015",
    venue="MICCAI",
    url="https://arxiv.org/abs/1505.04597",
    weights="geoseg's bundled models",
    references="the paper; milesial/Pytorch-UNet; guanfuchen/semseg; meetps/pytorch-semseg; zijundeng",
)
_UNET_MMSEG = Family(
    builder="geoseg.nn.unets.mmseg:build",
    paper="Ronneberger, Fischer, Brox 2015",
    venue="MICCAI",
    url="https://arxiv.org/abs/1505.04597",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation",
)
_TIMM_UNET = Family(
    builder="geoseg.nn.timm_unet:build",
    paper="Ronneberger, Fischer, Brox 2015",
    venue="MICCAI",
    url="https://arxiv.org/abs/1505.04597",
    weights="encoders of timm, each its own licence",
    references="none: a form of ours",
)
_UNET_RESNET = Family(
    builder="geoseg.nn.unets.resnet:build",
    paper="Ronneberger, Fischer, Brox 2015",
    venue="MICCAI",
    url="https://arxiv.org/abs/1505.04597",
    weights="Media-Smart/vedaseg, Apache-2.0",
    references="Media-Smart/vedaseg",
)
_UNETPLUSPLUS = Family(
    builder="geoseg.nn.unets.plusplus:build",
    paper="Zhou et al. 2018",
    venue="DLMIA",
    url="https://arxiv.org/abs/1807.10165",
    weights="none known",
    references="the paper; 4uiiurz1/pytorch-nested-unet",
)

ENTRIES = (
    NetworkEntry(
        name="unet",
        family=_UNET,
        output_stride=1,
        cost=Cost(parameters=31_038_933, auxiliary=0, macs=193_005_092_864),
        tiny=(
            TinyForm(options={"width": 4}),
            TinyForm(options={"width": 4, "convolution": "valid", "norm": None}, variant="of the paper"),
            TinyForm(
                options={"width": 4, "depth": 2, "convolution": "valid", "norm": "down", "ragged": "stretch"},
                variant="stretched",
            ),
            TinyForm(
                options={"width": 4, "depth": 2, "convolution": "valid", "ragged": "stretch", "copies": "pool"},
                variant="stretched, of pooled copies",
            ),
            TinyForm(
                options={"width": 4, "depth": 2, "convolution": "valid", "ragged": "stretch", "copies": "crop"},
                variant="stretched, of cropped copies",
            ),
            TinyForm(options={"width": 4, "up": "bilinear"}, variant="bilinear"),
            TinyForm(options={"widths": [8, 12, 16], "stem_stride": 2, "residual": True}, variant="light"),
        ),
    ),
    NetworkEntry(
        name="unet_s5_d16",
        family=_UNET_MMSEG,
        output_stride=1,
        cost=Cost(parameters=28_987_925, auxiliary=75_221, macs=202_668_769_280),
        tiny=(TinyForm(options={"width": 4, "head": "deeplabv3"}),),
    ),
    NetworkEntry(
        name="unet_r50",
        family=_UNET_RESNET,
        output_stride=1,
        cost=Cost(parameters=32_521_317, auxiliary=0, macs=42_580_574_208),
        tiny=(TinyForm(options={"backbone": "test_resnet", "decoder_widths": [16, 8, 8, 8, 8]}),),
    ),
    NetworkEntry(
        name="unet_r101",
        family=_UNET_RESNET,
        options={"backbone": "resnet101"},
        output_stride=1,
        cost=Cost(parameters=51_513_445, auxiliary=0, macs=61_975_035_904),
    ),
    NetworkEntry(
        name="timm_unet",
        family=_TIMM_UNET,
        output_stride=2,
        cost=Cost(parameters=2_657_684, auxiliary=0, macs=5_580_750_848),
        tiny=(
            TinyForm(options={"widths": [32, 24, 16, 16]}),
            TinyForm(options={"encoder": "resnet18", "widths": [32, 24, 16, 16]}, variant="resnet"),
        ),
    ),
    NetworkEntry(
        name="unetplusplus",
        family=_UNETPLUSPLUS,
        output_stride=1,
        cost=Cost(parameters=9_042_837, auxiliary=2_079, macs=119_319_560_192),
        tiny=(
            TinyForm(options={"widths": [4, 8, 16, 32]}),
            TinyForm(options={"widths": [4, 8, 16], "norm": "batch", "up": "bilinear"}, variant="bilinear"),
        ),
    ),
)
"""The networks of these families."""
