"""Zipped vector files: an archive of one file, or of the parts of one Shapefile."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from geoseg.io.vectors.features import choose_layer
from geoseg.io.vectors.names import VECTOR_SUFFIXES

_PARTS = frozenset({".shx", ".dbf", ".prj", ".cpg"})
_MAX_BYTES = 8 * 2**30
_MAX_MEMBERS = 10_000


@contextmanager
def unzipped(path: Path, layer: str | None) -> Iterator[tuple[Path, str | None]]:
    """Unpack the vector file of an archive for the duration of the ``with``.

    Args:
        path: the archive.
        layer: stem of the file if there are several; else a layer of the only file.

    Yields:
        The file, and the layer to choose in it.

    Raises:
        ValueError: there is no vector file or several, or the archive is damaged or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive, TemporaryDirectory() as folder:
            members = [item for item in archive.infolist() if not item.is_dir() and _suffix(item) in _WANTED]
            if len(members) > _MAX_MEMBERS or sum(item.file_size for item in members) > _MAX_BYTES:
                raise ValueError(f"it unpacks to more than {_MAX_BYTES / 2**30:.0f} GiB or {_MAX_MEMBERS} files")
            files = {_stem(item): item for item in members if _suffix(item) not in _PARTS}
            if len(files) == 1:
                stem, left = next(iter(files)), layer
            else:
                stem, left = choose_layer(list(files), layer), None
            main = PurePosixPath(files[stem].filename)
            for item in members:
                name = PurePosixPath(item.filename)
                if name == main or (name.parent == main.parent and name.stem == main.stem):
                    Path(folder, f"layer{_suffix(item)}").write_bytes(archive.read(item))
            yield Path(folder, f"layer{main.suffix.lower()}"), left
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"the archive is damaged or encrypted ({error})") from error


_WANTED = (VECTOR_SUFFIXES - {".zip", ".shz", ".kmz", ".gdb"}) | _PARTS


def _suffix(item: zipfile.ZipInfo) -> str:
    return PurePosixPath(item.filename).suffix.lower()


def _stem(item: zipfile.ZipInfo) -> str:
    return PurePosixPath(item.filename).stem
