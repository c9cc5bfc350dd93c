"""Labelled scenes for training and scoring, from the sources that a recipe names."""

from __future__ import annotations

from pathlib import Path

from geoseg.core.legend import Legend
from geoseg.data.labelled_scene import UNLABELLED, LabelledImage, LabelledScene, Sample
from geoseg.data.sources.kinds import Source
from geoseg.data.sources.model import SourceModel, Split

__all__ = ["UNLABELLED", "LabelledImage", "LabelledScene", "Sample", "Source", "Split", "read_source"]


def read_source(source: SourceModel, split: Split, folder: Path, legend: Legend) -> list[LabelledScene]:
    """Open one side of a source's split.

    Args:
        source: what to read.
        split: which side.
        folder: the data folder that sources are relative to.
        legend: its codes become channels.

    Raises:
        UsageError: files, split and legend do not fit, or a label is no code of the legend.
        SceneError: a file cannot be read.
    """
    return list(source.scenes(split, folder, legend))
