"""Panoptic networks: counts, shapes, losses that fall, and the parts that are each paper's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.ops import roi_align

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.panoptic.attention import complemented, roi_upsample
from geoseg.nn.panoptic.contract import checked_things, spread_things
from geoseg.nn.panoptic.merge import visible_masks
from geoseg.nn.panoptic.ranking import SpatialRanking, object_maps, ranking_loss, ranking_scores
from geoseg.nn.zoo.measure import measure
from geoseg.score.panoptic.pairs import count_pairs
from geoseg.score.panoptic.quality import SegmentTable, tally
from geoseg.testing.networks import tiny_networks

TINY = tiny_networks("panoptic")
BACKGROUND_OF_BOXES = 4 * 1025 + 257
"""Parameters of the background's box and mask, which detectron2's form has not."""


@pytest.mark.parametrize(("name", "count"), [("panoptic_fpn_r50", 45_973_990), ("panoptic_fpn_r101", 64_913_894)])
def test_it_has_detectron2s_number_of_parameters(name: str, count: int) -> None:
    with torch.device("meta"):
        network = build(name, 3, 133, things=list(range(80)))
    assert sum(p.numel() for p in network.parameters()) - BACKGROUND_OF_BOXES == count


@pytest.mark.parametrize("name", TINY)
def test_entries_state_what_is_measured(name: str) -> None:
    entry = TINY[name].entry
    assert measure(entry.name) == entry.cost


def scene(seed: int = 0) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Two images of bright rectangles of two classes on grounds of two kinds."""
    random = np.random.default_rng(seed)
    images, targets = [], []
    for _ in range(2):
        semantic = np.zeros((64, 96), np.int64)
        semantic[:, 48:] = 2
        masks, labels, boxes = [], [], []
        for place in range(3):
            top, left = int(random.integers(4, 34)), 4 + 30 * place
            mask = np.zeros((64, 96), np.uint8)
            mask[top : top + 22, left : left + 20] = 1
            label = place % 2 + 1
            semantic[mask > 0] = (1, 3)[label - 1]
            masks.append(mask)
            labels.append(label)
            boxes.append([left, top, left + 20, top + 22])
        image = np.eye(4, dtype=np.float32)[semantic].transpose(2, 0, 1)[:3] * 2 - 0.5 * (semantic == 3)
        images.append(image + 0.1 * random.standard_normal(image.shape).astype(np.float32))
        targets.append(
            {
                "boxes": torch.tensor(boxes, dtype=torch.float32),
                "labels": torch.tensor(labels),
                "masks": torch.from_numpy(np.stack(masks)),
                "semantic": torch.from_numpy(semantic),
            }
        )
    return torch.from_numpy(np.stack(images)).float(), targets


def small(name: str, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(TINY[name].entry.name, 3, 4, **{**TINY[name].form.options, "things": [1, 3], **options})


@pytest.mark.parametrize("name", TINY)
def test_answers_have_the_size_of_each_image(name: str) -> None:
    options = {} if name == "panoptic_unet" else {"min_score": 0.01, "max_objects": 7, "proposals": 20}
    network = small(name, **options).eval()
    with torch.inference_mode():
        one, other = network([torch.randn(3, 33, 50), torch.randn(3, 64, 41)])
    for answer, size in ((one, (33, 50)), (other, (64, 41))):
        count = len(answer["labels"])
        assert answer["semantic"].shape == (4, *size)
        assert answer["masks"].shape == (count, *size)
        assert answer["boxes"].shape == (count, 4)
        assert (answer["scores"].diff() <= 0).all()
        assert set(answer["labels"].tolist()) <= {1, 2}
        assert (answer["masks"].sum(0) <= 1).all(), "objects share no pixel"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TINY if name != "panoptic_unet"])
