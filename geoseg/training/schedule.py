"""Schedule: duration, learning rate and validation of a training."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from geoseg.training.settings import Settings

_UNLIMITED_STEPS = 10**9

Kind = Literal["cosine", "poly", "one_cycle", "constant"]


class Schedule(Settings):
    """Settings of duration, learning rate, averaging and validation.

    Attributes:
        steps: steps of the optimiser; None: ``minutes`` alone ends the training.
        minutes: time limit, to which the learning rate schedule is fitted; the result then depends on the machine's
            speed. None: only ``steps`` count, and the same seed on the same machine gives the same weights.
        kind: shape of the learning rate schedule; see ``learning_rate``.
        learning_rate: peak learning rate.
        power: exponent of ``poly``.
        warm_up: share of the run with a rising rate.
        weight_decay: decay of weights; of norms and biases only if the optimiser is set so.
        clip_norm: largest norm of the gradient.
        ema: decay of the moving average of the weights that is kept as the result; 0 for none.
        accumulate: batches whose gradients are accumulated to one step.
        save_every: steps between checkpoints.
        validate_every: steps between validations; 0 for none before the end.
        patience: validations without a better score after which to stop; None to run all steps.
        keep: weights that become the model: the last ones, or the best of all validations.
    """

    later: ClassVar[frozenset[str]] = frozenset({"kind", "power", "accumulate", "validate_every", "patience", "keep"})

    steps: Annotated[int, Field(ge=1)] | None = None
    minutes: Annotated[float, Field(gt=0)] | None = None
    kind: Kind = "cosine"
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    power: Annotated[float, Field(gt=0)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.08
    clip_norm: Annotated[float, Field(gt=0)] = 2.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    accumulate: Annotated[int, Field(ge=1)] = 1
    save_every: Annotated[int, Field(ge=1)] = 100
    validate_every: Annotated[int, Field(ge=0)] = 0
    patience: Annotated[int, Field(ge=1)] | None = None
    keep: Literal["last", "best"] = "last"

    @property
    def step_limit(self) -> int:
        """Upper bound of the number of steps."""
        return _UNLIMITED_STEPS if self.steps is None else self.steps

    @model_validator(mode="after")
    def _bounded(self) -> Schedule:
        if self.steps is None and self.minutes is None:
            raise ValueError("give steps, minutes, or both")
        return self

    @model_validator(mode="after")
    def _looks(self) -> Schedule:
        if (self.patience is not None or self.keep == "best") and not self.validate_every:
            raise ValueError("patience and keep: best need validate_every, the steps between looks at held-out data")
        return self


def learning_rate(progress: float, schedule: Schedule) -> float:
    """Compute the learning rate at a share of the run.

    Args:
        progress: in [0, 1].
        schedule: ``cosine``: a straight rise from 1/25 of the peak, then half a cosine down to 1/1000 of it.
            ``one_cycle``: half a cosine up from 1/25 of the peak, half a cosine down to 1/250,000 of it.
            ``poly``: (1 - progress) ** power, and in the warm-up times a straight rise from 1/25 to 1.
            ``constant``: the peak after the same rise.

    Source:
        Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983; Smith and Topin 2018,
        https://arxiv.org/abs/1708.07120; Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 4.1.2 (poly).
    """
    peak, progress = schedule.learning_rate, min(1.0, progress)
    rising = progress < schedule.warm_up
    share = progress / schedule.warm_up if rising else (progress - schedule.warm_up) / (1 - schedule.warm_up)
    if schedule.kind == "one_cycle":
        return _half_cosine(0.04 * peak, peak, share) if rising else _half_cosine(peak, 4e-6 * peak, share)
    rise = 0.04 + 0.96 * share if rising else 1.0
    if schedule.kind == "poly":
        fall: float = (1 - progress) ** schedule.power
        return peak * fall * rise
    if rising or schedule.kind == "constant":
        return peak * rise
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * share)))


def _half_cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * share))
