"""Commit of a finished bundle: its folder is put in the place of the old one by renaming."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from geoseg.io.files.writing import sync_folder
from geoseg.io.publish.bundle import Bundle

_HERE, _RENAME_EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaths:
    """Paths of a run's unfinished files: hidden next to the bundle, so that renames stay on one file system.

    Attributes:
        bundle: the finished files.
        block_store: address of an object store for finished blocks, instead of ``blocks``; None: they lie there.
    """

    bundle: Bundle
    block_store: str | None = None

    def _hidden(self, suffix: str) -> Path:
        final = self.bundle.directory
        return final.with_name(f".{final.name}.{suffix}")

    @property
    def lock(self) -> Path:
        """Lock file, held during a run."""
        return self._hidden("lock")

    @property
    def blocks(self) -> Path:
        """The store of finished blocks."""
        return self._hidden("blocks")

    @property
    def building(self) -> Bundle:
        """Folder of the layers being written; renamed to the bundle when complete."""
        return Bundle(directory=self._hidden("building"), stem=self.bundle.stem)

    @property
    def replaced(self) -> Path:
        """Folder of the old bundle while it is being replaced."""
        return self._hidden("replaced")

    @property
    def traces(self) -> Path:
        """Folder of traced blocks, by which a corrected map is saved faster; it may be removed at any time."""
        return self._hidden("traces")


def commit(work: RunPaths) -> None:
    """Commit the new bundle by renaming; the old one is removed afterwards.

    Where the system can exchange two folders there is always one of the two; elsewhere there is none for a moment, and
    ``roll_back`` puts right what a crash leaves.

    Raises:
        OSError: a folder cannot be renamed; the old bundle stands.
    """
    final, replaced = work.bundle.directory, work.replaced
    stands = final.exists()
    if stands and _exchange(work.building.directory, final):
        sync_folder(final)
        shutil.rmtree(work.building.directory, ignore_errors=True)
        return
    if stands:
        shutil.rmtree(replaced, ignore_errors=True)
        final.rename(replaced)
    try:
        work.building.directory.rename(final)
    except OSError:
        if stands:
            replaced.rename(final)
        raise
    sync_folder(final)
    shutil.rmtree(replaced, ignore_errors=True)


def roll_back(work: RunPaths) -> None:
    """Complete or roll back a commit that was killed between two renames."""
    if work.replaced.exists() and not work.bundle.directory.exists():
        work.replaced.rename(work.bundle.directory)
    shutil.rmtree(work.replaced, ignore_errors=True)
    shutil.rmtree(work.building.directory, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False if the system or the file system cannot.

    Source:
        renameat2(2), Linux 3.15.
    """
    if sys.platform != "linux":
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    return int(function(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE)) == 0
