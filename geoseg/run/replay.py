"""Edits of a map that is predicted anew: refused, made again on the new map, or discarded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pyproj import CRS

from geoseg.core.choices import EditPolicy
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.edits.finished_map import FinishedMap, MapKind, map_kind, refusal
from geoseg.edits.save import save_edits
from geoseg.errors import OutputError
from geoseg.io.edits.edit import EditLog
from geoseg.io.edits.edit_log import EDITS_FILE, read_log, write_log
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.commit import RunPaths
from geoseg.io.publish.grid import LayerGrid
from geoseg.run.plan import RunPlan

_KINDS: Final[Mapping[MapKind, str]] = MappingProxyType(
    {"classes": "a class map", "instances": "a map of detected objects", "panoptic": "a panoptic map"}
)


def refuse_lost_edits(bundle: Bundle, policy: EditPolicy) -> None:
    """Refuse to replace a map that was corrected by hand, unless the edits are replayed or discarded.

    Raises:
        OutputError: the edits would be lost.
    """
    count = len(read_log(bundle.directory / EDITS_FILE).active)
    if count and policy == "refuse":
        raise OutputError(
            f"{bundle.directory}: {count} corrections by hand would be lost. Pass --edits replay to make them again on"
            " the new map, --edits discard to drop them, or choose another --out."
        )


def log_to_replay(bundle: Bundle, plan: RunPlan, grid: LayerGrid, legend: Legend, policy: EditPolicy) -> EditLog | None:
    """Return the edits that will be made again on a new map; None if there are none.

    Args:
        bundle: the map that is replaced.
        plan: plan of the new map.
        grid: grid of the new map.
        legend: classes of the new map.
        policy: what becomes of edits.

    Raises:
        OutputError: they are in another CRS, their classes are not those of the new map, or its objects are of another
            kind or cannot be corrected.
    """
    log = read_log(bundle.directory / EDITS_FILE)
    if policy != "replay" or not log.active:
        return None
    old = FinishedMap(bundle=bundle)
    if not _same_crs(old.grid.crs_wkt, grid.crs_wkt):
        raise OutputError(f"{bundle.directory}: its edits are in another CRS than the scene. Choose another --out.")
    _refuse_other_kind(old, plan)
    codes = {paint.code for entry in log.entries for paint in entry.paints if paint.code is not None}
    before = {entry.code: entry.name for entry in old.legend.classes} | {old.legend.nodata: None}
    after = {entry.code: entry.name for entry in legend.classes} | {legend.nodata: None}
    changed = sorted(code for code in codes if before.get(code) != after.get(code, ""))
    if changed:
        raise OutputError(
            f"{bundle.directory}: class {changed[0]} of its edits is no class of the model, or another one."
            " Choose another --out."
        )
    entries = tuple(replace(entry, saved=False) for entry in log.entries)
    return replace(log, entries=entries, next_fid=(), revision=log.revision + 1)


def keep_log(work: RunPaths, log: EditLog, grid: LayerGrid, legend: Legend) -> None:
    """Write the edits into the new bundle before it is committed, so that no crash loses them."""
    names = {entry.code: entry.name for entry in legend.classes}
    write_log(work.building.directory / EDITS_FILE, log, crs_wkt=grid.crs_wkt, names=names)


def replay(bundle: Bundle, log: EditLog) -> UntypedDict:
    """Make the edits again on a new map and return its run record. The caller holds the lock."""
    save_edits(FinishedMap(bundle=bundle), log)
    record: UntypedDict = json.loads(bundle.run_record.read_text())
    return record


def _refuse_other_kind(old: FinishedMap, plan: RunPlan) -> None:
    layers = [layer.name for layer in plan.schema.published]
    kind = map_kind(layers, detects=plan.schema.detects)
    if kind != old.kind:
        raise OutputError(
            f"{old.bundle.directory}: its edits were made on {_KINDS[old.kind]}, and the new map is {_KINDS[kind]}."
            " Choose another --out, or pass --edits discard."
        )
    cause = refusal(kind, layers, plan.spec.model_dump())
    if cause is not None:
        raise OutputError(f"{old.bundle.directory}: its edits cannot be made on the new map: {cause}")


def _same_crs(one: str | None, other: str | None) -> bool:
    return one == other or (one is not None and other is not None and CRS.from_wkt(one) == CRS.from_wkt(other))
