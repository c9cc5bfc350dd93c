"""Predictors: BRS lowers its energy, zoom and flips are undone, simulated clicks fall where errors are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, optimize
from torch import Tensor, nn

from geoseg.interactive.brs import BrsSettings, click_energy, refine
from geoseg.interactive.clicks import Click, click_places, click_squares, flipped
from geoseg.interactive.noc import count_clicks, simulate
from geoseg.interactive.predictor import Predictor, PredictorSettings
from geoseg.interactive.simulate import (
    IGNORED,
    ClickSampling,
    correcting_click,
    next_click,
    overlap,
    random_clicks,
)
from geoseg.interactive.zoom import Crop, ZoomSettings, crop_around
from geoseg.nn import build
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.testing.clicks import PerfectClicks

METHODS = ("rgb-brs", "distmap-brs", "f-brs-a", "f-brs-b", "f-brs-c")
CLICKS = (Click(30, 30), Click(12, 50, positive=False), Click(40, 44), Click(8, 8, positive=False))


def lively(name: str) -> InteractiveNetwork:
    """A network with random weights whose answers are of both signs."""
    torch.manual_seed(3)
    small = {"clicks_unet": {"encoder": "mobilenetv2_050", "widths": (16, 16, 16, 16)}}
    network = build(name, 3, 2, **small.get(name, {"backbone": "resnet18", "width": 32})).eval()
    assert isinstance(network, InteractiveNetwork)
    last = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels in {1, 4}][-1]
    if name == "clicks_unet":
        last = network.body.head  # type: ignore[union-attr]
    x = torch.randn(1, 3, 64, 72)
    with torch.no_grad():
        answer = network(x, click_places([[CLICKS[0]]]))
        last.weight *= 3 / answer.std()
        answer = network(x, click_places([[CLICKS[0]]]))
        last.bias -= answer.mean()
    return network.requires_grad_(requires_grad=False)


@pytest.fixture(scope="module", params=[pytest.param("fbrs_r34", marks=pytest.mark.slow), "clicks_unet"])
def network(request: pytest.FixtureRequest) -> InteractiveNetwork:
    return lively(request.param)


@pytest.mark.parametrize("method", METHODS)
def test_brs_agrees_with_the_clicks_better_than_no_refinement(network: InteractiveNetwork, method: str) -> None:
    image = torch.randn(3, 64, 72, generator=torch.Generator().manual_seed(1))
    squares = click_squares([CLICKS], (64, 72))
    energies = {}
    for name in ("plain", method):
        settings = PredictorSettings(method=name, zoom=None, brs=BrsSettings(unchanged=0.0))
        probability = Predictor(network, image, settings).predict(CLICKS)
        energies[name] = float(click_energy(torch.from_numpy(probability)[None, None], squares)[0])
    assert energies[method] < energies["plain"]


def test_one_click_is_answered_without_refinement(network: InteractiveNetwork) -> None:
    image = torch.randn(3, 64, 72)
    plain = Predictor(network, image, PredictorSettings(method="plain")).predict(CLICKS[:1])
    for method in METHODS:
        answer = Predictor(network, image, PredictorSettings(method=method)).predict(CLICKS[:1])
        np.testing.assert_allclose(answer, plain, atol=1e-5)


def test_a_mirrored_image_with_mirrored_clicks_is_answered_by_the_mirrored_answer(network: InteractiveNetwork) -> None:
    image = torch.randn(3, 64, 72)
    settings = PredictorSettings(method="plain", zoom=None)
    answer = Predictor(network, image, settings).predict(CLICKS)
    other = Predictor(network, image.flip(2), settings).predict(flipped(CLICKS, 72))
    np.testing.assert_allclose(other[:, ::-1], answer, atol=1e-5)


def test_the_energy_is_that_of_the_paper_and_its_gradient_is_right() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 6, 7, generator=generator, dtype=torch.float64)
    squares = click_squares([[Click(1, 1), Click(4, 5, positive=False)]], (6, 7)).double()
    positive, negative = squares[0].numpy().astype(bool)
    assert positive.sum() == negative.sum() == 9
    p = torch.sigmoid(logits)[0, 0].numpy()
    expected = ((1 - p[positive]) ** 2).mean() + (p[negative] ** 2).mean()
    energy, worst = click_energy(torch.sigmoid(logits), squares)
    assert float(energy) == pytest.approx(expected, rel=1e-5)
    assert worst.tolist() == pytest.approx([(1 - p[positive]).max(), p[negative].max()])

    def value(numbers: np.ndarray) -> float:
        moved = torch.from_numpy(numbers.reshape(1, 1, 6, 7))
        return float(click_energy(torch.sigmoid(moved), squares)[0])

    numbers = logits.numpy().ravel()
    free = torch.from_numpy(numbers).requires_grad_()
    click_energy(torch.sigmoid(free.reshape(1, 1, 6, 7)), squares)[0].backward()
    np.testing.assert_allclose(free.grad, optimize.approx_fprime(numbers, value, 1e-6), atol=1e-6)


def test_the_search_ends_where_all_clicks_agree() -> None:
    squares = click_squares([[Click(2, 2), Click(7, 7, positive=False)]], (10, 10))
    agreed = []

    def changed(numbers: Tensor) -> tuple[Tensor, Tensor]:
        probability = torch.sigmoid(numbers.detach()).reshape(10, 10)
        agreed.append(bool((probability[1:4, 1:4] > 0.49).all() and (probability[6:9, 6:9] < 0.49).all()))
        return numbers.reshape(1, 1, 10, 10), 1e-3 * numbers.square().sum()

    _, logits = refine(changed, np.zeros(100), squares, BrsSettings(unchanged=0.0))
    answer = torch.sigmoid(logits)[0, 0]
    assert (answer[1:4, 1:4] > 0.49).all()
    assert (answer[6:9, 6:9] < 0.49).all()
    assert agreed == [False] * (len(agreed) - 1) + [True]


def test_squares_at_the_edge_are_cut_and_clicks_beside_the_image_mark_nothing() -> None:
    squares = click_squares([[Click(0, 0), Click(9, 9, positive=False), Click(-5, -5), Click(3, 200)]], (10, 10))
    assert squares[0, 0].sum() == 4
    assert squares[0, 0, :2, :2].all()
    assert squares[0, 1].sum() == 4


def test_the_network_sees_the_first_clicks_only() -> None:
    places = click_places([[Click(1, 2), Click(3, 4, positive=False), Click(5, 6)], [Click(7, 8)]], limit=2)
    assert places.tolist() == [[[1, 2], [3, 4]], [[7, 8], [-1, -1]]]


def test_a_crop_holds_the_object_and_positive_clicks_with_their_surroundings() -> None:
    mask = np.zeros((300, 400), bool)
    mask[100:200, 150:250] = True
    settings = ZoomSettings(least_px=20)
    assert crop_around(mask, [], settings) == Crop(80, 220, 130, 270)
    assert crop_around(mask, [Click(10, 10, positive=False)], settings) == Crop(80, 220, 130, 270)
    assert crop_around(mask, [Click(50, 160)], settings).top < 50
    assert crop_around(mask, [], ZoomSettings(least_px=1000)) == Crop(0, 299, 0, 399)


def test_zoomed_in_an_object_stays_where_it_is() -> None:
    image = torch.zeros(1, 300, 400)
    image[0, 100:160, 150:250] = 7
    predictor = Predictor(
        PerfectClicks().eval(), image, PredictorSettings(method="plain", zoom=ZoomSettings(least_px=64))
    )
    first = predictor.predict([Click(120, 200)]) > 0.5
    zoomed = predictor.predict([Click(120, 200), Click(10, 10, positive=False)]) > 0.5
    np.testing.assert_array_equal(first, image[0].numpy() == 7)
    assert overlap((image[0].numpy() == 7).astype(np.int8), zoomed) > 0.95


class _OnMeta(PerfectClicks):
    """Has its parameters on torch's device without memory, and answers there."""

    def __init__(self) -> None:
        super().__init__()
        self.to("meta")
        self.seen: set[str] = set()

    def forward(self, images: Tensor, clicks: Tensor) -> Tensor:
        self.seen |= {images.device.type, clicks.device.type}
        return torch.zeros(len(images), 1, *images.shape[-2:])


