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

ENTRIES = (
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
)
"""The networks of these families."""
