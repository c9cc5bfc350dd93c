"""Networks that add context to a ResNet: PSPNet, PSANet, OCR, DUC-HDC, RefineNet, FastFCN, DFN, BiSeNet, FPNs."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_PSPNET = Family(
    builder="geoseg.nn.pspnet:build",
    paper="Zhao et al. 2017",
    venue="CVPR",
    url="https://arxiv.org/abs/1612.01105",
    weights="hszhao/semseg, MIT; mmsegmentation, Apache-2.0",
    references="hszhao/semseg; meetps/pytorch-semseg; zijundeng/pytorch-semantic-segmentation",
)
_PSANET = Family(
    builder="geoseg.nn.psanet:build",
    paper="Zhao et al. 2018",
    venue="ECCV",
    url="https://hszhao.github.io/papers/eccv18_psanet.pdf",
    weights="hszhao/semseg, MIT; mmsegmentation, Apache-2.0; ycszen/TorchSeg, MIT",
    references="hszhao/semseg; ycszen/TorchSeg; mmsegmentation",
)
_OCR = Family(
    builder="geoseg.nn.ocr:build",
    paper="Yuan, Chen, Wang 2020",
    venue="ECCV",
    url="https://arxiv.org/abs/1909.11065",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation",
)
_DUC_HDC = Family(
    builder="geoseg.nn.duc_hdc:build",
    paper="Wang et al. 2018",
    venue="WACV",
    url="https://arxiv.org/abs/1702.08502",
    weights="none known",
    references="zijundeng/pytorch-semantic-segmentation",
)
_REFINENET = Family(
    builder="geoseg.nn.refinenet:build",
    paper="Lin et al. 2017",
    venue="CVPR",
    url="https://arxiv.org/abs/1611.06612",
    weights="DrSleep/refinenet-pytorch, non-commercial",
    references="DrSleep/refinenet-pytorch",
)
_FASTFCN = Family(
    builder="geoseg.nn.fastfcn:build",
    paper="Wu et al. 2019",
    venue="arXiv",
    url="https://arxiv.org/abs/1903.11816",
    weights="wuhuikai/FastFCN, MIT; mmsegmentation, Apache-2.0",
    references="wuhuikai/FastFCN",
)
_DFN = Family(
    builder="geoseg.nn.dfn:build",
    paper="Yu et al. 2018",
    venue="CVPR",
    url="https://arxiv.org/abs/1804.09337",
    weights="ycszen/TorchSeg, MIT",
    references="ycszen/TorchSeg",
)
_BISENET = Family(
    builder="geoseg.nn.bisenet:build",
    paper="Yu et al. 2018",
    venue="ECCV",
    url="https://arxiv.org/abs/1808.00897",
    weights="mmsegmentation, Apache-2.0; ycszen/TorchSeg, MIT",
    references="ycszen/TorchSeg; mmsegmentation",
)
_FPN = Family(
    builder="geoseg.nn.fpn:build_fpn",
    paper="Kirillov et al. 2019",
    venue="CVPR",
    url="https://arxiv.org/abs/1901.02446",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation; Media-Smart/vedaseg",
)
_UPERNET = Family(
    builder="geoseg.nn.fpn:build_upernet",
    paper="Xiao et al. 2018",
    venue="ECCV",
    url="https://arxiv.org/abs/1807.10221",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation",
)

ENTRIES = (
    NetworkEntry(
        name="pspnet_r18",
        family=_PSPNET,
        options={"backbone": "resnet18c", "first_block": "prev", "align_corners": False, "dilate_second": False},
        output_stride=8,
        cost=Cost(parameters=12_641_525, auxiliary=148_949, macs=54_227_763_200),
    ),
    NetworkEntry(
        name="pspnet_r50",
        family=_PSPNET,
        options={"backbone": "resnet50s"},
        output_stride=8,
        cost=Cost(parameters=46_716_373, auxiliary=2_365_205, macs=184_155_111_424),
        tiny=(
            TinyForm(options={"backbone": "test_resnet"}),
            TinyForm(options={"backbone": "test_resnet", "pooling": "strided"}, variant="strided"),
        ),
    ),
    NetworkEntry(
        name="pspnet_r101",
        family=_PSPNET,
        options={"backbone": "resnet101s"},
        output_stride=8,
        cost=Cost(parameters=65_708_501, auxiliary=2_365_205, macs=261_732_958_208),
    ),
    NetworkEntry(
        name="pspnet_mobilenetv2",
        family=_PSPNET,
        options={"backbone": "mobilenet_v2_mmseg", "first_block": "prev", "align_corners": False},
        output_stride=8,
        cost=Cost(parameters=2_377_413, auxiliary=21_309, macs=9_565_997_056),
    ),
    NetworkEntry(
        name="psanet_r50",
        family=_PSANET,
        output_stride=8,
        cost=Cost(parameters=50_809_301, auxiliary=2_365_205, macs=200_100_806_656),
        tiny=(
            TinyForm(options={"backbone": "test_resnet", "mask": [9, 7]}),
            TinyForm(
                options={"backbone": "test_resnet", "mask": [8, 8], "form": "mmseg", "compact": True},
                variant="compact, of mmsegmentation",
            ),
        ),
    ),
    NetworkEntry(
        name="psanet_r101",
        family=_PSANET,
        options={"backbone": "resnet101s"},
        output_stride=8,
        cost=Cost(parameters=69_801_429, auxiliary=2_365_205, macs=277_678_653_440),
    ),
    NetworkEntry(
        name="ocr_r101",
        family=_OCR,
        options={"backbone": "resnet101c"},
        output_stride=8,
        cost=Cost(parameters=55_517_834, auxiliary=0, macs=230_468_157_440),
        tiny=(TinyForm(options={"backbone": "test_resnet", "channels": 32, "keys": 16}),),
    ),
    NetworkEntry(
        name="duc_hdc_r101",
        family=_DUC_HDC,
        options={"backbone": "resnet101"},
        output_stride=8,
        cost=Cost(parameters=67_276_800, auxiliary=0, macs=278_715_695_104),
        tiny=(TinyForm(options={"backbone": "test_resnet"}),),
    ),
    NetworkEntry(
        name="duc_hdc_r152",
        family=_DUC_HDC,
        options={"backbone": "resnet152"},
        output_stride=8,
        cost=Cost(parameters=82_920_448, auxiliary=0, macs=342_603_333_632),
    ),
    NetworkEntry(
        name="refinenet_r101",
        family=_REFINENET,
        options={"backbone": "resnet101"},
        output_stride=4,
        cost=Cost(parameters=118_052_437, auxiliary=0, macs=262_898_974_720),
        tiny=(TinyForm(options={"backbone": "test_resnet", "width": 8}),),
    ),
    NetworkEntry(
        name="refinenet_r152",
        family=_REFINENET,
        options={"backbone": "resnet152"},
        output_stride=4,
        cost=Cost(parameters=133_696_085, auxiliary=0, macs=282_293_436_416),
    ),
    NetworkEntry(
        name="refinenet_lw_r50",
        family=_REFINENET,
        options={"backbone": "resnet50", "light": True},
        output_stride=4,
        cost=Cost(parameters=27_357_525, auxiliary=0, macs=31_977_373_696),
        tiny=(TinyForm(options={"backbone": "test_resnet", "width": 8}, variant="light"),),
    ),
    NetworkEntry(
        name="refinenet_lw_r101",
        family=_REFINENET,
        options={"backbone": "resnet101", "light": True},
        output_stride=4,
        cost=Cost(parameters=46_349_653, auxiliary=0, macs=51_371_835_392),
    ),
    NetworkEntry(
        name="refinenet_lw_r152",
        family=_REFINENET,
        options={"backbone": "resnet152", "light": True},
        output_stride=4,
        cost=Cost(parameters=61_993_301, auxiliary=0, macs=70_766_297_088),
    ),
    NetworkEntry(
        name="fastfcn_fcn_r50",
        family=_FASTFCN,
        options={"head": "fcn", "backbone": "resnet50s"},
        output_stride=8,
        cost=Cost(parameters=52_816_341, auxiliary=2_365_205, macs=97_154_760_704),
        tiny=(TinyForm(options={"backbone": "test_resnet", "width": 8}),),
    ),
    NetworkEntry(
        name="fastfcn_fcn_r101",
        family=_FASTFCN,
        options={"head": "fcn", "backbone": "resnet101s"},
        output_stride=8,
        cost=Cost(parameters=71_808_469, auxiliary=2_365_205, macs=116_549_222_400),
    ),
    NetworkEntry(
        name="fastfcn_psp_r50",
        family=_FASTFCN,
        options={"head": "psp", "backbone": "resnet50s"},
        output_stride=8,
        cost=Cost(parameters=66_451_925, auxiliary=2_365_205, macs=135_861_895_168),
        tiny=(TinyForm(options={"backbone": "test_resnet", "width": 8}),),
    ),
    NetworkEntry(
        name="fastfcn_psp_r101",
        family=_FASTFCN,
        options={"head": "psp", "backbone": "resnet101s"},
        output_stride=8,
        cost=Cost(parameters=85_444_053, auxiliary=2_365_205, macs=155_256_356_864),
    ),
    NetworkEntry(
        name="fastfcn_deeplabv3_r50",
        family=_FASTFCN,
        options={"head": "deeplabv3", "backbone": "resnet50s"},
        output_stride=8,
        cost=Cost(parameters=59_498_197, auxiliary=2_365_205, macs=122_366_197_760),
    ),
    NetworkEntry(
        name="fastfcn_deeplabv3_r101",
        family=_FASTFCN,
        options={"head": "deeplabv3", "backbone": "resnet101s"},
        output_stride=8,
        cost=Cost(parameters=78_490_325, auxiliary=2_365_205, macs=141_760_659_456),
    ),
    NetworkEntry(
        name="fastfcn_encnet_r50",
        family=_FASTFCN,
        options={"head": "encnet", "backbone": "resnet50s"},
        output_stride=8,
        cost=Cost(parameters=44_970_037, auxiliary=2_375_978, macs=64_003_244_032),
        tiny=(
            TinyForm(options={"backbone": "test_resnet", "width": 8}),
            TinyForm(options={"backbone": "test_resnet", "width": 8, "form": "mmseg"}, variant="of mmsegmentation"),
        ),
    ),
    NetworkEntry(
        name="fastfcn_encnet_r101",
        family=_FASTFCN,
        options={"head": "encnet", "backbone": "resnet101s"},
        output_stride=8,
        cost=Cost(parameters=63_962_165, auxiliary=2_375_978, macs=83_397_705_728),
    ),
    NetworkEntry(
        name="dfn_r101",
        family=_DFN,
        options={"backbone": "resnet101s"},
        output_stride=4,
        cost=Cost(parameters=88_339_058, auxiliary=2_385_286, macs=275_100_778_496),
        tiny=(TinyForm(options={"backbone": "test_resnet", "width": 8}, idle_weights=("border_after.0",)),),
    ),
    NetworkEntry(
        name="bisenet_r18",
        family=_BISENET,
        output_stride=8,
        cost=Cost(parameters=12_894_293, auxiliary=601_642, macs=12_966_133_760),
        tiny=(
            TinyForm(options={"backbone": "test_resnet", "width": 16}),
            TinyForm(options={"backbone": "test_resnet", "width": 16, "form": "mmseg"}, variant="of mmsegmentation"),
        ),
    ),
    NetworkEntry(
        name="bisenet_x39",
        family=_BISENET,
        options={"backbone": "xception39_torchseg", "auxiliary_width": 128},
        output_stride=8,
        cost=Cost(parameters=1_542_093, auxiliary=300_842, macs=3_470_917_632),
        tiny=(TinyForm(options={"width": 16, "auxiliary_width": 8}),),
    ),
    NetworkEntry(
        name="bisenet_r50",
        family=_BISENET,
        options={"backbone": "resnet50", "width": 512},
        output_stride=8,
        cost=Cost(parameters=50_826_325, auxiliary=9_484_330, macs=69_747_605_504),
    ),
    NetworkEntry(
        name="fpn_r50",
        family=_FPN,
        output_stride=4,
        cost=Cost(parameters=28_498_165, auxiliary=0, macs=45_273_317_376),
        tiny=(
            TinyForm(options={"backbone": "test_resnet", "pyramid_width": 16, "width": 8}),
            TinyForm(
                options={"backbone": "test_resnet", "pyramid_width": 16, "width": 8, "form": "vedaseg"},
                variant="of vedaseg",
            ),
        ),
    ),
    NetworkEntry(
        name="fpn_r101",
        family=_FPN,
        options={"backbone": "resnet101c"},
        output_stride=4,
        cost=Cost(parameters=47_490_293, auxiliary=0, macs=64_667_779_072),
    ),
    NetworkEntry(
        name="upernet_r50",
        family=_UPERNET,
        output_stride=4,
        cost=Cost(parameters=64_051_573, auxiliary=2_365_205, macs=236_776_849_408),
        tiny=(TinyForm(options={"backbone": "test_resnet", "width": 16, "auxiliary_width": 8}),),
    ),
    NetworkEntry(
        name="upernet_r101",
        family=_UPERNET,
        options={"backbone": "resnet101c"},
        output_stride=4,
        cost=Cost(parameters=83_043_701, auxiliary=2_365_205, macs=256_171_311_104),
    ),
)
"""The networks of these families."""
