"""Labelled scenes for training and scoring, from the sources that a recipe names."""

from __future__ import annotations

from pathlib import Path

from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.file_scene import labels_of
from geoseg.data.labelled_scene import UNLABELLED, LabelledImage, LabelledScene, Sample
from geoseg.data.sources.kinds import Source
from geoseg.data.sources.model import SourceModel, Split
from geoseg.errors import SceneError

__all__ = ["UNLABELLED", "LabelledImage", "LabelledScene", "Sample", "Source", "Split", "read_source"]

_BLOCK_PX = 512


def read_source(source: SourceModel, split: Split, folder: Path, legend: Legend) -> list[LabelledScene]:
    """Open one side of a source's split.

    Args:
        source: the source.
        split: side of the split.
        folder: the data folder that sources are relative to.
        legend: classes, in the order of the class indices.

    Raises:
        UsageError: files, split and legend do not fit, or a label is not a code of the legend.
        SceneError: a file cannot be read, or no pixel of the side has a class.
    """
    scenes = list(source.scenes(split, folder, legend))
    if scenes and not any(_labelled(scene) for scene in scenes):
        more = f", nor in {len(scenes) - 1} more of {source.name}" if len(scenes) > 1 else ""
        raise SceneError(
            labels_of(scenes[0]),
            f"it gives no pixel of {scenes[0].name} a class{more}.",
            "Are its labels all nodata, or do they lie elsewhere?",
        )
    return scenes


def _labelled(scene: LabelledScene) -> bool:
    """Return True if any pixel has a class; stops at the first block that has one."""
    height, width = scene.shape
    for top in range(0, height, _BLOCK_PX):
        for left in range(0, width, _BLOCK_PX):
            window = Window(top, min(top + _BLOCK_PX, height), left, min(left + _BLOCK_PX, width))
            if (scene.read(window).class_indices != UNLABELLED).any():
                return True
    return False
