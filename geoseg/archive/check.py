"""Check finished output: compare every file with its digest and verify that its format is intact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geoseg.archive.manifest import Manifest
from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import UsageError
from geoseg.io.checks.formats import CHECKED_SUFFIXES, check_file
from geoseg.io.files.recorded_file import FileState, state_of_file
from geoseg.io.publish.bundle import ARCHIVE_RECORDS
from geoseg.io.publish.finished_output import RUN_RECORD, finished_folders

_RASTER = ".tif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Result of checking one folder of output.

    Attributes:
        folder: the folder.
        states: state of each recorded file, the run record included.
    """

    folder: Path
    states: tuple[FileState, ...]

    @property
    def faults(self) -> tuple[FileState, ...]:
        """Files that are missing or damaged, and rasters whose pixels differ from those written."""
        return tuple(state for state in self.states if _is_fault(state))


def check_output(out: Path) -> Iterator[Checked]:
    """Check the folder of one scene, a folder of such folders, or the output of an archive; nothing is changed.

    Every recorded file is read: its digest is compared with that of the run record, and its format is checked. Of an
    archive, every scene that its manifest lists as done must exist, and the files of the archive itself are read too.

    Args:
        out: the folder.

    Yields:
        One result per folder, sorted by name; the archive's own files come last.

    Raises:
        UsageError: there is no such folder, or no finished output in it.
    """
    if not out.is_dir():
        raise UsageError(f"{out}: there is no such folder. Give the --out of a run, or the folder of one scene.")
    there = finished_folders(out)
    if there == [out]:
        yield Checked(folder=out, states=check_folder(out))
        return
    archive = (out / ARCHIVE_RECORDS).is_dir()
    done = {record.layers for record in Manifest(out).records() if record.state == "done"} if archive else set()
    folders = sorted(done | {folder.name for folder in there})
    if not folders and not archive:
        raise UsageError(f"{out}: holds no finished output ({RUN_RECORD}). Give the --out of a run.")
    for name in folders:
        yield Checked(folder=out / name, states=check_folder(out / name))
    if archive:
        own = (path for path in sorted(out.iterdir()) if path.is_file() and path.name.endswith(CHECKED_SUFFIXES))
        yield Checked(folder=out, states=tuple(_unrecorded(path) for path in own))


def check_folder(folder: Path) -> tuple[FileState, ...]:
    """Read every file that the run record of a scene's folder names; the record itself comes last."""
    path = folder / RUN_RECORD
    try:
        record: UntypedDict = json.loads(path.read_text())
        files = {
            str(name): {"size": facts["size"], "sha256": facts["sha256"]} for name, facts in record["files"].items()
        }
    except FileNotFoundError:
        return (FileState(path=path, condition="missing"),)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return (FileState(path=path, condition="damaged", cause=f"it is no run record: {error}"),)
    states = [state_of_file(folder / name, facts, thorough=True) for name, facts in sorted(files.items())]
    return (*states, FileState(path=path, condition="whole"))


def _unrecorded(path: Path) -> FileState:
    """Check the format of a file that has no recorded digest."""
    try:
        check_file(path)
    except (OSError, ValueError) as error:
        return FileState(path=path, condition="damaged", cause=str(error))
    return FileState(path=path, condition="whole")


def _is_fault(state: FileState) -> bool:
    if state.condition == "changed":
        return state.path.name.endswith(_RASTER)
    return state.condition != "whole"
