"""The ways of matterport/Mask_RCNN, each against its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from rectangles import draw

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.instance.matterport import EndPaddedPool, ImageTransform, paste_whole
from geoseg.nn.instance.region_pool import CropPool, crop_and_resize

SMALL = {"backbone": "resnet18", "anchor_px": (16, 24, 32, 64, 128), "norm": "batch"}
WAYS = {
    "form": "matterport", "same_pool": True, "pooling": "crop", "nearest_level": True, "closed_boxes": True,
    "joint_levels": True, "candidates": 200, "rpn_std": (0.1, 0.1, 0.2, 0.2), "clamp_deltas": False,
    "best_class": True, "whole_boxes": True, "multiple_px": 64, "exact_anchors": True, "norm_eps": 0.001,
}  # fmt: skip


def _read(feature: np.ndarray, y: float, x: float) -> float:
    """One point of a map by bilinear interpolation; 0 outside of the pixels' centres."""
    rows, cols = feature.shape
    if not (0 <= y <= rows - 1 and 0 <= x <= cols - 1):
        return 0.0
    top, left = min(int(y), rows - 2), min(int(x), cols - 2)
    dy, dx = y - top, x - left
    near, far = feature[top, left : left + 2], feature[top + 1, left : left + 2]
    return float((1 - dy) * ((1 - dx) * near[0] + dx * near[1]) + dy * ((1 - dx) * far[0] + dx * far[1]))


def test_crop_and_resize_reads_the_points_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 1, 9, 12)).astype(np.float32)
    boxes = [
        (0.1, 0.2, 0.8, 0.7),
        (0.5, 0.0, 1.0, 1.0),
        (-0.2, 0.3, 0.4, 1.3),
        (0.6, 0.6, 0.2, 0.1),
        (0.3, 0.3, 0.3, 0.3),
    ]
    image = [0, 1, 1, 0, 1]
    found = crop_and_resize(torch.from_numpy(maps), torch.tensor(boxes), torch.tensor(image), 5)
    for place, (x0, y0, x1, y1) in enumerate(boxes):
        for row in range(5):
            for col in range(5):
                y = (y0 + (y1 - y0) * row / 4) * 8
                x = (x0 + (x1 - x0) * col / 4) * 11
                expected = _read(maps[image[place], 0], round(y, 5), round(x, 5))
                assert float(found[place, 0, row, col]) == pytest.approx(expected, abs=1e-4), (place, row, col)


def test_a_closed_box_is_read_from_its_first_to_its_last_pixel() -> None:
    columns = torch.arange(16.0).expand(1, 1, 16, 16)
    maps = {str(level): columns[..., :: 2**level, :: 2**level] for level in range(4)}
    pool = CropPool(7, pooling="crop", sampling=2, aligned=False, nearest_level=True, closed_boxes=True)
    read = pool(maps, [torch.tensor([[0.0, 0, 63, 63]])], [])
    torch.testing.assert_close(read[0, 0, 0], torch.linspace(0, 15, 7))  # of an image of 64 pixels, whole
    pool = CropPool(7, pooling="crop", sampling=2, aligned=False, nearest_level=True, closed_boxes=False)
    torch.testing.assert_close(pool(maps, [torch.tensor([[0.0, 0, 64, 64]])], [])[0, 0, 0], torch.linspace(0, 15, 7))


@pytest.mark.parametrize(
    ("side", "down", "nearest"), [(150, 3, 3), (170, 3, 4), (300, 4, 4), (330, 4, 5), (2000, 5, 5)]
)
def test_a_region_is_read_from_the_nearest_level(side: float, down: int, nearest: int) -> None:
    maps = {str(level): torch.full((1, 1, 256 >> level, 256 >> level), float(level + 2)) for level in range(4)}
    box = [torch.tensor([[0.0, 0, side, side]])]
    for rounded, level in ((False, down), (True, nearest)):
        pool = CropPool(2, pooling="align", sampling=2, aligned=False, nearest_level=rounded, closed_boxes=False)
        assert int(pool._levels(box, maps["0"])) + 2 == level


