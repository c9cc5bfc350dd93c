"""Machine settings of a training: precision, memory, devices, logs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from geoseg.training.settings import Settings


class TrainerSettings(Settings):
    """Machine settings of a training.

    Attributes:
        precision: arithmetic precision: ``bf16`` where it is safe, or ``fp32`` throughout.
        channels_last: use the channels-last memory format, which speeds up convolutions.
        recompute: gradient checkpointing: less memory, a third more time, the same weights.
        accelerator: ``auto`` takes a GPU when there is one.
        devices: number of devices; each gets its own chips, so a step has ``devices`` times ``chips.batch`` of them.
        strategy: Lightning's strategy for more than one device.
        workers: threads that prefetch chips.
        log_every: steps between lines of the log.
        tensorboard: write a log for TensorBoard in addition to the table.
        mlflow: address of an MLflow server or folder to log to, such as ``http://localhost:5000``; None for none.
    """

    precision: Literal["bf16", "fp32"] = "bf16"
    channels_last: bool = True
    recompute: bool = False
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    log_every: Annotated[int, Field(ge=1)] = 20
    tensorboard: bool = True
    mlflow: str | None = None
