"""Public data sets as archives, in the folders they are published in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from geoseg.archive.names import name_of_path
from geoseg.archive.ref import SceneRef
from geoseg.archive.source_config import DeepGlobeSource, PotsdamSource, VaihingenSource
from geoseg.errors import UsageError

VAIHINGEN = {
    "irrg": ("top", "top_mosaic_09cm_area*.tif", ("nir", "red", "green")),
    "dsm": ("dsm", "dsm_09cm_matching_area*.tif", ("height",)),
}
"""Images to folder, pattern and bands. Source: ISPRS 2D semantic labelling contest, Vaihingen; the files' own colour
interpretation calls the near infrared red."""

POTSDAM = {
    "rgb": ("2_Ortho_RGB", "top_potsdam_*_RGB.tif", ("red", "green", "blue")),
    "irrg": ("3_Ortho_IRRG", "top_potsdam_*_IRRG.tif", ("nir", "red", "green")),
    "rgbir": ("4_Ortho_RGBIR", "top_potsdam_*_RGBIR.tif", ("red", "green", "blue", "nir")),
    "dsm": ("1_DSM", "dsm_potsdam_*.tif", ("height",)),
}
"""As ``VAIHINGEN``. Source: ISPRS 2D semantic labelling contest, Potsdam."""


def vaihingen_scenes(source: VaihingenSource) -> Iterator[SceneRef]:
    """List the areas of ISPRS Vaihingen.

    Raises:
        UsageError: the folder is not there or holds none.
    """
    yield from _published(source.path, *VAIHINGEN[source.images])


def potsdam_scenes(source: PotsdamSource) -> Iterator[SceneRef]:
    """List the tiles of ISPRS Potsdam.

    Raises:
        UsageError: the folder is not there or holds none.
    """
    yield from _published(source.path, *POTSDAM[source.images])


def deepglobe_scenes(source: DeepGlobeSource) -> Iterator[SceneRef]:
    """List the images of DeepGlobe land cover, of all splits that are there.

    Raises:
        UsageError: none of the folders is there.
    """
    found = [split for split in source.splits if (source.path / split).is_dir()]
    if not found:
        raise UsageError(f"{source.path}: none of the folders {', '.join(source.splits)} is in it. Check the source.")
    for split in found:
        yield from _published(source.path, split, "*_sat.jpg", ("red", "green", "blue"))


def _published(root: Path, folder: str, pattern: str, bands: tuple[str, ...]) -> Iterator[SceneRef]:
    files = sorted((root / folder).glob(pattern))
    if not files:
        raise UsageError(f"{root / folder}: no {pattern} there. Check the archive's source.")
    for file in files:
        path = file.relative_to(root).as_posix()
        yield SceneRef(name=name_of_path(path), uri=str(file), bands=bands)
