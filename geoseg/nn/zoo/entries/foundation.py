"""Networks on encoders that were pretrained on satellite images."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_WEIGHTS = "encoders of torchgeo and timm, each its own licence"
_TINY = {"encoder": "test_vit", "image_px": 64, "width": 16}
_UPERNET = Family(
    builder="geoseg.nn.foundation:build_upernet",
    paper="Xiao et al. 2018",
    venue="ECCV",
    url="https://arxiv.org/abs/1807.10221",
    weights=_WEIGHTS,
    references="torchgeo's and timm's encoders",
)
_UNET = Family(
    builder="geoseg.nn.foundation:build_unet",
    paper="Ronneberger, Fischer, Brox 2015",
    venue="MICCAI",
    url="https://arxiv.org/abs/1505.04597",
    weights=_WEIGHTS,
    references="torchgeo's and timm's encoders",
)
_SETR = Family(
    builder="geoseg.nn.foundation:build_setr",
    paper="Zheng et al. 2021",
    venue="CVPR",
    url="https://arxiv.org/abs/2012.15840",
    weights=_WEIGHTS,
    references="torchgeo's and timm's encoders",
)

ENTRIES = (
    NetworkEntry(
        name="foundation_upernet",
        family=_UPERNET,
        output_stride=4,
        cost=Cost(parameters=31_508_373, auxiliary=890_645, macs=89_748_612_096),
        tiny=(TinyForm(options=_TINY),),
    ),
    NetworkEntry(
        name="foundation_unet",
        family=_UNET,
        output_stride=4,
        cost=Cost(parameters=27_014_869, auxiliary=0, macs=46_870_569_984),
        tiny=(TinyForm(options={"encoder": "test_vit", "image_px": 64, "widths": (16, 16, 16)}),),
    ),
    NetworkEntry(
        name="foundation_setr",
        family=_SETR,
        output_stride=1,
        cost=Cost(parameters=24_326_933, auxiliary=4_445_247, macs=84_798_612_480),
        tiny=(TinyForm(options=_TINY),),
    ),
)
"""The networks of these families."""
