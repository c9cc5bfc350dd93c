"""DeepLab, versions 1 to 3+."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_DEEPLABV1 = Family(
    builder="geoseg.nn.deeplabv1:build",
    paper="Chen et al. 2015",
    venue="ICLR",
    url="https://arxiv.org/abs/1412.7062",
    weights="none known",
    references="the paper",
)
_DEEPLABV2 = Family(
    builder="geoseg.nn.deeplabv2:build",
    paper="Chen et al. 2018",
    venue="TPAMI",
    url="https://arxiv.org/abs/1606.00915",
    weights="kazuto1011/deeplab-pytorch, MIT",
    references="kazuto1011/deeplab-pytorch",
)
_DEEPLABV3 = Family(
    builder="geoseg.nn.deeplabv3:build",
    paper="Chen et al. 2017",
    venue="arXiv",
    url="https://arxiv.org/abs/1706.05587",
    weights="torchvision, BSD-3-Clause; mmsegmentation, Apache-2.0",
    references="torchvision; smp on timm's encoders",
)
_DEEPLABV3PLUS = Family(
    builder="geoseg.nn.deeplabv3plus:build",
    paper="Chen et al. 2018",
    venue="ECCV",
    url="https://arxiv.org/abs/1802.02611",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation",
)

ENTRIES = (
    NetworkEntry(
        name="deeplabv1",
        family=_DEEPLABV1,
        output_stride=8,
        cost=Cost(parameters=20_505_429, auxiliary=0, macs=128_545_076_224),
        tiny=(TinyForm(options={"width": 4, "hidden": 16}),),
    ),
    NetworkEntry(
        name="deeplabv2_r101",
        family=_DEEPLABV2,
        options={"backbone": "resnet101"},
        output_stride=8,
        cost=Cost(parameters=44_048_532, auxiliary=0, macs=344_871_084_032),
        tiny=(TinyForm(options={"backbone": "test_resnet"}),),
    ),
    NetworkEntry(
        name="deeplabv3_r18",
        family=_DEEPLABV3,
        options={"backbone": "resnet18c", "form": "mmseg", "width": 128, "dilate_second": False},
        output_stride=8,
        cost=Cost(parameters=13_837_813, auxiliary=148_949, macs=59_928_805_376),
    ),
    NetworkEntry(
        name="deeplabv3_r50",
        family=_DEEPLABV3,
        options={"backbone": "resnet50"},
        output_stride=8,
        cost=Cost(parameters=39_638_869, auxiliary=2_365_205, macs=163_579_428_864),
        tiny=(
            TinyForm(options={"backbone": "test_resnet", "multi_grid": (1, 2, 4)}),
            TinyForm(
                options={"backbone": "test_resnet", "form": "mmseg", "output_stride": 16}, variant="of mmsegmentation"
            ),
        ),
    ),
    NetworkEntry(
        name="deeplabv3_r101",
        family=_DEEPLABV3,
        options={"backbone": "resnet101"},
        output_stride=8,
        cost=Cost(parameters=58_630_997, auxiliary=2_365_205, macs=241_157_275_648),
    ),
    NetworkEntry(
        name="deeplabv3_mobilenetv2",
        family=_DEEPLABV3,
        options={"backbone": "mobilenet_v2_mmseg", "form": "mmseg"},
        output_stride=8,
        cost=Cost(parameters=18_376_469, auxiliary=21_309, macs=74_823_467_008),
        tiny=(TinyForm(options={"backbone": "mobilenet_v2_vainf", "width": 16}, variant="mobilenet"),),
    ),
    NetworkEntry(
        name="deeplabv3plus",
        family=_DEEPLABV3PLUS,
        output_stride=4,
        cost=Cost(parameters=41_206_981, auxiliary=0, macs=58_386_546_688),
        tiny=(
            TinyForm(options={"backbone": "test_resnet", "width": 16, "auxiliary": True}),
            TinyForm(options={"backbone": "test_resnet", "width": 16, "form": "single"}, variant="single"),
        ),
    ),
    NetworkEntry(
        name="deeplabv3plus_r18",
        family=_DEEPLABV3PLUS,
        options={"backbone": "resnet18c", "output_stride": 8, "width": 128, "dilate_second": False},
        output_stride=4,
        cost=Cost(parameters=12_327_781, auxiliary=0, macs=54_308_700_160),
    ),
    NetworkEntry(
        name="deeplabv3plus_r50",
        family=_DEEPLABV3PLUS,
        options={"backbone": "resnet50c"},
        output_stride=4,
        cost=Cost(parameters=41_226_213, auxiliary=0, macs=59_638_546_432),
    ),
    NetworkEntry(
        name="deeplabv3plus_r101",
        family=_DEEPLABV3PLUS,
        options={"backbone": "resnet101c"},
        output_stride=4,
        cost=Cost(parameters=60_218_341, auxiliary=0, macs=79_033_008_128),
    ),
    NetworkEntry(
        name="deeplabv3plus_xception65",
        family=_DEEPLABV3PLUS,
        options={"backbone": "xception65", "width": 256},
        output_stride=4,
        cost=Cost(parameters=43_676_853, auxiliary=0, macs=53_968_674_816),
    ),
    NetworkEntry(
        name="deeplabv3plus_mobilenetv2",
        family=_DEEPLABV3PLUS,
        options={"backbone": "mobilenetv2_100", "width": 256},
        output_stride=4,
        cost=Cost(parameters=5_341_253, auxiliary=0, macs=8_282_980_352),
        tiny=(TinyForm(options={"backbone": "mobilenetv2_035", "width": 16}, variant="mobilenet"),),
    ),
)
"""The networks of these families."""
