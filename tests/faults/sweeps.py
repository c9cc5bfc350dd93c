"""Disturb a small run at one call after the other, and list what is wrong afterwards."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from injection import FAIL_ONCE, FULL_FROM_HERE, KILL, SHORT_WRITE, TERMINATE, Ended, Fault, FaultServer
from small_runs import HISTORY, NAMES, SmallRun

from geoseg.archive.check import check_output
from geoseg.errors import UsageError

CASES = [
    (name, replacing)
    for name in NAMES
    for replacing in ([False, True] if name in {"predict", "vectorise"} else [False])
]
"""Each small run, and whether it replaces an output."""
CODES = {FAIL_ONCE: {0, 5}, FULL_FROM_HERE: {0, 5}, SHORT_WRITE: {0}, KILL: {-9}, TERMINATE: {0, 143}}
"""Exit codes that a run may have after a fault of each kind; an archive may also have failed scenes (7)."""


def every_call(calls: int, step: int = 1, first: int = 0, *, swapped: bool = False) -> Iterator[Fault]:
    """Let one call after the other fail: with EIO and ENOSPC in turn; the other way round if swapped."""
    for nth in range(first, calls, step):
        yield Fault(nth=nth, mode=FAIL_ONCE, error=(errno.EIO, errno.ENOSPC)[(nth // step + swapped) % 2])


def full_disks(calls: int, step: int) -> Iterator[Fault]:
    """Let the disk be full from one call after the other on, until the end of the command."""
    yield from (Fault(nth=nth, mode=FULL_FROM_HERE, error=errno.ENOSPC) for nth in range(step // 2, calls, step))


def short_writes(calls: int, step: int) -> Iterator[Fault]:
    """Let one write after the other take half of its bytes only."""
    yield from (Fault(nth=nth, mode=SHORT_WRITE) for nth in range(step // 3, calls, step))


class Sweep:
    """Disturbs one run and compares what it leaves with what it leaves undisturbed.

    Args:
        server: runs the commands.
        run: the run.
        scratch: folder for an output that is to be replaced.
        replacing: begin with the output of other options, which the run replaces.
    """

    def __init__(self, server: FaultServer, run: SmallRun, scratch: Path, *, replacing: bool = False) -> None:
        self.server, self.run = server, run
        self.argv = run.argv + (run.otherwise if replacing else [])
        self.old: Path | None = None
        self.before: dict[str, str] = {}
        run.clear()
        if replacing:
            assert server.run(run.argv).code == 0
            self.old, self.before = scratch / f"old {run.name}", run.answer()
            shutil.rmtree(self.old, ignore_errors=True)
            shutil.copytree(run.out, self.old, symlinks=True)
        ended = server.disturbed(self.argv, run.out, Fault())
        assert ended.code == 0, ended.said
        self.calls, self.whole = ended.calls, run.answer()
        self.injected = 0

    def faults(self, faults: Iterable[Fault]) -> list[str]:
        """Inject faults, one in each run, and describe all that is wrong."""
        return [f"{self.run.name}: {said}" for fault in faults for said in self._of(fault)]

    def _of(self, fault: Fault) -> Iterator[str]:
        self.run.clear(self.old)
        ended = self.server.disturbed(self.argv, self.run.out, fault)
        self.injected += ended.injected
        where = f"call {fault.nth} ({ended.failed}), mode {fault.mode}, errno {fault.error}"
        yield from (
            f"{where}: {said}" for said in (*self._ended(fault, ended), *self._left(ended), *self._rerun(ended))
        )

    def _ended(self, fault: Fault, ended: Ended) -> Iterator[str]:
        codes = CODES[fault.mode] | ({7} if self.run.name == "archive" and fault.mode != KILL else set())
        if not ended.injected:
            codes = {0}
        if ended.code not in codes:
            yield f"code {ended.code}: {ended.said[-1500:]}"
        if "Traceback" in ended.said:
            yield f"traceback: {ended.said[-1500:]}"
        if ended.code in {5, 7} and "geoseg: " not in ended.said:
            yield "says nothing"

    def _left(self, ended: Ended) -> Iterator[str]:
        try:
            left = self.run.answer()
        except ValueError as error:
            yield f"torn text: {error}"
            return
        told = {name for name in left if self._tells_what_failed(name, ended)}  # that it is whole is looked at above
        torn = [
            name for name in left if name in self.whole and left[name] not in self._allowed(name) and name not in told
        ]
        if torn:
            yield f"torn: {torn}"
        mixed = {self._age(name, left[name]) for name in left if name in self.whole} - {"both"}
        if len(mixed) > 1 and self.run.name == "predict":
            yield f"old and new: {sorted((name, self._age(name, left[name])) for name in left)}"
        if self.before and set(self.before) - set(left):
            yield f"the old output is gone: {sorted(set(self.before) - set(left))}"
        if ended.failed.startswith("unlink"):  # what cannot be removed now, the next run removes
            scratch = {name for name in left if name.endswith(".part") or name.startswith(".")} - set(self.whole)
            left = {name: found for name, found in left.items() if name not in scratch}
        if ended.code == 0 and left != self.whole:
            yield f"0, but {difference(left, self.whole)}"

    def _tells_what_failed(self, name: str, ended: Ended) -> bool:
        """Tell whether a file is about all scenes of an archive, some of which may have failed or are not done yet."""
        about_all = "/" not in name or name.startswith((".geoseg/", "_catalogue/"))
        return name == HISTORY or (self.run.name == "archive" and ended.code != 0 and about_all)

    def _allowed(self, name: str) -> set[str | None]:
        return {self.whole[name], self.before.get(name)}

    def _age(self, name: str, found: str) -> str:
        same = found == self.whole[name], found == self.before.get(name)
        return "both" if all(same) else ("new" if same[0] else "old")

    def _rerun(self, first: Ended) -> Iterator[str]:
        finished = first.code == 0
        again = self.server.run(self.argv)
        allowed = {0, self.run.again} if finished or self.run.name == "vectorise" else {0}
        if again.code not in allowed or "Traceback" in again.said:
            yield f"rerun ends with {again.code}: {again.said[-1500:]}"
        try:
            after = self.run.answer()
        except ValueError as error:
            yield f"torn text after the rerun: {error}"
            return
        if first.failed.startswith("unlink"):  # a lock that nobody holds any more
            after = {name: found for name, found in after.items() if not name.endswith(".lock") or name in self.whole}
        if after != self.whole:
            yield f"rerun: {difference(after, self.whole)}"
        yield from self._checked()

    def _checked(self) -> Iterator[str]:
        if self.run.name not in {"predict", "archive"}:
            return
        try:
            yield from (
                f"check: {checked.folder.name}: {[str(fault) for fault in checked.faults]}"
                for checked in check_output(self.run.out)
                if checked.faults
            )
        except UsageError as error:
            yield f"check: {error}"


def difference(found: dict[str, str], whole: dict[str, str]) -> str:
    """Name the files that differ."""
    fewer, more = sorted(set(whole) - set(found)), sorted(set(found) - set(whole))
    other = sorted(name for name in found if name in whole and found[name] != whole[name])
    return f"missing {fewer}, left over {more}, other {other}"
