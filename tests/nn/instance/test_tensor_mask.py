"""TensorMask: counts, shapes, its operation and its rules against plain loops, losses that fall."""

from __future__ import annotations

import math

import pytest
import torch
from rectangles import draw

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.instance.swap_align import swap_align_to_natural
from geoseg.nn.instance.tensor_mask import paste
from geoseg.nn.instance.tensor_mask_loss import Places, assign

SMALL = {"backbone": "resnet18", "norm": "batch", "width": 32, "anchor_px": (16, 24)}


def test_it_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = build("tensormask_r50", 3, 81)
    assert sum(p.numel() for p in network.parameters()) == 36_514_370


def neighbours(value: float) -> tuple[tuple[int, float], tuple[int, float]]:
    share = value - math.floor(value)
    return (math.floor(value), 1 - share), (math.ceil(value), share)


@pytest.mark.parametrize(("factor", "side"), [(1, 3), (2, 3), (4, 2)])
def test_masks_are_swapped_as_sixteen_corners_say(factor: int, side: int) -> None:
    height, width = 5, 6
    aligned = torch.randn(1, side * side, height, width)
    cells = aligned.reshape(side, side, height, width)

    def corner(v: int, u: int, y: int, x: int) -> float:
        held = 0 <= v < side and 0 <= u < side and 0 <= y < height and 0 <= x < width
        return float(cells[v, u, y, x]) if held else -6.0

    fine = side * factor
    natural = swap_align_to_natural(aligned, factor)
    assert natural.shape == (1, fine**2, math.ceil(height / factor), math.ceil(width / factor))
    for v in range(fine):
        for u in range(0, fine, 2):
            for y, x in ((0, 0), (natural.shape[2] - 1, natural.shape[3] - 1)):
                expected = sum(
                    a * b * c * d * corner(vv, uu, yy, xx)
                    for yy, a in neighbours(y * factor + v - fine / 2 + 0.5)
                    for xx, b in neighbours(x * factor + u - fine / 2 + 0.5)
                    for vv, c in neighbours((v + 0.5) / factor - 0.5)
                    for uu, d in neighbours((u + 0.5) / factor - 0.5)
                )
                assert float(natural[0, v * fine + u, y, x]) == pytest.approx(expected, abs=1e-5)


def test_places_are_given_to_objects_as_a_plain_loop_gives_them() -> None:
    places = Places.over([(16, 16), (8, 8), (4, 4), (2, 2), (1, 1), (1, 1)], (16, 24), torch.zeros(1))
    boxes = torch.tensor([[8.0, 8, 20, 18], [30, 30, 60, 62], [31, 31, 61, 63], [2, 50, 8, 56]])
    expected = []
    for (x0, y0, x1, y1), unit in zip(places.boxes.tolist(), places.units.tolist(), strict=True):
        fitting = []
        for index, (bx0, by0, bx1, by1) in enumerate(boxes.tolist()):
            holds = x0 <= bx0 and y0 <= by0 and x1 >= bx1 and y1 >= by1
            longest = max(2 * max(bx1 - bx0, by1 - by0), 12)
            away = math.hypot((bx0 + bx1 - x0 - x1) / 2, (by0 + by1 - y0 - y1) / 2)
            if holds and max(x1 - x0, y1 - y0) - unit <= longest and away <= unit:
                fitting.append(index)
        expected.append(fitting[0] if len(fitting) == 1 else -1)
    found = assign(boxes, places).tolist()
    assert found == expected
    assert {0, 3} <= set(found)


def test_a_mask_is_pasted_where_its_box_is() -> None:
    mask = torch.arange(16.0).reshape(4, 4)
    pasted = paste(mask, torch.tensor([2.0, 1, 6, 5]), (8, 9))
    torch.testing.assert_close(pasted[1:5, 2:6], mask)
    assert pasted[:, 7:].abs().max() == 0
    assert pasted[6:].abs().max() == 0


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (5, 130)])
def test_any_size_and_number_of_bands_gives_masks_of_the_images_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build("tensormask_r50", 5, 3, min_score=0.001, max_objects=6, **SMALL).eval()
    with torch.no_grad():
        (found,) = network(torch.randn(1, 5, *size))
    assert len(found["boxes"])
    assert found["masks"].shape == (len(found["boxes"]), *size)
    assert set(found["labels"].tolist()) <= {1, 2}
    assert (found["scores"].diff() <= 0).all()


@pytest.mark.slow
def test_the_losses_fall_on_rectangles() -> None:
    torch.manual_seed(0)
    network = build("tensormask_r50", 3, 3, **SMALL).train()
    images, targets = draw(2, (64, 64), seed=1)
    steps = torch.optim.AdamW(network.parameters(), lr=3e-3)
    totals = []
    for _ in range(25):
        parts = network(images, targets)
        assert set(parts) == {"class", "box", "mask"}
        total = sum(parts.values())
        steps.zero_grad()
        total.backward()
        steps.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.85 * totals[0]


def test_an_image_without_objects_and_one_with_a_crowd_give_finite_losses() -> None:
    network = build("tensormask_r50", 3, 2, **SMALL).train()
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "masks": torch.zeros(0, 64, 64)}
    crowd = {
        "boxes": torch.tensor([[0.0, 0, 64, 64]]),
        "labels": torch.ones(1, dtype=torch.int64),
        "masks": torch.ones(1, 64, 64),
        "iscrowd": torch.ones(1),
    }
    images = torch.randn(2, 3, 64, 64)
    losses = network(images, [empty, crowd])
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["class"].item() < network(images, [empty, empty])["class"].item()
    sum(losses.values()).backward()


@pytest.mark.parametrize("options", [{"anchor_px": (44, 50)}, {"width": 33}, {"norm": "group"}])
def test_options_that_do_not_go_together_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="tensormask"):
        build("tensormask_r50", 3, 2, **{**SMALL, **options})
