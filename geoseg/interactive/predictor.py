"""Predictor: answers a growing list of clicks on one image, as the authors of f-BRS do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geoseg.core.choices import ClickMethod
from geoseg.interactive.brs import BrsSettings, Numbers, refine
from geoseg.interactive.clicks import Click, click_places, click_squares, flipped
from geoseg.interactive.zoom import Zoom, ZoomSettings
from geoseg.nn.interactive.contract import Features, Insertion, InteractiveNetwork

_PLACES: dict[str, Insertion] = {"f-brs-a": "A", "f-brs-b": "B", "f-brs-c": "C"}
_SEEN: dict[str, int | None] = {"plain": None, "rgb-brs": 5, "distmap-brs": 5}
_SEEN_BY_FEATURES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorSettings:
    """Settings of a predictor; the defaults are the authors'.

    Attributes:
        method: how an answer is made to agree with the clicks; places as in ``geoseg.nn.interactive.contract``.
        brs: of the refinement.
        zoom: of the zoom; None: the network always sees the whole image.
        flip: the answers to the image and to its mirror image are averaged.
        seen: number of clicks that the network sees, the first ones; further ones count in the energy alone. None: the
            authors' number for the method.
    """

    method: ClickMethod = "f-brs-b"
    brs: BrsSettings = field(default_factory=BrsSettings)
    zoom: ZoomSettings | None = field(default_factory=ZoomSettings)
    flip: bool = True
    seen: int | None = None

    @property
    def clicks_seen(self) -> int | None:
        """Number of clicks that the network sees; None: all."""
        return _SEEN.get(self.method, _SEEN_BY_FEATURES) if self.seen is None else self.seen


@dataclass(frozen=True, slots=True)
class _View:
    """Input of the network: images, the places of the clicks it is shown, and what all clicks decide."""

    images: Tensor
    places: Tensor
    squares: Tensor
    clicks: int
    changed: bool


class _Method(Protocol):
    def __call__(self, view: _View) -> Tensor:
        """Answer with logits (image, 1, H, W)."""
        ...


class Predictor:
    """Answers clicks on one image; each call may have more of them than the last one.

    Args:
        network: in evaluation mode.
        image: (C, H, W), normalised, on any device.
        settings: of the predictor.
        last: (H, W) probabilities of an earlier answer, which the zoom may follow.
    """

    def __init__(
        self,
        network: InteractiveNetwork,
        image: Tensor,
        settings: PredictorSettings | None = None,
        last: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self._settings = settings or PredictorSettings()
        weight = next(network.parameters(), image)
        self._image = image[None].to(weight.device)
        size = (image.shape[-2], image.shape[-1])
        zoom = self._settings.zoom
        self._zoom = None if zoom is None else Zoom(zoom, size, last)
        self._method = _method(network, self._settings)

    @torch.no_grad()
    def predict(self, clicks: Sequence[Click]) -> npt.NDArray[np.float32]:
        """Answer with the probability of the object at each pixel, (H, W).

        Args:
            clicks: all of them, in their order.
        """
        image, placed, changed = self._image, list(clicks), False
        if self._zoom is not None:
            image, placed, changed = self._zoom.enter(image, clicks)
        lists = [placed]
        if self._settings.flip:
            image = torch.cat([image, image.flip(3)])
            lists.append(flipped(placed, image.shape[3]))
        size = (image.shape[2], image.shape[3])
        places = click_places(lists, self._settings.clicks_seen).to(image.device)
        squares = click_squares(lists, size).to(image.device)
        logits = self._method(_View(image, places, squares, len(clicks), changed))
        if self._settings.flip:
            logits = 0.5 * (logits[:1] + logits[1:].flip(3))
        probability = torch.sigmoid(logits)
        if self._zoom is not None:
            probability = self._zoom.leave(probability)
            if self._zoom.again:
                return self.predict(clicks)
        return probability[0, 0].cpu().numpy()


def _method(network: InteractiveNetwork, settings: PredictorSettings) -> _Method:
    if settings.method == "plain":
        return lambda view: network(view.images, view.places)
    if settings.method in _PLACES:
        return _FeatureRefinement(network, settings, _PLACES[settings.method])
    return _InputRefinement(network, settings)


class _FeatureRefinement:
    """f-BRS: scales and shifts of the channels at one place, kept from click to click."""

    def __init__(self, network: InteractiveNetwork, settings: PredictorSettings, place: Insertion) -> None:
        self._network = network
        self._settings = settings
        self._place = place
        self._numbers: Numbers = np.zeros(2 * network.channels(place))
        self._features: Features | None = None

    def __call__(self, view: _View) -> Tensor:
        seen = self._settings.clicks_seen
        if self._features is None or view.changed or seen is None or view.clicks <= seen:
            maps = self._network.maps(view.images, view.places)
            self._features = self._network.features(view.images, maps, self._place)
        features, brs = self._features, self._settings.brs

        def changed(numbers: Tensor) -> tuple[Tensor, Tensor]:
            scale, bias = numbers.reshape(2, 1, -1, 1, 1)
            penalty = brs.penalty * (scale.square().sum() + brs.bias_penalty * bias.square().sum())
            # repeated, not broadcast over the images, so that gradients are summed as in the authors' code
            each = (len(features.main), 1, 1, 1)
            turned = features._replace(main=features.main * (1 + scale).repeat(each) + bias.repeat(each))
            return self._network.finish(turned, self._place, view.images), penalty

        if view.clicks < 2:
            return changed(torch.from_numpy(self._numbers).float().to(view.images.device))[0]
        self._numbers, logits = refine(changed, self._numbers, view.squares, brs)
        return logits


class _InputRefinement:
    """BRS: what is added to the image or to the maps of clicks, kept from click to click while the crop stays."""

    def __init__(self, network: InteractiveNetwork, settings: PredictorSettings) -> None:
        self._network = network
        self._settings = settings
        self._numbers: Numbers | None = None

    def __call__(self, view: _View) -> Tensor:
        maps = self._network.maps(view.images, view.places)
        on_image = self._settings.method == "rgb-brs"
        shape = (1, *(view.images if on_image else maps).shape[1:])
        if self._numbers is None or view.changed:
            self._numbers = np.zeros(int(np.prod(shape)))

        def changed(numbers: Tensor) -> tuple[Tensor, Tensor]:
            added = numbers.reshape(shape)
            if self._settings.flip:
                added = torch.cat([added, added.flip(3)])
            penalty = self._settings.brs.penalty * added.square().sum()
            if on_image:
                return self._network.answer(view.images + added, maps), penalty
            return self._network.answer(view.images, maps + added), penalty

        if view.clicks < 2:
            return changed(torch.from_numpy(self._numbers).float().to(view.images.device))[0]
        self._numbers, logits = refine(changed, self._numbers, view.squares, self._settings.brs)
        return logits
