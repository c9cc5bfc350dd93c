"""Networks that answer with a class for each pixel and an object for each thing."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_CENTRES = Family(
    builder="geoseg.nn.panoptic.centres:build",
    paper="Cheng et al. 2020",
    venue="CVPR",
    url="https://arxiv.org/abs/1911.10194",
    weights="none known",
    references="-",
    task="panoptic",
)

_REGIONS = "geoseg.nn.panoptic.regions:build"
_PANOPTIC_FPN = Family(
    builder=_REGIONS,
    paper="Kirillov et al. 2019",
    venue="CVPR",
    url="https://arxiv.org/abs/1901.02446",
    weights="detectron2, Apache-2.0; mmdetection, Apache-2.0",
    references="detectron2",
    task="panoptic",
)
_OANET = Family(
    builder=_REGIONS,
    paper="Liu et al. 2019",
    venue="CVPR",
    url="https://arxiv.org/abs/1903.05027",
    weights="none known",
    references="none; the paper",
    task="panoptic",
)
_AUNET = Family(
    builder=_REGIONS,
    paper="Li et al. 2019",
    venue="CVPR",
    url="https://arxiv.org/abs/1812.03904",
    weights="none known",
    references="none; the paper",
    task="panoptic",
)
_TINY = {"backbone": "resnet18", "anchor_px": (8, 16, 32, 64, 128), "norm": "batch"}

ENTRIES = (
    NetworkEntry(
        name="panoptic_fpn_r50",
        family=_PANOPTIC_FPN,
        options={"backbone": "resnet50", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=45_648_719, auxiliary=0, macs=158_941_487_104),
        tiny=(TinyForm(options=_TINY),),
    ),
    NetworkEntry(
        name="panoptic_fpn_r101",
        family=_PANOPTIC_FPN,
        options={"backbone": "resnet101", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=64_588_623, auxiliary=0, macs=197_730_410_496),
    ),
    NetworkEntry(
        name="oanet_r50",
        family=_OANET,
        options={"backbone": "resnet50", "form": "oanet", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=45_669_194, auxiliary=0, macs=159_274_934_272),
        tiny=(TinyForm(options=_TINY),),
    ),
    NetworkEntry(
        name="aunet_r50",
        family=_AUNET,
        options={"backbone": "resnet50", "form": "aunet", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=45_947_983, auxiliary=0, macs=175_284_674_560),
        tiny=(TinyForm(options=_TINY),),
    ),
    NetworkEntry(
        name="panoptic_unet",
        family=_CENTRES,
        output_stride=2,
        cost=Cost(parameters=2_747_434, auxiliary=0, macs=11_444_387_840),
        tiny=(TinyForm(options={"encoder": "mobilenetv2_050", "widths": (32, 24, 16, 16)}),),
    ),
)
"""The networks of these families."""
