"""History: totals of an archive after each of its runs, one line of JSON each, for the trend of the report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geoseg.archive.report.facts import Facts
from geoseg.errors import OutputError, WriteError
from geoseg.io.files.output_lock import locked
from geoseg.io.files.writing import write_bytes

_MOST_LINES = 1000
HISTORY = ".geoseg/history.jsonl"
_WAIT_S, _PAUSE_S = 30.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Totals at one time.

    Attributes:
        when: end of the run, UTC.
        done: finished scenes.
        failed: failed scenes.
        areas_m2: true area of each class by its name.
    """

    when: datetime
    done: int
    failed: int
    areas_m2: dict[str, float]


def read_history(out: Path) -> list[Moment]:
    """Read the totals of the last thousand runs; lines that are damaged are left out."""
    try:
        text = (out / HISTORY).read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines()[-_MOST_LINES:]
    except OSError:
        return []
    return [moment for line in lines if (moment := _parsed(line)) is not None]


def add_to_history(out: Path, facts: Facts) -> list[Moment]:
    """Append the totals of now, unless they are those of the last line; return the history with them.

    The file is replaced as a whole: it holds whole lines at any moment, and a write that fails leaves the old ones.
    The last thousand lines are kept as they are; those that are no JSON are left out. Of those who publish at the same
    time one waits for the other.

    Raises:
        OutputError: another publication holds the history for half a minute.
        WriteError: the disk is full or fails, or the lines that stand there cannot be read.
    """
    path = out / HISTORY
    if not path.parent.is_dir():  # a folder that no archive's run has written
        return read_history(out)
    with _alone(path.with_suffix(".lock")):
        return _added(out, path, facts)


def _added(out: Path, path: Path, facts: Facts) -> list[Moment]:
    history = read_history(out)
    areas = {name: round(size, 2) for name, size in sorted(facts.areas_m2.items())}
    now = Moment(when=datetime.now(UTC), done=facts.states["done"], failed=facts.states["failed"], areas_m2=areas)
    last = history[-1] if history else None
    if last is not None and (last.done, last.failed, last.areas_m2) == (now.done, now.failed, now.areas_m2):
        return history
    if not (now.done or now.failed):
        return history
    line = {"when": now.when.isoformat(timespec="seconds"), "done": now.done, "failed": now.failed, "areas_m2": areas}
    lines = [*_whole_lines(path), json.dumps(line).encode()][-_MOST_LINES:]
    write_bytes(path, b"".join(text + b"\n" for text in lines))
    return [*history, now][-_MOST_LINES:]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock, once it is free. The archive's own will not do: a run that publishes holds it already."""
    end = time.monotonic() + _WAIT_S
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(lock))
                break
            except OutputError:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE_S)
        yield


def changes(history: Sequence[Moment], most: int = 20) -> list[tuple[Moment, Moment | None]]:
    """Return the last moments, the newest first, each with the one before it."""
    pairs = list(zip(history, [None, *history[:-1]], strict=True))
    return pairs[::-1][:most]


def _whole_lines(path: Path) -> list[bytes]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise WriteError(f"{path}: cannot be read: {error.strerror}. Check the folder and run again.") from error
    return [line for line in lines if _is_json(line)]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(line: str) -> Moment | None:
    try:
        value = json.loads(line)
        areas = {str(name): float(size) for name, size in value["areas_m2"].items()}
        when = datetime.fromisoformat(value["when"])
        return Moment(when=when, done=int(value["done"]), failed=int(value["failed"]), areas_m2=areas)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
