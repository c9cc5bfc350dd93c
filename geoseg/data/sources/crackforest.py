"""``kind: crackforest``: cracks in photographs of roads (Shi et al. 2016), ground truth in .mat files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from geoseg.core.legend import Legend
from geoseg.data.label_files import MatlabFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.file_splits import ByShare, FileSplit
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files
from geoseg.data.sources.model import Item, Split
from geoseg.io.raster.image_stack import Layer


class CrackSource(ListedSource):
    """``image/NNN.jpg`` and ``groundTruth/NNN.mat``: segment 1 is road (code 0), 2 is crack (code 1).

    A few files hold an undocumented segment 3: it has no class.
    """

    kind: Literal["crackforest"]
    split: FileSplit = ByShare(by="share")

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the photographs."""
        return find_files(folder, "image/*.jpg")

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of photographs: files, labels and recoding."""
        found = self.files(folder)
        recoding = Recoding(legend=legend, table={1: 0, 2: 1, 3: None})
        return [
            Item(
                name=name,
                layers=(Layer(path=found[name], bands=(1, 2, 3)),),
                labels=MatlabFile(path=folder / f"groundTruth/{name}.mat"),
                recoding=recoding,
            )
            for name in names
        ]
