"""YOLACT: counts, shapes, matching, losses, suppression and masks against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from rectangles import draw

from geoseg.errors import ModelError
from geoseg.nn.instance import yolact
from geoseg.nn.instance.boxes import corners, decode, encode, iou
from geoseg.nn.instance.suppression import Selection, fast_nms, select
from geoseg.nn.instance.yolact_loss import shrink_masks
from geoseg.nn.instance.yolact_targets import NEUTRAL, match

SMALL = {
    "backbone": "mobilenetv2_050",
    "width": 32,
    "finest": 4,
    "coarsest": 32,
    "anchor_px": (12, 24, 48, 96),
    "square": False,
    "norm": "batch",
}


@pytest.mark.parametrize(
    ("backbone", "count"), [("resnet50", 31_164_943), ("resnet101", 50_157_071), ("darknet53", 47_783_087)]
)
def test_it_has_the_authors_number_of_parameters(backbone: str, count: int) -> None:
    with torch.device("meta"):
        network = yolact.build(3, 81, backbone=backbone)
    assert sum(p.numel() for p in network.parameters()) == count


def test_at_550_pixels_it_has_the_authors_anchors_and_prototypes() -> None:
    with torch.device("meta"):
        network = yolact.build(3, 81).eval()
        raw = network.body(torch.empty(1, 3, 550, 550))
    assert tuple(raw.offsets.shape) == (1, 19_248, 4)
    assert tuple(raw.prototypes.shape) == (1, 32, 138, 138)
    assert len(network.anchors.over((550, 550), torch.empty(0))) == 19_248


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (1, 5), (100, 31)])
@pytest.mark.parametrize("bands", [1, 5])
def test_any_size_and_number_of_bands_gives_masks_of_the_images_size(size: tuple[int, int], bands: int) -> None:
    network = yolact.build(bands, 4, min_score=0.0, max_objects=7, **SMALL).eval()
    with torch.no_grad():
        (found,) = network(torch.randn(1, bands, *size))
    assert found["masks"].shape == (len(found["boxes"]), *size)
    assert len(found["boxes"]) <= 7
    assert set(found["labels"].tolist()) <= {1, 2, 3}
    assert (found["scores"].diff() <= 0).all()
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"][:, 2] <= size[1]).all()
    assert (found["boxes"][:, 3] <= size[0]).all()
    assert found["masks"].min() >= 0
    assert found["masks"].max() <= 1


def test_images_of_different_sizes_in_one_batch_keep_their_own_size() -> None:
    network = yolact.build(3, 2, min_score=0.0, **SMALL).eval()
    with torch.no_grad():
        first, second = network([torch.randn(3, 40, 64), torch.randn(3, 64, 33)])
    assert first["masks"].shape[1:] == (40, 64)
    assert second["masks"].shape[1:] == (64, 33)
    assert (second["boxes"][:, 2] <= 33).all()


def test_encoding_and_decoding_are_inverse() -> None:
    anchors = torch.rand(50, 4) * 40 + 4
    boxes = corners(torch.rand(50, 4) * 60 + 2)
    torch.testing.assert_close(decode(encode(boxes, anchors), anchors), boxes, rtol=1e-4, atol=1e-3)


def test_overlaps_are_those_of_drawn_pixels() -> None:
    boxes = torch.tensor([[0, 0, 4, 4], [2, 1, 7, 5], [5, 5, 6, 9], [0, 0, 9, 9]], dtype=torch.float32)
    drawn = torch.zeros(len(boxes), 10, 10, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(drawn, boxes.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    flat = drawn.flatten(1)
    both = (flat[:, None] & flat[None]).sum(2)
    either = (flat[:, None] | flat[None]).sum(2)
    torch.testing.assert_close(iou(boxes, boxes), both / either)


def test_anchors_are_matched_as_a_plain_loop_matches_them() -> None:
    random = torch.Generator().manual_seed(3)
    anchors = torch.rand(60, 4, generator=random) * 40 + 10
    boxes = corners(torch.rand(9, 4, generator=random) * 40 + 10)
    labels = torch.randint(1, 4, (9,), generator=random)
    overlaps = iou(boxes, corners(anchors))
    best, objects = overlaps.max(0)
    left = overlaps.clone()
    for _ in range(9):
        row, column = divmod(int(left.argmax()), 60)
        objects[column], best[column] = row, 2.0
        left[row], left[:, column] = -1.0, -1.0
    taught = torch.where(best >= 0.5, labels[objects], torch.where(best < 0.4, 0, NEUTRAL))
    found = match(boxes, labels, torch.zeros(0, 4), anchors)
    assert torch.equal(found.labels, taught)
    assert torch.equal(found.objects[taught > 0], objects[taught > 0])
    assert set(found.objects[found.labels > 0].tolist()) == set(range(9))


def test_background_in_a_crowd_teaches_nothing() -> None:
    anchors = torch.tensor([[10.0, 10, 8, 8], [50.0, 50, 8, 8]])
    found = match(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.tensor([[0.0, 0, 20, 20]]), anchors)
    assert found.labels.tolist() == [NEUTRAL, 0]


def test_fast_nms_removes_a_box_that_any_better_one_overlaps() -> None:
    random = torch.Generator().manual_seed(0)
    boxes = corners(torch.rand(40, 4, generator=random) * 20 + 10)
    overlaps = iou(boxes, boxes)
    kept = [i for i in range(40) if all(overlaps[j, i] <= 0.5 for j in range(i))]
    assert fast_nms(boxes, 0.5).tolist() == kept


def test_greedy_suppression_lets_only_kept_boxes_remove_others() -> None:
    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
    )  # the second removes the third, if it stays
    scores = torch.tensor([[0.9], [0.8], [0.7]])
    greedy = select(boxes, scores, Selection(nms_iou=0.3, suppression="greedy"))
    fast = select(boxes, scores, Selection(nms_iou=0.3))
    assert greedy[0].tolist() == [0, 2]
    assert fast[0].tolist() == [0]


def test_masks_are_the_sigmoid_of_combined_prototypes_inside_their_boxes() -> None:
    prototypes, coefficients = torch.rand(3, 8, 8), torch.randn(2, 3)
    boxes = torch.tensor([[4.0, 4, 8, 12], [0, 0, 16, 16]])
    masks = yolact.assemble_masks(prototypes, coefficients, boxes, (8, 8))  # no resizing: the grid is the image's
    for mask, weights, (x0, y0, x1, y1) in zip(masks, coefficients, boxes.tolist(), strict=True):
        for y in range(8):
            for x in range(8):
                inside = x0 - 1 <= x < x1 + 1 and y0 - 1 <= y < y1 + 1
                expected = 1 / (1 + math.exp(-float(weights @ prototypes[:, y, x]))) if inside else 0.0
                assert float(mask[y, x]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_the_losses_fall_and_objects_are_found_on_rectangles() -> None:
    torch.manual_seed(0)
    network = yolact.build(3, 3, **SMALL)
    images, targets = draw(4, (64, 64), seed=1)
    steps = torch.optim.AdamW(network.parameters(), lr=2e-3)
    totals = []
    for _ in range(60):
        parts = network(images, targets)
        assert set(parts) == {"box", "class", "mask", "semantic"}
        total = sum(parts.values())
        steps.zero_grad()
        total.backward()
        steps.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.35 * totals[0]
    with torch.no_grad():
        found = network.eval()(images)
    for one, target in zip(found, targets, strict=True):
        for mask, label in zip(target["masks"].bool(), target["labels"], strict=True):
            masks = one["masks"][(one["labels"] == label) & (one["scores"] > 0.3)] > 0.5
            shared = (masks & mask).sum((1, 2)) / (masks | mask).sum((1, 2)).clamp(min=1)
            assert len(shared), "an object was not found"
            assert shared.max() > 0.6


def test_images_without_objects_teach_the_background_where_negatives_are_asked_for() -> None:
    empty = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "masks": torch.zeros(0, 64, 64)}]
    images = torch.randn(1, 3, 64, 64)
    silent = yolact.build(3, 2, **SMALL)(images, empty)
    taught = yolact.build(3, 2, least_negatives=8, **SMALL)(images, empty)
    assert silent["class"].item() == 0
    assert taught["class"].item() > 0
    sum(silent.values()).backward()


def test_masks_are_shrunk_by_halves() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[0, :2, :2] = 1
    mask[0, 3, 3] = 1
    assert shrink_masks(mask, (2, 2))[0].tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"anchor_px": (24, 48)}, "needs 5 entries, not 2"),
        ({"finest": 16}, "takes finest 4 or 8"),
        ({"backbone": "vit_base_patch16_224"}, "strides"),
        ({"aspects": ()}, "positive aspects"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        yolact.build(3, 2, **options)  # type: ignore[arg-type]
