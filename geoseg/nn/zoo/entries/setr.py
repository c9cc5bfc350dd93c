"""SETR: vision transformers with three decoders."""

from __future__ import annotations

from geoseg.nn.zoo.entry import Cost, Family, NetworkEntry, TinyForm

_NAIVE = Family(
    builder="geoseg.nn.setr:build_naive",
    paper="Zheng et al. 2021",
    venue="CVPR",
    url="https://arxiv.org/abs/2012.15840",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation; fudan-zvg/SETR",
)
_PUP = Family(
    builder="geoseg.nn.setr:build_pup",
    paper="Zheng et al. 2021",
    venue="CVPR",
    url="https://arxiv.org/abs/2012.15840",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation; fudan-zvg/SETR",
)
_MLA = Family(
    builder="geoseg.nn.setr:build_mla",
    paper="Zheng et al. 2021",
    venue="CVPR",
    url="https://arxiv.org/abs/2012.15840",
    weights="mmsegmentation, Apache-2.0",
    references="mmsegmentation; fudan-zvg/SETR",
)

ENTRIES = (
    NetworkEntry(
        name="setr_naive_b",
        family=_NAIVE,
        options={"vit": "vit_base_patch16_384", "depths": (0.25, 0.5, 0.75, 1.0)},
        output_stride=4,
        cost=Cost(parameters=87_619_349, auxiliary=612_159, macs=107_316_529_152),
    ),
    NetworkEntry(
        name="setr_naive_l",
        family=_NAIVE,
        options={"vit": "vit_large_patch16_384"},
        output_stride=4,
        cost=Cost(parameters=305_727_253, auxiliary=810_303, macs=362_341_777_408),
        tiny=(TinyForm(options={"vit": "test_vit", "image_px": 64, "width": 16}),),
    ),
    NetworkEntry(
        name="setr_pup_b",
        family=_PUP,
        options={"vit": "vit_base_patch16_384", "depths": (5 / 12, 8 / 12, 10 / 12, 1.0)},
        output_stride=1,
        cost=Cost(parameters=90_963_221, auxiliary=7_101_759, macs=160_982_648_832),
    ),
    NetworkEntry(
        name="setr_pup_l",
        family=_PUP,
        options={"vit": "vit_large_patch16_384"},
        output_stride=1,
        cost=Cost(parameters=309_595_413, auxiliary=8_872_767, macs=416_544_768_000),
        tiny=(TinyForm(options={"vit": "test_vit", "image_px": 64, "width": 16}),),
    ),
    NetworkEntry(
        name="setr_mla_b",
        family=_MLA,
        options={"vit": "vit_base_patch16_384"},
        output_stride=4,
        cost=Cost(parameters=92_352_789, auxiliary=21_588, macs=112_113_745_920),
    ),
    NetworkEntry(
        name="setr_mla_l",
        family=_MLA,
        options={"vit": "vit_large_patch16_384"},
        output_stride=4,
        cost=Cost(parameters=310_658_581, auxiliary=21_588, macs=367_060_320_256),
        tiny=(TinyForm(options={"vit": "test_vit", "image_px": 64, "width": 16}),),
    ),
)
"""The networks of these families."""
