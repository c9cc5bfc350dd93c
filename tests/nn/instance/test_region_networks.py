"""Mask R-CNN, Mask Scoring R-CNN and PANet: counts, shapes, pooling, losses, and the parts that are theirs."""

from __future__ import annotations

import pytest
import timm
import torch
from rectangles import draw
from torch.nn import functional
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.ops import MultiScaleRoIAlign, roi_align

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.instance.mask_scoring import MaskIoUHead, mask_iou_targets
from geoseg.nn.instance.panet import join_levels
from geoseg.nn.instance.region_pool import RegionPool
from geoseg.nn.zoo.pretrained import find_encoder, load_encoder_weights

SMALL = {"backbone": "resnet18", "anchor_px": (16, 24, 32, 64, 128), "norm": "batch"}
NAMES = ("maskrcnn_r50_fpn", "maskrcnn_r50_fpn_v2", "maskscoring_r50", "panet_r50")


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("maskrcnn_r50_fpn", 91, 44_401_393),
        ("maskrcnn_r50_fpn_v2", 91, 46_359_409),
        ("maskscoring_r50", 81, 60_688_902),
        ("panet_r50", 81, 73_356_357),
    ],
)
def test_it_has_the_published_number_of_parameters(name: str, classes: int, count: int) -> None:
    with torch.device("meta"):
        network = build(name, 3, classes)
    assert sum(p.numel() for p in network.parameters()) == count


def test_the_parts_of_panet_have_the_authors_number_of_parameters() -> None:
    with torch.device("meta"):
        network = build("panet_r50", 3, 81).network
    heads = network.roi_heads
    parts = (network.backbone, heads.box_head, heads.mask_head)
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [30_398_016, 16_978_432, 24_950_032]


