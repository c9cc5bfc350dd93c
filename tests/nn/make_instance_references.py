"""Write tests/nn/instance/references from the authors' code: ``python make_instance_references.py FOLDER``.

FOLDER holds clones of dbolya/yolact, ShuLiu1993/PANet and zjhuang22/maskscoring_rcnn under these repositories' names.
Their compiled parts are replaced by empty modules; what is compared needs none of them. Each network is run in a
process of its own, since the packages have the same names.
"""

from __future__ import annotations

import collections
import collections.abc
import importlib
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from published_weights import drawn, pixels  # noqa: E402
from reference_inputs import REGIONS, masks, noise, sample  # noqa: E402

Answers = Callable[[Any], Sequence[Tensor]]


class _Empty(types.ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _replace(*names: str) -> None:
    for name in names:
        sys.modules[name] = _Empty(name)


def yolact(folder: Path, config: str) -> tuple[nn.Module, Answers]:
    """The network of a configuration in training mode, with fixed statistics."""
    _replace("cv2", "pycocotools", "pycocotools.mask")
    torch.cuda.current_device = lambda: 0
    sys.path.insert(0, str(folder / "yolact"))
    importlib.import_module("data.config").set_cfg(config)
    network = importlib.import_module("yolact").Yolact()

    def answers(network: Any) -> Sequence[Tensor]:
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        found = network(pixels(64, 96))
        return [found["loc"], found["conf"], found["mask"], found["proto"].permute(0, 3, 1, 2), found["segm"]]

    return network, answers


def panet(folder: Path) -> tuple[nn.Module, Answers]:
    """Body, region proposals, heads; regions are given."""
    _replace(
        "cv2", "pycocotools", "pycocotools.mask", "utils.cython_bbox", "utils.cython_nms", "utils.boxes",
        "utils.segms", "utils.keypoints", "utils.blob", "utils.env", "utils.net", "utils.resnet_weights_helper",
        "modeling.generate_proposals", "modeling.collect_and_distribute_fpn_rpn_proposals",
        "modeling.generate_proposal_labels", "roi_data", "roi_data.fast_rcnn", "roi_data.rpn", "roi_data.minibatch",
    )  # fmt: skip
    library = folder / "PANet" / "lib"
    sys.path.insert(0, str(library))
    collections.Mapping = collections.abc.Mapping
    own: Any = types.ModuleType("nn")
    own.__path__ = [str(library / "nn")]
    sys.modules["nn"] = own
    own.AffineChannel2d = importlib.import_module("nn.modules.affine").AffineChannel2d
    own.init = types.SimpleNamespace(XavierFill=lambda weight: weight, MSRAFill=lambda weight: weight)
    sys.modules["utils.net"].get_group_gn = lambda _: 32
    plain = yaml.load
    yaml.load = lambda stream: plain(stream, Loader=yaml.UnsafeLoader)
    config = importlib.import_module("core.config")
    config.merge_cfg_from_file(str(folder / "PANet" / "configs/panet/e2e_panet_R-50-FPN_2x_mask.yaml"))
    config.cfg.MODEL.NUM_CLASSES, config.cfg.FPN.MULTILEVEL_RPN = 81, True
    pyramid = importlib.import_module("modeling.FPN")
    boxes = importlib.import_module("modeling.fast_rcnn_heads")
    outlines = importlib.import_module("modeling.mask_rcnn_heads")
    pyramid.GenerateProposalsOp = pyramid.CollectAndDistributeFpnRpnProposalsOp = lambda *_: nn.Identity()

    def pool(_maps: Any, _regions: Any, *, blob_rois: str, resolution: int, **_: Any) -> list[Tensor]:
        return list(noise(4, REGIONS, 256, resolution, resolution, seed=7 if blob_rois == "rois" else 8))

    network = nn.Module()
    network.Conv_Body = pyramid.fpn_ResNet50_conv5_body_bup()
    network.RPN = pyramid.fpn_rpn_outputs(256, network.Conv_Body.spatial_scale)
    network.Box_Head = boxes.roi_Xconv1fc_gn_head_panet(256, pool, None)
    network.Box_Outs = boxes.fast_rcnn_outputs(1024)
    network.Mask_Head = outlines.mask_rcnn_fcn_head_v1up4convs_gn_adp_ff(256, pool, None)
    network.Mask_Outs = outlines.mask_rcnn_outputs(network.Mask_Head.dim_out)

    def answers(network: Any) -> Sequence[Tensor]:
        network.eval()
        levels = network.Conv_Body(pixels(64, 96))[::-1]
        scores, offsets = network.Box_Outs(network.Box_Head(levels, None))
        found = network.Mask_Outs(network.Mask_Head(levels, None))
        objectness = network.RPN.FPN_RPN_cls_score(network.RPN.FPN_RPN_conv(levels[0]).relu())
        return [*levels, objectness, scores, offsets, found]

    return network, answers


class _Node(dict[str, Any]):
    """What is needed of yacs."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__

    def clone(self) -> _Node:
        return self

    def merge(self, other: dict[str, Any]) -> None:
        for key, value in other.items():
            if isinstance(value, dict):
                self[key].merge(value)
            else:
                numbers = isinstance(value, str) and value.startswith("(")
                self[key] = importlib.import_module("ast").literal_eval(value) if numbers else value


def maskscoring(folder: Path) -> tuple[nn.Module, Answers]:
    """Body, region proposals, heads; regions are given."""
    _replace("cv2", "pycocotools", "pycocotools.mask", "maskrcnn_benchmark._C", "yacs")
    yacs: Any = types.ModuleType("yacs.config")
    yacs.CfgNode = _Node
    six: Any = types.ModuleType("torch._six")
    six.PY3 = True
    sys.modules.update({"yacs.config": yacs, "torch._six": six})
    sys.path.insert(0, str(folder / "maskscoring_rcnn"))
    config = importlib.import_module("maskrcnn_benchmark.config").cfg
    config.merge(yaml.safe_load((folder / "maskscoring_rcnn/configs/e2e_ms_rcnn_R_50_FPN_1x.yaml").read_text()))
    config.MODEL.DEVICE = "cpu"
    network = importlib.import_module("maskrcnn_benchmark.modeling.detector").build_detection_model(config)

    def answers(network: Any) -> Sequence[Tensor]:
        network.eval()
        levels = network.backbone(pixels(64, 96))
        objectness, _ = network.rpn.head(levels)
        heads, regions = network.roi_heads, noise(REGIONS, 256, 14, 14, seed=8)
        flat = noise(REGIONS, 256, 7, 7, seed=7).flatten(1)
        hidden = heads.box.feature_extractor.fc7(heads.box.feature_extractor.fc6(flat).relu()).relu()
        scores, offsets = heads.box.predictor(hidden)
        x = regions
        for name in heads.mask.feature_extractor.blocks:
            x = getattr(heads.mask.feature_extractor, name)(x).relu()
        iou = heads.maskiou.predictor(heads.maskiou.feature_extractor(regions, masks()))
        return [*levels, objectness[0], scores, offsets, heads.mask.predictor(x), iou]

    return network, answers


NETWORKS: dict[str, Callable[[Path], tuple[nn.Module, Answers]]] = {
    "yolact_r50": lambda folder: yolact(folder, "yolact_resnet50_config"),
    "yolact_darknet53": lambda folder: yolact(folder, "yolact_darknet53_config"),
    "panet_r50": panet,
    "maskscoring_r50": maskscoring,
}


def write(name: str, folder: Path) -> None:
    """Write the names of a network's tensors and samples of its answers."""
    np.float, np.int = float, int  # names that numpy 2 has no more
    network, answers = NETWORKS[name](folder)
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    network.load_state_dict(drawn(shapes))
    with torch.no_grad():
        found = sample(answers(network))
    lines = "\n".join(" ".join([key, *map(str, shape)]) for key, shape in shapes.items())
    np.savez_compressed(HERE / "instance" / "references" / f"{name}.npz", tensors=np.array(lines), answers=found)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write(sys.argv[2], Path(sys.argv[1]))
    else:
        for each in NETWORKS:
            subprocess.run([sys.executable, __file__, sys.argv[1], each], check=True)
