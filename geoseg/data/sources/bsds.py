"""``kind: bsds500``: boundaries drawn by annotators in photographs, Berkeley (Arbelaez et al. 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from geoseg.core.legend import Legend
from geoseg.data.label_files import BoundaryFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.in_sets import SetSource
from geoseg.data.sources.model import Item, Split
from geoseg.io.raster.image_stack import Layer

Fraction = Annotated[float, Field(ge=0, le=1)]


class BsdsSource(SetSource):
    """``images/SET/ID.jpg`` and ``groundTruth/SET/ID.mat``, each with several annotators.

    Attributes:
        edge_share: least share of annotators for a boundary pixel (code 1).
        none_share: largest share of annotators for a non-boundary pixel (code 0); between the two a pixel has no class.
    """

    kind: Literal["bsds500"]
    edge_share: Fraction = 0.5
    none_share: Fraction = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> BsdsSource:
        if self.none_share >= self.edge_share:
            raise ValueError("none_share must be less than edge_share")
        return self

    def pattern(self, of_set: str) -> str:
        """Pattern of the images of a set."""
        return f"images/{of_set}/*.jpg"

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding."""
        found = self.in_sets(folder)
        return [
            Item(
                name=name,
                layers=(Layer(path=found[name][1], bands=(1, 2, 3)),),
                labels=BoundaryFile(
                    path=folder / f"groundTruth/{found[name][0]}/{name}.mat",
                    edge_share=self.edge_share,
                    none_share=self.none_share,
                ),
                recoding=Recoding(legend=legend),
            )
            for name in names
        ]
