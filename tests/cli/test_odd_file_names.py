"""Names of files that are no UTF-8, and texts that standard output cannot show: everything works, escaped."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet
import pyogrio
import pytest
import rasterio
from conftest import WriteScene, blobs

from geoseg.cli.main import app
from geoseg.io.files.gdal_name import escaped, gdal_name
from geoseg.process.command import run_command

BYTES = os.fsdecode(b"s\xff\xe9")


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=True)


def test_a_scene_model_and_folder_of_such_names_give_the_same_layers_as_plain_ones(
    write_scene: WriteScene, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write_scene(blobs((90, 110)))
    scene, model, out = (plain.with_name(f"{BYTES}{end}") for end in (".tif", ".safetensors", ""))
    scene.write_bytes(plain.read_bytes())
    model.write_bytes(tiny_model.read_bytes())
    options = ["--runtime", "torch", "--device", "cpu"]
    assert geoseg("predict", plain, "--model", tiny_model, "--out", tmp_path / "out", *options) == 0
    assert geoseg("predict", scene, "--model", model, "--out", out, *options) == 0
    assert geoseg("inspect", scene, "--model", model) == 0
    assert "\\udcff" in capsys.readouterr().out
    (folder,) = (path for path in out.iterdir() if not path.name.startswith("."))
    assert folder.name.isascii()
    expected = tmp_path / "out" / "scene"
    found = {path.name.replace(folder.name, "scene"): path for path in folder.iterdir()}
    assert found.keys() == {path.name for path in expected.iterdir()}
    codes = [rasterio.open(gdal_name(path)) for path in (expected / "scene_classes.tif", found["scene_classes.tif"])]
    assert (codes[0].read() == codes[1].read()).all()
    record = json.loads(found["run.json"].read_text(encoding="utf-8"))
    assert record["scene"]["uri"] == str(scene)
    item = json.loads(found["scene.stac.json"].read_text(encoding="utf-8"))
    assert item["properties"]["title"].encode().endswith(b".tif")  # which a lone surrogate would not let
    (origin,) = (link["href"] for link in item["links"] if link["rel"] == "derived_from")
    assert origin == "../../s%FF%E9.tif"
    with sqlite3.connect(os.fsencode(found["scene_segments.gpkg"])) as db:
        (about,) = db.execute("SELECT description FROM gpkg_contents WHERE table_name = 'segments'").fetchone()
    assert "s\\xff\\xe9.tif" in about
    with zipfile.ZipFile(found["scene.qgz"]) as project:
        for name in project.namelist():
            project.read(name).decode()


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".geojson", ".pmtiles"])
def test_polygons_go_to_files_of_such_names(suffix: str, write_scene: WriteScene, tmp_path: Path) -> None:
    plain = write_scene(blobs((40, 50), 1) // 90, photometric=None)
    codes = plain.rename(plain.with_name(f"{BYTES}.tif"))
    target = tmp_path / f"{BYTES}{suffix}"
    assert geoseg("vectorise", codes, "--out", target) == 0
    if suffix == ".parquet":
        assert pyarrow.parquet.read_metadata(gdal_name(target)).num_rows > 1
    elif suffix != ".pmtiles":
        assert len(pyogrio.read_dataframe(gdal_name(target), layer="segments" if suffix == ".gpkg" else None)) > 1
    assert geoseg("evaluate", "--prediction", codes, "--reference", codes, "--out", tmp_path / f"{BYTES}.json") == 0


def test_sidecars_are_found_beside_such_a_file(write_scene: WriteScene) -> None:
    plain = write_scene()
    path = plain.rename(plain.with_name(f"{BYTES}.tif"))
    path.with_name(f"{BYTES}.tif.aux.xml").write_text("<PAMDataset/>")
    linked = gdal_name(path)
    assert linked.name.isascii()
    assert sorted(entry.name for entry in linked.parent.iterdir()) == ["s_xff_xe9.tif", "s_xff_xe9.tif.aux.xml"]
    assert escaped(str(path)).endswith("s\\xff\\xe9.tif")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX"},
    ],
)
def test_letters_that_standard_output_cannot_show_are_escaped(
    environment: dict[str, str], write_scene: WriteScene, tiny_model: Path
) -> None:
    scene = write_scene(name="ünï 漢.tif")
    command = [sys.executable, "-m", "geoseg", "inspect", str(scene), "--model", str(tiny_model)]
    ended = subprocess.run(command, capture_output=True, env=os.environ | environment)
    assert ended.returncode == 0, ended.stderr
    shown = ended.stdout.decode()
    assert "ünï 漢.tif" in shown or "\\xfcn\\xef \\u6f22.tif" in shown
    as_json = subprocess.run([*command, "--json"], capture_output=True, env=os.environ | environment)
    assert json.loads(as_json.stdout)["scene"] == str(scene)
