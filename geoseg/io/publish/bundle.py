"""Bundle: the files of one scene's output."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from geoseg.core.layer import (
    CLASSES,
    CONFIDENCE,
    MUTUAL_INFORMATION,
    RASTER_SUFFIX,
    SEGMENTS,
    VECTOR_SUFFIX,
    Layer,
    raster_suffix,
    vector_suffix,
)
from geoseg.errors import UsageError

_NAME_MAX = 255
_LONGEST_SUFFIX = raster_suffix(MUTUAL_INFORMATION) + ".aux.xml"
_PART_SUFFIX = len(".tiles.4194304.part")
ARCHIVE_RECORDS = Path(".geoseg", "scenes")
"""Folder of an archive's manifest, inside the folder of its bundles."""
_NOT_IN_ADDRESSES = re.compile(r"[%#?\\\x01-\x1f\x7f\udc80-\udcff]")
"""Characters that must be escaped in links but not in paths, so that no text could be both; undecodable bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Paths of the files that one run writes for one scene; nothing is opened or created.

    Attributes:
        directory: their folder.
        stem: prefix of all names but ``run.json``.

    Raises:
        UsageError: the stem is empty, leaves the folder or is too long for a file name.

    Examples:
        >>> Bundle(directory=Path("out/scene"), stem="scene").classes.name
        'scene_classes.tif'
    """

    directory: Path
    stem: str

    def __post_init__(self) -> None:
        if self.stem in {"", ".", ".."} or "/" in self.stem or "\0" in self.stem:
            raise UsageError(f"{self.stem!r} cannot name output files. Rename the scene.")
        if len(self.stem.encode(errors="surrogateescape")) > longest_stem():
            raise UsageError(f"{self.stem[:40]}...: the name is too long for the files made from it. Rename the scene.")

    @classmethod
    def in_folder(cls, out: Path, stem: str) -> Bundle:
        """Return the files of a scene in its own folder ``out/stem``.

        A stem that is too long is cut, and characters that a relative link cannot contain unescaped become ``_``; such
        a stem ends in a digest of the original.
        """
        raw = stem.encode(errors="surrogateescape")
        linkable = _NOT_IN_ADDRESSES.sub("_", stem)
        if linkable != stem or len(raw) > longest_stem():
            digest = hashlib.sha256(raw).hexdigest()[:8]
            stem = linkable.encode()[: longest_stem() - 9].decode(errors="ignore") + "-" + digest
        return cls(directory=out / stem, stem=stem)

    @property
    def in_archive(self) -> bool:
        """True if the folder lies in that of an archive, whose catalogue is one level up."""
        return (self.directory.parent / ARCHIVE_RECORDS).is_dir()

    def file_of(self, layer: Layer) -> Path:
        """File of a layer."""
        return self._path(layer.suffix)

    @property
    def classes(self) -> Path:
        """COG of class codes."""
        return self._path(raster_suffix(CLASSES))

    @property
    def confidence(self) -> Path:
        """COG of confidence, 0-100 %."""
        return self._path(raster_suffix(CONFIDENCE))

    @property
    def segments(self) -> Path:
        """GeoPackage of polygons."""
        return self._path(vector_suffix(SEGMENTS))

    @property
    def project(self) -> Path:
        """QGIS project."""
        return self._path(".qgz")

    @property
    def item(self) -> Path:
        """STAC item."""
        return self._path(".stac.json")

    @property
    def preview(self) -> Path:
        """Preview of image and labels."""
        return self._path("_preview.png")

    @property
    def imagery(self) -> Path:
        """VRT of the scene's imagery, where a QGIS project needs one."""
        return self._path("_imagery.vrt")

    @property
    def run_record(self) -> Path:
        """Run record: input, model, options, timings."""
        return self.directory / "run.json"

    def by_role(self) -> dict[str, Path]:
        """List the existing layers and documents: ``classes``, ``confidence``, ``entropy``, ``segments``...

        Returns:
            Files by role, in the order of the names; styles and sidecars have no role.
        """
        named = {
            self.project.name: "project",
            self.item.name: "stac",
            self.preview.name: "preview",
            self.run_record.name: "run",
        }
        roles = {}
        for path in sorted(self.directory.iterdir()):
            if path.name in named:
                roles[named[path.name]] = path
            elif path.name.startswith(f"{self.stem}_") and path.suffix in {RASTER_SUFFIX, VECTOR_SUFFIX}:
                roles[path.stem.removeprefix(f"{self.stem}_")] = path
        return roles

    def _path(self, suffix: str) -> Path:
        return self.directory / f"{self.stem}{suffix}"


def longest_stem() -> int:
    """Return the most bytes a stem may have so that all files made from it, parts included, have legal names."""
    return _NAME_MAX - len(_LONGEST_SUFFIX) - _PART_SUFFIX
