"""TiledPrediction: maps of whole scenes from a torchgeo or Lightning task, as a callback or by a call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.choices import Precision, RuntimeName
from geoseg.core.spec import PredictSpec
from geoseg.errors import UsageError
from geoseg.models.model import load_model
from geoseg.models.task_card import task_card
from geoseg.run.predict import Layers, predict


class TiledPrediction(Callback):  # type: ignore[misc]
    """Predicts whole scenes tile by tile, without seams, and writes them as map layers.

    As a callback it does so when a fit or a test ends, with the weights as they are then.

    Args:
        scenes: paths or addresses of the scenes; one may be given alone.
        out: folder of the layers.
        card: bands, scaling, classes and tile size of the task; None: made of the task and its data module, see
            ``geoseg.models.task_card``.
        spec: options of the prediction.
        every_n_epochs: as a callback, predict after every so many epochs of validation too; None: only at the end.
        runtime: as for ``geoseg.load_model``.
        precision: as for ``geoseg.load_model``.

    Attributes:
        layers: the layers written last.

    Raises:
        UsageError: no scene is given.

    Examples:
        >>> tiled = TiledPrediction("scene.tif", "maps")
        >>> trainer = Trainer(callbacks=[tiled])  # doctest: +SKIP
        >>> trainer.fit(task, datamodule)  # doctest: +SKIP
    """

    def __init__(
        self,
        scenes: str | Path | Sequence[str | Path],
        out: str | Path,
        *,
        card: ModelCard | None = None,
        spec: PredictSpec | None = None,
        every_n_epochs: int | None = None,
        runtime: RuntimeName = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.scenes = (scenes,) if isinstance(scenes, str | Path) else tuple(scenes)
        if not self.scenes:
            raise UsageError("TiledPrediction: no scene is given.")
        if every_n_epochs is not None and every_n_epochs < 1:
            raise UsageError(f"TiledPrediction: every_n_epochs is {every_n_epochs}; it is 1 or more.")
        self.out, self.card, self.spec, self.every_n_epochs = out, card, spec, every_n_epochs
        self.runtime, self.precision = runtime, precision
        self.layers: list[Layers] = []

    def predict(self, task: nn.Module, datamodule: object | None = None) -> list[Layers]:
        """Predict the scenes with a task, whatever trained it. Layers of an earlier prediction are replaced.

        Args:
            task: the task; its weights are copied.
            datamodule: its data module, of which the card is made if none is given.

        Returns:
            The layers of each scene.

        Raises:
            GeosegError: the task, a scene or an option is refused.
        """
        card = self.card or task_card(task, datamodule)
        model = load_model(task, card=card, runtime=self.runtime, precision=self.precision)
        self.layers = [predict(scene, model, self.out, spec=self.spec, overwrite=True) for scene in self.scenes]
        return self.layers

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Predict if this epoch is one of ``every_n_epochs``."""
        due = self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if due and not trainer.sanity_checking:
            self._of(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Predict."""
        self._of(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Predict."""
        self._of(trainer, pl_module)

    def _of(self, trainer: Any, task: nn.Module) -> None:
        if trainer.is_global_zero:
            self.predict(task, getattr(trainer, "datamodule", None))
