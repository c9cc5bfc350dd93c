"""Catalogue of the networks: papers, costs and published weights. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from geoseg.errors import ModelError
from geoseg.nn.zoo.measured import MEASURED
from geoseg.nn.zoo.registry import NETWORKS, nearest

MACS_UNIT = "multiply-accumulates of one forward pass, in 1e9, for 3 bands, 21 classes and 512 x 512 pixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Facts that the networks of one builder share.

    Attributes:
        paper: authors and year.
        venue: where it appeared.
        url: of the paper, or of the library where there is none.
        output_stride: pixels of the input for one of the finest features that are classified.
        weights: whose weights are published, and under which licence.
        references: implementations that the network was measured or tested against.
    """

    paper: str
    venue: str
    url: str
    output_stride: int | None
    weights: str
    references: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the catalogue.

    Attributes:
        parameters: without auxiliary heads; None where it was not measured.
        auxiliary: parameters of the auxiliary heads.
        macs: see ``MACS_UNIT``, here not yet in 1e9.
    """

    name: str
    family: Family
    output_stride: int | None
    parameters: int | None
    auxiliary: int | None
    macs: int | None


def _family(paper: str, venue: str, url: str, stride: int | None, weights: str, references: str) -> Family:  # noqa: PLR0917
    return Family(paper=paper, venue=venue, url=url, output_stride=stride, weights=weights, references=references)


_FCN = "https://arxiv.org/abs/1411.4038"
_OCR = "https://arxiv.org/abs/1909.11065"
_SETR = "https://arxiv.org/abs/2012.15840"
_MMSEG = "mmsegmentation, Apache-2.0"
_NONE = "none known"

FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {
        "geoseg.nn.fcn:build": _family(
            "Long, Shelhamer, Darrell 2015", "CVPR", _FCN, None, "wkentaro/pytorch-fcn, MIT", "wkentaro/pytorch-fcn"
        ),
        "geoseg.nn.fcn_resnet:build": _family(
            "Long, Shelhamer, Darrell 2015", "CVPR", _FCN, 8, f"torchvision, BSD-3-Clause; {_MMSEG}", "torchvision"
        ),
        "geoseg.nn.segnet:build": _family(
            "Badrinarayanan, Kendall, Cipolla 2017", "TPAMI", "https://arxiv.org/abs/1511.00561", 1, _NONE,
            "guanfuchen/semseg",
        ),
        "geoseg.nn.parsenet:build": _family(
            "Liu, Rabinovich, Berg 2015", "arXiv", "https://arxiv.org/abs/1506.04579", 8, _NONE, "the paper"
        ),
        "geoseg.nn.unet:build": _family(
            "Ronneberger, Fischer, Brox 2015", "MICCAI", "https://arxiv.org/abs/1505.04597", 1,
            "geoseg's bundled models", "the paper; milesial/Pytorch-UNet",
        ),
        "geoseg.nn.unet_mmseg:build": _family(
            "Ronneberger, Fischer, Brox 2015", "MICCAI", "https://arxiv.org/abs/1505.04597", 1, _MMSEG, "mmsegmentation"
        ),
        "geoseg.nn.timm_unet:build": _family(
            "Ronneberger, Fischer, Brox 2015", "MICCAI", "https://arxiv.org/abs/1505.04597", 2,
            "encoders of timm, each its own licence", "none: a form of ours",
        ),
        "geoseg.nn.unetplusplus:build": _family(
            "Zhou et al. 2018", "DLMIA", "https://arxiv.org/abs/1807.10165", 1, _NONE,
            "the paper; 4uiiurz1/pytorch-nested-unet",
        ),
        "geoseg.nn.deeplabv1:build": _family(
            "Chen et al. 2015", "ICLR", "https://arxiv.org/abs/1412.7062", 8, _NONE, "the paper"
        ),
        "geoseg.nn.deeplabv2:build": _family(
            "Chen et al. 2018", "TPAMI", "https://arxiv.org/abs/1606.00915", 8, "kazuto1011/deeplab-pytorch, MIT",
            "kazuto1011/deeplab-pytorch",
        ),
        "geoseg.nn.deeplabv3:build": _family(
            "Chen et al. 2017", "arXiv", "https://arxiv.org/abs/1706.05587", 8,
            f"torchvision, BSD-3-Clause; {_MMSEG}", "torchvision; smp on timm's encoders",
        ),
        "geoseg.nn.deeplabv3plus:build": _family(
            "Chen et al. 2018", "ECCV", "https://arxiv.org/abs/1802.02611", 4, _MMSEG, "mmsegmentation"
        ),
        "geoseg.nn.pspnet:build": _family(
            "Zhao et al. 2017", "CVPR", "https://arxiv.org/abs/1612.01105", 8, f"hszhao/semseg, MIT; {_MMSEG}",
            "hszhao/semseg",
        ),
        "geoseg.nn.hrnet:build": _family(
            "Sun et al. 2019", "arXiv", "https://arxiv.org/abs/1904.04514", 4,
            f"HRNet/HRNet-Semantic-Segmentation, MIT; {_MMSEG}", "HRNet/HRNet-Semantic-Segmentation",
        ),
        "geoseg.nn.ocr:build": _family("Yuan, Chen, Wang 2020", "ECCV", _OCR, 8, _MMSEG, "mmsegmentation"),
        "geoseg.nn.ocr:build_hrnet": _family(
            "Yuan, Chen, Wang 2020", "ECCV", _OCR, 4, f"HRNet/HRNet-Semantic-Segmentation, MIT; {_MMSEG}",
            "HRNet/HRNet-Semantic-Segmentation",
        ),
        "geoseg.nn.duc_hdc:build": _family(
            "Wang et al. 2018", "WACV", "https://arxiv.org/abs/1702.08502", 8, _NONE,
            "zijundeng/pytorch-semantic-segmentation",
        ),
        "geoseg.nn.refinenet:build": _family(
            "Lin et al. 2017", "CVPR", "https://arxiv.org/abs/1611.06612", 4,
            "DrSleep/refinenet-pytorch, non-commercial", "DrSleep/refinenet-pytorch",
        ),
        "geoseg.nn.fastfcn:build": _family(
            "Wu et al. 2019", "arXiv", "https://arxiv.org/abs/1903.11816", 8, f"wuhuikai/FastFCN, MIT; {_MMSEG}",
            "wuhuikai/FastFCN",
        ),
        "geoseg.nn.dfn:build": _family(
            "Yu et al. 2018", "CVPR", "https://arxiv.org/abs/1804.09337", 4, "ycszen/TorchSeg, MIT", "ycszen/TorchSeg"
        ),
        "geoseg.nn.setr:build_naive": _family("Zheng et al. 2021", "CVPR", _SETR, 4, _MMSEG, "mmsegmentation"),
        "geoseg.nn.setr:build_pup": _family("Zheng et al. 2021", "CVPR", _SETR, 1, _MMSEG, "mmsegmentation"),
        "geoseg.nn.setr:build_mla": _family("Zheng et al. 2021", "CVPR", _SETR, 4, _MMSEG, "mmsegmentation"),
        "geoseg.nn.adapters.smp_networks:build": _family(
            "see the library", "-", "https://smp.readthedocs.io", None, "encoders, each its own licence", "it is smp"
        ),
        "geoseg.nn.adapters.torchvision_networks:build": _family(
            "see the library", "-", "https://docs.pytorch.org/vision/stable/models.html", None,
            "torchvision, BSD-3-Clause", "it is torchvision",
        ),
        "geoseg.nn.adapters.torchgeo_networks:build_fcn": _family(
            "see the library", "-", "https://torchgeo.readthedocs.io", 1, _NONE, "it is torchgeo"
        ),
        "geoseg.nn.adapters.torchgeo_networks:build_farseg": _family(
            "Zheng et al. 2020", "CVPR", "https://arxiv.org/abs/2011.09766", 4, _NONE, "it is torchgeo"
        ),
    }
)  # fmt: skip
"""Facts of the networks of each builder."""


def entry(name: str) -> Entry:
    """Tell what is known of a network.

    Args:
        name: of the network.

    Raises:
        ModelError: no such network.
    """
    if name not in NETWORKS:
        raise ModelError(f"network {name!r} is unknown; {nearest(name)}")
    builder, preset = NETWORKS[name]
    family = FAMILIES[builder]
    measured = MEASURED.get(name)
    return Entry(
        name=name,
        family=family,
        output_stride=preset.get("stride", family.output_stride),
        parameters=None if measured is None else measured[0],
        auxiliary=None if measured is None else measured[1],
        macs=None if measured is None else measured[2],
    )


def catalogue() -> list[Entry]:
    """All networks, in the registry's order."""
    return [entry(name) for name in NETWORKS]