def test_its_losses_fall(name: str) -> None:
    images, targets = scene()
    network = small(name, proposals=50).train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    sums = []
    for _ in range(8):
        loss = torch.stack(list(network(images, targets).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        sums.append(float(loss.detach()))
    assert min(sums[-3:]) < 0.8 * sums[0]


@pytest.mark.slow
def test_it_learns_one_batch() -> None:
    images, targets = scene()
    network = small("panoptic_unet").train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(120):
        losses = network(images, targets)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    for module in network.modules():  # the statistics of one batch are those of its norms
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
    network.training = False
    with torch.no_grad():
        answers = network.eval()(images)
    for answer, target in zip(answers, targets, strict=True):
        right = answer["semantic"].argmax(0) == target["semantic"]
        stuff = (target["semantic"] % 2) == 0
        assert right[stuff].float().mean() > 0.9
        iou = [
            max(((m.bool() & t.bool()).sum() / (m.bool() | t.bool()).sum()).item() for m in answer["masks"])
            for t in target["masks"]
        ]
        assert min(iou) > 0.5


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("name", TINY)
def test_all_losses_reach_all_weights(name: str) -> None:
    images, targets = scene()
    network = small(name).train()
    losses = network(images, targets)
    assert all(torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


def test_class_maps_are_taught_at_the_size_that_images_are_resized_to() -> None:
    """Resizing by the network teaches as images and labels that were resized before."""
    images, targets = scene()
    sides = (128, 192)
    network, plain = (small("panoptic_fpn_r50", resize=resize).train() for resize in (sides, None))
    plain.load_state_dict(network.state_dict())
    larger = functional.interpolate(images, sides, mode="bilinear", align_corners=False)
    grown = [
        {
            **target,
            "boxes": target["boxes"] * 2,
            "masks": functional.interpolate(target["masks"][None].float(), sides)[0].to(torch.uint8),
            "semantic": functional.interpolate(target["semantic"][None, None].float(), sides)[0, 0].long(),
        }
        for target in targets
    ]
    found, expected = network(images, targets)["semantic"], plain(larger, grown)["semantic"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_images_without_things_teach_too() -> None:
    images, _targets = scene()
    none = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 64, 96, dtype=torch.uint8),
        "semantic": torch.full((64, 96), 255),
    }
    for name in TINY:
        losses = small(name).train()(images, [none, none])
        assert all(torch.isfinite(loss) for loss in losses.values()), name


def test_things_without_a_class_of_their_own_share_its_probability() -> None:
    stuff, thing = torch.randn(2, 5, 6), torch.randn(1, 5, 6)
    probs = spread_things(stuff, thing, [0, 2]).softmax(0)
    merged = torch.cat([thing, stuff]).softmax(0)
    torch.testing.assert_close(probs[0] + probs[2], merged[0])
    torch.testing.assert_close(probs[0], probs[2])
    torch.testing.assert_close(probs[[1, 3]], merged[1:])


@pytest.mark.parametrize("things", [[4], [1, 1], [0, 1, 2, 3], [-1]])
def test_things_that_are_no_classes_are_refused(things: list[int]) -> None:
    with pytest.raises(ModelError, match=r"panoptic_unet|things"):
        checked_things("panoptic_unet", 4, things)


def merged(
    objects: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    semantic: torch.Tensor,
    things: list[int],
    ranking: torch.Tensor | None = None,
    stuff_px: int = 0,
) -> tuple[torch.Tensor, list[int]]:
    """The paper's merge: number of each pixel's segment, 0 for void, and the class of each segment."""
    masks, kinds, scores = objects
    kept, seen = visible_masks(masks, scores, 0.5, ranking)
    segments, found = torch.zeros(semantic.shape, dtype=torch.int64), kinds[kept].tolist()
    for number, mask in enumerate(seen, start=1):
        segments[mask] = number
    for kind in torch.unique(semantic).tolist():
        mask = (semantic == kind) & (segments == 0)
        if kind not in things and int(mask.sum()) >= max(1, stuff_px):
            found.append(kind)
            segments[mask] = len(found)
    return segments, found


class TestMerge:
    """Kirillov et al. 2019, section 6."""

    def test_the_heuristic_by_hand(self) -> None:
        masks = torch.zeros(3, 6, 10, dtype=torch.bool)
        masks[0, :4, :4] = masks[1, :4, 3:7] = masks[2, :3, :3] = True
        scores, kinds = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 3, 1])
        semantic = torch.zeros(6, 10, dtype=torch.int64)
        semantic[:, 8:], semantic[4, :2] = 2, 1
        segments, found = merged((masks, kinds, scores), semantic, [1, 3], stuff_px=13)
        # the third is covered by the first; stuff 2 is too small; class 1 is void where no object lies
        expected = torch.zeros(6, 10, dtype=torch.int64)
        expected[semantic == 0] = 3
        expected[:4, :4], expected[:4, 4:7] = 1, 2
        assert torch.equal(segments, expected)
        assert found == [1, 3, 0]

    def test_a_constant_ranking_is_the_heuristic(self) -> None:
        random = torch.Generator().manual_seed(0)
        masks = torch.rand(12, 20, 20, generator=random) < 0.3
        scores = torch.rand(12, generator=random)
        plain, ranked = visible_masks(masks, scores, 0.5), visible_masks(masks, scores, 0.5, torch.full((12,), 0.3))
        assert torch.equal(plain[0], ranked[0])
        assert torch.equal(plain[1], ranked[1])


