"""Safe opening of VRTs: parsed into a model of plain mosaics and rewritten for GDAL from that model alone."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.io import MemoryFile

from geoseg.errors import SceneError
from geoseg.io.files.drivers import driver_of, is_remote
from geoseg.io.raster.vrt_model import Vrt, VrtError, VrtSource, read_vrt, write_vrt

_MAX_BYTES = 64 * 2**20
_MAX_TAGS = 800_000
_MAX_SOURCES = 50_000
_MAX_DEPTH = 4
_CURE = "Make a GeoTIFF of it: gdal_translate IN.vrt OUT.tif."


@dataclass(frozen=True, slots=True, kw_only=True)
class VrtDocuments:
    """Rewritten VRTs in memory, for GDAL to open.

    Attributes:
        name: address of the outermost one.
        files: the original VRTs and the rasters they refer to.
        memory: the in-memory files.
    """

    name: str
    files: tuple[str, ...]
    memory: tuple[MemoryFile, ...]

    def close(self) -> None:
        """Free them."""
        for file in self.memory:
            file.close()


def clean_vrt(uri: str, path: Path, root: Path) -> VrtDocuments:
    """Parse a VRT and those it refers to, and rewrite them in memory.

    GDAL never sees the original text, only what ``vrt_model`` parsed from it: rasters by absolute paths, each of a
    supported format by its first bytes, under one folder.

    Args:
        uri: name for messages.
        path: the VRT.
        root: folder every source must lie in, links resolved.

    Returns:
        The documents; close them after the dataset.

    Raises:
        SceneError: a source outside the root, remote, missing or not a raster; a VRT that is not a plain mosaic; too
            many sources, counted through VRTs of VRTs.
    """
    tree = _Tree(uri=uri, root=root)
    tree.add(path, ())
    folder = f"geoseg-{uuid.uuid4().hex}"
    names = {file: f"/vsimem/{folder}/{place}.vrt" for place, file in enumerate(tree.read)}

    def address(parsed: _Read) -> Callable[[VrtSource], str]:
        return lambda source: (
            names.get(parsed.sources[source.name, source.relative]) or str(parsed.sources[source.name, source.relative])
        )

    memory = []
    for place, parsed in enumerate(tree.read.values()):
        text = write_vrt(parsed.vrt, address(parsed), tree.crs_wkt)
        memory.append(MemoryFile(text.encode("utf-8", "surrogateescape"), dirname=folder, filename=f"{place}.vrt"))
    rasters = dict.fromkeys(str(file) for parsed in tree.read.values() for file in parsed.sources.values())
    files = dict.fromkeys([str(path), *rasters])
    return VrtDocuments(name=names[path.resolve()], files=tuple(files), memory=tuple(memory))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One VRT of a tree: its sources' files by their names, and the number of rasters below it."""

    vrt: Vrt
    sources: dict[tuple[str, bool], Path]
    rasters: int


@dataclass(slots=True, kw_only=True)
class _Tree:
    """All VRTs below one, each parsed once."""

    uri: str
    root: Path
    read: dict[Path, _Read] = field(default_factory=dict)
    size_bytes: int = 0
    tags: int = 0
    drivers: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, above: tuple[Path, ...]) -> int:
        """Parse a VRT and those below it; return the number of rasters that a read of its whole area would open."""
        path = path.resolve()
        if path in self.read:
            return self.read[path].rasters
        if path in above or len(above) > _MAX_DEPTH:
            raise SceneError(
                self.uri, f"its VRTs refer to each other more than {_MAX_DEPTH} deep.", "Build one flat VRT."
            )
        vrt = self._parsed(path)
        sources = {(source.name, source.relative): source for source in vrt.sources}
        files = {key: self._file(path, source) for key, source in sources.items()}
        counts = {
            key: self.add(file, (*above, path)) if self.drivers[file] == "VRT" else 1 for key, file in files.items()
        }
        rasters = sum(counts[source.name, source.relative] for source in vrt.sources)
        if rasters > _MAX_SOURCES:
            raise SceneError(
                self.uri,
                f"{path.name} leads to {rasters:,} sources, the limit is {_MAX_SOURCES:,}.",
                "Build one flat VRT, or several smaller ones.",
            )
        self.read[path] = _Read(vrt=vrt, sources=files, rasters=rasters)
        return rasters

    def crs_wkt(self, text: str) -> str:
        """Parse the text of a CRS without GDAL, which would look for it in files and on the network."""
        try:
            return str(CRS.from_user_input(text).to_wkt())
        except CRSError as error:
            raise SceneError(self.uri, f"its SRS {text[:80]!r} is not a CRS.", _CURE) from error

    def _parsed(self, path: Path) -> Vrt:
        try:
            self.size_bytes += path.stat().st_size
            text = path.read_bytes().decode("utf-8-sig") if self.size_bytes <= _MAX_BYTES else None
            vrt = None if text is None else read_vrt(text, max_tags=_MAX_TAGS - self.tags)
        except OSError as error:
            raise SceneError(self.uri, f"{path.name} cannot be read ({error.strerror}).", "Check the disk.") from error
        except UnicodeDecodeError as error:
            raise SceneError(self.uri, f"{path.name} is not UTF-8.", _CURE) from error
        except VrtError as error:
            raise SceneError(self.uri, f"{path.name} is no plain mosaic: {error}.", _CURE) from error
        if text is None or vrt is None:
            raise SceneError(
                self.uri, f"it and its VRTs are larger than {_MAX_BYTES // 2**20} MiB.", "Build a smaller VRT."
            )
        self.tags += text.count("<")
        return vrt

    def _file(self, vrt: Path, source: VrtSource) -> Path:
        name = source.name
        if is_remote(name) or not name or name.startswith("<") or "\x00" in name:
            raise SceneError(self.uri, f"its source {name[:80]!r} is not a local file.", "Make a VRT of local files.")
        try:
            file = (vrt.parent / name if source.relative else Path(name)).resolve()
            if not file.is_relative_to(self.root):
                raise SceneError(
                    self.uri,
                    f"its source {name[:200]} lies outside {self.root}.",
                    "Pass --vrt-root FOLDER, or move the VRT above it.",
                )
            known = file in self.drivers or file.is_file()
        except (OSError, RuntimeError):  # RuntimeError: symbolic links in a circle
            known = False
        if not known:
            raise SceneError(self.uri, f"its source {name[:200]} is not a file.", "Restore it or build the VRT again.")
        if file not in self.drivers:
            self.drivers[file] = driver_of(str(file), file)
        if self.drivers[file] == "STAC" or is_remote(str(file)):
            raise SceneError(self.uri, f"its source {name[:200]} is no raster.", "Make a VRT of rasters.")
        return file
