"""Documents of a corrected map: preview, QGIS project, STAC item and run record say what was edited by hand."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.edits.finished_map import ORIGINAL
from geoseg.edits.layers import LayerTask
from geoseg.errors import OutputError
from geoseg.io.edits.edit import EditLog
from geoseg.io.edits.edit_log import EDITS_FILE, EDITS_LAYER
from geoseg.io.edits.edit_style import edits_style
from geoseg.io.files.recorded_file import file_facts
from geoseg.io.files.writing import write_bytes, write_json
from geoseg.io.labels.panoptic_raster import things_of
from geoseg.io.publish.about import About
from geoseg.io.publish.layer_kinds import GEOPACKAGE
from geoseg.io.publish.preview import redraw_preview, view_shape
from geoseg.io.publish.stac_item import SHA256_PREFIX, moment
from geoseg.io.qgis.document import Shown, add_layer
from geoseg.io.raster.code_file import CodeFile, LayerFiles


def facts_of(log: EditLog, by_hand: UntypedMapping, now: datetime) -> UntypedDict:
    """Sum up the edits that the layers show.

    Args:
        log: the edits.
        by_hand: pixels and area that they painted.
        now: time of saving.
    """
    edits = [entry.edit for entry in log.active]
    times = sorted(edit.time.astimezone(UTC) for edit in edits)
    return {
        "count": len(edits),
        "kinds": dict(sorted(Counter(edit.kind for edit in edits).items())),
        **by_hand,
        "authors": sorted({edit.author for edit in edits if edit.author}),
        "first": times[0].isoformat(timespec="seconds"),
        "last": times[-1].isoformat(timespec="seconds"),
        "saved": now.isoformat(timespec="seconds"),
        "revision": log.revision,
    }


def write_documents(task: LayerTask, facts: UntypedMapping) -> None:
    """Write preview, project and STAC item, as far as the bundle has them.

    Raises:
        OutputError: a document of the bundle is damaged.
        WriteError: the disk is full or fails.
    """
    bundle = task.finished.bundle
    for path, write in ((bundle.preview, _preview), (bundle.project, _project)):
        original = task.finished.original(path)
        if original.exists():
            try:
                write(task, original)
            except ValueError as error:
                raise OutputError(
                    f"{original}: is damaged: {error}. Remove it, or run geoseg predict again."
                ) from error
    if task.finished.original(bundle.item).exists():
        _item(task, facts)


def write_record(task: LayerTask, changes: UntypedMapping) -> UntypedDict:
    """Write the run record of the corrected map, when all its other files are there.

    Args:
        task: what was written.
        changes: entries that are added or replaced.
    """
    finished, folder = task.finished, task.folder
    files = dict(finished.record["files"])  # of files that stay as they are, so that damage of them is seen later
    for path in sorted((folder / ORIGINAL).iterdir()):
        files[f"{ORIGINAL}/{path.name}"] = files.get(path.name) or file_facts(path)
    for path in sorted(folder.iterdir()):
        if path.name == EDITS_FILE or (path.name in files and (folder / ORIGINAL / path.name).exists()):
            files[path.name] = file_facts(path)
    record: UntypedDict = {**finished.record, **changes, "files": files}
    write_json(folder / finished.bundle.run_record.name, record)
    return record


def _preview(task: LayerTask, original: Path) -> None:
    bundle = task.finished.bundle
    shape = view_shape(task.finished.grid.shape)
    with CodeFile(task.target(bundle.classes), None) as source:
        codes = source.overview(shape)
    things = None
    if task.finished.kind == "panoptic":
        with LayerFiles(task.target(task.finished.numbers)) as labels:
            things = things_of(labels.overview(shape))
    redraw_preview(
        task.target(bundle.preview),
        original,
        codes=codes,
        things=things,
        legend=task.finished.legend,
        title=bundle.stem,
        caption="Corrected by hand",
    )


def _project(task: LayerTask, original: Path) -> None:
    finished = task.finished
    name = f"{finished.bundle.stem} corrections by hand"
    layer = Shown(
        key="edits",
        name=name,
        source=f"./{EDITS_FILE}|layername={EDITS_LAYER}",
        style=edits_style(),
        about=About(title=name, abstract="Areas that were edited by hand, with author and time."),
        crs_wkt=finished.grid.crs_wkt,
        bounds=finished.grid.bounds(),
        checked=False,
        expanded=False,
        display="kind",
    )
    write_bytes(task.target(finished.bundle.project), add_layer(original.read_bytes(), layer))


def _item(task: LayerTask, facts: UntypedMapping) -> None:
    finished, bundle = task.finished, task.finished.bundle
    try:
        item = json.loads(finished.original(bundle.item).read_text())
        properties, assets = item["properties"], item["assets"]
        now = moment(datetime.fromisoformat(facts["saved"]))
        lineage = str(properties.get("processing:lineage", "")).strip()
        edited = f"{facts['count']} corrections by hand on {facts['area_m2']:g} m2."
        properties |= {"updated": now, "processing:lineage": f"{lineage} {edited}".strip(), "geoseg:edits": dict(facts)}
        assets["edits"] = {
            "href": f"./{EDITS_FILE}",
            "title": "Corrections by hand",
            "type": GEOPACKAGE,
            "roles": ["metadata"],
        }
        for asset in assets.values():
            path = task.folder / str(asset["href"]).removeprefix("./")
            rewritten = (task.folder / ORIGINAL / path.name).exists() and "file:checksum" in asset
            if path.is_file() and (rewritten or path.name == EDITS_FILE):
                written = file_facts(path)
                asset |= {"file:size": written["size"], "file:checksum": SHA256_PREFIX + str(written["sha256"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{bundle.item}: is damaged: {error}. Run geoseg predict again.") from error
    write_json(task.target(bundle.item), item)
