"""Files of a folder by a pattern, in which one ``*`` matches the name of the image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from geoseg.errors import SceneError, UsageError
from geoseg.io.vectors.names import is_folder


def find_files(folder: Path, pattern: str) -> dict[str, Path]:
    """Find files by a pattern with one ``*`` in its last part; the name is the part matched by the star.

    A pattern without a star is one file, named by its stem; a folder is all files in it, named by their stems.

    Args:
        folder: folder that the pattern is relative to.
        pattern: path with at most one ``*``.

    Returns:
        Files by name.

    Raises:
        SceneError: there are no files.
        UsageError: the pattern cannot give names.
    """
    parts = PurePosixPath(pattern).parts
    if any("*" in part for part in parts[:-1]) or (parts and parts[-1].count("*") > 1):
        raise UsageError(f"{pattern}: give one * in the last part of the pattern; it stands for the name.")
    path = folder / pattern
    if path.is_dir():
        found = {file.stem: file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")}
    elif "*" in pattern:
        head, tail = parts[-1].split("*")
        found = {
            file.name[len(head) : len(file.name) - len(tail)]: file
            for file in sorted(path.parent.iterdir() if path.parent.is_dir() else ())
            if _fits(file.name, head, tail)
        }
    else:
        found = {path.stem: path} if path.exists() else {}
    if not found:
        raise SceneError(str(path), "there is no such file.", "Check --data and the recipe's paths.")
    return found


def name_of(pattern: str, entry: str) -> str:
    """Extract the name from an entry of a list, without its path and the pattern's text around the star."""
    file = PurePosixPath(entry).name
    last = PurePosixPath(pattern).name
    if "*" not in last:
        return PurePosixPath(file).stem
    head, tail = last.split("*", 1)
    if _fits(file, head, tail):
        return file[len(head) : len(file) - len(tail)]
    # entries often come without the ending
    stem = PurePosixPath(tail).stem if tail.startswith(("_", "-")) else ""
    return file.removeprefix(head).removesuffix(stem)


def partner(folder: Path, pattern: str, name: str) -> Path:
    """Return the file that a pattern gives for a name.

    Args:
        folder: folder that the pattern is relative to.
        pattern: path with at most one ``*``.
        name: name of the image.
    """
    path = folder / pattern
    if is_folder(path):
        found = sorted(file for file in path.iterdir() if file.stem == name and not file.name.startswith("."))
        if len(found) != 1:
            raise SceneError(
                str(path), f"{len(found)} files are called {name}.", "Give a pattern with one * for the name."
            )
        return found[0]
    return folder / pattern.replace("*", name) if "*" in pattern else path


def _fits(file: str, head: str, tail: str) -> bool:
    return file.startswith(head) and file.endswith(tail) and len(file) > len(head) + len(tail)
