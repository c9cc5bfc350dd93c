"""EditSession: corrections by hand to a finished map: apply, undo, redo and save, with a revision number."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.resolve import resolved
from geoseg.edits.save import save_edits
from geoseg.errors import LockedError, StaleRevisionError, UsageError
from geoseg.io.edits.edit import Edit, EditLog, EditState, LoggedEdit
from geoseg.io.edits.edit_log import read_log, write_log
from geoseg.io.files.output_lock import locked
from geoseg.io.publish.commit import roll_back

_WAIT_S: Final = 5.0
_AGAIN_S: Final = 0.05


def open_session(bundle: Path | str, *, author: str | None = None) -> EditSession:
    """Open a finished map for corrections by hand.

    Args:
        bundle: folder of a scene's layers, or the ``--out`` of a run of one scene.
        author: name that edits without an author get; None: the user's name on this machine.

    Raises:
        UsageError: there is no finished output, or that of several scenes.
        OutputError: the run record is damaged.

    Example:
        >>> session = open_session("out/scene", author="Ann")  # doctest: +SKIP
        >>> session.apply(Edit(kind="repaint", geometry=polygon, class_code=1))  # doctest: +SKIP
        >>> session.save()  # doctest: +SKIP
    """
    return EditSession(FinishedMap.at(_recovered(Path(bundle))), _user() if author is None else author)


class EditSession:
    """Corrections to one map; several sessions, also of other processes, may be open at once.

    Every change is made on the revision that this session has seen last, or on the one that is given; if another
    session has changed the map meanwhile, or a run has predicted it anew, nothing is done and ``StaleRevisionError`` is
    raised. Thread-safe.

    Args:
        finished: the map.
        author: name that edits without an author get.
    """

    def __init__(self, finished: FinishedMap, author: str = "") -> None:
        self.finished = finished
        self._author = author
        self._answer = finished.answer
        self._log = read_log(finished.log)

    @property
    def revision(self) -> int:
        """Revision that this session has seen last."""
        return self._log.revision

    @property
    def log(self) -> EditLog:
        """All edits that this session has seen, in order."""
        return self._log

    @property
    def pending(self) -> tuple[LoggedEdit, ...]:
        """Edits that the layers do not show yet, or show although they were undone."""
        return self._log.pending

    def refresh(self) -> int:
        """Read the map and its log again, and return the latest revision."""
        latest = FinishedMap.at(_recovered(self.finished.bundle.directory))
        if latest.answer != self._answer:
            self.finished, self._answer = latest, latest.answer
        self._log = read_log(self.finished.log)
        return self.revision

    def apply(self, *edits: Edit, revision: int | None = None) -> int:
        """Add edits to the log, all or none; the layers show them after ``save``.

        Args:
            edits: the edits, in order.
            revision: revision that they are made on; None: the one that this session has seen last.

        Returns:
            The new revision.

        Raises:
            StaleRevisionError: the map was changed meanwhile.
            UsageError: an edit makes no sense on this map.
            OutputError: another process holds the lock for seconds.
        """
        if not edits:
            raise UsageError("there is no edit to apply.")

        def add(log: EditLog) -> EditLog:
            entries = tuple(replace(e, state="dropped") if e.state == "undone" else e for e in log.entries)
            log = replace(log, entries=entries)
            for edit in edits:
                stamped = replace(edit, author=edit.author or self._author, answer=self.finished.answer)
                log = resolved(self.finished, log, stamped)
            return log

        return self._change(add, revision)

    def undo(self, *, revision: int | None = None, every: bool = False) -> int:
        """Undo the last active edit, or all of them in one change, and return the new revision.

        Args:
            revision: revision that the change is made on; None: the one that this session has seen last.
            every: undo all active edits; ``redo`` brings them back one by one, in order.

        Raises:
            UsageError: there is nothing to undo.
            StaleRevisionError, OutputError: as for ``apply``.
        """

        def back(log: EditLog) -> EditLog:
            if not log.active:
                raise UsageError("there is nothing to undo.")
            return _with_state(log, log.active if every else log.active[-1:], "undone")

        return self._change(back, revision)

    def redo(self, *, revision: int | None = None) -> int:
        """Redo the edit that was undone last and return the new revision.

        Raises:
            UsageError: there is nothing to redo.
            StaleRevisionError, OutputError: as for ``apply``.
        """

        def again(log: EditLog) -> EditLog:
            undone = [entry for entry in log.entries if entry.state == "undone"]
            if not undone:
                raise UsageError("there is nothing to redo.")
            return _with_state(log, undone[:1], "active")

        return self._change(again, revision)

    def save(self, *, revision: int | None = None, again: bool = False) -> int:
        """Rewrite the layers of the map so that they show the active edits, whole or not at all.

        Args:
            revision: revision that is saved; None: the one that this session has seen last.
            again: rewrite the layers also if they show all edits already, because files of them are damaged.

        Returns:
            The new revision, or the old one if there was nothing to save.

        Raises:
            StaleRevisionError: the map was changed meanwhile.
            OutputError: another process holds the lock, or a raster is not the one that the run wrote.
            WriteError: the disk is full or fails; the old layers stand.
        """
        with self._at(revision) as log:
            if log.pending or again:
                self._log = save_edits(self.finished, log)
                self.finished = FinishedMap(bundle=self.finished.bundle)
        return self.revision

    def _change(self, change: Callable[[EditLog], EditLog], revision: int | None) -> int:
        with self._at(revision) as log:
            changed = replace(change(log), revision=log.revision + 1)
            names = {entry.code: entry.name for entry in self.finished.legend.classes}
            write_log(self.finished.log, changed, crs_wkt=self.finished.grid.crs_wkt, names=names)
            self._log = changed
        return self.revision

    @contextmanager
    def _at(self, revision: int | None) -> Iterator[EditLog]:
        """Hold the lock of the bundle at a revision.

        Raises:
            StaleRevisionError: it is not the latest one, or the map was predicted anew.
            LockedError: another process holds the lock.
        """
        work = self.finished.work
        with _patiently(work.lock):
            roll_back(work)
            log = read_log(self.finished.log)
            expected = self.revision if revision is None else revision
            if log.revision != expected:
                raise StaleRevisionError(self.finished.bundle.directory, expected, log.revision)
            if FinishedMap.at(self.finished.bundle.directory).answer != self._answer:
                raise StaleRevisionError(self.finished.bundle.directory, expected, expected)
            yield log


def _with_state(log: EditLog, which: Sequence[LoggedEdit], state: EditState) -> EditLog:
    ids = {entry.edit.id for entry in which}
    return replace(log, entries=tuple(replace(e, state=state) if e.edit.id in ids else e for e in log.entries))


@contextmanager
def _patiently(lock: Path) -> Iterator[None]:
    """Hold a lock; wait some seconds for another holder, since most changes take an instant."""
    until = time.monotonic() + _WAIT_S
    while True:
        held = locked(lock)
        try:
            held.__enter__()
            break
        except LockedError:
            if time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
    try:
        yield
    finally:
        held.__exit__(None, None, None)


def _recovered(folder: Path) -> Path:
    """Put right what a save that was killed left, where the folder is missing because of it; returns its real path."""
    folder = Path(os.path.realpath(folder))
    if not folder.name:  # the root of the file system
        return folder
    replaced = folder.with_name(f".{folder.name}.replaced")
    if not folder.exists() and replaced.is_dir():
        with locked(folder.with_name(f".{folder.name}.lock")):
            if not folder.exists():
                replaced.rename(folder)
    return folder


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