class TestRanking:
    """OANet: a tie lies on a person, though the detector is surer of the person."""

    masks = torch.zeros(2, 12, 12, dtype=torch.bool)
    masks[0, 1:11, 2:10] = True
    masks[1, 3:9, 5:8] = True
    labels, scores = torch.tensor([0, 1]), torch.tensor([0.9, 0.6])

    def quality(self, ranking: torch.Tensor | None) -> float:
        truth = torch.zeros(12, 12, dtype=torch.int64)
        truth[self.masks[0]], truth[self.masks[1]] = 1, 2
        semantic = torch.zeros(12, 12, dtype=torch.int64)
        segments, kinds = merged((self.masks, self.labels, self.scores), semantic + 2, [0, 1], ranking)

        class Numbers:
            shape = (12, 12)

            def __init__(self, values: torch.Tensor) -> None:
                self.values = values.numpy()

            def numbers(self, window):
                return self.values[window.slices]

        pairs = count_pairs(Numbers(torch.where(truth > 0, truth, 3)), Numbers(segments))
        table = SegmentTable.of(list(range(1, 1 + len(kinds))), kinds)
        return tally(pairs, SegmentTable.of([1, 2, 3], [0, 1, 2]), table, 3).mean([0, 1])["pq"]

    def test_the_right_order_raises_panoptic_quality(self) -> None:
        wrong, right = self.quality(None), self.quality(torch.tensor([0.2, 0.8]))
        # the tie is lost: of the person 62 of 80 pixels are right, of the tie none
        assert wrong == pytest.approx((62 / 80) / 2)
        assert right == 1.0

    def test_the_module_learns_the_order(self) -> None:
        torch.manual_seed(0)
        module = SpatialRanking(2)
        maps = object_maps(self.masks, self.labels, 2)[None]
        visible = torch.stack([self.masks[0] & ~self.masks[1], self.masks[1]])
        optimiser = torch.optim.Adam(module.parameters(), 0.01)
        for _ in range(60):
            loss = ranking_loss(module(maps), [visible], [self.labels])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            ranks = ranking_scores(module(maps)[0], self.masks, self.labels)
        assert ranks[1] > ranks[0]
        assert self.quality(ranks) == 1.0

    def test_scores_are_means_of_the_own_class(self) -> None:
        logits = torch.randn(2, 12, 12)
        ranks = ranking_scores(logits, self.masks, self.labels)
        expected = [logits.softmax(0)[k][self.masks[k]].mean() for k in (0, 1)]
        torch.testing.assert_close(ranks, torch.stack(expected))

    def test_its_kernels_reach_three_pixels_along_both_axes(self) -> None:
        module = SpatialRanking(1)
        point = torch.zeros(1, 1, 15, 15)
        changed = module(point) != module(functional.pad(torch.ones(1, 1, 1, 1), (7, 7, 7, 7)))
        rows, cols = torch.nonzero(changed[0, 0], as_tuple=True)
        assert (rows.min(), rows.max(), cols.min(), cols.max()) == (4, 10, 4, 10)


class TestAttention:
    """AUNet: attention is complementary, and RoIUpsample is the adjoint of RoIAlign."""

    def test_attention_is_complementary(self) -> None:
        features, attention = torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
        expected = features * (1 + (-attention).sigmoid())
        torch.testing.assert_close(complemented(features, attention), expected)
        assert (complemented(features.abs(), attention + 1) < complemented(features.abs(), attention)).all()

    def test_what_is_laid_is_the_adjoint_of_what_is_cut_out(self) -> None:
        torch.manual_seed(0)
        rois = torch.tensor([[0, 4.0, 8.0, 36.0, 44.0], [1, 10.0, 2.0, 60.0, 30.0], [1, 0.0, 0.0, 20.0, 63.0]])
        masks = torch.rand(3, 1, 14, 14)
        x = torch.randn(2, 1, 16, 16, requires_grad=True)
        cut = roi_align(x, rois, 14, 0.25, 2, aligned=True)
        laid = torch.autograd.grad(cut, x, masks, retain_graph=True)[0]
        weights = torch.autograd.grad(cut, x, torch.ones_like(masks))[0]
        expected = torch.where(weights > 1e-6, laid / weights, 0.0)
        torch.testing.assert_close(roi_upsample(masks, rois, 0.25, (2, 16, 16)), expected, atol=1e-5, rtol=1e-4)

    def test_its_gradient_is_that_of_differences(self) -> None:
        rois = torch.tensor([[0, 4.0, 8.0, 36.0, 44.0]])
        masks = torch.rand(1, 1, 4, 4, requires_grad=True)
        weight = torch.randn(1, 1, 16, 16)
        (roi_upsample(masks, rois, 0.25, (1, 16, 16)) * weight).sum().backward()
        step = torch.zeros_like(masks)
        step[0, 0, 1, 2] = 1e-2
        with torch.no_grad():
            ends = [(roi_upsample(masks + s * step, rois, 0.25, (1, 16, 16)) * weight).sum() for s in (-1, 1)]
        assert float(masks.grad[0, 0, 1, 2]) == pytest.approx(float(ends[1] - ends[0]) / 2e-2, rel=1e-2, abs=1e-3)

    def test_a_mask_of_ones_is_one_inside_its_region(self) -> None:
        laid = roi_upsample(torch.ones(1, 1, 14, 14), torch.tensor([[0, 8.0, 8.0, 40.0, 48.0]]), 0.25, (1, 16, 16))
        np.testing.assert_allclose(laid[0, 0, 3:11, 3:9], 1.0, atol=1e-5)
        assert (laid[0, 0, :, 12:] == 0).all()
