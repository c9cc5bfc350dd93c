"""Laws of interactive networks, to inherit, and PerfectClicks: a network that is right about every object."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from geoseg.nn.interactive.click_maps import ClickMaps
from geoseg.nn.interactive.contract import Features, Insertion, InteractiveNetwork
from geoseg.testing.networks import MakeNetwork, NetworkTests

_BANDS = 3
_CLICKS = ((10.0, 12.0), (-1.0, -1.0), (3.0, 30.0), (-1.0, -1.0))


class _AsTiles(nn.Module):
    """Runs an interactive network on tiles with one click of each kind; the last of the classes is the object."""

    clicks: Tensor

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.classes = classes
        self.register_buffer("clicks", torch.tensor([_CLICKS]))

    def forward(self, tiles: Tensor) -> Tensor:
        """Map tiles (B, C, H, W) to logits (B, classes, H, W)."""
        logits = self.network(tiles, self.clicks.expand(tiles.shape[0], -1, -1))
        rest = logits.new_zeros(logits.shape[0], self.classes - 1, *logits.shape[2:])
        return torch.cat([rest, logits], dim=1)


class InteractiveNetworkTests(NetworkTests):
    """Laws of an interactive network: those of networks for tiles, with clicks, and those that BRS needs.

    Override ``make_clicked``, as ``make_network`` of ``NetworkTests``.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def make_clicked(cls) -> MakeNetwork:
        """Override it: make an interactive network of (bands, classes) with random weights."""
        raise NotImplementedError("define the fixture make_clicked")

    @pytest.fixture(scope="class")
    @classmethod
    def make_network(cls, make_clicked: MakeNetwork) -> MakeNetwork:
        """Make the network as one of tiles."""
        return lambda bands, classes: _AsTiles(make_clicked(bands, classes), classes)

    @pytest.fixture(scope="class")
    @classmethod
    def clicked(cls, make_clicked: MakeNetwork) -> InteractiveNetwork:
        """One of three bands, in evaluation mode."""
        torch.manual_seed(0)
        network = make_clicked(_BANDS, 2).eval()
        assert isinstance(network, InteractiveNetwork)
        return network

    @pytest.mark.parametrize("place", ["A", "B", "C"])
    def test_the_pass_can_be_cut_at_each_place(self, clicked: InteractiveNetwork, place: Insertion) -> None:
        """Both parts together answer as the whole, and the channels are as many as are said."""
        x, clicks = torch.randn(1, _BANDS, 45, 70), torch.tensor([_CLICKS])
        with torch.inference_mode():
            features = clicked.features(x, clicked.maps(x, clicks), place)
            assert features.main.shape[1] == clicked.channels(place)
            torch.testing.assert_close(clicked.finish(features, place, x), clicked(x, clicks))

    def test_unused_places_of_clicks_change_nothing(self, clicked: InteractiveNetwork) -> None:
        """Lists of clicks may be filled up to any length."""
        x = torch.randn(1, _BANDS, 33, 40)
        short = torch.tensor([[[10.0, 12.0], [3.0, 30.0]]])
        with torch.inference_mode():
            torch.testing.assert_close(clicked(x, short), clicked(x, torch.tensor([_CLICKS])))

    def test_the_sign_of_a_click_matters(self, clicked: InteractiveNetwork) -> None:
        """Positive and negative clicks at the same places are answered differently."""
        x, clicks = torch.randn(1, _BANDS, 33, 40), torch.tensor([_CLICKS])
        with torch.inference_mode():
            assert not torch.equal(clicked(x, clicks), clicked(x, clicks.roll(2, dims=1)))


class PerfectClicks(InteractiveNetwork):
    """Answers with the pixels whose number, in the first band, is that of a pixel that is clicked on.

    Made for cards whose bands have mean 0 and standard deviation 1 / 255. Numbers in the image of negative clicks are
    taken out.

    Args:
        strength: logit of a pixel of the object; the rest has its negative.
    """

    def __init__(self, strength: float = 4.0) -> None:
        super().__init__(ClickMaps(5.0))
        self.strength = strength
        self.none = nn.Parameter(torch.zeros(1))

    def maps(self, images: Tensor, clicks: Tensor) -> Tensor:
        """Draw, for each sign, the pixels of the numbers that are clicked on."""
        numbers = images[:, 0].round()
        maps = torch.zeros(len(images), 2, *images.shape[-2:])
        for image, places in enumerate(clicks.reshape(len(images), 2, -1, 2).round().long()):
            for sign in (0, 1):
                for row, col in places[sign].tolist():
                    if 0 <= row < images.shape[-2] and 0 <= col < images.shape[-1]:
                        maps[image, sign][numbers[image] == numbers[image, row, col]] = 1
        return maps

    def features(self, images: Tensor, maps: Tensor, place: Insertion) -> Features:
        """Signed masks, the same at each place."""
        del images, place
        return Features(maps[:, :1] * (1 - maps[:, 1:]) * 2 - 1 + self.none)

    def finish(self, features: Features, place: Insertion, like: Tensor) -> Tensor:
        """Scale to logits."""
        del place, like
        return features.main * self.strength

    def channels(self, place: Insertion) -> int:
        """One."""
        del place
        return 1

    @property
    def encoder(self) -> nn.Module:
        """The click maps, for want of another."""
        return self.click_maps
