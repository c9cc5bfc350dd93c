"""A finished bundle is believed where it is as it was written; what is damaged is made anew from what is whole."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import pytest
from conftest import blobs

from geoseg.core.spec import PredictSpec
from geoseg.errors import OutputError
from geoseg.models.model import Model, load_model
from geoseg.run.executor import LocalExecutor
from geoseg.run.predict import Layers, predict

SPEC = PredictSpec(block_px=128, simplify_m=0.5, uncertainty=True)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")


@pytest.fixture
def done(write_scene: Any, model: Model, tmp_path: Path) -> tuple[Path, Layers]:
    scene = write_scene(blobs((330, 310)))
    return scene, predict(scene, model, tmp_path / "out", spec=SPEC)


class NoNetwork(LocalExecutor):
    """Fails when a block is to be predicted."""

    def predict_blocks(self, job: Any, store: Any, left: Any, advance: Any) -> Any:
        assert not left, "the network runs again"
        return super().predict_blocks(job, store, left, advance)


class Notes:
    """Keeps the notes of a run."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None: ...

    def advance(self, pixels: int) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "run.json"}


def flip(path: Path, where: float = 0.5) -> None:
    raw = bytearray(path.read_bytes())
    raw[int(len(raw) * where)] ^= 0x10
    path.write_bytes(raw)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def state(path: Path) -> tuple[int, int]:
    """Inode and time: a new file may get the inode of a removed one."""
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns


@pytest.mark.slow_after(4)
@pytest.mark.parametrize(
    ("suffix", "damage", "network"),
    [
        ("_segments.gpkg", cut, False),
        ("_segments.gpkg", flip, False),
        ("_segments.gpkg", Path.unlink, False),
        (".qgz", flip, False),
        ("_preview.png", cut, False),
        ("_classes.qml", cut, False),
        ("_classes.tif", flip, True),
        ("_classes.tif", cut, True),
        ("_classes.tif", Path.unlink, True),
        ("_confidence.tif", flip, True),
        ("_entropy.tif", cut, True),
    ],
)
def test_what_is_damaged_is_made_anew_with_the_same_bytes(
    suffix: str, damage: Any, network: bool, done: Any, model: Model, tmp_path: Path
) -> None:
    scene, first = done
    folder = first.bundle.directory
    before, written = contents(folder), {path.name: state(path) for path in folder.iterdir()}
    name = f"scene{suffix}"
    damage(folder / name)
    (folder / "notes.txt").write_text("mine")
    notes = Notes()
    workers = LocalExecutor() if network else NoNetwork()
    again = predict(scene, model, tmp_path / "out", spec=SPEC, workers=workers, reporter=notes)
    assert again.fresh
    assert contents(folder) == before | {"notes.txt": b"mine"}
    moved = {path.name for path in folder.iterdir() if written.get(path.name) != state(path)}
    assert moved == {name, "run.json", "notes.txt"}, "nothing else is touched"
    assert any(name in note and "made anew" in note for note in notes.notes)
    record = json.loads(first.bundle.run_record.read_text())
    assert record == again.record
    assert record["repaired"]["files"] == [name]
    assert {key: value for key, value in record.items() if key not in ("files", "repaired")} == {
        key: value for key, value in first.record.items() if key != "files"
    }
    assert not predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scene"]


def test_damage_in_silence_is_made_anew_when_asked_to_overwrite(done: Any, model: Model, tmp_path: Path) -> None:
    """Size and time as recorded are believed; ``geoseg check`` tells the damage."""
    scene, first = done
    before, stat = contents(first.bundle.directory), first.bundle.segments.stat()
    flip(first.bundle.segments)
    os.utime(first.bundle.segments, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    assert predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork(), overwrite=True).fresh
    assert contents(first.bundle.directory) == before
    assert not predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork(), overwrite=True).fresh


def test_a_copy_with_other_times_is_believed_by_its_digests(done: Any, model: Model, tmp_path: Path) -> None:
    scene, first = done
    shutil.copytree(first.bundle.directory, tmp_path / "copy" / "scene", copy_function=shutil.copy)
    assert not predict(scene, model, tmp_path / "copy", spec=SPEC, workers=NoNetwork()).fresh


