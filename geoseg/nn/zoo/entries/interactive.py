"""Networks that answer clicks with the mask of an object."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_DEEPLAB = Family(
    builder="geoseg.nn.interactive.deeplab:build",
    paper="Sofiiuk et al. 2020",
    venue="CVPR",
    url="https://arxiv.org/abs/2001.10331",
    weights="saic-vul/fbrs_interactive_segmentation, MPL-2.0",
    references="saic-vul/fbrs_interactive_segmentation",
    task="interactive",
)
_HRNET = Family(
    builder="geoseg.nn.interactive.hrnet:build",
    paper="Sofiiuk et al. 2020",
    venue="CVPR",
    url="https://arxiv.org/abs/2001.10331",
    weights="saic-vul/fbrs_interactive_segmentation, MPL-2.0",
    references="saic-vul/fbrs_interactive_segmentation",
    task="interactive",
)
_UNET = Family(
    builder="geoseg.nn.interactive.unet:build",
    paper="Ronneberger et al. 2015, with the clicks of Sofiiuk et al. 2020",
    venue="-",
    url="https://arxiv.org/abs/1505.04597",
    weights="none known",
    references="none; the encoder is timm's",
    task="interactive",
)

ENTRIES = (
    NetworkEntry(
        name="fbrs_r34",
        family=_DEEPLAB,
        options={"backbone": "resnet34"},
        output_stride=4,
        cost=Cost(parameters=23_341_692, auxiliary=0, macs=99_455_926_272),
        tiny=(
            TinyForm(options={"backbone": "resnet18", "width": 32}),
            TinyForm(
                options={"backbone": "resnet18", "width": 32, "click_maps": "disks", "radius_px": 5.0}, variant="disks"
            ),
        ),
    ),
    NetworkEntry(
        name="fbrs_r50",
        family=_DEEPLAB,
        options={"backbone": "resnet50s"},
        output_stride=4,
        cost=Cost(parameters=31_396_604, auxiliary=0, macs=138_446_372_864),
    ),
    NetworkEntry(
        name="fbrs_r101",
        family=_DEEPLAB,
        options={"backbone": "resnet101s", "width": 256, "dropout": 0.5},
        output_stride=4,
        cost=Cost(parameters=58_431_612, auxiliary=0, macs=250_250_002_432),
    ),
    NetworkEntry(
        name="fbrs_hrnet18",
        family=_HRNET,
        options={"width": "w18", "keys": 64},
        output_stride=4,
        cost=Cost(parameters=10_022_765, auxiliary=0, macs=24_337_088_512),
        tiny=(TinyForm(options={"width": "w18_small_v1", "keys": 16}),),
    ),
    NetworkEntry(
        name="fbrs_hrnet32",
        family=_HRNET,
        options={"width": "w32", "keys": 128},
        output_stride=4,
        cost=Cost(parameters=30_942_109, auxiliary=0, macs=66_650_193_920),
    ),
    NetworkEntry(
        name="clicks_unet",
        family=_UNET,
        output_stride=2,
        cost=Cost(parameters=2_659_943, auxiliary=0, macs=5_472_485_376),
        tiny=(TinyForm(options={"encoder": "mobilenetv2_050", "widths": (16, 16, 16, 16)}),),
    ),
)
