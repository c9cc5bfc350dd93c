"""What a disk may hold after a power cut, from the recorded calls of a run.

Until a file is synced its writes may be lost, and until a folder is synced what was made, renamed or removed in it may
be lost. A journal keeps changes of names in their order; POSIX does not promise even that. So after each call there
are several disks that a machine may find when it starts again; see ``DISKS``.

Source:
    Pillai et al., *All File Systems Are Not Created Equal*, OSDI 2014.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct("=4I3q")
_KINDS: Final = ("", "write", "sync", "rename", "create", "mkdir", "unlink", "truncate", "link", "rmdir", "symlink")
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
RENAME_EXCHANGE: Final = 2
"""Flag of ``renameat2``: both names stay, and each gets what the other had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One recorded call that succeeded.

    Attributes:
        kind: see ``_KINDS``.
        name: the file or folder.
        other: new name, or target of a link.
        flags: of ``open``, ``fallocate`` or ``renameat2``.
        inode: number of the file.
        offset: first byte.
        length: bytes.
        content: what was written.
    """

    kind: str
    name: str
    other: str
    flags: int
    inode: int
    offset: int
    length: int
    content: bytes


def read_log(path: Path) -> list[Call]:
    """Read the calls that the shim recorded."""
    log, at, calls = path.read_bytes(), 0, []
    while at < len(log):
        number, name_bytes, other_bytes, flags, inode, offset, length = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        name, at = log[at : at + name_bytes].decode(), at + name_bytes
        other, at = log[at : at + other_bytes].decode(), at + other_bytes
        written = length if _KINDS[number] == "write" else 0
        content, at = log[at : at + written], at + written
        calls.append(
            Call(
                kind=_KINDS[number],
                name=name,
                other=other,
                flags=flags,
                inode=inode,
                offset=offset,
                length=length,
                content=content,
            )
        )
    return calls


@dataclass(slots=True)
class File:
    """Content of a file, in memory and on the disk; a symbolic link has a target instead."""

    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    target: str | None = None


@dataclass(slots=True)
class Folder:
    """Entries of a folder, in memory and on the disk."""

    entries: dict[str, File | Folder] = field(default_factory=dict)
    synced: dict[str, File | Folder] = field(default_factory=dict)


DISKS: Final = ("names kept, data lost", "names and data lost", "outer names kept, inner names and data lost")
"""What is left of all that was not synced: names but no data; neither; names in the outermost folder only."""


class Disk:
    """The files below a folder while the calls of a run are replayed.

    Args:
        before: copy of the folder as it was at the start, all of it on the disk; it may be missing.
        root: the folder.
    """

    def __init__(self, before: Path, root: Path) -> None:
        self._root = str(root)
        self.top = self._loaded(before)
        self._files: dict[int, File] = {}
        self.had: dict[str, set[bytes]] = {}
        """Contents that files had when they got their names or were synced under them."""
        self._note(self.top, "")

    def _loaded(self, path: Path) -> Folder:
        folder = Folder()
        for entry in sorted(path.iterdir()) if path.is_dir() else []:
            if entry.is_dir():
                folder.entries[entry.name] = self._loaded(entry)
            else:
                content = entry.read_bytes()
                folder.entries[entry.name] = File(bytearray(content), content)
        folder.synced = dict(folder.entries)
        return folder

    def _place(self, name: str) -> tuple[Folder, str] | None:
        """Folder and entry of a name; None for the root itself."""
        parts = Path(os.path.normpath(name)).relative_to(self._root).parts
        if not parts:
            return None
        folder = self.top
        for part in parts[:-1]:
            inner = folder.entries[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, parts[-1]

    def apply(self, call: Call) -> None:
        """Replay one call."""
        if call.kind in {"write", "truncate", "sync"}:
            self._data(call)
            return
        at = self._place(call.name)
        if at is None:
            return
        folder, entry = at
        if call.kind == "create":
            old = folder.entries.get(entry)
            file = old if isinstance(old, File) else folder.entries.setdefault(entry, File())
            assert isinstance(file, File)
            if call.flags & os.O_TRUNC:
                file.content.clear()
            self._files[call.inode] = file
        elif call.kind == "mkdir":
            folder.entries[entry] = Folder()
        elif call.kind in {"unlink", "rmdir"}:
            folder.entries.pop(entry, None)
        elif call.kind == "symlink":
            folder.entries[entry] = File(target=call.other)
        else:
            moved = folder.entries.pop(entry) if call.kind == "rename" else folder.entries[entry]
            target = self._place(call.other)
            assert target is not None
            if call.kind == "rename" and call.flags & RENAME_EXCHANGE:
                folder.entries[entry] = target[0].entries[target[1]]
                self._note_at(folder.entries[entry], call.name)
            target[0].entries[target[1]] = moved
            self._note_at(moved, call.other)

    def _data(self, call: Call) -> None:
        file = self._files.get(call.inode)
        if call.kind == "sync":
            at = self._place(call.name)
            there = self.top if at is None else at[0].entries.get(at[1])
            if isinstance(there, Folder):
                there.synced = dict(there.entries)
            elif isinstance(there, File):
                there.synced = bytes(there.content)
                self.had.setdefault(str(Path(call.name).relative_to(self._root)), set()).add(there.synced)
            return
        if file is None:  # opened to be changed, not made
            at = self._place(call.name)
            there = None if at is None else at[0].entries.get(at[1])
            assert isinstance(there, File), call
            file = there
        if call.kind == "write":
            file.content.extend(bytes(max(0, call.offset - len(file.content))))
            file.content[call.offset : call.offset + call.length] = call.content
        elif call.flags & _PUNCH_HOLE:
            file.content[call.offset : call.offset + call.length] = bytes(call.length)
        elif not call.offset and not call.flags and call.length < len(file.content):
            del file.content[call.length :]
        elif not call.flags & _KEEP_SIZE:
            file.content.extend(bytes(max(0, call.offset + call.length - len(file.content))))

    def after_cut(self, kind: str) -> dict[str, bytes | None]:
        """Files that a machine finds: by their names, each its content, None for a folder."""
        found: dict[str, bytes | None] = {}
        self._collect(self.top, "", kind, found)
        return found

    def _collect(self, folder: Folder, prefix: str, kind: str, found: dict[str, bytes | None]) -> None:
        kept = kind == DISKS[0] or (kind == DISKS[2] and not prefix)
        for name, entry in sorted((folder.entries if kept else folder.synced).items()):
            if isinstance(entry, Folder):
                found[f"{prefix}{name}/"] = None
                self._collect(entry, f"{prefix}{name}/", kind, found)
            elif entry.target is None:
                found[f"{prefix}{name}"] = entry.synced

    def finish(self) -> dict[str, bytes]:
        """Note that the run is over; return the files it leaves."""
        self._note(self.top, "")
        return {name: bytes(file.content) for name, file in _named(self.top, "")}

    def _note_at(self, entry: File | Folder, path: str) -> None:
        name = str(Path(os.path.normpath(path)).relative_to(self._root))
        self._note(entry, f"{name}/" if isinstance(entry, Folder) else name)

    def _note(self, entry: File | Folder, name: str) -> None:
        named = _named(entry, name) if isinstance(entry, Folder) else [(name, entry)]
        for full, file in named:
            self.had.setdefault(full, set()).add(bytes(file.content))


def _named(folder: Folder, prefix: str) -> Iterator[tuple[str, File]]:
    for name, entry in folder.entries.items():
        if isinstance(entry, Folder):
            yield from _named(entry, f"{prefix}{name}/")
        elif entry.target is None:
            yield prefix + name, entry


def write_disk(found: dict[str, bytes | None], root: Path) -> None:
    """Write what a machine finds after a power cut."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)
