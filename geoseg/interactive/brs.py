"""Backpropagating refinement: what the network sees is changed until its answer agrees with the clicks.

BRS (Jang and Kim 2019, https://openaccess.thecvf.com/content_CVPR_2019/html/Jang_Interactive_Image_Segmentation_via_
Backpropagating_Refining_Scheme_CVPR_2019_paper.html) adds to the maps of clicks, or to the image; f-BRS (Sofiiuk et al.
2020, https://arxiv.org/abs/2001.10331) scales and shifts the channels of features, so that the passes that L-BFGS asks
for are those of the layers behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

Numbers = npt.NDArray[np.float64]
Changed = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps the numbers that are sought to logits (image, 1, H, W) and to their penalty, a scalar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrsSettings:
    """Settings of the refinement; the defaults are the authors'.

    Attributes:
        threshold: probability from which on a pixel belongs to the object; the search ends when every click agrees.
        evaluations: most passes of a search.
        penalty: weight of the squares of what is changed.
        bias_penalty: that of the shifts over that of the scales.
        unchanged: the search ends when two masks in a row differ by less than this, 1 minus their intersection over
            union.
    """

    threshold: float = 0.49
    evaluations: int = 20
    penalty: float = 1e-3
    bias_penalty: float = 10.0
    unchanged: float = 0.01


def click_energy(probability: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the squared differences between an answer and the clicks, positive and negative ones summed.

    Args:
        probability: (image, 1, H, W).
        squares: (image, 2, H, W), see ``geoseg.interactive.clicks.click_squares``.

    Returns:
        The energy, a scalar, and the largest difference at positive and at negative clicks, (2,).
    """
    positive, negative = squares[:, :1], squares[:, 1:]
    missed, wrong = (1 - probability) * positive, probability * negative
    energy = missed.square().sum() / (positive.sum() + 1e-5) + wrong.square().sum() / (negative.sum() + 1e-5)
    return energy, torch.stack([missed.detach().max(), wrong.detach().max()])


def refine(changed: Changed, begin: Numbers, squares: Tensor, settings: BrsSettings) -> tuple[Numbers, Tensor]:
    """Search the change for which the answer agrees best with the clicks, by L-BFGS.

    Args:
        changed: gives the answer for a change.
        begin: change to begin with.
        squares: (image, 2, H, W) of the clicks.
        settings: of the refinement.

    Returns:
        The change at which the search ended, and the logits of least energy on the way.
    """
    search = _Search(changed, squares, settings)
    found = fmin_l_bfgs_b(
        search, begin, m=20, factr=0, pgtol=1e-8, maxfun=settings.evaluations, maxiter=2 * settings.evaluations
    )
    assert search.best is not None  # noqa: S101 - L-BFGS evaluates at least once
    return found[0], search.best


class _Search:
    def __init__(self, changed: Changed, squares: Tensor, settings: BrsSettings) -> None:
        self._changed = changed
        self._squares = squares
        self._settings = settings
        self._least = np.inf
        self._mask: Tensor | None = None
        self.best: Tensor | None = None

    def __call__(self, numbers: Numbers) -> tuple[float, Numbers]:
        change = torch.from_numpy(numbers).float().to(self._squares.device).requires_grad_()
        with torch.enable_grad():
            logits, penalty = self._changed(change)
            probability = torch.sigmoid(logits)
            energy, worst = click_energy(probability, self._squares)
            energy = energy + penalty
        value = float(energy.detach())
        if value < self._least:
            self._least, self.best = value, logits.detach()
        if self._settled(probability.detach(), worst):
            return value, np.zeros_like(numbers)
        (gradient,) = torch.autograd.grad(energy, change)
        return value, gradient.cpu().numpy().astype(np.float64).ravel()

    def _settled(self, probability: Tensor, worst: Tensor) -> bool:
        threshold = self._settings.threshold
        if worst[0] < 1 - threshold and worst[1] < threshold:
            return True
        mask, last = probability > threshold, self._mask
        if last is not None and self._settings.unchanged > 0:
            union = (mask | last).sum((1, 2, 3))
            overlap = ((mask & last).sum((1, 2, 3)) / union)[union > 0]
            if overlap.numel() and overlap.mean() > 1 - self._settings.unchanged:
                return True
        self._mask = mask
        return False
