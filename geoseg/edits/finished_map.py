"""FinishedMap: the bundle of a run that is corrected, as it was before the first correction and as it is now."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from geoseg.core.class_choice import COUNTABLE, object_codes
from geoseg.core.digest import sha256_of_json
from geoseg.core.layer import (
    CLASSES,
    CONFIDENCE,
    ENTROPY,
    MUTUAL_INFORMATION,
    OBJECTS,
    SEGMENTS,
    probability_name,
    vector_suffix,
)
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.spec import ObjectChoice
from geoseg.core.types.json_value import UntypedMapping
from geoseg.errors import OutputError, UsageError
from geoseg.io.edits.edit_log import EDITS_FILE
from geoseg.io.edits.layer_tables import has_column, read_rows
from geoseg.io.labels.raster_legend import legend_of
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.commit import RunPaths
from geoseg.io.publish.finished_output import RUN_RECORD, finished_folders, read_run_record, stems_of
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster.scene import open_scene
from geoseg.vector.objects.spec import ObjectSpec

ORIGINAL: Final = "original"
"""Folder inside a bundle of the files of the run that corrections have replaced."""

_FOLLOWS: Final = frozenset({CLASSES, CONFIDENCE, ENTROPY, MUTUAL_INFORMATION, OBJECTS, SEGMENTS})
_PROBABILITY: Final = probability_name(0).removesuffix("0")


@dataclass(frozen=True, kw_only=True)
class FinishedMap:
    """A finished bundle; files are opened when they are needed.

    Attributes:
        bundle: its files, as they are now.
    """

    bundle: Bundle

    @classmethod
    def at(cls, place: Path | str) -> FinishedMap:
        """Find the bundle in a folder.

        Args:
            place: folder of a scene's layers, or the ``--out`` of a run of one scene; may be a link.

        Raises:
            UsageError: there is no bundle, or more than one.
            OutputError: the run record is damaged.
        """
        folder = Path(os.path.realpath(place))  # a save puts another folder in the place of this one
        found = finished_folders(folder)
        if len(found) != 1:
            names = ", ".join(path.name for path in found[:5])
            cause = f"holds {len(found)} scenes ({names})" if found else f"holds no finished output ({RUN_RECORD})"
            raise UsageError(f"{folder}: {cause}. Give the folder of one scene's layers.")
        folder = Path(os.path.realpath(found[0]))
        stems = stems_of(read_run_record(folder / RUN_RECORD))
        if len(stems) != 1:
            raise OutputError(f"{folder / RUN_RECORD}: lists {len(stems)} class rasters. Run geoseg predict again.")
        return cls(bundle=Bundle(directory=folder, stem=stems[0]))

    @property
    def work(self) -> RunPaths:
        """Paths of unfinished files."""
        return RunPaths(bundle=self.bundle)

    @property
    def log(self) -> Path:
        """The log of edits."""
        return self.bundle.directory / EDITS_FILE

    @property
    def kept(self) -> Path:
        """Folder of the files of the run that were replaced."""
        return self.bundle.directory / ORIGINAL

    @property
    def is_corrected(self) -> bool:
        """True if the layers show edits."""
        return self.kept.is_dir()

    def original(self, path: Path) -> Path:
        """Return a file of the bundle as the run wrote it."""
        kept = self.kept / path.name
        return kept if kept.exists() else path

    def has(self, path: Path) -> bool:
        """Return True if the run wrote a file, even if it is missing now."""
        return self.original(path).exists()

    @cached_property
    def record(self) -> UntypedMapping:
        """Record of the run, as it was before the first edit."""
        return read_run_record(self.original(self.bundle.run_record))

    @cached_property
    def answer(self) -> str:
        """Digest of the run: of its input, model and options."""
        return sha256_of_json(self.record["identity"])

    @cached_property
    def grid(self) -> LayerGrid:
        """Grid of the layers."""
        with open_scene(self.original(self.bundle.classes), unplaced=True, palette_codes=True) as scene:
            return LayerGrid(geobox=scene.geobox, gcps=scene.gcps, gcps_crs=scene.gcps_crs)

    @cached_property
    def legend(self) -> Legend:
        """Classes of the map: from the run record, in older ones from the class raster."""
        stored = self.record.get("legend")
        if stored is not None:
            return Legend.model_validate(stored)
        listed = {int(entry["code"]): str(entry["name"]) for entry in self.record["classes"]}
        drawn = legend_of(self.original(self.bundle.classes), list(listed))
        return Legend(
            classes=tuple(LegendClass(code=c.code, name=listed[c.code], colour=c.colour) for c in drawn.classes)
        )

    @cached_property
    def detects(self) -> bool:
        """True if a model detected the objects, so that the class raster is drawn from them."""
        return self.has(self.objects) and has_column(self.original(self.objects), OBJECTS, "score")

    @property
    def uncorrected(self) -> tuple[str, ...]:
        """Layers that edits would have to change and cannot: those of detected objects and of panoptic maps."""
        names = [str(name) for name in self.record.get("layers", ())]
        if self.detects:
            return (OBJECTS,)
        return tuple(name for name in names if name not in _FOLLOWS and not name.startswith(_PROBABILITY))

    @property
    def objects(self) -> Path:
        """GeoPackage of objects; not every map has one."""
        return self.bundle.directory / f"{self.bundle.stem}{vector_suffix(OBJECTS)}"

    @cached_property
    def object_spec(self) -> ObjectSpec:
        """How objects are found in the class raster.

        Raises:
            UsageError: the map has no objects.
        """
        asked = self.options.get("objects")
        if asked is None or self.detects:
            raise UsageError(f"{self.bundle.directory}: its classes have no objects.")
        choice = ObjectChoice.model_validate(asked)
        marked = choice.classes != COUNTABLE or self.legend.countable or COUNTABLE in self.legend.names
        if marked:
            codes = object_codes(choice.classes, self.legend)
        else:  # records of older runs do not say which classes are countable
            path = self.original(self.objects)
            codes = tuple(sorted({int(code) for (code,) in read_rows(path, OBJECTS, ("class_code",))}))
        return ObjectSpec(
            codes=codes,
            split=choice.split or ("confidence" if self.has(self.bundle.confidence) else "distance"),
            neck=choice.neck,
            min_area_m2=(self.options["min_area_m2"] or 0.0) if choice.min_area_m2 is None else choice.min_area_m2,
        )

    @property
    def options(self) -> UntypedMapping:
        """Options of the run."""
        options: UntypedMapping = self.record["options"]
        return options
