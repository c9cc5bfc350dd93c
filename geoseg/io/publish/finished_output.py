"""Finished output: the folders of scenes below an ``--out``, their run records, and the names of their files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from geoseg.core.layer import CLASSES, raster_suffix
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import OutputError
from geoseg.io.publish.bundle import Bundle

RUN_RECORD: Final = "run.json"
"""Name of the run record, whose presence says that a folder is complete."""

_ITEM: Final = ".stac.json"
_MOST_BYTES: Final = 64 * 2**20


def finished_folders(out: Path) -> list[Path]:
    """Find the folders of finished scenes: a folder itself, or those in it.

    Folders of a run that is writing, or that was killed, have hidden names and do not count.

    Args:
        out: folder of a scene's layers, or the ``--out`` of a run; may be a link.

    Returns:
        The folders by name; empty if there is no finished output.
    """
    if (out / RUN_RECORD).is_file():
        return [out]
    inner = (record.parent for record in out.glob(f"*/{RUN_RECORD}"))
    return sorted(folder for folder in inner if not folder.name.startswith("."))


def read_run_record(path: Path) -> UntypedDict:
    """Read a run record.

    Raises:
        OutputError: it is damaged or missing.
    """
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(_MOST_BYTES))
        usable = isinstance(record["identity"], dict) and isinstance(record["files"], dict)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise OutputError(f"{path}: is damaged: {error}. Run geoseg predict with --overwrite.") from error
    if not usable:
        raise OutputError(f"{path}: is damaged. Run geoseg predict with --overwrite.")
    return dict(record)


def bundle_in(folder: Path, record: Mapping[str, Any]) -> Bundle:
    """Find the common prefix of the files of a scene, since its folder may have been renamed.

    Args:
        folder: folder of the scene's layers.
        record: its run record; empty if that is damaged.

    Returns:
        Its files: named as the class raster of the record, else as the STAC item, else as the folder.
    """
    stems = stems_of(record) or sorted(
        path.name.removesuffix(_ITEM) for path in folder.glob(f"*{_ITEM}") if not path.name.startswith(".")
    )
    own = Path(os.path.realpath(folder)).name
    return Bundle(directory=folder, stem=stems[0] if stems and own not in stems else own)


def stems_of(record: Mapping[str, Any]) -> list[str]:
    """List the prefixes of the class rasters that a run record names; a sound record names one."""
    files, ending = record.get("files"), raster_suffix(CLASSES)
    names = files if isinstance(files, dict) else ()
    own = (name for name in names if name.endswith(ending) and name != ending and "/" not in name)
    return sorted(name.removesuffix(ending) for name in own)
