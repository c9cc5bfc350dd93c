"""HRNet, plain and with object contexts."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_HRNET = Family(
    builder="geoseg.nn.hrnet:build",
    paper="Sun et al. 2019",
    venue="arXiv",
    url="https://arxiv.org/abs/1904.04514",
    weights="HRNet/HRNet-Semantic-Segmentation, MIT; mmsegmentation, Apache-2.0",
    references="HRNet/HRNet-Semantic-Segmentation",
)
_HRNET_OCR = Family(
    builder="geoseg.nn.ocr:build_hrnet",
    paper="Yuan, Chen, Wang 2020",
    venue="ECCV",
    url="https://arxiv.org/abs/1909.11065",
    weights="HRNet/HRNet-Semantic-Segmentation, MIT; mmsegmentation, Apache-2.0",
    references="HRNet/HRNet-Semantic-Segmentation",
)

ENTRIES = (
    NetworkEntry(
        name="hrnet",
        family=_HRNET,
        output_stride=4,
        cost=Cost(parameters=65_860_821, auxiliary=0, macs=93_462_724_608),
        tiny=(
            TinyForm(options={"width": "w18_small_v1", "form": "mmseg"}, variant="of mmsegmentation"),
            TinyForm(options={"width": "w18_small_v1"}),
        ),
    ),
    NetworkEntry(
        name="hrnet_w18s_v1",
        family=_HRNET,
        options={"width": "w18_small_v1"},
        output_stride=4,
        cost=Cost(parameters=1_541_301, auxiliary=0, macs=4_181_721_088),
    ),
    NetworkEntry(
        name="hrnet_w18s_v2",
        family=_HRNET,
        options={"width": "w18_small_v2"},
        output_stride=4,
        cost=Cost(parameters=3_940_121, auxiliary=0, macs=9_615_958_016),
    ),
    NetworkEntry(
        name="hrnet_w18",
        family=_HRNET,
        options={"width": "w18"},
        output_stride=4,
        cost=Cost(parameters=9_641_661, auxiliary=0, macs=18_433_978_368),
    ),
    NetworkEntry(
        name="hrnet_w32",
        family=_HRNET,
        options={"width": "w32"},
        output_stride=4,
        cost=Cost(parameters=29_547_477, auxiliary=0, macs=45_168_984_064),
    ),
    NetworkEntry(
        name="hrnet_w48",
        family=_HRNET,
        options={"width": "w48"},
        output_stride=4,
        cost=Cost(parameters=65_860_821, auxiliary=0, macs=93_462_724_608),
    ),
    NetworkEntry(
        name="hrnet_ocr_w18",
        family=_HRNET_OCR,
        options={"width": "w18"},
        output_stride=4,
        cost=Cost(parameters=12_082_386, auxiliary=0, macs=53_312_303_104),
        tiny=(TinyForm(options={"width": "w18_small_v1", "channels": 32, "keys": 16}),),
    ),
    NetworkEntry(
        name="hrnet_ocr_w32",
        family=_HRNET_OCR,
        options={"width": "w32"},
        output_stride=4,
        cost=Cost(parameters=32_955_882, auxiliary=0, macs=95_901_777_920),
    ),
    NetworkEntry(
        name="hrnet_ocr_w48",
        family=_HRNET_OCR,
        options={"width": "w48"},
        output_stride=4,
        cost=Cost(parameters=70_375_146, auxiliary=0, macs=162_314_911_744),
    ),
)
"""The networks of these families."""
