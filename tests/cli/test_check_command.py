"""``geoseg check`` finds what is damaged or missing in finished output, whatever its size and time say."""

import json
import os
import sqlite3
from contextlib import closing

import pytest
from conftest import blobs
from typer.testing import CliRunner

from geoseg.archive.check import check_output
from geoseg.archive.manifest import Entry, Manifest
from geoseg.archive.record import SceneRecord
from geoseg.cli.main import app
from geoseg.errors import UsageError
from geoseg.models.model import load_model
from geoseg.run.predict import predict


@pytest.fixture
def out(tiny_model, write_scene, tmp_path):
    """Two bundles."""
    model, scene = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32"), write_scene(blobs((90, 80)))
    for name in ("a", "b"):
        predict(scene, model, tmp_path / "out", name=name)
    return tmp_path / "out"


def flip_in_silence(path):
    """Flip a bit and put size and time back."""
    stat, raw = path.stat(), bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def run(*arguments):
    result = CliRunner().invoke(app, ["check", *map(str, arguments)], standalone_mode=False)
    code = result.return_value if result.exception is None else result.exception
    return code, result.stdout


def test_what_was_written_is_whole(out):
    code, text = run(out)
    assert code == 0
    assert "2 folders, all whole" in text
    code, text = run(out / "a", "--json")
    told = json.loads(text)
    assert code == 0
    assert told["whole"] is True
    assert told["files"] == len(list((out / "a").iterdir()))
    assert (told["faults"], told["changed"]) == ([], [])


def test_a_flipped_bit_in_any_file_is_found_though_size_and_time_are_as_before(out):
    names = sorted(path.name for path in (out / "a").iterdir() if path.name != "run.json")
    for name in names:
        flip_in_silence(out / "a" / name)
    code, text = run(out, "--json")
    told = json.loads(text)
    assert code == 6
    assert sorted(fault["file"] for fault in told["faults"]) == [str(out / "a" / name) for name in names]
    assert all(fault["condition"] == "damaged" and fault["cause"] for fault in told["faults"])


def test_missing_files_and_a_broken_record_are_told_by_name(out):
    (out / "a" / "a_preview.png").unlink()
    (out / "b" / "run.json").write_text("{")
    code, text = run(out)
    assert code == 6
    assert f"{out / 'a' / 'a_preview.png'}: missing" in text
    assert f"{out / 'b' / 'run.json'}: damaged" in text
    assert "2 damaged or missing" in text


def test_polygons_saved_by_another_program_are_told_and_are_no_fault(out):
    with closing(sqlite3.connect(out / "a" / "a_segments.gpkg")) as db, db:
        db.execute("UPDATE layer_styles SET description = 'mine'")
    code, text = run(out, "--json")
    told = json.loads(text)
    assert (told["whole"], told["faults"]) == (True, [])
    assert told["changed"] == [str(out / "a" / "a_segments.gpkg")]
    assert code == 0


def test_of_an_archive_scenes_and_its_own_files_must_be_there(out):
    for name, state in (("a", "done"), ("gone", "done"), ("bad", "failed")):
        Manifest(out).write(Entry(record=SceneRecord(name=name, uri=name, state=state, layers=name)))
    (out / "collection.json").write_text('{"type":')
    faults = {str(state.path.relative_to(out)): state.condition for one in check_output(out) for state in one.faults}
    assert faults == {"gone/run.json": "missing", "collection.json": "damaged"}


def test_a_folder_without_output_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="--out of a run"):
            list(check_output(path))
