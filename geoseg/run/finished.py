"""What stands at the output's place already: our own finished bundle, somebody's files, or nothing."""

from __future__ import annotations

import json
import shutil
from typing import Any

from geoseg.errors import OutputError
from geoseg.io.bundle import Bundle
from geoseg.run.plan import Workplace

_MUST_BE_WHOLE = (".tif",)
_MUST_BE_THERE = (".tif", ".gpkg")
_SIDECARS = ("~", ".aux.xml", "-wal", "-shm", "-journal")


def finished_record(bundle: Bundle, wanted: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """Return the record of a finished bundle of this identity; None when there is work to do.

    A project that was saved in QGIS, or a picture that was deleted, does not unmake a finished bundle: the rasters must
    be as they were written, the polygons must be there.

    Args:
        bundle: where the output goes.
        wanted: identity of the run.
        overwrite: whether another finished bundle of geoseg's may be replaced.

    Raises:
        OutputError: the folder holds something that may not be replaced.
    """
    directory = bundle.directory
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return None
    record = _record(bundle)
    if record is None:
        raise OutputError(f"{directory}: exists, and geoseg did not make it. Choose another --out or move it away.")
    if record["identity"] == wanted and _whole(bundle, record):
        return record
    if not overwrite:
        cause = _difference(record["identity"], wanted)
        raise OutputError(f"{directory}: exists, {cause}. Pass --overwrite to replace it or choose another --out.")
    foreign = _foreign(bundle, record)
    if foreign:
        some = ", ".join(foreign[:3])
        raise OutputError(f"{directory}: holds files that geoseg did not make ({some}). Move them away first.")
    return None


def _record(bundle: Bundle) -> dict[str, Any] | None:
    try:
        record = json.loads(bundle.run_record.read_text())
        usable = isinstance(record["identity"], dict) and all("size" in facts for facts in record["files"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(record) if usable else None


def _whole(bundle: Bundle, record: dict[str, Any]) -> bool:
    for name, facts in record["files"].items():
        path = bundle.directory / name
        if name.endswith(_MUST_BE_THERE) and not path.is_file():
            return False
        if name.endswith(_MUST_BE_WHOLE) and path.stat().st_size != facts["size"]:
            return False
    return True


def _foreign(bundle: Bundle, record: dict[str, Any]) -> list[str]:
    """Files of the folder that neither geoseg nor QGIS, beside geoseg's own, has made."""
    own = {*record["files"], bundle.run_record.name}
    beside = {name + suffix for name in own for suffix in _SIDECARS}
    return sorted(path.name for path in bundle.directory.iterdir() if path.name not in own | beside)


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    old, new = found.get("pixels") or {}, wanted["pixels"]
    if old.get("scene") != new["scene"]:
        return "made from another scene or an older state of it"
    if old.get("model") != new["model"]:
        return "made with another model, device or precision"
    names = [name for name in new if old.get(name) != new[name] and name != "pixels"]
    options = old.get("pixels") or {}
    names += [name for name in new["pixels"] if options.get(name) != new["pixels"][name]]
    if names:
        return "made with other options (" + ", ".join("--" + name.replace("_", "-") for name in names) + ")"
    if found != wanted:
        return "made with other options for polygons or files"
    return "but a file of it is missing or was changed"


def swap(work: Workplace) -> None:
    """Put the new bundle in its place; the old one goes when the new one stands."""
    final, replaced = work.bundle.directory, work.replaced
    if final.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        final.rename(replaced)
    work.building.directory.rename(final)
    shutil.rmtree(replaced, ignore_errors=True)


def recover(work: Workplace) -> None:
    """Finish or undo what a killed run left between two renames."""
    if work.replaced.exists() and not work.bundle.directory.exists():
        work.replaced.rename(work.bundle.directory)
    shutil.rmtree(work.replaced, ignore_errors=True)
    shutil.rmtree(work.building.directory, ignore_errors=True)
