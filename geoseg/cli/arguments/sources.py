"""Input arguments of the command line: files, folders, patterns, addresses."""

from __future__ import annotations

import glob
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from geoseg.errors import UsageError
from geoseg.io.containers.safe_product import is_product_folder

SUFFIXES = frozenset({".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".vrt"})
"""Suffixes of the files taken from a folder; other files can be named directly."""


def expand(sources: Sequence[str], *, allow_vrt: bool = False) -> list[str]:
    """Expand input arguments into scenes, in order, each once.

    Raises:
        UsageError: a folder or a pattern holds no scene, or a name is empty.
    """
    scenes: list[str] = []
    for source in sources:
        if not source:  # an unset variable of the shell; as a path it would mean the whole current folder
            raise UsageError("a scene's name is empty. Give a file, a folder or a pattern.")
        path = Path(source)
        if is_product_folder(path):
            scenes.append(source)
        elif _is_dir(path):
            try:
                inside = sorted(p for p in path.iterdir() if _is_scene(p, allow_vrt=allow_vrt))
            except OSError as error:
                raise UsageError(f"{source}: the folder cannot be read ({error.strerror}).") from error
            if not inside:
                raise UsageError(f"{source}: the folder holds no scene ({', '.join(sorted(SUFFIXES))}).")
            scenes += [str(p) for p in inside]
        elif glob.has_magic(source) and not path.exists() and "://" not in source:
            found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - absolute patterns too
            if not found:
                raise UsageError(f"{source}: no file matches.")
            scenes += [p for p in found if Path(p).is_file()]
        else:
            scenes.append(source)
    return list(dict.fromkeys(scenes))


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long to be one; opening it says what is wrong
        return False


def _is_scene(path: Path, *, allow_vrt: bool) -> bool:
    suffix = path.suffix.lower()
    return path.is_file() and suffix in SUFFIXES and (allow_vrt or suffix != ".vrt")


def output_names(scenes: Sequence[tuple[str, str]]) -> list[str | None]:
    """Name the outputs of scenes; scenes with equal stems get a digest of their location added.

    Args:
        scenes: (uri, stem) of each.

    Returns:
        The output's name, or None where the stem is used.
    """
    count = Counter(stem for _, stem in scenes)
    return [
        None if count[stem] == 1 else f"{stem}-{hashlib.sha256(_where(uri).encode()).hexdigest()[:8]}"
        for uri, stem in scenes
    ]


def _where(uri: str) -> str:
    return uri if "://" in uri else str(Path(uri).absolute())
