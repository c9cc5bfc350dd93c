"""Saving of edits: a corrected bundle is built beside the old one and takes its place, whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from geoseg.core.layer import OBJECTS, SEGMENTS
from geoseg.edits.documents import facts_of, write_documents, write_record
from geoseg.edits.finished_map import ORIGINAL, FinishedMap
from geoseg.edits.label_layers import write_label_layers
from geoseg.edits.layers import LayerTask, write_polygons, write_rasters
from geoseg.edits.object_layer import write_objects
from geoseg.edits.planes import EditedPlanes
from geoseg.errors import OutputError
from geoseg.io.edits.edit import EditLog, paints_of
from geoseg.io.edits.edit_log import EDITS_FILE, write_log
from geoseg.io.edits.written_facts import link_files
from geoseg.io.files.recorded_file import state_of_file
from geoseg.io.files.writing import is_part, reap_parts
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.commit import commit


def save_edits(finished: FinishedMap, log: EditLog) -> EditLog:
    """Rewrite the layers of a map so that they show the active edits, and mark these as saved.

    Without active edits the files of the run take their places again. The caller holds the lock.

    Args:
        finished: the map.
        log: its edits.

    Returns:
        The log as it was saved.

    Raises:
        OutputError: a raster of the run was changed or is damaged.
        WriteError, OSError: the disk is full or fails; the old bundle stands.
    """
    _refuse_changed(finished)
    folder = finished.work.building.directory
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        saved = (_correct if log.active else _restore)(finished, log, folder)
        commit(finished.work)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return saved


def _correct(finished: FinishedMap, log: EditLog, folder: Path) -> EditLog:
    bundle = finished.bundle
    rewritten = _rewritten(finished)
    link_files((path, folder / path.name) for path in _others(finished, rewritten))
    link_files((finished.original(bundle.directory / name), folder / ORIGINAL / name) for name in sorted(rewritten))
    with EditedPlanes(finished, paints_of(log.active)) as planes:
        task = LayerTask(finished=finished, planes=planes, folder=folder, log=log)
        totals = write_rasters(task)
        counts, next_fid = _write_vectors(task)
    saved = _marked(replace(log, next_fid=tuple(sorted(next_fid.items()))))
    _write_log(finished, saved, folder)
    facts = facts_of(saved, totals.pop("by_hand"), datetime.now(UTC))
    task = replace(task, log=saved)
    write_documents(task, facts)
    write_record(task, totals | counts | {"edits": facts})
    return saved


def _write_vectors(task: LayerTask) -> tuple[dict[str, int], dict[str, int]]:
    """Write polygons, and the rasters of the numbers of objects; return counts and the next free feature ids."""
    counts, next_fid = dict[str, int](), dict(task.log.next_fid)
    if task.finished.kind != "classes":
        counts, written = write_label_layers(task)
        return counts, next_fid | written
    if task.finished.has(task.finished.bundle.segments):
        counts[SEGMENTS], written = write_polygons(task)
        next_fid |= written
    if task.finished.has(task.finished.objects):
        counts[OBJECTS], written = write_objects(task)
        next_fid |= written
    return counts, next_fid


def _restore(finished: FinishedMap, log: EditLog, folder: Path) -> EditLog:
    """Put the files of the run back."""
    kept = {path.name for path in finished.kept.iterdir()} if finished.is_corrected else set()
    link_files((path, folder / path.name) for path in _others(finished, kept))
    link_files((finished.kept / name, folder / name) for name in sorted(kept))
    saved = _marked(log)
    _write_log(finished, saved, folder)
    return saved


def _marked(log: EditLog) -> EditLog:
    entries = tuple(replace(entry, saved=entry.state == "active") for entry in log.entries)
    return replace(log, entries=entries, revision=log.revision + 1)


def _write_log(finished: FinishedMap, log: EditLog, folder: Path) -> None:
    names = {entry.code: entry.name for entry in finished.legend.classes}
    write_log(folder / EDITS_FILE, log, crs_wkt=finished.grid.crs_wkt, names=names)


def _rewritten(finished: FinishedMap) -> set[str]:
    """Name the files of the run that a corrected map has anew."""
    bundle = finished.bundle
    rasters = [bundle.classes, bundle.confidence, finished.numbers]
    styles = [path.with_suffix(".qml") for path in rasters] + [Path(f"{path}.aux.xml") for path in rasters]
    vectors = [bundle.segments, finished.objects]
    paths = [*rasters, *styles, *vectors, bundle.preview, bundle.project, bundle.item, bundle.run_record]
    return {path.name for path in paths if finished.has(path) and path.name in _recorded(finished, bundle)}


def _recorded(finished: FinishedMap, bundle: Bundle) -> set[str]:
    return {*finished.record["files"], bundle.run_record.name}


def _others(finished: FinishedMap, rewritten: set[str]) -> list[Path]:
    """List what stays as it is."""
    directory = finished.bundle.directory
    reap_parts(directory)
    left_out = {*rewritten, ORIGINAL, EDITS_FILE}
    return [path for path in sorted(directory.iterdir()) if path.name not in left_out and not is_part(path.name)]


def _refuse_changed(finished: FinishedMap) -> None:
    """Refuse rasters that are not those that the run wrote.

    Raises:
        OutputError: one was changed, is damaged or missing.
    """
    bundle = finished.bundle
    for path in (bundle.classes, bundle.confidence, finished.numbers):
        facts = finished.record["files"].get(path.name)
        if facts is None:
            continue
        state = state_of_file(finished.original(path), facts)
        if state.condition != "whole":
            raise OutputError(
                f"{state.path}: is {state.condition}, so it is not known what was corrected."
                " Restore it from a copy, or run geoseg predict again."
            )
