"""Chips look for rare classes and labelled ground when they are told to, and for nothing when they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoseg.core.window import Window
from geoseg.data.augment import Augmentation
from geoseg.data.chips import ChipMaker, ChipSpec, cut
from geoseg.data.class_places import ClassPlaces
from geoseg.data.labelled_scene import UNLABELLED, LabelledImage, read_padded
from geoseg.errors import UsageError

PLAIN = Augmentation(
    **dict.fromkeys(("brightness", "contrast", "gamma", "gain", "saturation", "hue_deg", "greyscale"), 0),
    **dict.fromkeys(("blur_px", "noise", "jpeg_quality", "blank"), 0),
)
STILL = {"size_px": 32, "batch": 16, "turned": 0, "gsd_factor": (1, 1)}


def _image(class_indices: np.ndarray, name: str = "x", weight: float = 1.0) -> LabelledImage:
    values = np.repeat(class_indices[None] * np.uint8(40), 3, 0)
    valid = np.ones(class_indices.shape, bool)
    return LabelledImage(name=name, values=values, valid=valid, class_indices=class_indices, gsd_m=1.0, weight=weight)


def _rare() -> LabelledImage:
    class_indices = np.zeros((300, 400), np.uint8)
    class_indices[200:204, 300:303] = 1
    class_indices[20, 30] = 2
    class_indices[:, 350:] = UNLABELLED
    return _image(class_indices)


def _chips(images: list[LabelledImage], **keys: object) -> torch.Tensor:
    spec = ChipSpec.model_validate(STILL | keys)
    maker = ChipMaker(images, spec, PLAIN, ([0.5] * 3, [0.25] * 3), seed=1)
    return torch.cat([maker.batch(number).class_indices for number in range(6)])


def test_every_class_is_looked_up_as_often_as_the_others() -> None:
    chips = _chips([_rare()], balance=1.0)
    with_each = [float((chips == channel).any(-1).any(-1).float().mean()) for channel in (1, 2)]
    assert with_each == pytest.approx([1 / 3, 1 / 3], abs=0.13)
    plain = _chips([_rare()])
    assert max(float((plain == channel).any(-1).any(-1).float().mean()) for channel in (1, 2)) < 0.15


def test_a_scene_of_more_weight_is_looked_up_more_often() -> None:
    scenes = [_image(np.full((64, 64), 1, np.uint8), weight=3.0), _image(np.full((640, 64), 1, np.uint8), weight=1.0)]
    places = ClassPlaces(scenes, np.array([3.0, 1.0]))
    rng = np.random.default_rng(0)
    drawn = [places.draw(rng)[0] for _ in range(300)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.08)


def test_the_pixel_that_is_drawn_has_the_class() -> None:
    scene = _rare()
    places = ClassPlaces([scene], np.ones(1))
    rng = np.random.default_rng(0)
    seen = {int(scene.class_indices[places.draw(rng)[1]]) for _ in range(60)}
    assert seen == {0, 1, 2}


def test_a_pixel_asked_for_is_in_the_chip() -> None:
    scene = _rare()
    for seed in range(20):
        for spot in ((200, 300), (0, 0), (299, 399), (20, 30)):
            spec = ChipSpec.model_validate(STILL)
            marked = _image(np.zeros((300, 400), np.uint8))
            marked.class_indices[spot] = 1
            _, class_indices, _ = cut(marked, spec, np.random.default_rng(seed), around=spot)
            assert (class_indices == 1).sum() == 1
    assert scene.class_indices[200, 300] == 1


def test_ground_without_labels_is_avoided() -> None:
    class_indices = np.full((300, 300), UNLABELLED, np.uint8)
    class_indices[:150] = 0
    anywhere, labelled = (_chips([_image(class_indices)], least_labelled=share) != UNLABELLED for share in (0.0, 0.6))
    assert anywhere.float().mean((1, 2)).min() < 0.3
    assert (labelled.float().mean((1, 2)) >= 0.6).float().mean() > 0.95


def test_where_nothing_is_labelled_balance_is_refused_and_the_rest_goes_on() -> None:
    bare = _image(np.full((64, 64), UNLABELLED, np.uint8))
    with pytest.raises(UsageError, match="no labelled pixel"):
        _chips([bare], balance=1.0)
    assert (_chips([bare], least_labelled=0.5) == UNLABELLED).all()


def test_a_small_image_is_padded_at_its_own_scale_or_enlarged() -> None:
    small = _image(np.ones((20, 40), np.uint8))
    padded, filled = (_chips([small], small=way) for way in ("pad", "fill"))
    assert ((padded == 1).sum((1, 2)) == 20 * 32).all()
    assert (filled == 1).all()


def test_padding_surrounds_what_is_there() -> None:
    image = _image(np.arange(12, dtype=np.uint8).reshape(3, 4))
    sample = read_padded(image, Window(-1, 5, 2, 6))
    assert sample.class_indices.tolist()[1][:2] == [2, 3]
    assert sample.valid.sum() == 3 * 2
    assert (sample.class_indices[~sample.valid] == UNLABELLED).all()
    assert (sample.values[:, ~sample.valid] == 0).all()


def test_an_image_of_other_bands_is_named() -> None:
    with pytest.raises(UsageError, match="x: 3 bands, not 4"):
        ChipMaker([_rare()], ChipSpec(), PLAIN, ([0.5] * 4, [0.25] * 4), seed=1)


def test_later_keys_are_written_out_only_where_they_say_something() -> None:
    before = {"size_px", "batch", "gsd_factor", "gsd_spread", "gsd_m", "turned"}
    assert set(ChipSpec().model_dump()) == before
    assert set(ChipSpec(balance=0.5, small="pad").model_dump(mode="json")) == before | {"balance", "small"}