def test_with_the_same_weights_it_finds_what_torchvisions_finds() -> None:
    torch.manual_seed(0)
    reference = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=3, box_score_thresh=0.3, image_mean=[0.0] * 3,
        image_std=[1.0] * 3, min_size=96, max_size=96, rpn_post_nms_top_n_test=50,
    ).eval()  # fmt: skip
    ours = build("maskrcnn_r50_fpn", 3, 3, norm="batch", min_score=0.3).eval()
    ours.network.load_state_dict(reference.state_dict())
    ours.network.rpn._post_nms_top_n["testing"] = 50
    image = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        (found,), (expected,) = ours(image), reference(list(image))
    assert len(found["boxes"])
    for key in ("boxes", "labels", "scores"):
        torch.testing.assert_close(found[key], expected[key], rtol=0, atol=0)
    torch.testing.assert_close(found["masks"], expected["masks"][:, 0], rtol=0, atol=0)


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(33, 47), (64, 64)])
def test_any_size_and_number_of_bands_gives_masks_of_the_images_size(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build(name, 5, 3, min_score=0.01, max_objects=7, proposals=20, **SMALL).eval()
    with torch.no_grad():
        first, second = network([torch.randn(5, *size), torch.randn(5, 40, 40)])
    for one, shape in ((first, size), (second, (40, 40))):
        assert one["masks"].shape == (len(one["boxes"]), *shape)
        assert set(one["labels"].tolist()) <= {1, 2}
        assert (one["scores"].diff() <= 0).all()
        assert (one["boxes"][:, 2] <= shape[1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_losses_fall_on_rectangles(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, 3, 3, **SMALL).train()
    network.network.roi_heads.fg_bg_sampler.batch_size_per_image = 16  # of 512, to be quick
    images, targets = draw(2, (64, 64), seed=1)
    steps = torch.optim.AdamW(network.parameters(), lr=1e-3)
    totals = []
    for _ in range(12):
        total = sum(network(images, targets).values())
        steps.zero_grad()
        total.backward()
        steps.step()
        totals.append(float(total.detach()))
    assert min(totals[-3:]) < 0.75 * totals[0]


def test_an_image_without_objects_gives_finite_losses() -> None:
    network = build("maskscoring_r50", 3, 2, **SMALL).train()
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "masks": torch.zeros(0, 64, 64)}
    losses = network(torch.randn(2, 3, 64, 64), [empty, empty])
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()


def test_regions_are_pooled_from_the_level_of_their_size() -> None:
    torch.manual_seed(0)
    maps = {str(level): torch.randn(1, 4, 256 // 2**level, 256 // 2**level) for level in range(4)}
    boxes = [torch.tensor([[8.0, 8, 100, 80], [0, 0, 240, 250], [1, 2, 900, 800], [0, 0, 600, 90]])]
    reference = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
    expected = reference(maps, boxes, [(1024, 1024)])
    torch.testing.assert_close(RegionPool(7, sampling=2, aligned=False)(maps, boxes, []), expected)


def test_aligned_regions_are_shifted_by_half_a_pixel_of_the_level() -> None:
    maps = {str(level): torch.randn(1, 2, 64 // 2**level, 64 // 2**level) for level in range(4)}
    box = torch.tensor([[8.0, 8, 60, 48]])
    expected = roi_align(maps["0"], [box], 7, 1 / 4, 2, aligned=True)
    torch.testing.assert_close(RegionPool(7, sampling=2, aligned=True)(maps, [box], []), expected)


def test_pooling_from_all_levels_takes_the_greatest_after_the_first_layer() -> None:
    maps = {str(level): torch.randn(2, 4, 64 // 2**level, 64 // 2**level) for level in range(4)}
    boxes = [torch.tensor([[8.0, 8, 60, 48]]), torch.tensor([[0.0, 0, 200, 200]])]
    pooled = RegionPool(7, sampling=2, aligned=False, every_level=True)(maps, boxes, [])
    for level in range(4):
        torch.testing.assert_close(pooled[level], roi_align(maps[str(level)], boxes, 7, 1 / 4 / 2**level, 2))
    layers = torch.nn.ModuleList(torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
    each = torch.stack([layer(one) for layer, one in zip(layers, pooled, strict=True)])
    torch.testing.assert_close(join_levels(layers, pooled), each.amax(0))


def test_the_mask_iou_head_reads_the_features_and_the_halved_mask() -> None:
    head = MaskIoUHead(8, 3).eval()
    features, masks = torch.randn(2, 8, 14, 14), torch.rand(2, 1, 28, 28)
    finest = masks.reshape(2, 1, 14, 2, 14, 2).amax((3, 5))
    x = torch.cat([features, finest], 1)
    for layer, stride in zip(head.convolutions[::2], (1, 1, 1, 2), strict=True):
        x = functional.conv2d(x, layer.weight, layer.bias, stride, 1).relu()
    for layer in head.hidden[::2]:
        x = functional.linear(x.flatten(1), layer.weight, layer.bias).relu()
    torch.testing.assert_close(head(features, masks), functional.linear(x, head.iou.weight, head.iou.bias))


def test_the_aim_of_the_mask_iou_counts_the_object_outside_of_its_box() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[0, :28, :56] = 1  # twice as wide as the box
    boxes = torch.tensor([[0.0, 0, 28, 28]])
    full = torch.ones(1, 28, 28, dtype=torch.bool)
    assert float(mask_iou_targets(full, boxes, mask)) == pytest.approx(0.5, abs=0.03)
    half = full.clone()
    half[:, 14:] = False
    assert float(mask_iou_targets(half, boxes, mask)) == pytest.approx(0.25, abs=0.02)


def test_the_score_of_a_mask_is_the_boxs_times_the_expected_iou() -> None:
    torch.manual_seed(0)
    network = build("maskscoring_r50", 3, 3, min_score=0.01, max_objects=5, proposals=20, **SMALL).eval()
    heads = network.network.roi_heads
    with torch.no_grad():
        heads.mask_iou.iou.weight.zero_()
        heads.mask_iou.iou.bias.copy_(torch.tensor([0.0, 0.5, 0.25]))
        (found,) = network(torch.randn(1, 3, 64, 64))
    expected = found["box_scores"] * torch.tensor([0.0, 0.5, 0.25])[found["labels"]]
    torch.testing.assert_close(found["scores"], expected)


def test_the_stride_of_caffe_lies_in_the_first_convolution() -> None:
    with torch.device("meta"):
        body = build("maskrcnn_r50_fpn", 3, 2, caffe=True).network.backbone.body
    block = body["layer2"][0]
    assert block.conv1.stride == (2, 2)
    assert block.conv2.stride == (1, 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"anchor_px": (24, 48)}, "needs 5 entries, not 2"),
        ({"backbone": "resnet9"}, "backbones resnet18"),
        ({"resize": (800,)}, "least and the greatest side"),
        ({"form": "cascade"}, "forms plain, v2, scoring, panet, matterport"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        build("maskrcnn_r50_fpn", 3, 2, **options)


def test_training_mode_without_targets_is_refused() -> None:
    with pytest.raises(ModelError, match=r"call eval\(\) first"):
        build("maskrcnn_r50_fpn", 3, 2, **SMALL).train()(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize("name", ["maskrcnn_r50_fpn", "panet_r50"])
def test_the_weights_of_a_classifier_begin_the_backbone(name: str) -> None:
    network = build(name, 4, 2, **{**SMALL, "norm": "frozen"})
    weights = timm.create_model("resnet18").state_dict()
    load_encoder_weights(find_encoder(network), weights)
    body = network.network.backbone.body
    torch.testing.assert_close(body["layer4"][1].conv2.weight.data, weights["layer4.1.conv2.weight"])
    assert body["conv1"].weight.shape[1] == 4
