"""Networks of other libraries: smp, torchvision and torchgeo."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_SMP = Family(
    builder="geoseg.nn.adapters.smp_networks:build",
    paper="see the library",
    venue="-",
    url="https://smp.readthedocs.io",
    weights="encoders, each its own licence",
    references="it is smp",
    requires="segmentation_models_pytorch",
)
_TORCHVISION = Family(
    builder="geoseg.nn.adapters.torchvision_networks:build",
    paper="see the library",
    venue="-",
    url="https://docs.pytorch.org/vision/stable/models.html",
    weights="torchvision, BSD-3-Clause",
    references="it is torchvision",
)
_TORCHGEO_FCN = Family(
    builder="geoseg.nn.adapters.torchgeo_networks:build_fcn",
    paper="see the library",
    venue="-",
    url="https://torchgeo.readthedocs.io",
    weights="none known",
    references="it is torchgeo",
)
_TORCHGEO_FARSEG = Family(
    builder="geoseg.nn.adapters.torchgeo_networks:build_farseg",
    paper="Zheng et al. 2020",
    venue="CVPR",
    url="https://arxiv.org/abs/2011.09766",
    weights="none known",
    references="it is torchgeo",
)

ENTRIES = (
    NetworkEntry(
        name="smp_unet",
        family=_SMP,
        options={"architecture": "Unet"},
        cost=Cost(parameters=24_439_269, auxiliary=0, macs=32_010_928_128),
        tiny=(TinyForm(options={"encoder": "resnet18", "decoder_channels": (32, 24, 16, 8, 8)}),),
    ),
    NetworkEntry(
        name="smp_unetplusplus",
        family=_SMP,
        options={"architecture": "UnetPlusPlus"},
        cost=Cost(parameters=26_081_509, auxiliary=0, macs=74_289_512_448),
    ),
    NetworkEntry(
        name="smp_manet",
        family=_SMP,
        options={"architecture": "MAnet"},
        cost=Cost(parameters=31_786_533, auxiliary=0, macs=34_045_188_096),
    ),
    NetworkEntry(
        name="smp_linknet",
        family=_SMP,
        options={"architecture": "Linknet"},
        cost=Cost(parameters=21_772_597, auxiliary=0, macs=20_287_848_448),
    ),
    NetworkEntry(
        name="smp_fpn",
        family=_SMP,
        options={"architecture": "FPN"},
        cost=Cost(parameters=23_157_973, auxiliary=0, macs=27_462_205_440),
    ),
    NetworkEntry(
        name="smp_pspnet",
        family=_SMP,
        options={"architecture": "PSPNet"},
        cost=Cost(parameters=21_530_165, auxiliary=0, macs=9_737_281_536),
    ),
    NetworkEntry(
        name="smp_pan",
        family=_SMP,
        options={"architecture": "PAN"},
        cost=Cost(parameters=21_481_596, auxiliary=0, macs=29_855_746_720),
    ),
    NetworkEntry(
        name="smp_deeplabv3",
        family=_SMP,
        options={"architecture": "DeepLabV3"},
        cost=Cost(parameters=26_012_245, auxiliary=0, macs=109_220_855_808),
    ),
    NetworkEntry(
        name="smp_deeplabv3plus",
        family=_SMP,
        options={"architecture": "DeepLabV3Plus"},
        cost=Cost(parameters=22_442_597, auxiliary=0, macs=31_619_416_064),
    ),
    NetworkEntry(
        name="smp_upernet",
        family=_SMP,
        options={"architecture": "UPerNet"},
        cost=Cost(parameters=29_604_821, auxiliary=0, macs=71_947_255_808),
    ),
    NetworkEntry(
        name="smp_segformer",
        family=_SMP,
        options={"architecture": "Segformer"},
        cost=Cost(parameters=21_881_685, auxiliary=0, macs=26_172_456_960),
    ),
    NetworkEntry(
        name="torchvision_fcn_resnet50",
        family=_TORCHVISION,
        options={"architecture": "fcn_resnet50"},
        cost=Cost(parameters=32_957_013, auxiliary=2_365_205, macs=138_367_991_808),
    ),
    NetworkEntry(
        name="torchvision_fcn_resnet101",
        family=_TORCHVISION,
        options={"architecture": "fcn_resnet101"},
        cost=Cost(parameters=51_949_141, auxiliary=2_365_205, macs=215_945_838_592),
    ),
    NetworkEntry(
        name="torchvision_deeplabv3_resnet50",
        family=_TORCHVISION,
        options={"architecture": "deeplabv3_resnet50"},
        cost=Cost(parameters=39_638_869, auxiliary=2_365_205, macs=163_579_428_864),
    ),
    NetworkEntry(
        name="torchvision_deeplabv3_resnet101",
        family=_TORCHVISION,
        options={"architecture": "deeplabv3_resnet101"},
        cost=Cost(parameters=58_630_997, auxiliary=2_365_205, macs=241_157_275_648),
    ),
    NetworkEntry(
        name="torchvision_deeplabv3_mobilenet_v3_large",
        family=_TORCHVISION,
        options={"architecture": "deeplabv3_mobilenet_v3_large"},
        cost=Cost(parameters=11_025_477, auxiliary=3_851, macs=9_825_968_000),
    ),
    NetworkEntry(
        name="torchvision_lraspp_mobilenet_v3_large",
        family=_TORCHVISION,
        options={"architecture": "lraspp_mobilenet_v3_large"},
        cost=Cost(parameters=3_221_538, auxiliary=0, macs=1_974_665_088),
        tiny=(TinyForm(),),
    ),
    NetworkEntry(
        name="torchgeo_fcn",
        family=_TORCHGEO_FCN,
        output_stride=1,
        cost=Cost(parameters=150_869, auxiliary=0, macs=39_460_012_032),
        tiny=(TinyForm(options={"filters": 8}),),
    ),
    NetworkEntry(
        name="torchgeo_farseg",
        family=_TORCHGEO_FARSEG,
        output_stride=4,
        cost=Cost(parameters=33_441_213, auxiliary=0, macs=47_228_125_184),
        tiny=(TinyForm(options={"backbone": "resnet18"}, idle_weights=("backbone.fc",)),),
    ),
)
"""The networks of these families."""
