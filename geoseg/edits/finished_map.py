"""FinishedMap: the bundle of a run that is corrected, as it was before the first correction and as it is now."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from geoseg.core.class_choice import COUNTABLE, object_codes
from geoseg.core.digest import sha256_of_json
from geoseg.core.layer import (
    CLASSES,
    CONFIDENCE,
    ENTROPY,
    MUTUAL_INFORMATION,
    OBJECTS,
    PANOPTIC,
    SEGMENTS,
    probability_name,
    raster_suffix,
    vector_suffix,
)
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.spec import ObjectChoice
from geoseg.core.types.json_value import UntypedMapping
from geoseg.edits.run_objects import RunObjects, objects_of_ids, objects_of_polygons, things_of_panoptic
from geoseg.errors import OutputError, UsageError
from geoseg.inference.tasks.instance_layers import OBJECT_IDS
from geoseg.io.edits.edit_log import EDITS_FILE
from geoseg.io.edits.layer_tables import has_column, read_rows
from geoseg.io.labels.panoptic_raster import classes_in
from geoseg.io.labels.raster_legend import legend_of
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.commit import RunPaths
from geoseg.io.publish.finished_output import RUN_RECORD, finished_folders, read_run_record, stems_of
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster.scene import open_scene
from geoseg.vector.objects.spec import ObjectSpec

ORIGINAL: Final = "original"
"""Folder inside a bundle of the files of the run that corrections have replaced."""

MapKind = Literal["classes", "instances", "panoptic"]
"""Kinds of maps: the objects are found in the class raster, if there are any, detected, or things of a panoptic map."""

_RASTERS: Final = frozenset({CLASSES, CONFIDENCE, ENTROPY, MUTUAL_INFORMATION})
_FOLLOWS: Final = {
    "classes": _RASTERS | {OBJECTS, SEGMENTS},
    "instances": _RASTERS | {OBJECTS, OBJECT_IDS},
    "panoptic": _RASTERS | {PANOPTIC, SEGMENTS},
}
_PROBABILITY: Final = probability_name(0).removesuffix("0")


def map_kind(layers: Collection[str], *, detects: bool) -> MapKind:
    """Return the kind of a map.

    Args:
        layers: names of its layers.
        detects: the run detected objects.
    """
    if PANOPTIC in layers:
        return "panoptic"
    return "instances" if detects and not {OBJECTS, OBJECT_IDS}.isdisjoint(layers) else "classes"


def refusal(kind: MapKind, layers: Collection[str], options: UntypedMapping) -> str | None:
    """Return the reason for which a map cannot be corrected; None if it can.

    Args:
        kind: of the map.
        layers: names of its layers.
        options: of the run.
    """
    for name in layers:
        if name not in _FOLLOWS[kind] and not name.startswith(_PROBABILITY):
            cure = " Leave out --objects: the things are in the segments." if kind == "panoptic" else ""
            return (
                f"has the layer {name}, which would not follow the edits; such maps cannot be corrected yet."
                f"{cure or ' Edit the GeoPackage in QGIS.'}"
            )
    if kind != "instances":
        return None
    if (options.get("instances") or {}).get("overlaps") == "keep":
        return "its objects may overlap, and an edit could not tell them apart. Predict it with --overlaps resolve."
    if options.get("simplify_m") and OBJECT_IDS not in layers:
        return "its outlines are simplified, so the pixels of its objects are not known. Predict it with --object-ids."
    return None


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
    def map_legend(self) -> Legend:
        """Classes of the map; of a panoptic map those of things are the countable ones."""
        return self.legend.counting(self.counted) if self.kind == "panoptic" else self.legend

    @cached_property
    def detects(self) -> bool:
        """True if a model detected the objects, so that the class raster is drawn from them."""
        return self.has(self.objects) and has_column(self.original(self.objects), OBJECTS, "score")

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that the run wrote; older runs do not name them."""
        return tuple(str(name) for name in self.record.get("layers", ()))

    @cached_property
    def kind(self) -> MapKind:
        """Kind of the map."""
        return map_kind(self.layers, detects=self.detects or OBJECT_IDS in self.layers)

    @property
    def refusal(self) -> str | None:
        """Reason for which it cannot be corrected; None if it can."""
        return refusal(self.kind, self.layers, self.options)

    @property
    def objects(self) -> Path:
        """GeoPackage of objects; not every map has one."""
        return self.bundle.directory / f"{self.bundle.stem}{vector_suffix(OBJECTS)}"

    @property
    def numbers(self) -> Path:
        """Raster of the numbers of objects: panoptic labels, or ids of detected objects; not every map has one."""
        name = PANOPTIC if self.kind == "panoptic" else OBJECT_IDS
        return self.bundle.directory / f"{self.bundle.stem}{raster_suffix(name)}"

    @property
    def has_objects(self) -> bool:
        """True if it has objects that edits can name or add."""
        return self.kind != "classes" or self.options.get("objects") is not None

    @cached_property
    def counted(self) -> tuple[int, ...]:
        """Codes of the classes of objects.

        Raises:
            UsageError: the map has no objects.
        """
        if self.kind == "classes":
            return self.object_spec.codes
        if self.kind == "instances":
            return self.legend.things
        kinds = classes_in(self.original(self.numbers))
        return tuple(code for code in self.legend.codes if kinds.get(code, ("", False))[1])

    @cached_property
    def run_objects(self) -> RunObjects:
        """Objects that the run drew, where they are not found in the class raster.

        Raises:
            OutputError: a layer is damaged.
        """
        classes = self.original(self.bundle.classes)
        if self.kind == "panoptic":
            segments = self.original(self.bundle.segments) if self.has(self.bundle.segments) else None
            return things_of_panoptic(lambda: self.original(self.numbers), classes, segments)
        objects = self.original(self.objects)
        if self.has(self.numbers):
            return objects_of_ids(
                lambda: self.original(self.numbers), classes, objects if self.has(self.objects) else None
            )
        return objects_of_polygons(objects, classes, self.grid)

    @property
    def paints_anywhere(self) -> bool:
        """True if pixels without a class may be painted, since they are those without an object."""
        return self.kind == "instances" and self.legend.background is None

    @cached_property
    def object_spec(self) -> ObjectSpec:
        """How objects are found in the class raster.

        Raises:
            UsageError: the map has no objects.
        """
        asked = self.options.get("objects")
        if asked is None or self.kind != "classes":
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
