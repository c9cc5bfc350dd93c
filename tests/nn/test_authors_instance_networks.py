"""Networks of the authors and ours, with the same weights, answer the same; weights of others find their places."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_weights import drawn, pixels
from reference_inputs import REGIONS, masks, noise, sample
from torch import Tensor
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

from geoseg.errors import ModelError
from geoseg.io.weights.checkpoint_file import read_checkpoint
from geoseg.nn import build
from geoseg.nn.checkpoints import fit, strip_wrapper

REFERENCES = Path(__file__).parent / "instance" / "references"


def reference(name: str) -> tuple[dict[str, Tensor], np.ndarray]:
    """The authors' weights, drawn, and their answers."""
    with np.load(REFERENCES / f"{name}.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
        return drawn({key: tuple(map(int, sides)) for key, *sides in lines}), file["answers"]


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * float(np.abs(expected).max()))


@pytest.mark.parametrize("name", ["yolact_r50", pytest.param("yolact_darknet53", marks=pytest.mark.slow)])
def test_yolact_answers_as_the_authors(name: str) -> None:
    weights, expected = reference(name)
    fitted = fit(name, strip_wrapper(weights))
    network: Any = fitted.network
    with torch.no_grad():
        levels = network.body.levels(pixels(64, 96))
        found = [*network.body.answers(levels), network.semantic(levels[0])]
    close(sample(found), expected)
    assert fitted.classes == 81


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", ["panet_r50", "maskscoring_r50"])
def test_regions_are_answered_as_by_the_authors(name: str) -> None:
    weights, expected = reference(name)
    fitted = fit(name, strip_wrapper({"model": {f"module.{key}": tensor for key, tensor in weights.items()}}))
    network: Any = fitted.network.network
    heads = network.roi_heads
    panet = name == "panet_r50"
    levels_of_regions = (4,) if panet else ()
    regions = noise(*levels_of_regions, REGIONS, 256, 14, 14, seed=8)
    with torch.no_grad():
        levels = network.backbone(pixels(64, 96).flip(1))  # the authors' bands are blue, green, red
        objectness, _ = network.rpn.head([levels["0"]])
        scores, offsets = heads.box_predictor(heads.box_head(noise(*levels_of_regions, REGIONS, 256, 7, 7, seed=7)))
        outlines = heads.mask_predictor(heads.mask_head(regions))
        if panet:
            last = [scores.softmax(1), offsets, outlines.sigmoid()]
        else:
            last = [scores, offsets, outlines, heads.mask_iou(regions, masks())]
    close(sample([*levels.values(), objectness[0], *last]), expected)
    assert fitted.bgr


@pytest.mark.parametrize(
    ("name", "make"),
    [("maskrcnn_r50_fpn", maskrcnn_resnet50_fpn), ("maskrcnn_r50_fpn_v2", maskrcnn_resnet50_fpn_v2)],
)
def test_weights_of_torchvision_find_their_places(name: str, make: Any) -> None:
    theirs = make(weights=None, weights_backbone=None, num_classes=4)
    state = drawn({key: tuple(tensor.shape) for key, tensor in theirs.state_dict().items()})
    theirs.load_state_dict(state)
    fitted = fit(name, strip_wrapper(state), chosen={"zero_eps": False} if name == "maskrcnn_r50_fpn" else {})
    with torch.no_grad():
        expected, found = (one.backbone(pixels(64, 64)) for one in (theirs.eval(), fitted.network.network))
    assert fitted.classes == 4
    for level, answer in expected.items():
        torch.testing.assert_close(found[level], answer, rtol=1e-5, atol=1e-5)


def test_names_of_torchvisions_weights_of_2019_are_known() -> None:
    state = _torchvision(5)
    old = {
        re.sub(r"(blocks\.\d)\.0\.", r"\1.", re.sub(r"head\.conv\.0\.0", "head.conv", key)): tensor
        for key, tensor in state.items()
    }
    old = {
        re.sub(r"mask_head\.(\d)\.0", lambda m: f"mask_head.mask_fcn{int(m[1]) + 1}", key): tensor
        for key, tensor in old.items()
    }
    assert old.keys() != state.keys()
    fitted = fit("maskrcnn_r50_fpn", old)
    assert torch.equal(
        fitted.network.state_dict()["network.roi_heads.mask_head.3.0.weight"], state["roi_heads.mask_head.3.0.weight"]
    )


def _torchvision(classes: int) -> dict[str, Tensor]:
    with torch.device("meta"):
        network: Any = build("maskrcnn_r50_fpn", 3, classes)
    return drawn({key: tuple(tensor.shape) for key, tensor in network.network.state_dict().items()})