def test_a_record_without_times_is_believed_by_its_digests(done: Any, model: Model, tmp_path: Path) -> None:
    scene, first = done
    record = json.loads(first.bundle.run_record.read_text())
    for facts in record["files"].values():
        del facts["mtime_ns"]
    first.bundle.run_record.write_text(json.dumps(record))
    assert not predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    flip(first.bundle.classes)
    assert predict(scene, model, tmp_path / "out", spec=SPEC).fresh


def test_polygons_that_a_person_has_changed_are_kept(done: Any, model: Model, tmp_path: Path) -> None:
    scene, first = done
    with closing(sqlite3.connect(first.bundle.segments)) as db, db:
        db.execute("UPDATE layer_styles SET description = 'mine'")
    before = first.bundle.segments.read_bytes()
    assert not predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    flip(first.bundle.preview)
    assert predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    assert first.bundle.segments.read_bytes() == before


def test_damage_of_changed_polygons_is_found_too(done: Any, model: Model, tmp_path: Path) -> None:
    scene, first = done
    count = len(geopandas.read_file(first.bundle.segments, layer="segments"))
    with closing(sqlite3.connect(first.bundle.segments)) as db, db:
        db.execute("UPDATE layer_styles SET description = 'mine'")
        db.execute("DELETE FROM rtree_segments_geom WHERE id = 1")
    assert predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    assert len(geopandas.read_file(first.bundle.segments, layer="segments")) == count


def test_a_lost_record_is_told_and_replaced_when_asked(done: Any, model: Model, tmp_path: Path) -> None:
    scene, first = done
    before = contents(first.bundle.directory)
    cut(first.bundle.run_record)
    with pytest.raises(OutputError, match=r"run\.json: is damaged.*--overwrite"):
        predict(scene, model, tmp_path / "out", spec=SPEC)
    (first.bundle.directory / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="did not make"):
        predict(scene, model, tmp_path / "out", spec=SPEC, overwrite=True)
    (first.bundle.directory / "notes.txt").unlink()
    assert predict(scene, model, tmp_path / "out", spec=SPEC, overwrite=True).fresh
    assert {n: c for n, c in contents(first.bundle.directory).items() if not n.endswith(".stac.json")} == {
        n: c for n, c in before.items() if not n.endswith(".stac.json")
    }


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("leads_to", ["an empty folder", "nothing"])
def test_a_link_in_the_outputs_place_is_refused_before_any_work(
    overwrite: bool, leads_to: str, write_scene: Any, model: Model, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    if leads_to == "an empty folder":
        elsewhere.mkdir()
    (out / "scene").symlink_to(elsewhere)
    with pytest.raises(OutputError, match=r"symbolic link to .*elsewhere.*Remove the link, or choose another --out"):
        predict(write_scene(), model, out, workers=NoNetwork(), overwrite=overwrite)
    assert (out / "scene").is_symlink()
    assert [path.name for path in out.iterdir()] == ["scene"]


def test_a_finished_bundle_behind_a_link_is_done_already(done: Any, model: Model, tmp_path: Path) -> None:
    scene, first = done
    first.bundle.directory.rename(tmp_path / "elsewhere")
    first.bundle.directory.symlink_to(tmp_path / "elsewhere")
    assert not predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    with pytest.raises(OutputError, match="symbolic link"):
        predict(scene, model, tmp_path / "out", spec=PredictSpec(blend="taper"), overwrite=True)


def test_a_part_that_was_left_in_a_bundle_is_reaped(done: Any, model: Model, tmp_path: Path) -> None:
    scene, first = done
    part = first.bundle.directory / f"scene_segments.gpkg.{os.getpid()}.part"
    part.write_bytes(b"half")
    assert not predict(scene, model, tmp_path / "out", spec=SPEC, workers=NoNetwork()).fresh
    assert not part.exists()


def test_a_part_that_cannot_be_removed_is_no_file_of_the_bundle(
    write_scene: Any, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def stuck(self: Path, missing_ok: bool = False) -> None:
        if self.name.endswith(".part"):
            raise OSError(5, "Input/output error")
        unlink(self, missing_ok=missing_ok)

    scene = write_scene()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stuck)
        first = predict(scene, model, tmp_path)
    assert any(path.name.endswith(".part") for path in first.bundle.directory.iterdir())
    assert not any(name.endswith(".part") for name in first.record["files"])
    assert not predict(scene, model, tmp_path).fresh
    assert not any(path.name.endswith(".part") for path in first.bundle.directory.iterdir())
