"""Mean field in a fully connected CRF: by its definition, by every pair, by the lattice."""

from __future__ import annotations

import warnings
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, special

from geoseg.core.crf_spec import PRESETS, CrfSpec
from geoseg.inference.crf import refine
from geoseg.inference.crf.exact import MAX_PIXELS, Pairs
from geoseg.inference.crf.lattice import Lattice
from geoseg.inference.crf.plane import Plane

Array = npt.NDArray[np.float32]
SMALL = CrfSpec(weight=4, xy_px=6, rgb=25, smooth_weight=2, smooth_xy_px=1.5, iterations=5)


def image(shape: tuple[int, int], seed: int = 0, bands: int = 3, noise: float = 2.0) -> Array:
    """Flat patches with soft borders and a little noise."""
    random = np.random.default_rng(seed)
    patches = ndimage.gaussian_filter(random.normal(size=(bands, *shape)), (0, 5, 5), mode="wrap")
    flat = np.where(patches > 0, 180.0, 70.0)
    soft = ndimage.gaussian_filter(flat, (0, 0.7, 0.7)) + random.normal(0, noise, (bands, *shape))
    return np.clip(soft, 0, 255).astype(np.float32)


def guesses(colour: Array, classes: int = 2, seed: int = 0) -> Array:
    """Blurred and wrong in places: what a network might say of such an image."""
    random = np.random.default_rng(seed)
    shape = colour.shape[1:]
    scores = [
        ndimage.gaussian_filter(colour[c % len(colour)] * (-1) ** c / 60 + random.normal(0, 9, shape), 3)
        for c in range(classes)
    ]
    return special.softmax(np.stack(scores), axis=0).astype(np.float32)


def by_definition(probs: Array, colour: Array, valid: npt.NDArray[np.bool_], spec: CrfSpec) -> npt.NDArray[np.float64]:
    """The update of the paper, pixel by pixel and pair by pair."""
    places = [place for place in product(*map(range, valid.shape)) if valid[place]]

    def total(one: tuple[int, int], other: tuple[int, int], *, seen: bool) -> float:
        away = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
        if not seen:
            return float(np.exp(-away / (2 * spec.smooth_xy_px**2)))
        unlike = sum((float(band[one]) - float(band[other])) ** 2 for band in colour)
        return float(np.exp(-away / (2 * spec.xy_px**2) - unlike / (2 * spec.rgb**2)))

    weights = np.zeros((len(places), len(places)))
    for weight, seen in ((spec.weight, True), (spec.smooth_weight, False)):
        pairs = np.array([[total(one, other, seen=seen) for other in places] for one in places])
        sums = pairs.sum(axis=1)
        scaled = pairs / sums[:, None] if spec.normalise == "pixel" else pairs / np.sqrt(np.outer(sums, sums))
        weights += weight * scaled
    energy = -np.log(np.array([probs[:, *place] for place in places], np.float64))
    held = np.exp(-energy)
    for _ in range(spec.iterations):
        against = weights.sum(axis=1, keepdims=True) - weights @ held  # Potts: every other class counts against
        held = special.softmax(-energy - against, axis=1)
    out = probs.astype(np.float64)
    for row, place in zip(held, places, strict=True):
        out[:, *place] = row
    return out


@pytest.mark.parametrize("normalise", ["pixel", "symmetric"])
@pytest.mark.parametrize("classes", [2, 4])
def test_every_pair_gives_what_the_definition_gives(normalise: str, classes: int) -> None:
    spec = SMALL.model_copy(update={"normalise": normalise})
    colour = image((9, 11), seed=classes)
    valid = np.random.default_rng(3).random((9, 11)) < 0.8
    probs = guesses(colour, classes)
    found = refine(probs, colour, valid, spec, exact=True)
    np.testing.assert_allclose(found, by_definition(probs, colour, valid, spec), atol=2e-6)


