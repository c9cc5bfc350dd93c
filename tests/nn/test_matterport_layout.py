"""Weights of matterport/Mask_RCNN mean here what they mean in Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from keras_weights import keras_weights
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from geoseg.errors import ModelError
from geoseg.nn.checkpoints import fit, strip_wrapper
from geoseg.nn.checkpoints.matterport import MATTERPORT
from geoseg.nn.checkpoints.source_names import source_names


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return keras_weights()


@pytest.fixture(scope="module")
def network(weights: dict[str, np.ndarray]) -> Any:
    fitted = fit("maskrcnn_r50_fpn", strip_wrapper(weights))
    assert (fitted.classes, fitted.bands, fitted.bgr) == (3, 3, False)
    network: Any = fitted.network
    return network.network


def _normalised(values: np.ndarray, weights: dict[str, np.ndarray], norm: str) -> np.ndarray:
    """Batch normalisation by Keras's definition, with its default epsilon."""
    gamma, beta, mean, variance = (
        weights[f"{norm}/{kind}"] for kind in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return gamma * (values - mean) / np.sqrt(variance + 0.001) + beta


def _image(rows: int, cols: int, bands: int = 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, cols, bands), np.float32)


def _torch(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def test_the_first_convolution_has_its_bias_and_keras_epsilon(network: Any, weights: dict[str, np.ndarray]) -> None:
    image = _image(16, 16)
    with torch.no_grad():
        answer = network.backbone.body["bn1"](network.backbone.body["conv1"](_torch(image)))[0, :, 3, 2]
    window = image[3:10, 1:8]  # of row 3 and column 2 at stride 2, after 3 pixels of padding
    conv = np.einsum("yxi,yxio->o", window, weights["conv1/kernel"]) + weights["conv1/bias"]
    np.testing.assert_allclose(answer.numpy(), _normalised(conv, weights, "bn_conv1"), rtol=1e-4, atol=1e-5)
    assert network.backbone.body["bn1"].eps == pytest.approx(0.001)
    assert network.roi_heads.box_head.bn1.eps == pytest.approx(0.001)
    assert network.roi_heads.mask_head[0][1].eps == pytest.approx(0.001)


def test_a_block_halves_in_its_first_convolution(network: Any, weights: dict[str, np.ndarray]) -> None:
    features = _image(9, 8, 256)
    block = network.backbone.body["layer2"][0]
    with torch.no_grad():
        first = block.bn1(block.conv1(_torch(features)))[0, :, 2, 1]
        side = block.downsample(_torch(features))[0, :, 2, 1]
    pixel = features[4, 2]
    for answer, part in ((first, "3a_branch2a"), (side, "3a_branch1")):
        conv = pixel @ weights[f"res{part}/kernel"][0, 0] + weights[f"res{part}/bias"]
        np.testing.assert_allclose(answer.numpy(), _normalised(conv, weights, f"bn{part}"), rtol=1e-4, atol=1e-4)


def test_the_transposed_convolution_has_its_channels_in_keras_order(
    network: Any, weights: dict[str, np.ndarray]
) -> None:
    features = _image(5, 4, 256)
    with torch.no_grad():
        answer = network.roi_heads.mask_predictor.conv5_mask(_torch(features))[0]
    kernel = weights["mrcnn_mask_deconv/kernel"]  # (row, column, out, in)
    expected = np.einsum("yxi,abOi->yaxbO", features, kernel).reshape(10, 8, 256) + weights["mrcnn_mask_deconv/bias"]
    np.testing.assert_allclose(answer.permute(1, 2, 0).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_the_heads_of_boxes_and_classes(network: Any, weights: dict[str, np.ndarray]) -> None:
    pooled = np.stack([_image(7, 7, 256, seed) for seed in (2, 3)])
    x = np.einsum("nyxi,yxio->no", pooled, weights["mrcnn_class_conv1/kernel"]) + weights["mrcnn_class_conv1/bias"]
    x = np.maximum(_normalised(x, weights, "mrcnn_class_bn1"), 0)
    x = x @ weights["mrcnn_class_conv2/kernel"][0, 0] + weights["mrcnn_class_conv2/bias"]
    x = np.maximum(_normalised(x, weights, "mrcnn_class_bn2"), 0)
    logits, offsets = (
        x @ weights[f"{n}/kernel"] + weights[f"{n}/bias"] for n in ("mrcnn_class_logits", "mrcnn_bbox_fc")
    )
    heads = network.roi_heads
    with torch.no_grad():
        found, moved = heads.box_predictor(heads.box_head(torch.from_numpy(pooled).permute(0, 3, 1, 2)))
    np.testing.assert_allclose(found.numpy(), logits, rtol=1e-4, atol=1e-4)
    dy, dx, dh, dw = np.moveaxis(offsets.reshape(2, 3, 4), 2, 0)
    np.testing.assert_allclose(moved.reshape(2, 3, 4).numpy(), np.stack([dx, dy, dw, dh], 2), rtol=1e-4, atol=1e-4)


def test_the_score_of_an_anchor_is_the_softmax_of_its_two_logits(network: Any, weights: dict[str, np.ndarray]) -> None:
    features = _image(4, 4, 256)
    with torch.no_grad():
        ((logits,), _) = network.rpn.head([_torch(features)])
        shared = torch.relu(network.rpn.head.conv(_torch(features)))[0].permute(1, 2, 0).numpy()
    both = shared @ weights["rpn_class_raw/kernel"][0, 0] + weights["rpn_class_raw/bias"]
    share = np.exp(both.reshape(4, 4, 3, 2))  # background, object
    expected = share[..., 1] / share.sum(-1)
    np.testing.assert_allclose(logits[0].sigmoid().permute(1, 2, 0).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("offset", "side", "expected"),
    [
        (0, 1, "down"),
        (1, 0, "right"),
        (2, 1, "taller"),
        (3, 0, "wider"),
    ],
)
def test_offsets_are_dy_dx_dh_dw_with_their_scales(
    weights: dict[str, np.ndarray], offset: int, side: int, expected: str
) -> None:
    """A head that answers one offset for all anchors moves or stretches all boxes along one axis."""
    made = dict(weights)
    made["rpn_bbox_pred/kernel"] = np.zeros_like(weights["rpn_bbox_pred/kernel"])
    made["rpn_bbox_pred/bias"] = np.zeros(12, np.float32)
    network: Any = fit("maskrcnn_r50_fpn", strip_wrapper(made)).network.network
    levels = {str(level): torch.zeros(1, 256, 64 >> level, 64 >> level) for level in range(5)}
    images = ImageList(torch.zeros(1, 3, 256, 256), [(256, 256)])
    (anchors,) = network.rpn.anchor_generator(images, list(levels.values()))
    still = network.rpn.box_coder.decode(torch.zeros(len(anchors), 4), [anchors])[:, 0]
    made["rpn_bbox_pred/bias"][offset::4] = 0.5
    network = fit("maskrcnn_r50_fpn", strip_wrapper(made)).network.network
    with torch.no_grad():
        _, (moved, *_) = network.rpn.head([levels["0"]])
    one = moved[0, :, 0, 0].reshape(3, 4).repeat(len(anchors) // 3, 1)
    boxes = network.rpn.box_coder.decode(one, [anchors])[:, 0]
    size = still[:, 2:] - still[:, :2]
    change = (boxes - still).reshape(-1, 2, 2)  # (box, corner, x or y)
    assert torch.allclose(change[:, :, 1 - side], torch.zeros(()), atol=1e-3), expected
    if offset < 2:
        torch.testing.assert_close(
            change[:, :, side], (0.1 * 0.5 * size[:, side])[:, None].expand(-1, 2), rtol=0, atol=1e-3
        )
    else:
        grown = (boxes[:, 2:] - boxes[:, :2])[:, side] / size[:, side]
        torch.testing.assert_close(grown, torch.full_like(grown, float(np.exp(0.2 * 0.5))), rtol=1e-4, atol=0)


def test_anchors_are_as_keras_orders_and_measures_them(network: Any) -> None:
    levels = [torch.zeros(1, 256, 64 >> level, 64 >> level) for level in range(5)]
    (anchors,) = network.rpn.anchor_generator(ImageList(torch.zeros(1, 3, 256, 256), [(256, 256)]), levels)
    cell = 3 * (64 * 2 + 5)  # row 2, column 5 of the finest level
    for anchor, ratio in zip(anchors[cell : cell + 3], (0.5, 1, 2), strict=True):
        width, height = 32 * ratio**0.5, 32 / ratio**0.5
        expected = [20 - width / 2, 8 - height / 2, 20 + width / 2, 8 + height / 2]
        torch.testing.assert_close(anchor, torch.tensor(expected), rtol=0, atol=1e-4)
    coarsest = anchors[-1]
    assert float(coarsest[2] - coarsest[0]) == pytest.approx(512 * 2**0.5, rel=1e-5)
    decoded = network.rpn.box_coder.decode(torch.zeros(1, 4), [anchors[cell : cell + 1]])[0, 0]
    torch.testing.assert_close(decoded, anchors[cell] - torch.tensor([0.0, 0, 1, 1]))  # the last pixel belongs to a box


def test_the_coarsest_level_is_every_second_pixel_of_the_one_before(network: Any) -> None:
    with torch.no_grad():
        levels = network.backbone(_torch(_image(128, 64)))
    torch.testing.assert_close(levels["pool"], levels["3"][:, :, ::2, ::2])


def test_a_resnet_101_has_23_blocks_in_stage_4() -> None:
    weights = keras_weights("resnet101", classes=2)
    fitted = fit("maskrcnn_r101_fpn", strip_wrapper(weights))
    assert fitted.classes == 2
    last = fitted.network.state_dict()["network.backbone.body.layer3.22.conv2.weight"]
    np.testing.assert_array_equal(last.permute(2, 3, 1, 0).numpy(), weights["res4w_branch2b/kernel"])
    with pytest.raises(ModelError, match=r"and not a maskrcnn_r50_fpn; import it as maskrcnn_r101_fpn"):
        fit("maskrcnn_r50_fpn", strip_wrapper(weights))


def test_what_does_not_fit_is_told_in_keras_names(weights: dict[str, np.ndarray]) -> None:
    made = {name: values for name, values in weights.items() if name != "res3b_branch2b/kernel"}
    made["mrcnn_keypoint/kernel"] = np.zeros((1, 1, 2, 2), np.float32)
    made["fpn_p3/bias"] = np.zeros(128, np.float32)
    made["mrcnn_mask_bn2/gamma"] = np.zeros(255, np.float32)
    with pytest.raises(ModelError) as refusal:
        fit("maskrcnn_r50_fpn", strip_wrapper(made))
    said = str(refusal.value)
    assert "1 missing: res3b_branch2b/kernel" in said
    assert "1 extra: mrcnn_keypoint/kernel" in said
    assert "fpn_p3/bias (128,) for (256,)" in said
    assert "mrcnn_mask_bn2/gamma (255,) for (256,)" in said


def test_a_bias_that_is_missing_is_told(weights: dict[str, np.ndarray]) -> None:
    made = {name: values for name, values in weights.items() if name not in ("conv1/bias", "mrcnn_mask_conv2/bias")}
    with pytest.raises(ModelError, match=r"2 are missing: conv1/bias, mrcnn_mask_conv2/bias"):
        fit("maskrcnn_r50_fpn", strip_wrapper(made))


def test_every_name_of_keras_is_found_back_from_ours(weights: dict[str, np.ndarray]) -> None:
    names = list(MATTERPORT.prepare(strip_wrapper(weights)) if MATTERPORT.prepare else ())
    missing = names[2::7]
    present = [name for name in names if name not in missing]
    assert source_names(MATTERPORT, [MATTERPORT.target_name(name) for name in missing], present) == missing


def test_its_traps_are_options_of_the_network(weights: dict[str, np.ndarray]) -> None:
    chosen = {"min_score": 0.05, "pooling": "align", "best_class": False, "whole_boxes": False, "closed_boxes": False}
    network: Any = fit("maskrcnn_r50_fpn", strip_wrapper(weights), chosen=chosen).network
    assert network.network.roi_heads.score_thresh == pytest.approx(0.05)
    assert network.network.roi_heads.box_roi_pool.pooling == "align"
    assert network.network.roi_heads.nms_thresh == pytest.approx(0.3)
