"""Centres of things: class maps, centres and offsets that are made by hand become the things that they say."""

from __future__ import annotations

import pytest
import torch

from geoseg.nn import build
from geoseg.nn.panoptic.centres import CentreRules


def decoded(
    peaks: list[tuple[int, int, float]],
    size: tuple[int, int],
    ridge: tuple[slice, slice, float] | None = None,
    **rules: float,
) -> dict:
    """Things of a map that is of the first class of things everywhere but in four columns in its middle."""
    network = build("panoptic_unet", 3, 4, things=[1, 3], encoder="convnext_atto", widths=[16, 16, 16]).eval()
    assert network.finest == 4
    network.rules = CentreRules(**rules)
    logits = torch.zeros(1, 4, *size)
    logits[:, 1], logits[:, 0, :, size[1] // 2 - 3 : size[1] // 2 + 1] = 5, 9
    centres = torch.zeros(1, 2, *(-(-side // 32) * 8 for side in size))
    for row, col, value in peaks:
        centres[0, 0, row, col] = value
    if ridge is not None:
        rows, cols, value = ridge
        centres[0, 0, rows, cols] = value
    return network.decode((logits, centres, torch.zeros(1, 2, *centres.shape[-2:])), size)[0]


def test_a_centre_on_the_last_pixels_counts() -> None:
    """The middle of its cell lies between the last pixel and the edge of an image of 4 n + 2 pixels."""
    found = decoded([(16, 16, 0.9), (2, 2, 0.8)], (66, 66))
    torch.testing.assert_close(found["scores"] / found["scores"][0], torch.tensor([1.0, 0.8 / 0.9]))
    assert found["boxes"].tolist() == [[34, 0, 66, 66], [0, 0, 30, 66]]


def test_centres_beside_the_image_and_its_things_take_no_place() -> None:
    beside = [(20, col, 0.9) for col in range(0, 20, 8)] + [(row, 7, 0.95) for row in (1, 10)]
    found = decoded([*beside, (2, 2, 0.3), (12, 2, 0.2)], (66, 66), max_objects=2)
    boxes, scores = found["boxes"].tolist(), found["scores"].tolist()
    assert len(boxes) == 2
    assert scores[1] / scores[0] == pytest.approx(0.3 / 0.5, rel=1e-4)
    assert [34, 0, 66, 66] in boxes, "a region without a centre, of half its probability, is the best one"


@pytest.mark.parametrize(("ridge", "count"), [(0.61, 1), (0.59, 2), (0.0, 2)])
def test_centres_without_a_valley_between_them_are_one(ridge: float, count: int) -> None:
    """0.6 of the lower one, of value 1, is the least height of the way between two centres of one thing."""
    way = (slice(2, 13), slice(2, 3), ridge)
    peaks = [(1, 2, 1.0), (13, 2, 1.25)]
    found = decoded(peaks, (64, 64), way, neck=0.6)
    left = found["boxes"][:, 2] <= 30
    assert int(left.sum()) == count
    top = torch.zeros(64, 64, dtype=torch.bool)
    top[:, :29] = True
    assert (found["masks"][left].sum(0).bool() == top).all(), "what is joined keeps all pixels of both"


def test_centres_on_both_sides_of_other_ground_stay_apart() -> None:
    whole = (slice(0, 16), slice(0, 16), 0.5)
    assert len(decoded([(8, 2, 0.6), (8, 13, 0.6)], (64, 64), whole, least=0.55)["scores"]) == 2


def test_joining_is_transitive_and_keeps_the_highest_score() -> None:
    peaks = [(1, 2, 0.5), (7, 2, 0.8), (13, 2, 0.6)]
    found = decoded(peaks, (64, 64), (slice(2, 7), slice(2, 3), 0.49))
    joined = decoded([(7, 2, 0.8), (13, 2, 0.6)], (64, 64))
    assert len(found["scores"]) == 3
    torch.testing.assert_close(found["scores"], joined["scores"])


def test_the_best_things_stay() -> None:
    peaks = [(row, col, 0.1 + 0.01 * (8 * row + col) / 2) for row in (1, 6, 11) for col in (2, 12)]
    every = decoded(peaks, (64, 64))
    some = decoded(peaks, (64, 64), max_objects=4)
    assert len(every["scores"]) == 6
    torch.testing.assert_close(some["scores"], every["scores"][:4])
