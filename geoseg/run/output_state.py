"""State of the output folder: a finished bundle of the same run, other files, or nothing."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime

from geoseg.core.choices import EditPolicy
from geoseg.core.spec import InstanceChoice
from geoseg.core.types.json_value import UntypedDict
from geoseg.edits.finished_map import ORIGINAL
from geoseg.errors import OutputError
from geoseg.io.edits.edit_log import EDITS_FILE
from geoseg.io.files.output_lock import holder
from geoseg.io.files.recorded_file import FileState, state_of_file
from geoseg.io.files.writing import is_part, reap_parts, write_json
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.commit import RunPaths
from geoseg.run.replay import refuse_lost_edits

_RASTER = ".tif"
_MUST_BE_THERE = (_RASTER, ".gpkg")
_SIDECARS = ("~", ".aux.xml", "-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingOutput:
    """A finished bundle of the same identity as the run.

    Attributes:
        record: its run record.
        broken: files that are damaged or missing and must be rewritten; empty for an intact bundle.
    """

    record: UntypedDict
    broken: tuple[FileState, ...] = ()

    @property
    def rasters_are_whole(self) -> bool:
        """True if all rasters are intact, so that the other files can be made from them."""
        return not any(state.path.name.endswith(_RASTER) for state in self.broken)

    def notes(self) -> tuple[str, ...]:
        """Return one sentence per file that will be rewritten, with the reason."""
        source = "the rasters" if self.rasters_are_whole else "the scene"
        return tuple(
            f"{state.path.name} is {state.condition}{f' ({state.cause})' if state.cause else ''};"
            f" it is made anew from {source}."
            for state in self.broken
        )


def existing_output(
    bundle: Bundle, identity: UntypedDict, *, overwrite: bool, edits: EditPolicy = "refuse"
) -> ExistingOutput | None:
    """Return the finished bundle of this identity; None if a whole bundle must be made.

    A project or polygons saved in QGIS, or a deleted preview, do not make a bundle broken. A damaged file does, and so
    does a missing raster or GeoPackage.

    Args:
        bundle: files of the output.
        identity: identity of the run.
        overwrite: True if a finished bundle of another run may be replaced.
        edits: what becomes of corrections by hand where it is replaced.

    Raises:
        OutputError: the folder holds files that must not be replaced, or is a symbolic link.
    """
    directory = bundle.directory
    reap_parts(directory)
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        _refuse_link(bundle)
        return None
    record = _record(bundle)
    if record is None:
        _refuse_unknown(bundle, overwrite=overwrite)
        return None
    cause = _difference(record["identity"], identity)
    if record["identity"] == identity:
        # asked to overwrite, nothing is believed by its time: what was damaged in silence is made anew
        doubt: UntypedDict = {"mtime_ns": None} if overwrite else {}
        states = [state_of_file(directory / name, facts | doubt) for name, facts in record["files"].items()]
        edited = [s.path.name for s in states if s.condition == "changed" and s.path.name.endswith(_RASTER)]
        if not edited:
            broken = tuple(state for state in states if _is_broken(state))
            if broken and "edits" in record:
                raise OutputError(
                    f"{broken[0].path}: is {broken[0].condition}, and the map was corrected by hand."
                    f" Run geoseg edit save {directory} --again."
                )
            if broken:
                _refuse_link(bundle)
            return ExistingOutput(record=record, broken=broken)
        cause = f"but {', '.join(edited)} was changed since geoseg wrote it"
    if not overwrite:
        raise OutputError(f"{directory}: exists, {cause}. Pass --overwrite to replace it or choose another --out.")
    refuse_lost_edits(bundle, edits)
    foreign = _foreign(bundle, {*record["files"], EDITS_FILE, ORIGINAL})
    if foreign:
        some = ", ".join(foreign[:3])
        raise OutputError(f"{directory}: holds files that geoseg did not make ({some}). Move them away first.")
    _refuse_link(bundle)
    return None


def _record(bundle: Bundle) -> UntypedDict | None:
    try:
        record = json.loads(bundle.run_record.read_text())
        usable = isinstance(record["identity"], dict) and all(
            {"size", "sha256"} <= facts.keys() for facts in record["files"].values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(record) if usable else None


def _is_broken(state: FileState) -> bool:
    return state.condition == "damaged" or (state.condition == "missing" and state.path.name.endswith(_MUST_BE_THERE))


def _refuse_unknown(bundle: Bundle, *, overwrite: bool) -> None:
    """Refuse a folder without a valid run record, unless it is a bundle with a broken record and may be replaced.

    Raises:
        OutputError: the folder must not be replaced.
    """
    directory = bundle.directory
    names = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    own = {name for name in names if name.startswith(bundle.stem)}
    if bundle.run_record.name not in names or bundle.classes.name not in names or _foreign(bundle, own):
        raise OutputError(f"{directory}: exists, and geoseg did not make it. Choose another --out or move it away.")
    if not overwrite:
        raise OutputError(
            f"{bundle.run_record}: is damaged, so the origin of the layers next to it is unknown."
            " Pass --overwrite to make them anew or choose another --out."
        )
    _refuse_link(bundle)


def _refuse_link(bundle: Bundle) -> None:
    """Refuse a symbolic link in place of the bundle's folder: a folder cannot be renamed over one.

    Raises:
        OutputError: the bundle's folder is a symbolic link.
    """
    directory = bundle.directory
    if directory.is_symlink():
        raise OutputError(
            f"{directory}: is a symbolic link to {directory.readlink()}, which a finished output cannot replace."
            " Remove the link, or choose another --out."
        )


def _foreign(bundle: Bundle, files: set[str]) -> list[str]:
    """List the files of the folder that neither geoseg made, nor QGIS next to them."""
    own = {*files, bundle.run_record.name}
    known = own | {name + suffix for name in own for suffix in _SIDECARS}
    return sorted(path.name for path in bundle.directory.iterdir() if path.name not in known and not is_part(path.name))


def _difference(found: UntypedDict, identity: UntypedDict) -> str:
    old, new = found.get("pixels") or {}, identity["pixels"]
    if old.get("scene") != new["scene"]:
        return "made from another scene or an older state of it"
    if old.get("model") != new["model"]:
        return "made with another model, device or precision"
    names = [name for name in new if old.get(name) != new[name] and name != "pixels"]
    names += _differing(old.get("pixels") or {}, new["pixels"])
    if "neighbours" in names or old.get("neighbours") != new.get("neighbours"):
        return "made with other pixels of neighbouring scenes"
    if names:
        return "made with other options (" + ", ".join("--" + name.replace("_", "-") for name in names) + ")"
    if found != identity:
        return "made with other options for polygons or files"
    return "but a file of it was changed"


def _differing(old: UntypedDict, new: UntypedDict) -> list[str]:
    """List the options that differ; those of detected objects are a mapping of their own."""
    names = [name for name in new if old.get(name) != new[name]]
    if "instances" not in names:
        return names
    before, now = (options.get("instances") or InstanceChoice().model_dump(mode="json") for options in (old, new))
    return [name for name in names if name != "instances"] + [name for name in now if before.get(name) != now[name]]


def replace_broken(work: RunPaths, existing: ExistingOutput, remade: UntypedDict) -> UntypedDict:
    """Replace broken files by rewritten ones; the others stay unchanged.

    Args:
        work: paths of the run; its ``building`` holds a whole new bundle, which is removed.
        existing: the finished bundle with its broken files.
        remade: run record of the new bundle.

    Returns:
        The run record of the repaired bundle.

    Raises:
        OSError: the disk is full or fails; the next run repairs the files that are still broken.
    """
    bundle, building = work.bundle, work.building.directory
    old, new = existing.record["files"], remade["files"]
    names = [state.path.name for state in existing.broken]
    if any(new.get(name, {}).get("sha256") != old[name]["sha256"] for name in names):
        names.append(bundle.item.name)  # tells the digests of the others
    files = dict(old)
    for name in dict.fromkeys(names):
        if name in new:
            os.replace(building / name, bundle.directory / name)  # noqa: PTH105 - as every file is put in its place
            files[name] = new[name]
        else:
            (bundle.directory / name).unlink(missing_ok=True)
            del files[name]
    repaired = {"files": sorted(names), "when": datetime.now(UTC).isoformat(timespec="seconds")}
    record = existing.record | {"files": files, "repaired": repaired}
    write_json(bundle.run_record, record)
    shutil.rmtree(building, ignore_errors=True)
    return record


def remove_unfinished(work: RunPaths) -> None:
    """Remove what a finished run could not remove, unless another run holds the lock."""
    if holder(work.lock) is not None:
        return
    for folder in (work.blocks, work.building.directory, work.replaced):
        shutil.rmtree(folder, ignore_errors=True)