def test_an_image_goes_to_the_device_of_the_network() -> None:
    network = _OnMeta()
    Predictor(network, torch.zeros(1, 50, 60), PredictorSettings(method="plain")).predict([Click(5, 5)])
    assert network.seen == {"meta"}


def test_the_next_click_is_the_middle_of_the_largest_error() -> None:
    truth = np.zeros((50, 60), np.int8)
    truth[10:31, 10:31] = 1
    answer = np.zeros(truth.shape, bool)
    assert next_click(truth, answer) == Click(20, 20, True)
    answer[10:31, 10:31] = True
    answer[36:47, 40:51] = True
    wrong = next_click(truth, answer)
    assert wrong == Click(41, 45, False)
    # the same without scipy's padding: distances to the nearest right pixel
    error = (truth != 1) & answer
    right = np.argwhere(~error)
    depth = [np.hypot(*(right - place).T).min() if error[tuple(place)] else 0 for place in np.ndindex(truth.shape)]
    assert np.argmax(depth) == np.ravel_multi_index((41, 45), truth.shape)
    other = next_click(truth, answer, [wrong])
    assert (other.row, other.col) != (41, 45)
    truth[36:47, 40:51] = IGNORED
    answer[12, 12] = False
    assert next_click(truth, answer) == Click(12, 12, True)