@pytest.mark.parametrize(
    "spec", [SMALL, *(pytest.param(spec, id=name, marks=pytest.mark.slow) for name, spec in PRESETS.items())]
)
@pytest.mark.parametrize("normalise", ["pixel", "symmetric"])
def test_the_lattice_agrees_with_every_pair(normalise: str, spec: CrfSpec) -> None:
    """The mean error of a probability is below 0.01, although single ones may be as wrong as can be."""
    spec = spec.model_copy(update={"normalise": normalise, "iterations": 10})
    same, apart, changed = [], [], []
    for seed in range(4):
        colour = image((48, 40), seed)
        valid = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(48, 40)), 3) > -0.15
        probs = guesses(colour, 3, seed)
        fast, exact = (refine(probs, colour, valid, spec, exact=exact)[:, valid] for exact in (False, True))
        same.append((fast.argmax(0) == exact.argmax(0)).mean())
        apart.append(np.abs(fast - exact).mean())
        changed.append((exact.argmax(0) != probs[:, valid].argmax(0)).mean())
    assert np.mean(same) >= 0.98
    assert np.mean(apart) <= 0.01
    assert np.mean(changed) > 0.02  # or there was nothing to agree on


@pytest.mark.parametrize("bands", [1, 2, 3])
def test_one_message_over_the_lattice_is_near_the_one_by_every_pair(bands: int) -> None:
    colour = image((40, 40), bands=bands)
    told = (image((40, 40), seed=9, bands=1, noise=0)[0] > 125).astype(np.float32).reshape(-1, 1)
    places = np.stack(np.unravel_index(np.arange(1600), (40, 40)), axis=1) / 6.0
    points = np.concatenate([places, colour.reshape(bands, -1).T / 25.0], axis=1)
    heard = [
        kernel.apply(told) / kernel.apply(np.ones_like(told))
        for kernel in (Lattice(np.arange(1600), (40, 40), colour, 6.0, 25.0), Pairs(points))
    ]
    assert np.abs(heard[0] - heard[1]).mean() <= 0.02
    assert np.ptp(heard[1]) > 0.5