DETECTRON2 = (
    (r"^backbone\.body\.conv1", "backbone.bottom_up.stem.conv1"),
    (r"^backbone\.body\.bn1", "backbone.bottom_up.stem.conv1.norm"),
    (r"^backbone\.body\.layer(\d)", lambda m: f"backbone.bottom_up.res{int(m[1]) + 1}"),
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"\.downsample\.0", ".shortcut"),
    (r"\.downsample\.1", ".shortcut.norm"),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.0", lambda m: f"backbone.fpn_lateral{int(m[1]) + 2}"),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.0", lambda m: f"backbone.fpn_output{int(m[1]) + 2}"),
    (r"^rpn\.head\.conv\.0\.0", "proposal_generator.rpn_head.conv"),
    (r"^rpn\.head\.cls_logits", "proposal_generator.rpn_head.objectness_logits"),
    (r"^rpn\.head\.bbox_pred", "proposal_generator.rpn_head.anchor_deltas"),
    (r"box_head\.fc(\d)", lambda m: f"box_head.fc{int(m[1]) - 5}"),
    (r"mask_head\.(\d)\.0", lambda m: f"mask_head.mask_fcn{int(m[1]) + 1}"),
    (r"mask_predictor\.conv5_mask", "mask_head.deconv"),
    (r"mask_predictor\.mask_fcn_logits", "mask_head.predictor"),
)
MMDETECTION = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.0", r"neck.lateral_convs.\1.conv"),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.0", r"neck.fpn_convs.\1.conv"),
    (r"^rpn\.head\.conv\.0\.0", "rpn_head.rpn_conv"),
    (r"^rpn\.head\.cls_logits", "rpn_head.rpn_cls"),
    (r"^rpn\.head\.bbox_pred", "rpn_head.rpn_reg"),
    (r"^roi_heads\.box_head\.fc(\d)", lambda m: f"roi_head.bbox_head.shared_fcs.{int(m[1]) - 6}"),
    (r"^roi_heads\.box_predictor\.cls_score", "roi_head.bbox_head.fc_cls"),
    (r"^roi_heads\.box_predictor\.bbox_pred", "roi_head.bbox_head.fc_reg"),
    (r"^roi_heads\.mask_head\.(\d)\.0", r"roi_head.mask_head.convs.\1.conv"),
    (r"^roi_heads\.mask_predictor\.conv5_mask", "roi_head.mask_head.upsample"),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits", "roi_head.mask_head.conv_logits"),
)


def background_last(state: Mapping[str, Tensor], renames: Any) -> dict[str, Tensor]:
    """Weights as detectron2 and mmdetection order their classes, under their names."""
    turned = {}
    for key, tensor in state.items():
        moved = tensor
        if "cls_score" in key:
            moved = torch.cat([tensor[1:], tensor[:1]])
        elif "box_predictor.bbox_pred" in key:
            moved = tensor[4:]
        elif "mask_fcn_logits" in key:
            moved = tensor[1:]
        name = key
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        turned[name] = moved
    return turned


@pytest.mark.parametrize("renames", [DETECTRON2, MMDETECTION], ids=["detectron2", "mmdetection"])
def test_the_background_that_others_have_last_comes_first(renames: Any) -> None:
    state = _torchvision(5)
    theirs = background_last(state, renames)
    fitted = fit("maskrcnn_r50_fpn", strip_wrapper({"model" if renames is DETECTRON2 else "state_dict": theirs}))
    found = fitted.network.state_dict()
    scores = "roi_heads.box_predictor.cls_score.weight"
    assert fitted.classes == 5
    assert torch.equal(found[f"network.{scores}"], state[scores])
    boxes = "roi_heads.box_predictor.bbox_pred.weight"
    assert torch.equal(found[f"network.{boxes}"][4:], state[boxes][4:])
    masks_ = "roi_heads.mask_predictor.mask_fcn_logits.bias"
    assert torch.equal(found[f"network.{masks_}"][1:], state[masks_][1:])
    network: Any = fitted.network
    assert network.network.roi_heads.box_roi_pool.aligned
    assert network.network.roi_heads.box_roi_pool.sampling_ratio == 0
    assert network.network.backbone.body["layer2"][0].conv1.stride == ((2, 2) if renames is DETECTRON2 else (1, 1))
    assert fitted.bgr == (renames is DETECTRON2)


def test_a_pickle_of_arrays_is_read_as_data(tmp_path: Path) -> None:
    state = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((), np.int64)}
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": state, "__author__": "somebody", "matching_heuristics": True}))
    tensors = strip_wrapper(read_checkpoint(path).content)
    assert torch.equal(tensors["a.weight"], torch.arange(6.0).reshape(2, 3))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (print, ("run",))

    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": {"a": np.zeros(2), "b": Evil()}}))
    with pytest.raises(ModelError, match="would run code"):
        read_checkpoint(path)


def test_anchors_of_fractions_of_a_pixel() -> None:
    network: Any = build("maskrcnn_r50_fpn", 3, 2, exact_anchors=True, backbone="resnet18")
    (anchors, *_) = network.network.rpn.anchor_generator.cell_anchors
    size = anchors[:, 2:] - anchors[:, :2]
    torch.testing.assert_close(size.prod(1), torch.full((3,), 32.0**2))
    torch.testing.assert_close(size[:, 1] / size[:, 0], torch.tensor([0.5, 1.0, 2.0]))
