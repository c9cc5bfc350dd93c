"""The head of instance segmentation: detections of each tile as arrays of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.core.card import ModelCard, ScoreCalibration
from geoseg.errors import ModelError
from geoseg.models.calibration import CERTAIN
from geoseg.nn.instance.contract import NUMBERS
from geoseg.runtimes.runtime import BOXES, LABELS, MASKS, SCORES

OBJECT_FROM = 0.5
"""Probability from which a pixel belongs to an object."""

Detections = Mapping[str, Tensor]
"""``boxes`` (n, 4), ``labels`` (n,), ``scores`` (n,), ``masks`` (n, y, x) or (n, 1, y, x): torchvision's convention.
Where objects share no pixel, ``numbers`` (y, x) int32 may stand for the masks: k + 1 where object k is, else 0."""


class DetectionHead(nn.Module):
    """A network with its detections filled up to the most objects of a tile.

    Args:
        network: returns ``Detections`` of each tile.
        calibration: of its scores; None: they are left as they are.
    """

    def __init__(self, network: nn.Module, calibration: ScoreCalibration | None = None) -> None:
        super().__init__()
        self.network = network
        self.calibration = calibration

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Run tiles (tile, band, y, x).

        Returns:
            ``boxes`` (tile, object, 4), ``labels`` and ``scores`` (tile, object), ``masks`` (tile, object, y, x) uint8,
            or (tile, 1, y, x) int32 numbers of objects.
        """
        found: Sequence[Detections] = self.network(tiles)
        if self.calibration is not None:
            found = [{**one, SCORES: calibrated(one[SCORES], self.calibration)} for one in found]
        return filled_up(found, tiles)


def calibrated(scores: Tensor, calibration: ScoreCalibration) -> Tensor:
    """Turn scores into probabilities of being right."""
    return torch.sigmoid(torch.logit(scores.float(), eps=CERTAIN) * calibration.slope + calibration.intercept)


def filled_up(found: Sequence[Detections], tiles: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Stack the detections of tiles, filled up to the most objects of a tile; see ``DetectionHead.forward``."""
    most = max((len(one[LABELS]) for one in found), default=0)
    parts: dict[str, list[Tensor]] = {name: [] for name in (BOXES, LABELS, SCORES, MASKS)}
    for one in found:
        arrays = {
            BOXES: one[BOXES].float(),
            LABELS: one[LABELS].to(torch.int32),
            SCORES: one[SCORES].float(),
            MASKS: _masks_of(one, (tiles.shape[-2], tiles.shape[-1])),
        }
        for name, array in arrays.items():
            missing = 0 if array.dtype == torch.int32 and name == MASKS else most - len(array)
            parts[name].append(functional.pad(array, [0, 0] * (array.ndim - 1) + [0, missing]))
    boxes, labels, scores, masks = (torch.stack(parts[name]) for name in (BOXES, LABELS, SCORES, MASKS))
    return boxes, labels, scores, masks


def _masks_of(one: Detections, size: tuple[int, int]) -> Tensor:
    """Return masks (object, y, x) uint8, or numbers (1, y, x) int32."""
    if NUMBERS in one:
        return one[NUMBERS].to(torch.int32).reshape(1, *size)
    return (one[MASKS].reshape(-1, *size) >= OBJECT_FROM).to(torch.uint8)


def check_detections(name: str, network: nn.Module, card: ModelCard, things: Sequence[int] | None = None) -> Detections:
    """Test a detector on one small tile.

    Args:
        name: name of the model, for messages.
        network: returns ``Detections`` of each tile.
        card: card of the model.
        things: codes of the classes that have labels; None: all but the background.

    Returns:
        What it answers.

    Raises:
        ModelError: the output is not that of a detector, has NaN, or labels that the card does not name.
    """
    tile = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).repeat(1, len(card.bands), 1, 1)
    with torch.inference_mode():
        answer = network(tile)
    if not isinstance(answer, Sequence) or len(answer) != 1 or not isinstance(answer[0], Mapping):
        raise ModelError(
            f"{name}: a network of task {card.task} answers a list of one mapping a tile, as torchvision's detectors "
            f"do; this one answers a {type(answer).__name__}."
        )
    drawn = NUMBERS if NUMBERS in answer[0] else MASKS
    missing = [key for key in (BOXES, LABELS, SCORES, drawn) if key not in answer[0]]
    if missing:
        raise ModelError(f"{name}: the network's detections have no {', '.join(missing)}.")
    found = answer[0]
    count = len(found[LABELS])
    images = 1 if drawn == NUMBERS else count
    if found[drawn].numel() != images * 64 * 64 or len(found[SCORES]) != count:
        raise ModelError(
            f"{name}: the network answers {drawn} {tuple(found[drawn].shape)} of {count} objects to a tile of 64 x 64 "
            "pixels; each object needs a mask over the whole tile."
        )
    if not bool(torch.isfinite(found[SCORES]).all()):
        raise ModelError(f"{name}: the network answers NaN or infinity; its weights are broken. Train it again.")
    most = len(card.legend.things if things is None else things)
    if count and int(found[LABELS].max()) > most:
        raise ModelError(
            f"{name}: the network answers label {int(found[LABELS].max())}, its card has {most} classes of objects. "
            "Correct the card's legend."
        )
    return found
