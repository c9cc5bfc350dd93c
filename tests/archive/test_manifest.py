"""The manifest: what is written is read back; what is damaged counts for nothing; thousands are looked at quickly."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from geoseg.archive.archive import Archive
from geoseg.archive.fingerprints import state_of
from geoseg.archive.manifest import ANY_STATE, Entry, Manifest
from geoseg.archive.record import SceneRecord
from geoseg.archive.run import run_archive


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    entries = [
        Entry(
            record=SceneRecord(name=f"scene{k}", uri=f"/data/é{k}.tif", state="done", class_areas_m2={"roof": 1.5}),
            files={f"/data/{k}.tif": (10**12, 1_700_000_000_000_000_001)},
            stamp="etag",
            layers={"a.tif": (3, 7), "b.gpkg": ANY_STATE},
            run="r",
        )
        for k in range(40)
    ]
    for entry in entries:
        manifest.write(entry)
    assert [manifest.entry(f"scene{k}") for k in range(40)] == entries
    assert sorted(record.name for record in manifest.records()) == sorted(f"scene{k}" for k in range(40))
    assert manifest.entry("other") is None


def test_layers_of_an_entry_without_times_are_looked_at_again(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.write(Entry(record=SceneRecord(name="scene", uri="x", state="done"), layers={"a.tif": (3, 7)}))
    (path,) = manifest.folder.glob("*/scene.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layers": {"a.tif": 3}}))
    entry = manifest.entry("scene")
    assert entry is not None
    assert entry.layers == {"a.tif": (3, 0)}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "geoseg-archive-0"}', '{"format": "geoseg-archive-1"}'])
def test_a_damaged_entry_counts_for_nothing(tmp_path: Path, text: str) -> None:
    manifest = Manifest(tmp_path)
    manifest.write(Entry(record=SceneRecord(name="scene", uri="x", state="done")))
    (path,) = manifest.folder.glob("*/scene.json")
    path.write_text(text)
    assert manifest.entry("scene") is None
    assert list(manifest.records()) == []


@pytest.mark.parametrize("beside", ["scene.tfw", "scene.prj", "scene.tif.aux.xml", "scene.tif.msk", "scene.tif.MSK"])
def test_a_neighbour_that_could_move_or_mask_the_scene_changes_its_state(tmp_path: Path, beside: str) -> None:
    from geoseg.archive.sources.scene_ref import SceneRef

    (tmp_path / "scene.tif").write_bytes(b"II*\0")
    ref = SceneRef(name="scene", uri=str(tmp_path / "scene.tif"))
    before = state_of(ref)
    assert before == state_of(ref)
    (tmp_path / beside).write_text("1")
    assert state_of(ref) != before


@pytest.mark.slow
def test_a_finished_archive_is_found_done_quickly(make_archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_archive(0)
    config.source.path.mkdir()
    out, count = config.out, 1000
    with Archive.open(config) as archive:
        for k in range(count):
            scene, folder = config.source.path / f"s{k}.tif", out / f"s{k}"
            scene.write_bytes(b"II*\0")
            folder.mkdir(parents=True)
            (folder / "run.json").write_text("{}")
            record = SceneRecord(
                name=f"s{k}",
                uri=str(scene),
                state="done",
                layers=f"s{k}",
                model_digest=archive.model_digest,
                options_digest=archive.options_digest,
            )
            stat = scene.stat()
            files = {str(scene): (stat.st_size, stat.st_mtime_ns)}
            with monkeypatch.context() as quick:
                quick.setattr(os, "fsync", lambda handle: None)
                archive.output.entries.write(Entry(record=record, files=files, layers={"run.json": ANY_STATE}))
    start = time.process_time()  # of the processor, so that what else the machine does counts for nothing
    report = run_archive(config)
    seconds = time.process_time() - start
    assert (report.done, report.skipped, report.exit_code) == (0, count, 0)
    assert seconds < 10, "10,000 shall be found done within 20 s; a slow machine may take five times as long"
