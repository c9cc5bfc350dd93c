"""``kind: towns``: drawn towns, labelled perfectly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from geoseg.core.legend import Legend
from geoseg.data.labelled_scene import LabelledImage
from geoseg.data.recoding import class_indices_of
from geoseg.data.sources.model import SourceModel, Split
from geoseg.synthetic.town import draw_town


class TownSource(SourceModel):
    """Drawn towns: every seed is another town, labelled perfectly.

    Attributes:
        train_seeds: first and last training seed.
        validate_seeds: first and last validation seed.
        shape: rows and columns of each town.
        gsd_m: ground sample distances, taken in turn.
        recode: map from town codes to codes of the model's legend, the others become 0; None keeps all.
    """

    kind: Literal["towns"]
    train_seeds: tuple[int, int] | None = None
    validate_seeds: tuple[int, int] | None = None
    shape: tuple[int, int] = (1024, 1024)
    gsd_m: tuple[Annotated[float, Field(gt=0)], ...] = (0.09,)
    recode: dict[int, int] | None = None

    def has_training(self) -> bool:
        """True if any of it is used for training."""
        return self.train_seeds is not None

    def split_words(self) -> str:
        """Describe the training part, for the card."""
        return "" if self.train_seeds is None else f"seeds {self.train_seeds[0]} to {self.train_seeds[1]}"

    def scenes(self, split: Split, folder: Path, legend: Legend) -> list[LabelledImage]:
        """Draw the towns of one side; see ``SourceModel``."""
        seeds = self.train_seeds if split == "train" else self.validate_seeds
        if seeds is None:
            return []
        first, last = seeds
        images = []
        for seed in range(first, last + 1):
            gsd = self.gsd_m[(seed - first) % len(self.gsd_m)]
            town = draw_town(seed, self.shape, gsd)
            codes = town.labels
            if self.recode is not None:
                codes = np.array([self.recode.get(code, 0) for code in range(256)])[codes]
            images.append(
                LabelledImage(
                    name=f"{self.name} {seed}",
                    values=np.asarray(town.rgb),
                    valid=np.ones(self.shape, bool),
                    class_indices=class_indices_of(codes, legend, f"town {seed}"),
                    gsd_m=gsd,
                    objects=town.objects.astype(np.int64),
                    weight=self.weight / (last - first + 1),
                )
            )
        return images
