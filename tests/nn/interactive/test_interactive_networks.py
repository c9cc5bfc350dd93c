"""Interactive networks keep the laws of networks, and those that BRS asks for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.nn.interactive.click_maps import NO_CLICK, ClickMaps
from geoseg.testing.clicks import InteractiveNetworkTests
from geoseg.testing.networks import MakeNetwork, TinyNetwork, tiny_networks

TINY = tiny_networks("interactive")


class TestInteractiveNetworks(InteractiveNetworkTests):
    @pytest.fixture(scope="class", params=TINY)
    @classmethod
    def tiny(cls, request: pytest.FixtureRequest) -> TinyNetwork:
        return TINY[request.param]

    @pytest.fixture(scope="class")
    @classmethod
    def make_clicked(cls, tiny: TinyNetwork) -> MakeNetwork:
        return tiny.make

    @pytest.fixture(scope="class")
    @classmethod
    def idle_weights(cls, tiny: TinyNetwork) -> tuple[str, ...]:
        return tiny.form.idle_weights


@pytest.mark.parametrize("radius", [5.0, 260.0])
def test_distance_maps_are_the_formula_of_the_paper(radius: float) -> None:
    clicks = torch.tensor([[[3.0, 4.0], [20.5, 30.0], [NO_CLICK, NO_CLICK], [NO_CLICK, NO_CLICK]]])
    drawn = ClickMaps(radius)(clicks, (24, 40)).numpy()
    rows, cols = np.mgrid[:24, :40]
    nearest = np.minimum(np.hypot(rows - 3, cols - 4), np.hypot(rows - 20.5, cols - 30))
    np.testing.assert_allclose(drawn[0, 0], np.tanh(2 * nearest / radius), atol=1e-5)
    assert (drawn[0, 1] == 1).all()  # no negative click is infinitely far


def test_disks_are_the_pixels_within_the_radius() -> None:
    drawn = ClickMaps(5.0, "disks")(torch.tensor([[[NO_CLICK, NO_CLICK], [7.0, 9.0]]]), (24, 40)).numpy()
    rows, cols = np.mgrid[:24, :40]
    assert not drawn[0, 0].any()
    np.testing.assert_array_equal(drawn[0, 1] == 1, np.hypot(rows - 7, cols - 9) <= 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"click_maps": "dots"}, "distance or disks"), ({"radius_px": 0.0}, "radius above 0|numbers above 0")],
)
def test_wrong_click_maps_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build("fbrs_r34", 3, 2, **options)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("fbrs_r34", 23_341_692),
        ("fbrs_r50", 31_396_604),
        ("fbrs_r101", 58_431_612),
        ("fbrs_hrnet18", 10_022_765),
        ("fbrs_hrnet32", 30_942_109),
    ],
)
def test_parameters_are_those_of_the_authors_code(name: str, count: int) -> None:
    with torch.device("meta"):
        assert parameters(build(name, 3, 2)) == count