@pytest.mark.parametrize("size", [(6, 8), (7, 8), (9, 5)])
def test_the_pool_is_padded_as_tensorflows_same(size: tuple[int, int]) -> None:
    image = torch.randn(1, 2, *size) - 5  # no padding of zeros passes
    found = EndPaddedPool()(image)
    assert found.shape[-2:] == tuple(-(-side // 2) for side in size)
    for row in range(found.shape[2]):
        for col in range(found.shape[3]):
            first = [2 * place - (side % 2) for place, side in zip((row, col), size, strict=True)]
            y, x = (slice(max(0, begin), begin + 3) for begin in first)
            torch.testing.assert_close(found[0, :, row, col], image[0, :, y, x].amax((1, 2)))


def test_masks_fill_boxes_of_whole_pixels() -> None:
    mask = torch.full((1, 1, 28, 28), 0.9)
    mask[..., :14] = 0.1
    pasted = paste_whole(mask, torch.tensor([[4.0, 2, 24, 12]]), (16, 32))
    assert pasted.shape == (1, 1, 16, 32)
    assert ((pasted >= 0.5).nonzero()[:, 2:].amin(0) == torch.tensor([2, 14])).all()
    assert ((pasted >= 0.5).nonzero()[:, 2:].amax(0) == torch.tensor([11, 23])).all()
    full = paste_whole(torch.full((1, 1, 28, 28), 0.9), torch.tensor([[4.0, 2, 24, 12]]), (16, 32))
    assert float(full[0, 0, 2:12, 4:24].min()) == pytest.approx(0.9)  # no zeros of around it come in
    assert float(full.sum()) == pytest.approx(0.9 * 200, rel=1e-4)


def test_closed_boxes_come_back_open_and_rounded() -> None:
    transform = ImageTransform(3, None, multiple_px=64, closed=True, whole=True).eval()
    found = {
        "boxes": torch.tensor([[3.4, 2.0, 9.6, 7.4], [5.0, 5.0, 4.4, 9.0]]),
        "masks": torch.ones(2, 1, 28, 28),
        "scores": torch.tensor([0.9, 0.8]),
    }
    (one,) = transform.postprocess([found], [(64, 64)], [(64, 64)])
    torch.testing.assert_close(one["boxes"], torch.tensor([[3.0, 2, 11, 8]]))  # one without pixels goes
    assert one["masks"].shape == (1, 1, 64, 64)


def test_a_batch_is_padded_to_its_multiple() -> None:
    transform = ImageTransform(3, None, multiple_px=64, closed=False, whole=False).eval()
    images, _ = transform([torch.ones(3, 70, 20)])
    assert images.tensors.shape == (1, 3, 128, 64)
    assert images.image_sizes == [(70, 20)]


def _heads(**ways: object) -> Any:
    return build("maskrcnn_r50_fpn", 3, 3, **{**SMALL, "min_score": 0.2, **ways}).network.roi_heads.eval()


def test_a_region_is_an_object_of_its_best_class_alone() -> None:
    logits = torch.log(torch.tensor([[0.3, 0.45, 0.25], [0.6, 0.1, 0.3]]))
    boxes = [torch.tensor([[0.0, 0, 10, 10], [30, 30, 50, 50]])]
    offsets = torch.zeros(2, 12)
    for ways, expected in (({}, [1, 2, 2]), ({"best_class": True}, [1])):
        _, _, (labels,) = _heads(**ways).postprocess_detections(logits, offsets, boxes, [(64, 64)])
        assert sorted(labels.tolist()) == expected


def test_the_least_score_belongs_to_the_objects() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.5, 0.25]]))
    boxes = [torch.tensor([[0.0, 0, 10, 10]])]
    for ways, count in (({}, 0), ({"best_class": True}, 1)):
        _, (scores,), _ = _heads(**ways, min_score=float(logits.softmax(1).max())).postprocess_detections(
            logits, torch.zeros(1, 12), boxes, [(64, 64)]
        )
        assert len(scores) == count


def test_boxes_grow_beyond_torchvisions_limit() -> None:
    offsets = torch.zeros(1, 12)
    offsets[0, 6] = 5 * 5.0  # dw of class 1, by the scale 0.2
    logits, boxes = torch.tensor([[0.0, 9, 0]]), [torch.tensor([[31.0, 0, 33, 10]])]
    widths = []
    for clamp in (True, False):
        (found,), _, _ = _heads(best_class=True, clamp_deltas=clamp).postprocess_detections(
            logits, offsets, boxes, [(64, 4000)]
        )
        widths.append(float(found[0, 2]))
    assert widths[0] == pytest.approx(32 + 62.5, abs=0.1)
    assert widths[1] == pytest.approx(32 + np.exp(5), abs=0.1)


def test_proposals_of_all_levels_compete_where_levels_are_joint() -> None:
    objectness = torch.tensor([[3.0], [2.9], [1.0]])
    boxes = torch.tensor([[[0.0, 0, 40, 40], [0, 0, 41, 40], [100, 100, 120, 120]]])
    for joint, expected in ((False, 3), (True, 2)):
        network = build("maskrcnn_r50_fpn", 3, 2, **SMALL, joint_levels=joint, nms_iou=0.5).network.rpn.eval()
        (kept,), _ = network.filter_proposals(boxes, objectness, [(128, 128)], [1, 1, 1])
        assert len(kept) == expected
    few = build("maskrcnn_r50_fpn", 3, 2, **SMALL, joint_levels=True, candidates=1).network.rpn.eval()
    (kept,), _ = few.filter_proposals(boxes, objectness, [(128, 128)], [1, 1, 1])
    torch.testing.assert_close(kept, boxes[0, :1])


def test_closed_proposals_end_at_the_last_pixel() -> None:
    network = build("maskrcnn_r50_fpn", 3, 2, **SMALL, closed_boxes=True).network.rpn.eval()
    boxes = torch.tensor([[[-5.0, -5, 300, 300]]])
    (kept,), _ = network.filter_proposals(boxes, torch.tensor([[1.0]]), [(64, 96)], [1])
    torch.testing.assert_close(kept, torch.tensor([[0.0, 0, 95, 63]]))


def test_it_finds_and_learns_with_all_of_its_ways() -> None:
    torch.manual_seed(0)
    network = build("maskrcnn_r50_fpn", 3, 3, min_score=0.01, max_objects=7, proposals=20, **SMALL, **WAYS).eval()
    with torch.no_grad():
        first, second = network([torch.randn(3, 70, 90), torch.randn(3, 64, 64)])
    for one, shape in ((first, (70, 90)), (second, (64, 64))):
        assert one["masks"].shape == (len(one["boxes"]), *shape)
        assert (one["boxes"] == one["boxes"].round()).all()
        assert (one["boxes"][:, 2:] <= torch.tensor([shape[1], shape[0]])).all()
    network = network.train()
    images, targets = draw(2, (64, 64), seed=1)
    losses = network(images, targets)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pooling": "max"}, "poolings align, crop"),
        ({"rpn_std": (0.1, 0.2)}, "4 numbers as rpn_std"),
        ({"form": "panet", "pooling": "crop"}, "not for panet"),
        ({"form": "scoring", "clamp_deltas": False}, "not for scoring"),
    ],
)
def test_ways_that_do_not_go_together_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        build("maskrcnn_r50_fpn", 3, 2, **options)
