"""Comparison of a finished file with its record: whole, changed by a program, damaged or missing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geoseg.core.types.json_value import JsonDict, UntypedMapping
from geoseg.io.checks.formats import check_file
from geoseg.io.files.sqlite_file import read_header

# documents whose check looks for other files too: those have states of their own
_NAMING_OTHERS = (".qgz", ".json")
Condition = Literal["whole", "changed", "damaged", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """The condition of one file.

    Attributes:
        path: the file.
        condition: ``whole``: the bytes that were written; ``changed``: another whole file of its format, as a program
            saves it; ``damaged``: neither; ``missing``: not there.
        cause: reason for which it is damaged.
    """

    path: Path
    condition: Condition
    cause: str = ""


def file_facts(path: Path) -> JsonDict:
    """Describe a finished file: ``size`` in bytes, ``mtime_ns``, and ``sha256`` of its content.

    Raises:
        OSError: it cannot be read.
    """
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": _digest(path)}


def state_of_file(path: Path, facts: UntypedMapping, *, thorough: bool = False) -> FileState:
    """Compare a file with its facts.

    If size and time are as recorded, the file counts as whole; otherwise its digest decides. A file of another digest
    is ``changed`` if it is a complete file of its format and a program evidently wrote it: its size or, for a
    GeoPackage, SQLite's change counter differs. Otherwise some of its bytes were altered, and it is ``damaged``.

    Args:
        path: the file.
        facts: result of ``file_facts``; ``mtime_ns`` may be missing.
        thorough: always compute the digest, and check the format of a whole file too.
    """
    try:
        stat = path.stat()
        if not thorough and (stat.st_size, stat.st_mtime_ns) == (facts["size"], facts.get("mtime_ns")):
            return FileState(path=path, condition="whole")
        same = stat.st_size == facts["size"] and _digest(path) == facts["sha256"]
        if not same or (thorough and not path.name.endswith(_NAMING_OTHERS)):
            check_file(path)
    except FileNotFoundError:
        return FileState(path=path, condition="missing")
    except (OSError, ValueError) as error:
        return FileState(path=path, condition="damaged", cause=str(error))
    if same or _saved_by_a_program(path, another_size=stat.st_size != facts["size"]):
        return FileState(path=path, condition="whole" if same else "changed")
    return FileState(path=path, condition="damaged", cause="bytes in it are not those that were written")


def _saved_by_a_program(path: Path, another_size: bool) -> bool:
    if path.suffix.lower() == ".gpkg":
        return not read_header(path).as_written
    return another_size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
