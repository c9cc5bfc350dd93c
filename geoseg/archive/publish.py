"""Published files of an archive: STAC catalogue, index, map and reports, from records and finished layers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from geoseg.archive.record import SceneRecord
from geoseg.archive.report.catalogue import CATALOGUE, COLLECTION, FOLDER, ITEMS, Catalogue
from geoseg.archive.report.facts import Facts, seconds_of, stages_of
from geoseg.archive.report.formatting import readable
from geoseg.archive.report.history import add_to_history
from geoseg.archive.report.model_items import write_models
from geoseg.archive.report.summary import markdown_of
from geoseg.archive.report.thumbnails import FOLDER as THUMBNAILS
from geoseg.archive.report.thumbnails import Picture, picture_of, write_thumbnails
from geoseg.archive.report.web_report import ReportData, write_web_report
from geoseg.archive.report.whole_map import WholeMap
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.errors import UsageError
from geoseg.io.files.output_lock import remove_free_locks
from geoseg.io.files.writing import make_durable_folder, reap_parts, write_bytes
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.scene_footprints import write_footprints
from geoseg.io.publish.scene_index import area_columns, write_scene_index
from geoseg.io.publish.stac_item import href

INDEX, FOOTPRINTS, PROJECT, REPORT, MARKDOWN = (
    "scenes.parquet",
    "scenes.gpkg",
    "archive.qgz",
    "report.html",
    "report.md",
)
FILES = (INDEX, FOOTPRINTS, PROJECT, REPORT, MARKDOWN, COLLECTION, CATALOGUE)
"""Published files in the archive's folder itself."""

