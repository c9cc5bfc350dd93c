"""Networks that answer with objects."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_YOLACT = Family(
    builder="geoseg.nn.instance.yolact:build",
    paper="Bolya et al. 2019",
    venue="ICCV",
    url="https://arxiv.org/abs/1904.02689",
    weights="dbolya/yolact, MIT",
    references="dbolya/yolact",
    task="instance",
)
_REGIONS = "geoseg.nn.instance.mask_rcnn:build"
_MASK_RCNN = Family(
    builder=_REGIONS,
    paper="He et al. 2017",
    venue="ICCV",
    url="https://arxiv.org/abs/1703.06870",
    weights="torchvision, BSD-3-Clause; detectron2, Apache-2.0; matterport/Mask_RCNN, MIT",
    references="torchvision",
    task="instance",
)
_MASK_SCORING = Family(
    builder=_REGIONS,
    paper="Huang et al. 2019",
    venue="CVPR",
    url="https://arxiv.org/abs/1903.00241",
    weights="zjhuang22/maskscoring_rcnn, MIT",
    references="zjhuang22/maskscoring_rcnn",
    task="instance",
)
_PANET = Family(
    builder=_REGIONS,
    paper="Liu et al. 2018",
    venue="CVPR",
    url="https://arxiv.org/abs/1803.01534",
    weights="ShuLiu1993/PANet, MIT",
    references="ShuLiu1993/PANet",
    task="instance",
)
_TENSOR_MASK = Family(
    builder="geoseg.nn.instance.tensor_mask:build",
    paper="Chen et al. 2019",
    venue="ICCV",
    url="https://arxiv.org/abs/1903.12174",
    weights="none known",
    references="detectron2's project",
    task="instance",
)
_WATERSHED = Family(
    builder="geoseg.nn.instance.watershed:build",
    paper="Bai, Urtasun 2017",
    venue="CVPR",
    url="https://arxiv.org/abs/1611.08303",
    weights="none known",
    references="-",
    task="instance",
)
_TINY = {"backbone": "resnet18", "anchor_px": (8, 16, 32, 64, 128), "norm": "batch"}

ENTRIES = (
    NetworkEntry(
        name="maskrcnn_r50_fpn",
        family=_MASK_RCNN,
        options={"backbone": "resnet50", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=44_024_653, auxiliary=0, macs=114_960_015_360),
        tiny=(TinyForm(options=_TINY), TinyForm(options={**_TINY, "form": "v2"}, variant="v2")),
    ),
    NetworkEntry(
        name="maskrcnn_r50_fpn_v2",
        family=_MASK_RCNN,
        options={"backbone": "resnet50", "form": "v2"},
        output_stride=4,
        cost=Cost(parameters=45_982_669, auxiliary=0, macs=242_389_262_336),
    ),
    NetworkEntry(
        name="maskrcnn_r101_fpn",
        family=_MASK_RCNN,
        options={"backbone": "resnet101", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=62_964_557, auxiliary=0, macs=134_354_477_056),
    ),
    NetworkEntry(
        name="maskscoring_r50",
        family=_MASK_SCORING,
        options={"backbone": "resnet50", "form": "scoring", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=60_304_482, auxiliary=0, macs=153_968_476_160),
        tiny=(TinyForm(options=_TINY),),
    ),
    NetworkEntry(
        name="maskscoring_r101",
        family=_MASK_SCORING,
        options={"backbone": "resnet101", "form": "scoring", "norm": "frozen"},
        output_stride=4,
        cost=Cost(parameters=79_244_386, auxiliary=0, macs=173_362_937_856),
    ),
    NetworkEntry(
        name="panet_r50",
        family=_PANET,
        options={"backbone": "resnet50", "form": "panet"},
        output_stride=4,
        cost=Cost(parameters=73_033_437, auxiliary=0, macs=376_552_235_008),
        tiny=(TinyForm(options=_TINY),),
    ),
    NetworkEntry(
        name="tensormask_r50",
        family=_TENSOR_MASK,
        options={"backbone": "resnet50"},
        output_stride=4,
        cost=Cost(parameters=36_237_770, auxiliary=0, macs=141_307_133_952),
        tiny=(TinyForm(options={"backbone": "resnet18", "norm": "batch", "width": 32, "anchor_px": (16, 24)}),),
    ),
    NetworkEntry(
        name="yolact_r50",
        family=_YOLACT,
        options={"backbone": "resnet50"},
        output_stride=8,
        cost=Cost(parameters=30_729_483, auxiliary=5_140, macs=47_924_113_408),
        tiny=(TinyForm(options={"backbone": "resnet18", "width": 16, "prototypes": 8}),),
    ),
    NetworkEntry(
        name="yolact_r101",
        family=_YOLACT,
        options={"backbone": "resnet101"},
        output_stride=8,
        cost=Cost(parameters=49_721_611, auxiliary=5_140, macs=67_318_575_104),
    ),
    NetworkEntry(
        name="yolact_darknet53",
        family=_YOLACT,
        options={"backbone": "darknet53"},
        output_stride=8,
        cost=Cost(parameters=47_347_627, auxiliary=5_140, macs=63_237_517_312),
    ),
    NetworkEntry(
        name="yolact_mobilenet",
        family=_YOLACT,
        options={
            "backbone": "mobilenetv2_100",
            "width": 64,
            "finest": 4,
            "coarsest": 32,
            "anchor_px": (14, 28, 56, 112),
            "square": False,
            "norm": "batch",
            "least_negatives": 32,
            "top_k": 1000,
            "max_objects": 400,
        },
        output_stride=4,
        cost=Cost(parameters=2_275_851, auxiliary=1_300, macs=9_614_606_336),
        tiny=(TinyForm(options={"backbone": "mobilenetv2_050", "width": 16, "prototypes": 8}),),
    ),
    NetworkEntry(
        name="watershed_unet",
        family=_WATERSHED,
        output_stride=2,
        cost=Cost(parameters=2_666_997, auxiliary=0, macs=6_186_827_776),
        tiny=(TinyForm(options={"encoder": "mobilenetv2_050", "widths": (32, 24, 16, 16)}),),
    ),
)
"""The networks of these families."""
