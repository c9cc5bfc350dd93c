"""Checks of output paths: a command never overwrites its inputs, and existing files only on request."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from geoseg.errors import OutputError, UsageError
from geoseg.io.files.drivers import is_address, is_remote, local_name
from geoseg.io.files.interrupts import expect_output
from geoseg.io.files.writing import make_durable_folder

Input = str | os.PathLike[str] | None


def keep_inputs(inputs: Iterable[Input], *outputs: Path, folders: Iterable[Path] = ()) -> None:
    """Refuse outputs that would replace or remove an input.

    The same file is recognised by another path, a symbolic link or a hard link.

    Args:
        inputs: input files, and folders of input files; addresses and None are ignored.
        outputs: files that are written.
        folders: folders that are replaced or removed as a whole.

    Raises:
        UsageError: an input would be replaced or removed, or an output is an address of the web.
    """
    whole = list(folders)
    for target in (*outputs, *whole):
        _refuse_address(target)
    for given in inputs:
        if given is None or is_remote(os.fspath(given)):
            continue
        read = _file(local_name(os.fspath(given)))
        for output in (*outputs, *whole):
            if _same(output, read) or (_is_dir(read) and os.path.lexists(output) and _inside(output, read)):
                raise UsageError(f"{output}: would replace what is read ({read}). Write to another place.")
        for folder in whole:
            if _inside(read, folder):
                raise UsageError(f"{folder}: would be replaced, and holds what is read ({read}). Write elsewhere.")


def _file(name: str) -> Path:
    """Remove a layer or bands, as in ``FILE:LAYER``, from a name that is not an existing file."""
    file = name.rpartition(":")[0]
    return Path(file) if file and not os.path.lexists(name) and os.path.lexists(file) else Path(name)


def keep_existing(target: Path, *, overwrite: bool, cure: str) -> None:
    """Refuse to write a file where something stands already; a symbolic link counts, wherever it leads.

    Args:
        target: file that will be written.
        overwrite: whether a file or a link there may be replaced.
        cure: what to do instead, a sentence.

    Raises:
        OutputError: something stands there and may not be replaced.
        UsageError: a folder stands there, or it is an address of the web.
    """
    _refuse_address(target)
    if _is_dir(target):
        raise UsageError(f"{target}: this is a folder; a file is needed. Give another name.")
    if not overwrite and is_there(target):
        raise OutputError(f"{target} exists already. {cure}")
    if not overwrite:
        expect_output(target)


def is_there(path: Path) -> bool:
    """Tell whether a name is taken: by a file, a folder, or a link, wherever it leads."""
    try:
        return os.path.lexists(path)
    except ValueError:  # no name of a file
        return False


def make_folder(path: Path) -> None:
    """Make a folder for outputs, with its parents.

    Raises:
        UsageError: the path or one of its parents is no folder, or it is an address of the web.
    """
    _refuse_address(path)
    try:
        make_durable_folder(path)
    except (FileExistsError, NotADirectoryError) as error:
        raise _no_folder(path) from error


def check_folder(path: Path) -> None:
    """Refuse what ``make_folder`` would refuse, before any work; nothing is made.

    Raises:
        UsageError: the path or one of its parents is no folder, or it is an address of the web.
    """
    _refuse_address(path)
    nearest = next((place for place in (path, *path.absolute().parents) if is_there(place)), path)
    if is_there(nearest) and not _is_dir(nearest):
        raise _no_folder(path)


def _refuse_address(path: Path) -> None:
    if is_address(str(path)):
        raise UsageError(f"{path}: this is an address; outputs are written to local folders. Give a path, then copy.")


def _no_folder(path: Path) -> UsageError:
    return UsageError(f"{path}: this is, or lies in, a file; a folder is needed. Choose another --out.")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents
