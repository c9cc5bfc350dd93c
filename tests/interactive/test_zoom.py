"""Zoom: what the network sees follows the answers, and an answer of nothing leads back to the whole image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from geoseg.core.choices import ClickMethod
from geoseg.interactive.clicks import Click
from geoseg.interactive.predictor import Predictor, PredictorSettings
from geoseg.interactive.zoom import Zoom, ZoomSettings, zoom_for, zoom_to
from geoseg.nn.interactive.contract import Features, Insertion
from geoseg.testing.clicks import PerfectClicks

SETTINGS = ZoomSettings(least_px=64)


def test_after_an_answer_of_nothing_the_whole_image_is_seen_and_answered() -> None:
    image = torch.zeros(1, 300, 400)
    image[0, 100:160, 150:250] = 7
    image[0, 10:20, 10:20] = 9
    predictor = Predictor(PerfectClicks().eval(), image, PredictorSettings(method="plain", zoom=SETTINGS))
    on, off, other = Click(120, 200), Click(120, 201, positive=False), Click(15, 15)
    assert (predictor.predict([on]) > 0.5).sum() == 6000
    assert not (predictor.predict([on, off]) > 0.5).any()  # zoomed in
    np.testing.assert_array_equal(predictor.predict([other]) > 0.5, image[0].numpy() == 9)


def test_leaving_the_crop_is_a_change_of_what_is_seen() -> None:
    image, answer = torch.zeros(1, 1, 300, 400), torch.zeros(1, 1, 300, 400)
    answer[..., 100:160, 150:250] = 1
    zoom = Zoom(SETTINGS, (300, 400))
    clicks = [Click(120, 200), Click(10, 10, positive=False)]
    assert zoom.enter(image, clicks)[2] is False
    zoom.leave(answer)
    view, _, changed = zoom.enter(image, clicks)
    assert changed
    zoom.leave(torch.zeros_like(view))
    view, placed, changed = zoom.enter(image, clicks)
    assert (view is image, placed, changed) == (True, clicks, True)
    assert zoom.enter(image, clicks)[2] is False


class _Fading(PerfectClicks):
    """Answers with the object for one click and with nothing for more."""

    def maps(self, images: Tensor, clicks: Tensor) -> Tensor:
        maps = super().maps(images, clicks)
        return maps if int((clicks >= 0).all(-1).sum(-1).max()) < 2 else maps * 0

    def finish(self, features: Features, place: Insertion, like: Tensor) -> Tensor:
        # depends on the image, so that BRS finds a gradient
        return super().finish(features, place, like) + 0 * like[:, :1]


@pytest.mark.parametrize("method", ["rgb-brs", "distmap-brs", "f-brs-a", "f-brs-b", "f-brs-c"])
def test_refinements_go_on_after_an_answer_of_nothing(method: ClickMethod) -> None:
    image = torch.zeros(1, 300, 400)
    image[0, 100:160, 150:250] = 7
    predictor = Predictor(_Fading().eval(), image, PredictorSettings(method=method, zoom=SETTINGS))
    clicks = [Click(120, 200), Click(10, 10, positive=False), Click(130, 210), Click(20, 300, positive=False)]
    for count in range(1, 5):
        assert predictor.predict(clicks[:count]).shape == (300, 400)


def test_a_zoom_that_is_asked_for_is_that_of_a_model_that_learnt_on_such_tiles() -> None:
    for side in (64, 256, 399, 400):
        assert zoom_to(side) == zoom_for(side)
    assert zoom_for(1024) == ZoomSettings()
    assert zoom_to(600) == ZoomSettings(target_px=600)
