"""Records of finished scenes made from their layers alone, for a folder without an archive's manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from geoseg.archive.record import SceneRecord
from geoseg.core.digest import sha256_of_json
from geoseg.core.types.json_value import UntypedDict
from geoseg.io.publish.bundle import Bundle
from geoseg.run.workers.use import uses_of


def read_records(out: Path) -> Iterator[SceneRecord]:
    """Find the outputs of ``geoseg predict`` below a folder and make a record of each.

    Args:
        out: the folder that was given as ``--out``; scenes may lie in folders below it.

    Returns:
        A record of state ``done`` for each, by name; folders without complete output are skipped.
    """
    for folder, below, names in os.walk(out):
        below[:] = sorted(name for name in below if not name.startswith((".", "_")))
        if "run.json" in names and Path(folder) != out:
            record = _record(out, Path(folder))
            if record is not None:
                yield record


def _record(out: Path, folder: Path) -> SceneRecord | None:
    bundle = Bundle(directory=folder, stem=folder.name)
    name = folder.relative_to(out).as_posix()
    try:
        document: UntypedDict = json.loads(bundle.run_record.read_bytes())
        geometry = json.loads(bundle.item.read_bytes())["geometry"]
        scene, classes = document["scene"], document["classes"]
        return SceneRecord(
            name=name,
            uri=scene["uri"],
            state="done",
            layers=name,
            scene_digest=scene["sha256"],
            model_digest=document["identity"]["pixels"]["model"],
            options_digest=sha256_of_json(document["options"]),
            footprint=geometry,
            pixels=scene["height_px"] * scene["width_px"],
            valid_pixels=sum(entry["pixels"] for entry in classes),
            class_areas_m2={entry["name"]: entry["area_m2"] for entry in classes},
            timings={stage: float(s) for stage, s in document["timings"].items() if isinstance(s, int | float)},
            blocks={key: document["blocks"][key] for key in ("total", "predicted", "empty", "resumed")},
            workers=uses_of(document),
            attempts=1,
            exit_code=0,
            started=datetime.fromisoformat(document["started"]),
            finished=datetime.fromisoformat(document["finished"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