def test_the_plane_is_a_gaussian_filter() -> None:
    random = np.random.default_rng(0)
    valid = random.random((37, 52)) < 0.7
    values = random.random((37, 52)).astype(np.float32) * valid
    offsets = np.arange(-30, 31)
    for xy_px in (0.4, 1.0, 3.0, 6.0):
        taps = np.exp(-(offsets**2) / (2 * xy_px**2))
        wanted = ndimage.correlate(values.astype(np.float64), np.outer(taps, taps), mode="constant")
        pixels = np.flatnonzero(valid)
        found = Plane(pixels, valid.shape, xy_px).apply(values.reshape(-1, 1)[pixels])
        np.testing.assert_allclose(found[:, 0], wanted[valid], rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_pixel_shares_itself_out_and_neighbours_are_mutual(data: st.DataObject) -> None:
    bands = data.draw(st.integers(1, 3))
    colour = image((13, 17), data.draw(st.integers(0, 99)), bands, noise=data.draw(st.sampled_from([0.0, 40.0])))
    origin = data.draw(st.tuples(st.integers(0, 500_000), st.integers(0, 500_000)))
    lattice = Lattice(
        np.arange(13 * 17), (13, 17), colour, data.draw(st.floats(1, 90)), data.draw(st.floats(1, 90)), origin
    )
    np.testing.assert_allclose(lattice._shares.sum(axis=1), 1, atol=1e-5)
    assert lattice._shares.min() >= -1e-6
    assert all(len(set(corners)) == bands + 3 for corners in lattice._points.tolist())
    for up, down in lattice._neighbours:
        for one, other in ((up, down), (down, up)):
            here = np.flatnonzero(one < lattice.size)
            np.testing.assert_array_equal(other[one[here]], here)
    # the corners of a simplex are one step apart: those that a pixel touches are reached from each other
    steps = lattice._neighbours[:, 0].T
    for corners in lattice._points[:20]:
        assert all(after in steps[before] for before, after in pairwise(corners))


def test_two_pixels_weigh_the_same_for_each_other() -> None:
    random = np.random.default_rng(0)
    lattice = Lattice(np.arange(400), (20, 20), image((20, 20), noise=30), 5.0, 9.0)
    one, other = random.random((2, 400, 1)).astype(np.float32)
    assert float((one * lattice.apply(other)).sum()) == pytest.approx(
        float((other * lattice.apply(one)).sum()), rel=1e-4
    )


def test_the_lattice_filters_like_the_gaussian_it_stands_for() -> None:
    colour = np.full((1, 61, 61), 90, np.float32)
    point = np.zeros((61 * 61, 1), np.float32)
    point[30 * 61 + 30] = 1
    spread = Lattice(np.arange(61 * 61), (61, 61), colour, 6.0, 10.0).apply(point).reshape(61, 61)
    rows, cols = np.mgrid[-30:31, -30:31]
    share = spread / spread.sum()
    np.testing.assert_allclose([(share * rows).sum(), (share * cols).sum()], 0, atol=0.7)
    np.testing.assert_allclose([(share * rows**2).sum(), (share * cols**2).sum()], 36, rtol=0.3)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_constant_probabilities_stay_constant(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    colour = image(shape, data.draw(st.integers(0, 99)), data.draw(st.integers(1, 3)), noise=20)
    valid = np.random.default_rng(1).random(shape) < data.draw(st.sampled_from([0.1, 0.6, 1.0]))
    raw = np.array(data.draw(st.lists(st.integers(1, 100), min_size=1, max_size=5)), np.float32)
    probs = np.broadcast_to((raw / raw.sum())[:, None, None], (len(raw), *shape)).astype(np.float32)
    out = refine(probs, colour, valid, data.draw(st.sampled_from([SMALL, *PRESETS.values()])))
    if len(raw) == 1:
        np.testing.assert_array_equal(out, probs)
    elif valid.any():
        assert np.ptp(out[:, valid], axis=1).max() <= 5e-3
        assert (out[:, valid].argmax(axis=0) == raw.argmax()).all()  # the first of equals, too


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_an_invalid_pixel_neither_tells_nor_is_told(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    colour = image(shape, data.draw(st.integers(0, 99)))
    valid = np.random.default_rng(2).random(shape) < data.draw(st.sampled_from([0.0, 0.5, 0.95]))
    probs = guesses(colour, 3)
    other_colour, other_probs = colour.copy(), probs.copy()
    other_colour[:, ~valid] = np.nan
    other_probs[:, ~valid] = np.nan
    one, other = refine(probs, colour, valid, SMALL), refine(other_probs, other_colour, valid, SMALL)
    np.testing.assert_array_equal(one[:, valid], other[:, valid])
    np.testing.assert_array_equal(one[:, ~valid], probs[:, ~valid])
    np.testing.assert_allclose(one[:, valid].sum(axis=0), 1, atol=1e-5)


def test_classes_have_no_order() -> None:
    colour = image((30, 40))
    probs, order = guesses(colour, 4), [2, 0, 3, 1]
    valid = np.ones((30, 40), bool)
    straight = refine(probs, colour, valid, SMALL)
    np.testing.assert_allclose(refine(probs[order], colour, valid, SMALL), straight[order], atol=1e-4)
    one, other = (refine(probs[pair] / probs[pair].sum(axis=0), colour, valid, SMALL) for pair in ([0, 1], [1, 0]))
    np.testing.assert_array_equal(one, other[::-1])


def test_without_weights_nothing_is_told() -> None:
    colour = image((20, 20))
    probs = guesses(colour, 3)
    silent = SMALL.model_copy(update={"weight": 0.0, "smooth_weight": 0.0})
    np.testing.assert_allclose(refine(probs, colour, np.ones((20, 20), bool), silent), probs, atol=1e-6)


def test_a_blurred_border_moves_to_the_edge_of_the_colour() -> None:
    cols = np.arange(60)
    colour = np.broadcast_to(np.where(cols < 33, 60.0, 140.0), (3, 40, 60)).astype(np.float32)
    colour = colour + np.random.default_rng(0).normal(0, 1, colour.shape).astype(np.float32)
    roof = np.broadcast_to(special.expit((cols - 30) / 6), (40, 60))  # says column 30, and is not sure
    found = refine(np.stack([1 - roof, roof]).astype(np.float32), colour, np.ones((40, 60), bool), PRESETS["deeplabv2"])
    np.testing.assert_array_equal(found.argmax(0), np.broadcast_to(cols >= 33, (40, 60)))


@pytest.mark.parametrize("origin", [(0, 0), (123_457, 98_765)])
def test_a_window_with_its_context_gives_what_the_whole_gives(origin: tuple[int, int]) -> None:
    spec = SMALL.model_copy(update={"xy_px": 4.0})
    colour = image((96, 96), 5)
    probs, valid = guesses(colour, 3, 5), np.ones((96, 96), bool)
    whole = refine(probs, colour, valid, spec, origin=origin)
    parts = np.empty_like(whole)
    for row, col in product((0, 48), repeat=2):
        top, left = max(0, row - spec.reach_px), max(0, col - spec.reach_px)
        near = (..., slice(top, row + 48 + spec.reach_px), slice(left, col + 48 + spec.reach_px))
        there = (origin[0] + top, origin[1] + left)
        found = refine(probs[near], colour[near], valid[near], spec, origin=there)
        parts[:, row : row + 48, col : col + 48] = found[:, row - top : row - top + 48, col - left : col - left + 48]
    assert (parts.argmax(0) == whole.argmax(0)).mean() >= 0.999
    assert np.abs(parts - whole).mean() <= 1e-3


def test_what_cannot_be_done_is_refused() -> None:
    wide = np.zeros((3, 1, 30_000), np.float32)
    with pytest.raises(ValueError, match="standard deviations"):
        Lattice(np.arange(30_000), (1, 30_000), wide, 1.0, 3.0)
    side = int(MAX_PIXELS**0.5) + 1
    many = np.zeros((3, side, side), np.float32)
    with pytest.raises(ValueError, match="too many pairs"):
        refine(many[:2] + np.float32(0.5), many, np.ones((side, side), bool), SMALL, exact=True)


@pytest.mark.parametrize("normalise", ["pixel", "symmetric"])
def test_pydensecrf_gives_the_same(normalise: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        densecrf = pytest.importorskip("pydensecrf.densecrf", reason="pydensecrf2 is not installed")
    spec = SMALL.model_copy(update={"normalise": normalise, "iterations": 10})
    colour = np.rint(image((48, 40), 4))
    probs = guesses(colour, 3, 4)
    scale = {"pixel": densecrf.NORMALIZE_AFTER, "symmetric": densecrf.NORMALIZE_SYMMETRIC}[normalise]
    theirs = densecrf.DenseCRF2D(40, 48, 3)
    theirs.setUnaryEnergy(np.ascontiguousarray(-np.log(probs).reshape(3, -1)))
    theirs.addPairwiseGaussian(sxy=spec.smooth_xy_px, compat=spec.smooth_weight, normalization=scale)
    pixels = np.ascontiguousarray(colour.transpose(1, 2, 0).astype(np.uint8))
    theirs.addPairwiseBilateral(sxy=spec.xy_px, srgb=spec.rgb, rgbim=pixels, compat=spec.weight, normalization=scale)
    wanted = np.array(theirs.inference(spec.iterations)).reshape(probs.shape)
    found = refine(probs, colour, np.ones((48, 40), bool), spec)
    assert (found.argmax(0) == wanted.argmax(0)).mean() >= 0.98
    assert np.abs(found - wanted).mean() <= 0.02