def test_overlap_leaves_unknown_pixels_out() -> None:
    truth = np.array([[1, 1, 0, IGNORED]], np.int8)
    assert overlap(truth, np.array([[True, False, True, True]])) == pytest.approx(1 / 3)


def test_noc_is_counted_as_by_the_authors() -> None:
    overlaps = [[0.5, 0.86, 0.91], [0.95], [0.2] * 20, [0.1, 0.85]]
    assert count_clicks(overlaps, 0.9).mean == pytest.approx((3 + 1 + 20 + 20) / 4)
    assert count_clicks(overlaps, 0.85).mean == pytest.approx((2 + 1 + 20 + 2) / 4)
    assert count_clicks(overlaps, 0.9).failed == 2


def test_a_perfect_network_needs_one_click() -> None:
    image = torch.zeros(1, 120, 120)
    image[0, 40:80, 40:80] = 7
    truth = (image[0].numpy() == 7).astype(np.int8)
    assert simulate(PerfectClicks().eval(), image, truth, PredictorSettings(method="plain")).overlaps == [1.0]


def test_random_clicks_fall_on_their_side_and_keep_their_number() -> None:
    truth = np.zeros((80, 80), np.int8)
    truth[20:50, 20:50] = 1
    truth[:10] = IGNORED
    others = np.zeros(truth.shape, bool)
    others[60:70, 60:70] = True
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(200):
        clicks = random_clicks(truth, others, ClickSampling(), rng)
        for click in clicks:
            assert truth[int(click.row), int(click.col)] == (1 if click.positive else 0)
        counts.append(sum(c.positive for c in clicks))
    assert min(counts) == 1
    assert max(counts) <= 10
    shares = 0.7 ** np.arange(10)
    assert np.mean(counts) == pytest.approx(1 + np.average(np.arange(10), weights=shares), abs=0.4)


def test_a_correcting_click_lies_deep_in_the_largest_error() -> None:
    truth = np.zeros((60, 60), np.int8)
    truth[10:40, 10:40] = 1
    answer = np.zeros(truth.shape, bool)
    answer[50:54, 50:54] = True
    depth = ndimage.distance_transform_edt(truth == 1)
    for seed in range(20):
        click = correcting_click(truth, answer, np.random.default_rng(seed))
        assert click is not None
        assert click.positive
        assert depth[int(click.row), int(click.col)] >= depth.max() / 2
    assert correcting_click(truth, truth == 1, np.random.default_rng(0)) is None
