"""``geoseg archive report``: catalogue, index, map and reports of an archive, written anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from geoseg.core.text import printable
from geoseg.core.types.json_value import JsonDict
from geoseg.process.command import print_message

if TYPE_CHECKING:
    from geoseg.archive.config import ArchiveConfig
    from geoseg.archive.publish import ArchiveFiles
    from geoseg.archive.record import SceneRecord
    from geoseg.core.legend import Legend


def report(
    archive: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml|OUT", help="The archive's configuration, or its output folder.")
    ],
    title: Annotated[
        str, typer.Option(help="Of the archive; default: the configuration's; of a folder, the one it has.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> int:
    """Write the catalogue, the index, the map and the reports of an archive; exit code 7 when scenes failed.

    With a configuration, scenes that were not tried yet are listed too, and finished ones that left the source. With a
    folder, what the archive's runs recorded
    there, or else the outputs of geoseg predict that lie in it.
    """
    files, address_of = _published(archive, title)
    if files.missing:
        some = ", ".join(map(printable, files.missing[:3]))
        print_message(
            f"layers are missing of scenes that were finished ({some}). Run the archive again to make them anew."
        )
    if as_json:
        print(json.dumps(_as_json(files, address_of)))
    elif not quiet:
        _print(files, address_of)
    return 7 if files.facts.states["failed"] else 0


class _Known(NamedTuple):
    """An archive's folder, the records of its scenes, and the settings from its configuration, where there is one."""

    out: Path
    records: Iterable[SceneRecord]
    legend: Legend | None = None
    title: str | None = None
    model: Path | None = None


def _published(archive: Path, title: str) -> tuple[ArchiveFiles, Callable[[Path], str]]:
    """Publish an archive; its files, and what tells where users find them."""
    from geoseg.archive.archive import Archive
    from geoseg.archive.config import ArchiveConfig
    from geoseg.archive.publish import publish_archive
    from geoseg.errors import OutputError, UsageError
    from geoseg.io.files.drivers import whole_address
    from geoseg.io.objects.access import is_s3

    address = whole_address(str(archive))
    if is_s3(address):
        raise UsageError(f"{address}: give the configuration of the archive, which tells its classes and its sources.")
    config = None if archive.is_dir() else ArchiveConfig.read(archive)
    if config is None or config.store is None:
        known = _in_folder(archive) if config is None else _configured(config)
        title = title or known.title or ""
        return publish_archive(known.out, known.records, legend=known.legend, title=title, model=known.model), str
    with Archive.open(config) as opened:
        files = opened.publish(title=title, untried=True)
        if files is None:
            raise OutputError(f"{config.store}: another run is publishing this archive. Let it end.")
        return files, opened.output.address_of


def _in_folder(archive: Path) -> _Known:
    """Find what the runs of an archive recorded in its folder, or the outputs that lie there."""
    from geoseg.archive.manifest import Manifest
    from geoseg.archive.report.read_records import read_records
    from geoseg.errors import SceneError

    manifest = Manifest(archive)
    known = manifest.records() if any(manifest.records()) else read_records(archive)
    first = next(known, None)
    if first is None and any(archive.iterdir()):
        cure = "Give the configuration, or the folder that holds one folder of layers for each scene."
        raise SceneError(str(archive), "it holds no output of geoseg.", cure)
    return _Known(archive, chain([] if first is None else [first], known))


def _configured(config: ArchiveConfig) -> _Known:
    """Find what is known of the scenes of a configuration."""
    from geoseg.archive.archive import Archive
    from geoseg.models.ensemble import file_of

    configured = Archive(config)
    title = config.title or config.out.name
    return _Known(config.out, configured.iter_records(), configured.card.legend, title, file_of(config.model))


def _print(files: ArchiveFiles, address_of: Callable[[Path], str]) -> None:
    facts = files.facts
    for state, count in sorted(facts.states.items()):
        print(f"{count:>9,} {state}")
    for what, path in (
        ("report", files.report),
        ("map", files.project),
        ("catalogue", files.catalogue),
        ("index", files.index),
    ):
        if path is not None:
            print(f"{what:>9} {printable(address_of(path))}")


def _as_json(files: ArchiveFiles, address_of: Callable[[Path], str]) -> JsonDict:
    facts = files.facts
    named = ("catalogue", "collection", "index", "footprints", "project", "report", "markdown")
    paths = {name: getattr(files, name) for name in named}
    return {
        "scenes": dict(facts.states),
        "class_areas_m2": facts.areas_m2,
        "missing": list(files.missing),
        "files": {name: None if path is None else address_of(path) for name, path in paths.items()},
    }
