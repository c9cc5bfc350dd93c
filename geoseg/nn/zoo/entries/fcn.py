"""Fully convolutional networks on VGG and ResNet, SegNet and ParseNet."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_FCN = Family(
    builder="geoseg.nn.fcn:build",
    paper="Long, Shelhamer, Darrell 2015",
    venue="CVPR",
    url="https://arxiv.org/abs/1411.4038",
    weights="wkentaro/pytorch-fcn, MIT",
    references="wkentaro/pytorch-fcn; guanfuchen/semseg; meetps/pytorch-semseg; zijundeng",
)
_FCN_RESNET = Family(
    builder="geoseg.nn.fcn_resnet:build",
    paper="Long, Shelhamer, Darrell 2015",
    venue="CVPR",
    url="https://arxiv.org/abs/1411.4038",
    weights="torchvision, BSD-3-Clause; mmsegmentation, Apache-2.0",
    references="torchvision; guanfuchen/semseg",
)
_SEGNET = Family(
    builder="geoseg.nn.segnet:build",
    paper="Badrinarayanan, Kendall, Cipolla 2017",
    venue="TPAMI",
    url="https://arxiv.org/abs/1511.00561",
    weights="none known",
    references="guanfuchen/semseg; meetps/pytorch-semseg; zijundeng/pytorch-semantic-segmentation",
)
_PARSENET = Family(
    builder="geoseg.nn.parsenet:build",
    paper="Liu, Rabinovich, Berg 2015",
    venue="arXiv",
    url="https://arxiv.org/abs/1506.04579",
    weights="none known",
    references="the paper",
)

ENTRIES = (
    NetworkEntry(
        name="fcn32s",
        family=_FCN,
        options={"stride": 32},
        output_stride=32,
        cost=Cost(parameters=136_152_917, auxiliary=0, macs=190_194_856_704),
        tiny=(TinyForm(options={"width": 4, "hidden": 16}),),
    ),
    NetworkEntry(
        name="fcn16s",
        family=_FCN,
        options={"stride": 16},
        output_stride=16,
        cost=Cost(parameters=134_815_994, auxiliary=0, macs=190_281_890_448),
    ),
    NetworkEntry(
        name="fcn8s",
        family=_FCN,
        options={"stride": 8},
        output_stride=8,
        cost=Cost(parameters=134_489_759, auxiliary=0, macs=190_366_583_952),
        tiny=(
            TinyForm(options={"width": 4, "hidden": 16, "at_once": True}),
            TinyForm(options={"width": 4, "hidden": 16, "rise": "bilinear"}, variant="bilinear"),
            TinyForm(options={"width": 4, "hidden": 16, "rise": "nearest"}, variant="nearest"),
        ),
    ),
    NetworkEntry(
        name="fcn_r18",
        family=_FCN_RESNET,
        options={"backbone": "resnet18c", "head": "concat", "dilate_second": False},
        output_stride=8,
        cost=Cost(parameters=12_673_781, auxiliary=148_949, macs=55_432_445_952),
        tiny=(
            TinyForm(
                options={"backbone": "test_resnet", "head": "scores", "scored_stages": 3, "output_stride": 32},
                variant="with skips",
            ),
            TinyForm(
                options={
                    "backbone": "test_resnet",
                    "head": "scores",
                    "scored_stages": 2,
                    "output_stride": 32,
                    "rise": "transpose",
                },
                variant="with learnt upsampling",
            ),
        ),
    ),
    NetworkEntry(
        name="fcn_r50",
        family=_FCN_RESNET,
        options={"backbone": "resnet50"},
        output_stride=8,
        cost=Cost(parameters=32_957_013, auxiliary=2_365_205, macs=138_367_991_808),
        tiny=(
            TinyForm(options={"backbone": "test_resnet"}),
            TinyForm(options={"backbone": "test_resnet", "head": "concat"}, variant="of mmsegmentation"),
        ),
    ),
    NetworkEntry(
        name="fcn_r101",
        family=_FCN_RESNET,
        options={"backbone": "resnet101"},
        output_stride=8,
        cost=Cost(parameters=51_949_141, auxiliary=2_365_205, macs=215_945_838_592),
    ),
    NetworkEntry(
        name="fcn_mobilenetv2",
        family=_FCN_RESNET,
        options={"backbone": "mobilenet_v2_mmseg", "head": "concat"},
        output_stride=8,
        cost=Cost(parameters=2_389_893, auxiliary=21_309, macs=10_036_576_256),
    ),
    NetworkEntry(
        name="segnet",
        family=_SEGNET,
        output_stride=1,
        cost=Cost(parameters=29_455_167, auxiliary=0, macs=163_074_539_520),
        tiny=(
            TinyForm(options={"width": 4}, pools_by_maxima=True),
            TinyForm(options={"width": 4, "last": "plain"}, variant="plain", pools_by_maxima=True),
            TinyForm(options={"width": 4, "form": "concat"}, variant="concatenating"),
        ),
    ),
    NetworkEntry(
        name="parsenet",
        family=_PARSENET,
        output_stride=8,
        cost=Cost(parameters=20_528_981, auxiliary=0, macs=128_635_930_624),
        tiny=(TinyForm(options={"width": 4, "hidden": 16}),),
    ),
)
"""The networks of these families."""
