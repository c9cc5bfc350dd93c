"""Public data sets as archives, in the folders they are published in and those that torchgeo unpacks them to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from geoseg.archive.sources.config import DeepGlobeSource, PotsdamSource, VaihingenSource
from geoseg.archive.sources.scene_names import name_of_path
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.data.sources.deepglobe import DEEPGLOBE_FOLDERS
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
    folder, pattern, bands = VAIHINGEN[source.images]
    folders = (folder, f"ISPRS_semantic_labeling_Vaihingen/{folder}")
    yield from _published(source.path, folders, pattern, bands)


def potsdam_scenes(source: PotsdamSource) -> Iterator[SceneRef]:
    """List the tiles of ISPRS Potsdam.

    Raises:
        UsageError: the folder is not there or holds none.
    """
    folder, pattern, bands = POTSDAM[source.images]
    yield from _published(source.path, (folder, f"{folder}/{folder}", f"Potsdam/{folder}"), pattern, bands)


def deepglobe_scenes(source: DeepGlobeSource) -> Iterator[SceneRef]:
    """List the images of DeepGlobe land cover, of all splits present, or those of a folder of images.

    Raises:
        UsageError: there are no images.
    """
    folders = [folder for split in source.splits for folder in DEEPGLOBE_FOLDERS[split]]
    found = [folder for folder in folders if any((source.path / folder).glob(_SAT))]
    if not found and not any(source.path.glob(_SAT)):
        others = ", ".join(folder for folder in folders if folder not in source.splits)
        cause = f"no {_SAT} in any of the folders {', '.join(source.splits)}, nor in {others}"
        raise UsageError(f"{source.path}: {cause}. Check the source.")
    for folder in found or ["."]:
        yield from _published(source.path, (folder,), _SAT, ("red", "green", "blue"))


_SAT = "*_sat.jpg"


def _published(root: Path, folders: tuple[str, ...], pattern: str, bands: tuple[str, ...]) -> Iterator[SceneRef]:
    files = next((found for folder in folders if (found := sorted((root / folder).glob(pattern)))), None)
    if files is None:
        others = f", nor in {', '.join(folders[1:])}" if len(folders) > 1 else ""
        raise UsageError(f"{root / folders[0]}: no {pattern} there{others}. Check the archive's source.")
    for file in files:
        path = file.relative_to(root).as_posix()
        yield SceneRef(name=name_of_path(path), uri=str(file), bands=bands)
