"""Zoom-in (Sofiiuk et al. 2020, section 4.3): after the first click the network sees the object's surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from geoseg.interactive.clicks import Click

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomSettings:
    """Settings of the zoom; the defaults are the authors'.

    Attributes:
        target_px: longer side of what the network sees.
        after: number of clicks after which it begins; 0: the first click is answered twice, whole and zoomed.
        expansion: side of the crop over that of the object.
        least_px: least side of the crop, pixels of the image.
        keep_iou: a crop is kept while its overlap with the one that the last answer asks for is at least this.
        threshold: probability from which on a pixel of the last answer belongs to the object.
    """

    target_px: int = 400
    after: int = 1
    expansion: float = 1.4
    least_px: int = 200
    keep_iou: float = 0.5
    threshold: float = 0.5


_LEAST_SHARE = 0.43


def zoom_for(tile_px: int) -> ZoomSettings:
    """Return the zoom for a model: the authors', or a smaller one where it learnt on smaller tiles than theirs."""
    return zoom_to(min(tile_px, ZoomSettings().target_px))


def zoom_to(target_px: int) -> ZoomSettings:
    """Return the zoom to a view of a length; a view shorter than the authors' also allows smaller crops."""
    if target_px >= ZoomSettings().target_px:
        return ZoomSettings(target_px=target_px)
    return ZoomSettings(target_px=target_px, least_px=round(_LEAST_SHARE * target_px))


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of pixels; first and last row and column, both inside."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top + 1, self.right - self.left + 1

    def overlap(self, other: Crop) -> float:
        """Overlap of the rows times overlap of the columns, each an intersection over union."""
        rows = _overlap((self.top, self.bottom), (other.top, other.bottom))
        return rows * _overlap((self.left, self.right), (other.left, other.right))

    def holds(self, clicks: Sequence[Click]) -> bool:
        """Return True if all positive clicks lie inside, away from the last row and column."""
        inside = (self.top <= c.row < self.bottom and self.left <= c.col < self.right for c in clicks if c.positive)
        return all(inside)


def _overlap(one: tuple[int, int], two: tuple[int, int]) -> float:
    common = max(0, min(one[1], two[1]) - max(one[0], two[0]) + 1)
    return common / max(1e-6, max(one[1], two[1]) - min(one[0], two[0]) + 1)


def crop_around(mask: Mask, clicks: Sequence[Click], settings: ZoomSettings) -> Crop:
    """Return the surroundings of an object and of the positive clicks.

    Args:
        mask: (y, x), not empty unless a click is positive.
        clicks: on the same pixels.
        settings: of the zoom.
    """
    mask = mask.copy()
    for click in clicks:
        if click.positive:
            mask[int(click.row), int(click.col)] = True
    sides = []
    for axis, length in enumerate(mask.shape):
        taken = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = int(taken[0]), int(taken[-1])
        half = 0.5 * max(settings.expansion * (last - first + 1), settings.least_px)
        middle = 0.5 * (first + last)
        sides += [max(0, round(middle - half)), min(length - 1, round(middle + half))]
    return Crop(*sides)


class Zoom:
    """Crops what the network sees, and puts its answer back; keeps the last answer.

    Args:
        settings: of the zoom.
        size: rows and columns of the image.
        last: (y, x) probabilities that the first crop may follow; None: none are known.
    """

    def __init__(
        self, settings: ZoomSettings, size: tuple[int, int], last: npt.NDArray[np.float32] | None = None
    ) -> None:
        self._settings = settings
        self._size = size
        self._last = last
        self._crop: Crop | None = None
        self._view: Tensor | None = None

    def enter(self, image: Tensor, clicks: Sequence[Click]) -> tuple[Tensor, list[Click], bool]:
        """Crop an image and place the clicks on the crop.

        Args:
            image: (1, C, H, W).
            clicks: on it.

        Returns:
            What the network sees, the clicks on it, and True if it is another crop than before.
        """
        wanted = None
        if len(clicks) > self._settings.after and self._last is not None:
            mask = self._last > self._settings.threshold
            wanted = crop_around(mask, clicks, self._settings) if mask.any() else None
        if wanted is None:
            changed, self._crop, self._view = self._crop is not None, None, None
            return image, list(clicks), changed
        changed = (
            self._crop is None or not self._crop.holds(clicks) or wanted.overlap(self._crop) < self._settings.keep_iou
        )
        if changed or self._crop is None or self._view is None:
            self._crop, self._view = wanted, self._resized(image, wanted)
        return self._view, self._placed(clicks, self._crop, self._view), changed

    def leave(self, probability: Tensor) -> Tensor:
        """Put the probabilities (1, 1, h, w) of what the network saw into those of the image (1, 1, H, W)."""
        if self._crop is not None:
            crop = self._crop
            inner = functional.interpolate(probability, size=crop.shape, mode="bilinear", align_corners=True)
            probability = probability.new_zeros(1, 1, *self._size)
            probability[:, :, crop.top : crop.bottom + 1, crop.left : crop.right + 1] = inner
        self._last = probability[0, 0].cpu().numpy()
        return probability

    @property
    def again(self) -> bool:
        """True if the first answer, to the whole image, shows an object that a zoom would show larger."""
        if self._settings.after > 0 or self._crop is not None or self._last is None:
            return False
        mask = self._last > self._settings.threshold
        whole = Crop(0, self._size[0] - 1, 0, self._size[1] - 1)
        return bool(mask.any()) and crop_around(mask, (), self._settings).overlap(whole) < 0.5

    def _resized(self, image: Tensor, crop: Crop) -> Tensor:
        scale = self._settings.target_px / max(crop.shape)
        size = [round(side * scale) for side in crop.shape]
        cut = image[:, :, crop.top : crop.bottom + 1, crop.left : crop.right + 1]
        return functional.interpolate(cut, size=size, mode="bilinear", align_corners=True)

    @staticmethod
    def _placed(clicks: Sequence[Click], crop: Crop, view: Tensor) -> list[Click]:
        down, right = (shown / side for shown, side in zip(view.shape[-2:], crop.shape, strict=True))
        return [Click(down * (c.row - crop.top), right * (c.col - crop.left), c.positive) for c in clicks]
