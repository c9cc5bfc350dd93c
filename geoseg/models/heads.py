"""Heads: convert a network's logits to the outputs of its task; part of the network in every runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.runtimes.runtime import BOXES, LABELS, MASKS, PROBABILITIES, SCORES

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a task.

    Attributes:
        answers: names of its outputs, in order.
        attach: appends it to a network, with the settings of the card.
        check: tests a bare network on one small tile: (name for messages, network, card); raises ``ModelError``.
    """

    answers: tuple[str, ...]
    attach: Callable[[nn.Module, ModelCard], nn.Module]
    check: Callable[[str, nn.Module, ModelCard], None]


def _softmax(network: nn.Module, card: ModelCard) -> nn.Module:
    from geoseg.models.softmax_head import SoftmaxHead  # noqa: PLC0415 - torch; a compiled network is run without it

    return SoftmaxHead(network, card.temperature)


def _check_logits(name: str, network: nn.Module, card: ModelCard) -> None:
    from geoseg.models.softmax_head import check_logits  # noqa: PLC0415 - as above

    check_logits(name, network, card)


def _detections(network: nn.Module, card: ModelCard) -> nn.Module:
    from geoseg.models.detection_head import DetectionHead  # noqa: PLC0415 - as above

    return DetectionHead(network, card.score_calibration)


def _check_detections(name: str, network: nn.Module, card: ModelCard) -> None:
    from geoseg.models.detection_head import check_detections  # noqa: PLC0415 - as above

    check_detections(name, network, card)


def _refuse_tiles(_network: nn.Module, card: ModelCard) -> nn.Module:
    raise needs_clicks(card.name)


def needs_clicks(name: str) -> ModelError:
    """Make the error of a run over a scene with a model that answers clicks."""
    return ModelError(
        f"{name}: it answers clicks with the mask of one object, and maps no scene by itself. Click on a scene with "
        "geoseg view SCENE --edit, or count the clicks that it needs with geoseg evaluate clicks."
    )


def _check_clicks(name: str, network: nn.Module, card: ModelCard) -> None:
    from geoseg.models.click_head import check_clicks  # noqa: PLC0415 - as above

    check_clicks(name, network, card)


def _panoptic(network: nn.Module, card: ModelCard) -> nn.Module:
    from geoseg.models.panoptic_head import PanopticHead  # noqa: PLC0415 - as above

    return PanopticHead(network, card.temperature)


def _check_panoptic(name: str, network: nn.Module, card: ModelCard) -> None:
    from geoseg.models.panoptic_head import check_panoptic  # noqa: PLC0415 - as above

    check_panoptic(name, network, card)


HEADS: dict[str, Head] = {
    "semantic": Head(answers=(PROBABILITIES,), attach=_softmax, check=_check_logits),
    "instance": Head(answers=(BOXES, LABELS, SCORES, MASKS), attach=_detections, check=_check_detections),
    "interactive": Head(answers=(MASKS,), attach=_refuse_tiles, check=_check_clicks),
    "panoptic": Head(answers=(BOXES, LABELS, SCORES, MASKS, PROBABILITIES), attach=_panoptic, check=_check_panoptic),
}
"""Heads by the task in a model's card. Other packages may add entries; see docs/adr/0012."""


def head_of(card: ModelCard) -> Head:
    """Find the head of a card's task.

    Raises:
        ModelError: no such task is registered.
    """
    if card.task not in HEADS:
        raise ModelError(f"{card.name}: its card names the task {card.task!r}; known are {', '.join(HEADS)}.")
    return HEADS[card.task]
