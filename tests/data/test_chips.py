"""Chips keep pixels and labels together at any place, scale and turn; augmentation changes pixels and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoseg.data.augment import Augmentation, augment, blanks
from geoseg.data.chips import ChipMaker, ChipSpec, cut
from geoseg.data.labelled import UNLABELLED, LabelledImage

NONE = Augmentation(
    brightness=0,
    contrast=0,
    gamma=0,
    gain=0,
    saturation=0,
    hue_deg=0,
    greyscale=0,
    blur_px=0,
    noise=0,
    jpeg_quality=0,
    blank=0,
)


def _image(shape: tuple[int, int] = (150, 210), gsd_m: float = 0.1) -> LabelledImage:
    """An image whose red band shows its labels, in blocks of 15 pixels."""
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 2, (shape[0] // 15, shape[1] // 15)).astype(np.uint8)
    class_indices = np.kron(blocks, np.ones((15, 15), np.uint8))
    values = np.stack([class_indices * 255, np.full(shape, 51, np.uint8), np.full(shape, 102, np.uint8)])
    return LabelledImage(
        name="blocks", values=values, valid=np.ones(shape, bool), class_indices=class_indices, gsd_m=gsd_m
    )


@pytest.mark.parametrize("turned", [0.0, 1.0])
@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.5, 0.5), (2.0, 2.0), (0.7, 1.6)])
def test_labels_follow_their_pixels(turned: float, factors: tuple[float, float]) -> None:
    spec = ChipSpec(size_px=64, turned=turned, gsd_factor=factors, gsd_spread=1.0)
    for seed in range(6):
        values, class_indices, valid = cut(_image(), spec, np.random.default_rng(seed))
        assert values.shape == (3, 64, 64)
        assert class_indices.shape == valid.shape == (64, 64)
        assert valid.all()
        assert ((values[0] > 0.5) == (class_indices == 1)).float().mean() > 0.95


def test_a_plain_cut_is_a_piece_of_the_image_turned_by_quarters() -> None:
    image = _image()
    spec = ChipSpec(size_px=32, turned=0, gsd_factor=(1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(image.values[0] / np.float32(255), (32, 32)).reshape(-1, 32, 32)
    for seed in range(4):
        values, _, _ = cut(image, spec, np.random.default_rng(seed))
        views = [np.rot90(v, k) for v in (values[0].numpy(), values[0].numpy()[:, ::-1]) for k in range(4)]
        assert any((windows == view).all(axis=(1, 2)).any() for view in views)
        assert np.unique(values[1].numpy()) == pytest.approx([0.2])


def test_an_image_smaller_than_a_chip_fills_it() -> None:
    values, class_indices, _ = cut(_image((30, 45)), ChipSpec(size_px=64, turned=1), np.random.default_rng(0))
    assert values.shape[1:] == class_indices.shape == (64, 64)


def test_the_scale_stays_within_the_range_on_the_ground() -> None:
    """At 0.1 m an image may be cut at no more than twice its size when chips must have 0.05 m."""
    stripes = np.zeros((200, 200), np.uint8)
    stripes[:, ::20] = 1
    image = LabelledImage(
        name="stripes",
        values=np.repeat(stripes[None] * np.uint8(255), 3, 0),
        valid=np.ones((200, 200), bool),
        class_indices=stripes,
        gsd_m=0.1,
    )
    spec = ChipSpec(size_px=80, turned=0, gsd_factor=(0.01, 100), gsd_spread=5.0, gsd_m=(0.05, 0.1))
    for seed in range(8):
        _, class_indices, _ = cut(image, spec, np.random.default_rng(seed))
        stripe_count = max(
            int((np.diff(line.numpy(), prepend=0) == 1).sum()) for line in (class_indices[40], class_indices[:, 40])
        )
        assert 2 <= stripe_count <= 4


def test_missing_pixels_are_zero_to_the_network_and_teach_nothing() -> None:
    image = _image()
    valid = image.valid.copy()
    valid[:, :100] = False
    gap = LabelledImage(name="gap", values=image.values, valid=valid, class_indices=image.class_indices, gsd_m=0.1)
    spec = ChipSpec(size_px=64, batch=8, turned=0, gsd_factor=(1, 1))
    batch = ChipMaker([gap], spec, NONE, ([0.4, 0.4, 0.3], [0.2, 0.2, 0.2]), seed=0).batch(0)
    missing = (batch.inputs == 0).all(1)
    assert 0.1 < missing.float().mean() < 0.9
    assert (batch.class_indices[missing] == UNLABELLED).all()
    assert (batch.class_indices[~missing] < 2).all()
    np.testing.assert_allclose(batch.inputs[:, 1][~missing], (0.2 - 0.4) / 0.2, atol=1e-4)


def test_a_painted_collar_is_black_or_white_and_of_the_first_class() -> None:
    grey = np.full((3, 80, 80), 128, np.uint8)
    everywhere = np.ones((80, 80), np.uint8)
    image = LabelledImage(name="roof", values=grey, valid=everywhere > 0, class_indices=everywhere, gsd_m=0.1)
    spec = ChipSpec(size_px=64, batch=40, turned=0, gsd_factor=(1, 1))
    amounts = NONE.model_copy(update={"collar": 0.5})
    batch = ChipMaker([image], spec, amounts, ([0.0] * 3, [1.0] * 3), seed=0).batch(0)
    painted = (batch.inputs - 128 / 255).abs().amax(1) > 0.1
    assert set(batch.inputs.movedim(1, -1)[painted].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(batch.class_indices == 0, painted)
    assert 0.2 < painted.any((1, 2)).float().mean() < 0.8


def test_images_are_drawn_in_proportion_to_their_weights() -> None:
    def flat(value: int, weight: float) -> LabelledImage:
        plain = np.full((40, 40), value, np.uint8)
        values = np.repeat(plain[None], 3, 0)
        return LabelledImage(
            name="flat", values=values, valid=plain >= 0, class_indices=plain * 0, gsd_m=1.0, weight=weight
        )

    spec = ChipSpec(size_px=32, batch=300, turned=0, gsd_factor=(1, 1))
    maker = ChipMaker([flat(0, 1.0), flat(255, 3.0)], spec, NONE, ([0.0] * 3, [1.0] * 3), seed=0)
    bright = maker.batch(0).inputs.mean((1, 2, 3)) > 0.5
    assert bright.float().mean() == pytest.approx(0.75, abs=0.08)


def test_no_augmentation_changes_nothing() -> None:
    image = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    for seed in range(5):
        torch.testing.assert_close(augment(image, NONE, np.random.default_rng(seed)), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("bands", [1, 3, 6])
def test_augmented_values_stay_in_range_and_differ(bands: int) -> None:
    image = torch.rand(bands, 40, 50, generator=torch.Generator().manual_seed(0))
    seen = [augment(image, Augmentation(), np.random.default_rng(seed)) for seed in range(30)]
    for varied in seen:
        assert varied.shape == image.shape
        assert varied.dtype == torch.float32
        assert torch.isfinite(varied).all()
        assert varied.min() >= 0
        assert varied.max() <= 1
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize(
    "only",
    [{"blur_px": 2.0}, {"noise": 0.1}, {"jpeg_quality": 20}, {"hue_deg": 40}, {"saturation": 1}, {"gamma": 0.5}],
)
def test_each_kind_of_variation_does_something(only: dict[str, float]) -> None:
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    amounts = NONE.model_copy(update=only)
    changes = [(augment(image, amounts, np.random.default_rng(seed)) - image).abs().max() for seed in range(12)]
    assert max(changes) > 0.02


def test_colour_turns_keep_the_grey_of_the_picture() -> None:
    """A turn of hue and a change of saturation leave luma, as Rec. 601 defines it, where it was."""
    image = 0.4 + 0.2 * torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    luma = torch.tensor([0.299, 0.587, 0.114])
    amounts = NONE.model_copy(update={"hue_deg": 15.0, "saturation": 0.5})
    for seed in range(6):
        varied = augment(image, amounts, np.random.default_rng(seed))
        expected = torch.einsum("b,byx->yx", luma, image)
        torch.testing.assert_close(torch.einsum("b,byx->yx", luma, varied), expected, atol=2e-3, rtol=0)


def test_blanks_come_as_often_as_asked_and_never_take_all() -> None:
    rng = np.random.default_rng(0)
    drawn = [blanks((24, 40), 0.5, rng) for _ in range(400)]
    assert np.mean([d.any() for d in drawn]) == pytest.approx(0.5, abs=0.08)
    assert not any(d.all() for d in drawn)
    assert not blanks((24, 40), 0.0, rng).any()


@pytest.mark.parametrize("quality", [1, 95, 96, 100])
def test_any_jpeg_quality_works(quality: int) -> None:
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))
    amounts = NONE.model_copy(update={"jpeg_quality": quality})
    changes = [(augment(image, amounts, np.random.default_rng(seed)) - image).abs().max() for seed in range(12)]
    assert max(changes) > 0.001, "some are compressed"
