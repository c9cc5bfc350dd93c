"""The watershed U-Net: basins by their laws and against a slow definition, what is taught, and what comes back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from geoseg import nn
from geoseg.errors import ModelError
from geoseg.nn.instance.basins import between_objects, filled, object_basins, on_pixels
from geoseg.nn.instance.watershed import WatershedRules, aims_of, build

SMALL = {"encoder": "mobilenetv2_050", "widths": (32, 24, 16, 16)}
EIGHT = np.ones((3, 3), bool)

masks = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def heights(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(np.float32) + 1


def slow_basins(mask: npt.NDArray[np.bool_], height: npt.NDArray[np.float32]) -> set[frozenset[tuple[int, int]]]:
    """Climb from each pixel by single steps."""
    ends: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for start in zip(*np.nonzero(mask), strict=True):
        at = (int(start[0]), int(start[1]))
        while True:
            near = [
                (row, col)
                for row in range(max(0, at[0] - 1), min(mask.shape[0], at[0] + 2))
                for col in range(max(0, at[1] - 1), min(mask.shape[1], at[1] + 2))
                if mask[row, col]
            ]
            top = max(near, key=lambda place: height[place])
            if top == at:
                break
            at = top
        ends.setdefault(at, set()).add((int(start[0]), int(start[1])))
    return {frozenset(pixels) for pixels in ends.values()}


def largest_piece(pixels: frozenset[tuple[int, int]], shape: tuple[int, ...]) -> int:
    drawn = np.zeros(shape, bool)
    drawn[tuple(np.array(sorted(pixels)).T)] = True
    labels, _ = ndimage.label(drawn)
    return int(np.bincount(labels.ravel())[1:].max())


@given(masks, st.integers(0, 1000))
def test_without_joining_objects_are_the_basins_that_a_climb_finds(mask: npt.NDArray[np.bool_], seed: int) -> None:
    height = heights(mask.shape, seed)
    parts, count, tops = object_basins(mask, height, 1, neck=2.0, least_px=1)
    slow = slow_basins(mask, height) if mask.any() else set()
    assert count == len(slow) == len(tops)
    for number in range(1, count + 1):
        pixels = {(int(row), int(col)) for row, col in zip(*np.nonzero(parts == number), strict=True)}
        (whole,) = [basin for basin in slow if pixels <= basin]
        assert len(pixels) == largest_piece(whole, mask.shape)
        assert tops[number - 1] == max(height[place] for place in whole)


@given(masks, st.integers(0, 1000))
def test_at_neck_zero_each_connected_region_is_one_object(mask: npt.NDArray[np.bool_], seed: int) -> None:
    parts, count, _ = object_basins(mask, heights(mask.shape, seed), 1, neck=0.0, least_px=1)
    regions, expected = ndimage.label(mask, EIGHT)
    assert count == expected
    assert (regions[parts > 0] > 0).all()


@given(masks, st.integers(0, 1000), st.sampled_from([1, 2, 3]), st.floats(0, 1), st.integers(1, 5))
def test_objects_lie_in_the_mask_are_connected_and_large_enough(
    mask: npt.NDArray[np.bool_], seed: int, cell: int, neck: float, least_px: int
) -> None:
    cells = tuple(-(-side // cell) for side in mask.shape)
    parts, count, tops = object_basins(mask, heights(cells, seed), cell, neck=neck, least_px=least_px)
    assert parts.shape == cells
    assert len(tops) == count == parts.max(initial=0)
    fine = np.where(mask, on_pixels(parts, cell, mask.shape), 0)
    for number in range(1, count + 1):
        assert ndimage.label(parts == number)[1] == 1
        assert (fine == number).sum() >= least_px
        for row, col in zip(*np.nonzero(parts == number), strict=True):
            assert mask[row * cell : (row + 1) * cell, col * cell : (col + 1) * cell].any()


def test_two_tops_are_parted_where_the_pass_is_low_and_one_object_where_it_is_high() -> None:
    mask, height = np.ones((1, 5), bool), np.array([[1.0, 0.8, 0.5, 0.8, 0.9]], np.float32)
    assert object_basins(mask, height, 1, neck=0.6, least_px=1)[1] == 2
    assert object_basins(mask, height, 1, neck=0.5, least_px=1)[1] == 1


numbered = arrays.arrays(
    np.int32, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.integers(0, 3)
)


@given(numbered, st.integers(1, 4))
def test_pixels_between_objects_are_those_whose_square_holds_two_numbers(
    numbers: npt.NDArray[np.int32], reach: int
) -> None:
    found = between_objects(numbers, reach)
    for row, col in np.ndindex(*numbers.shape):
        square = numbers[max(0, row - reach) : row + reach + 1, max(0, col - reach) : col + reach + 1]
        assert found[row, col] == (len(set(square[square > 0].tolist())) >= 2)


@given(numbered, st.integers(1, 4), st.integers(0, 1000))
def test_filling_changes_no_object_and_fills_only_what_is_free(
    numbers: npt.NDArray[np.int32], steps: int, seed: int
) -> None:
    free = np.random.default_rng(seed).random(numbers.shape) < 0.7
    found = filled(numbers, free, steps)
    assert (found[numbers > 0] == numbers[numbers > 0]).all()
    new = (found > 0) & (numbers == 0)
    assert not (new & ~free).any()
    for number in np.unique(found[new]):  # a number grows from its own pixels
        pieces, count = ndimage.label(found == number, EIGHT)
        assert all((numbers[pieces == k] == number).any() for k in range(1, count + 1))


def test_a_gap_is_shared_in_the_middle() -> None:
    numbers = np.array([[1, 0, 0, 0, 0, 2, 0, 0]], np.int32)
    free = np.array([[1, 1, 1, 1, 1, 1, 0, 0]], bool)
    assert filled(numbers, free, 5).tolist() == [[1, 1, 1, 2, 2, 2, 0, 0]]


def masks_of(found: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [found["numbers"] == number for number in range(1, len(found["scores"]) + 1)]


def drawn(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (96, 96)) -> dict[str, torch.Tensor]:
    masks_ = torch.zeros(len(boxes), *size)
    for mask, (top, bottom, left, right) in zip(masks_, boxes, strict=True):
        mask[top:bottom, left:right] = 1
    return {"boxes": torch.zeros(len(boxes), 4), "labels": torch.ones(len(boxes), dtype=torch.int64), "masks": masks_}


def test_the_ground_between_neighbours_is_background_and_depth_is_one_inside_each() -> None:
    target = drawn((10, 40, 10, 40), (10, 40, 40, 70))
    kinds, contact, depth = aims_of(target, (96, 96), (96, 96), 3)
    assert not kinds[contact > 0].any()
    assert contact[12:38, 37:43].all()
    assert not contact[:, :36].any()
    for left in (10, 43):
        assert depth[10:40, left : left + 27].max() == 1
    assert not depth[kinds == 0].any()


def test_crowds_and_what_lies_beyond_the_image_teach_nothing() -> None:
    target = {**drawn((10, 40, 10, 40), (50, 80, 10, 40)), "iscrowd": torch.tensor([0, 1])}
    kinds, _, depth = aims_of(target, (96, 96), (90, 80), 3)
    assert (kinds[50:80, 10:40] == 255).all()
    assert (kinds[90:] == 255).all()
    assert (kinds[:, 80:] == 255).all()
    assert (kinds[10:40, 10:40] == 1).all()
    assert not depth[50:80].any()


@pytest.mark.parametrize("size", [(96, 96), (95, 77)])
def test_what_is_taught_comes_back_as_objects(size: tuple[int, int]) -> None:
    boxes = [(10, 40, 10, 40), (10, 40, 40, 70), (44, 52, 5, 75), (60, 95, 5, 30)]
    target = drawn(*boxes, size=size)
    network = build(3, 2, **SMALL)
    kinds, _, depth = aims_of(target, size, size, 1)
    logits = torch.nn.functional.one_hot(torch.from_numpy(kinds), 2).permute(2, 0, 1)[None] * 20.0
    cells = torch.nn.functional.avg_pool2d(torch.from_numpy(depth)[None, None], 2, ceil_mode=True)
    (found,) = network.decode((logits, cells), size)
    assert len(found["scores"]) == len(boxes)
    assert (found["scores"].diff() <= 0).all()
    each = masks_of(found)
    for mask in target["masks"].bool():
        assert max(float((one & mask).sum() / (one | mask).sum()) for one in each) > 0.8
    for mask, box in zip(each, found["boxes"], strict=True):
        rows, cols = torch.nonzero(mask.any(1))[:, 0], torch.nonzero(mask.any(0))[:, 0]
        assert box.tolist() == [cols[0], rows[0], cols[-1] + 1, rows[-1] + 1]


def test_classes_do_not_share_an_object() -> None:
    network = build(3, 3, **SMALL)
    logits = torch.zeros(1, 3, 64, 64)
    logits[0, 0] = 5
    logits[0, 1, 10:40, 10:30] = 9
    logits[0, 2, 10:40, 30:50] = 9
    depth = torch.zeros(1, 1, 32, 32)
    depth[..., 5:20, 5:25] = 1
    (found,) = network.decode((logits, depth), (64, 64))
    assert sorted(found["labels"].tolist()) == [1, 2]
    assert [int(mask.sum()) for mask in masks_of(found)] == [600, 600]


def test_only_the_best_objects_are_kept_where_there_are_too_many() -> None:
    network = build(3, 2, **SMALL)
    network.rules = WatershedRules(max_objects=1)
    logits = torch.zeros(1, 2, 64, 64)
    logits[0, 1] = -9
    logits[0, 1, 5:25, 5:25], logits[0, 1, 35:55, 35:55] = 1, 9
    (found,) = network.decode((logits, torch.ones(1, 1, 32, 32)), (64, 64))
    assert found["boxes"].tolist() == [[35, 35, 55, 55]]
    assert int(found["numbers"].sum()) == 400


def test_every_loss_falls_on_a_batch_that_is_learnt_by_heart() -> None:
    torch.manual_seed(0)
    network = nn.build("watershed_unet", 3, 2, **SMALL).train()
    target = drawn((10, 40, 10, 40), (10, 40, 44, 70), (60, 90, 10, 60))
    image = target["masks"].amax(0)[None, None].repeat(2, 3, 1, 1) + 0.1 * torch.randn(2, 3, 96, 96)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    seen = []
    for _ in range(25):
        losses = network(image, [target, target])
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        seen.append({name: float(loss.detach()) for name, loss in losses.items()})
    assert set(seen[0]) == {"classes", "overlap", "depth"}
    for name in seen[0]:
        assert seen[-1][name] < 0.8 * seen[0][name]


def test_an_image_without_objects_teaches_background_alone() -> None:
    network = nn.build("watershed_unet", 3, 2, **SMALL).train()
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 64, 64),
    }
    losses = network(torch.randn(1, 3, 64, 64), [empty])
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    assert float(losses["overlap"].detach()) == 0


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(ModelError, match="no-such"):
        build(3, 2, encoder="no-such")
