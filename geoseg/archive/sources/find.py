"""Listing of an archive's scenes with their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from geoseg.archive.sources.config import (
    DeepGlobeSource,
    FolderSource,
    ListSource,
    ObjectsSource,
    PotsdamSource,
    StacSource,
    VaihingenSource,
)
from geoseg.archive.sources.datasets import deepglobe_scenes, potsdam_scenes, vaihingen_scenes
from geoseg.archive.sources.files import folder_scenes, list_scenes
from geoseg.archive.sources.objects import object_scenes
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.archive.sources.stac import stac_scenes

if TYPE_CHECKING:
    from geoseg.archive.config import ArchiveConfig

__all__ = ["SceneRef", "find_scenes"]


def find_scenes(config: ArchiveConfig) -> Iterator[SceneRef]:
    """List an archive's scenes, one by one; files in the order of their paths, items in that of their catalogue.

    Raises:
        UsageError: the source does not exist, or needs a package that is not installed.
        SceneError: a list or a catalogue cannot be read.
    """
    source, opening = config.source, config.opening
    match source:
        case FolderSource():
            yield from folder_scenes(source, allow_vrt=opening.allow_vrt, leave_out=config.out)
        case ListSource():
            yield from list_scenes(source)
        case StacSource():
            yield from stac_scenes(source, allow_remote=opening.allow_remote)
        case ObjectsSource():
            yield from object_scenes(source, allow_remote=opening.allow_remote)
        case VaihingenSource():
            yield from vaihingen_scenes(source)
        case PotsdamSource():
            yield from potsdam_scenes(source)
        case DeepGlobeSource():
            yield from deepglobe_scenes(source)