_OWN = re.compile(
    r"items-\d{5}\.json|items/.*\.stac\.json|(classes|confidence|imagery)-.*\.vrt|segments-.*\.gpkg"
    r"|upright/.*\.vrt|models/.*|thumbnails/[0-9a-f]{20}\.jpg"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFiles:
    """Paths of the published files, and the scenes whose layers are missing.

    Attributes:
        catalogue: root of the STAC catalogue.
        collection: STAC collection of all scenes.
        index: GeoParquet of all scenes.
        footprints: the same as GeoPackage.
        project: QGIS project; None while no scene is done.
        report: the web report.
        markdown: the short report.
        facts: totals.
        missing: scenes recorded as done whose layers are missing or cannot be read; the first hundred.
    """

    catalogue: Path
    collection: Path
    index: Path
    footprints: Path
    project: Path | None
    report: Path
    markdown: Path
    facts: Facts
    missing: tuple[str, ...]


def publish_archive(
    out: Path,
    records: Iterable[SceneRecord],
    *,
    legend: Legend | None = None,
    title: str | None = None,
    model: Path | None = None,
    there: Callable[[Path], bool] = Path.is_file,
) -> ArchiveFiles:
    """Write catalogue, index, map and reports of an archive, replacing those of an earlier call.

    Records are read once. Some hundred bytes per scene stay in memory, and for the first five thousand scenes the
    rows of the web report. Each file is written atomically; the catalogue's root comes last, so that a run that is
    killed leaves the earlier root and the files that it links to.

    Args:
        out: the archive's folder.
        records: its scenes; the layers of those that are done lie in ``out/record.layers``.
        legend: its classes; None: read from the item of the first scene in the folder.
        title: title of the archive; default: the title of the previous publication, or else the folder's name.
        model: model file for the catalogue; default: the bundled model that the items name.
        there: tells whether a layer exists, where only a part of them is in ``out``.

    Returns:
        Paths of the files and totals.

    Raises:
        WriteError: the disk is full or fails.
        UsageError: ``out`` does not exist.
    """
    out = out.absolute()
    if not out.is_dir():
        raise UsageError(f"{out}: the archive's folder is not there. Run the archive first, or check the path.")
    make_durable_folder(out / FOLDER / "models")
    for folder in (out / FOLDER, *(out / FOLDER / name for name in ("models", "upright", ITEMS))):
        reap_parts(folder)
    remove_free_locks(out)
    title = title or _title_there(out) or out.name or "Archive"
    legend = legend or _legend_there(out)
    passing = _Passing(out, legend, there)
    write_scene_index(out / INDEX, passing.rows(records), legend)
    write_footprints(out / FOOTPRINTS, out / INDEX)
    project, written = _write_map(out, passing, title)
    written += write_models(out, passing.catalogue.models, model)
    history = add_to_history(out, passing.facts)
    thumbnails = write_thumbnails(out, out / FOLDER / THUMBNAILS, passing.gathering.pictures())
    written += [thumbnail.path for thumbnail in thumbnails.values()]
    passing.gathering.thumbnails = thumbnails
    write_web_report(out / REPORT, passing.facts, passing.gathering, title=title, legend=legend, history=history)
    write_bytes(out / MARKDOWN, markdown_of(passing.facts, title=title, legend=legend).encode())
    passing.catalogue.write(title=title, legend=legend, assets=_assets(project))
    _prune(out / FOLDER, {*written, *passing.catalogue.written})
    return ArchiveFiles(
        catalogue=out / CATALOGUE,
        collection=out / COLLECTION,
        index=out / INDEX,
        footprints=out / FOOTPRINTS,
        project=project,
        report=out / REPORT,
        markdown=out / MARKDOWN,
        facts=passing.facts,
        missing=tuple(passing.missing),
    )


class _Passing:
    """Data collected while iterating over the records."""

    def __init__(self, out: Path, legend: Legend | None, there: Callable[[Path], bool]) -> None:
        self._out = out
        self._areas = area_columns(legend)
        self.facts = Facts()
        self.gathering = ReportData()
        self.catalogue = Catalogue(out)
        self.map = None if legend is None else WholeMap(out, legend, there)
        self.missing: list[str] = []

    def rows(self, records: Iterable[SceneRecord]) -> Iterator[UntypedDict]:
        """Yield a row of the index for each record."""
        for record in records:
            self.facts.add(record)
            links, picture = self._take_up(record) if record.state == "done" else ({}, None)
            self.gathering.add(record, links, picture)
            yield self._row(record) | {kind: _text(path) for kind, path in links.items()}

    def _take_up(self, record: SceneRecord) -> tuple[dict[str, str], Picture | None]:
        """Add a finished scene to map and catalogue; return the paths of its files, empty if they are missing."""
        bundle = _bundle(self._out, record)
        item = None if bundle is None else _item(bundle)
        if bundle is None or item is None:
            if len(self.missing) < 100:
                self.missing.append(record.name)
            return {}, None
        self.catalogue.add(record, item, f"{record.layers}/{bundle.item.name}")
        if self.map is not None:
            self.map.add(bundle, item)
        files = {"item": bundle.item, "classes": bundle.classes, "segments": bundle.segments, "preview": bundle.preview}
        there = {key: file for key, file in files.items() if key == "item" or key in item["assets"]}
        links = {key: f"{record.layers}/{file.name}" for key, file in there.items()} | {"layers": record.layers}
        return links, picture_of(item, links.get("preview", ""))

    def _row(self, record: SceneRecord) -> dict[str, object]:
        stages = stages_of(record)
        row: dict[str, object] = {
            "name": readable(record.name),
            "state": record.state,
            "cause": readable(record.cause) or None,
            "exit_code": record.exit_code,
            "attempts": record.attempts,
            "uri": readable(record.uri),
            "seconds": seconds_of(record) if record.finished is not None else None,
            "blocks": record.blocks.get("total"),
            "started": record.started,
            "finished": record.finished,
            "scene_digest": record.scene_digest or None,
            "model_digest": record.model_digest or None,
            "options_digest": record.options_digest or None,
            "geometry": record.footprint,
            **{f"{stage}_s": stages.get(stage) for stage in ("predict", "layers", "publish")},
        }
        if record.state == "done":
            row |= {"pixels": record.pixels, "valid_pixels": record.valid_pixels}
            row |= {column: record.class_areas_m2.get(name, 0.0) for name, column in self._areas.items()}
        return row


def _bundle(out: Path, record: SceneRecord) -> Bundle | None:
    layers = PurePosixPath(record.layers)
    if not record.layers or layers.is_absolute() or ".." in layers.parts:
        return None
    return Bundle(directory=out / layers, stem=layers.name)


def _text(path: str) -> str:
    """Return a path as text; a path that is not valid UTF-8 is percent-encoded."""
    return path if path == readable(path) else href(path)


def _item(bundle: Bundle) -> UntypedDict | None:
    """Read a scene's STAC item; None if it is missing or invalid."""
    try:
        item = json.loads(bundle.item.read_bytes())
        usable = isinstance(item["properties"]["datetime"], str)
        usable &= all(isinstance(one["href"], str) for one in (*item["assets"].values(), *item.get("links", ())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return dict(item) if usable else None


def _title_there(out: Path) -> str:
    """Read the title of the previous publication; empty if there is none."""
    try:
        title = json.loads((out / COLLECTION).read_bytes())["title"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return title if isinstance(title, str) else ""


def _legend_there(out: Path) -> Legend | None:
    """Read the legend from the STAC item of the first scene in the folder."""
    for folder, below, names in os.walk(out):
        below[:] = sorted(name for name in below if not name.startswith((".", "_")))
        item = _item(Bundle(directory=Path(folder), stem=Path(folder).name)) if Path(folder) != out else None
        legend = None if item is None or "run.json" not in names else _legend(item)
        if legend is not None:
            return legend
    return None


def _legend(item: UntypedMapping) -> Legend | None:
    entries = item["assets"].get("classes", {}).get("classification:classes", [])
    classes = [
        LegendClass(code=one["value"], name=one["title"], colour="#" + one["color_hint"].lower())
        for one in entries
        if not one.get("nodata")
    ]
    nodata = next((one["value"] for one in entries if one.get("nodata")), 255)
    return Legend(classes=tuple(classes), nodata=nodata) if classes else None


def _write_map(out: Path, passing: _Passing, title: str) -> tuple[Path | None, list[Path]]:
    if passing.map is None:
        (out / PROJECT).unlink(missing_ok=True)
        return None, []
    written = passing.map.write(
        out / PROJECT, title=readable(title), footprints=out / FOOTPRINTS, bbox=passing.gathering.bbox()
    )
    passing.missing += passing.map.unreadable[: 100 - len(passing.missing)]
    return out / PROJECT, written


def _assets(project: Path | None) -> dict[str, UntypedDict]:
    found: dict[str, dict[str, object]] = {
        "index": {
            "href": f"./{INDEX}",
            "title": "Index of scenes, GeoParquet",
            "type": "application/vnd.apache.parquet",
            "roles": ["metadata", "index"],
        },
        "footprints": {
            "href": f"./{FOOTPRINTS}",
            "title": "Index of scenes, GeoPackage",
            "type": "application/geopackage+sqlite3",
            "roles": ["metadata", "index"],
        },
        "report": {"href": f"./{REPORT}", "title": "Report", "type": "text/html", "roles": ["metadata"]},
        "summary": {"href": f"./{MARKDOWN}", "title": "Short report", "type": "text/markdown", "roles": ["metadata"]},
    }
    if project is not None:
        kind = "application/x-qgis-project"
        found["project"] = {"href": f"./{PROJECT}", "title": "Map of all scenes", "type": kind, "roles": ["project"]}
    return found


def is_published(path: str) -> bool:
    """Return True for the path of a published file, relative to the archive's folder."""
    folder, _, inside = path.partition("/")
    return path in FILES or (folder == FOLDER and _OWN.fullmatch(inside) is not None)


def _prune(folder: Path, written: set[Path]) -> None:
    """Remove files that an earlier call wrote and this one did not; keep files of other origin."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in written and _OWN.fullmatch(path.relative_to(folder).as_posix()):
            path.unlink()
