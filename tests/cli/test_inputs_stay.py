"""No command replaces or removes what it reads: by the same path, another one, a symbolic link or a hard link."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import LEGEND, WriteScene

from geoseg.cli.main import app
from geoseg.errors import UsageError
from geoseg.io.files.targets import keep_inputs, make_folder
from geoseg.process.command import run_command


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def itself(path: Path) -> Path:
    return path


def roundabout(path: Path) -> Path:
    (path.parent / "side").mkdir(exist_ok=True)
    return path.parent / "side" / ".." / path.name


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


def symlink(path: Path) -> Path:
    link = path.with_name(f"link{path.suffix}")
    link.symlink_to(path)
    return link


def through_a_linked_folder(path: Path) -> Path:
    folder = path.parent.with_name(f"{path.parent.name}-linked")
    folder.symlink_to(path.parent)
    return folder / path.name


def hard_link(path: Path) -> Path:
    link = path.with_name(f"hard{path.suffix}")
    link.hardlink_to(path)
    return link


WAYS = [itself, roundabout, relative, symlink, through_a_linked_folder, hard_link]

# {in} is what is read and {out} another name of it; {other} is a file that is only read
COMMANDS = {
    "vectorise codes": ("a.gpkg", "vectorise {in} --out {out} --overwrite"),
    "vectorise confidence": ("a.gpkg", "vectorise {other} --confidence {in} --out {out} --overwrite"),
    "vectorise image": ("a.gpkg", "vectorise {other} --zonal {in}:1,2 --out {out} --overwrite"),
    "vectorise legend": ("a.geojson", "vectorise {other} --legend {in} --out {out} --overwrite"),
    "vectorise style": ("a.qml", "vectorise {other} --legend {in} --out {stem}.fgb --overwrite"),
    "evaluate prediction": ("a.tif", "evaluate --prediction {in} --reference {other} --out {out} --overwrite"),
    "evaluate reference": ("a.tif", "evaluate --prediction {other} --reference {in} --out {out} --overwrite"),
    "evaluate layer": ("a.gpkg", "evaluate --prediction {other} --reference {in}:roofs --out {out} --overwrite"),
    "evaluate legend": (
        "a.json",
        "evaluate --prediction {other} --reference {other} --legend {in} --out {out} --overwrite",
    ),
    "evaluate folder": ("a.tif", "evaluate --prediction {folder} --reference {other} --out {out} --overwrite"),
    "objects prediction": ("a.gpkg", "evaluate objects --prediction {in} --reference {other} --out {out} --overwrite"),
    "objects reference": ("a.gpkg", "evaluate objects --prediction {other} --reference {in} --out {out} --overwrite"),
    "seams": ("a.tif", "evaluate seams --prediction {other} --shifted {in} --out {out} --overwrite"),
    "sample": ("a.tif", "evaluate sample {in} --out {out} --overwrite"),
    "estimate": ("a.gpkg", "evaluate estimate {in} --out {out} --overwrite"),
    "import": ("a.safetensors", "models import {in} --as unet --out {out} --overwrite"),
    "export": ("a.pt", "models export {in} {out} --to torchscript --overwrite"),
    "export weights": ("a.bin", "models export {in} {stem}.xml --to openvino --overwrite"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", COMMANDS)
def test_no_command_replaces_what_it_reads(
    case: str, way: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, command = COMMANDS[case]
    folder, other = tmp_path / "folder", tmp_path / "other.tif"
    folder.mkdir()
    read = folder / name
    for path in (read, other):
        path.write_text("what is read")
    out = way(read)
    if "{stem}" in command and out.stem != "a":
        pytest.skip("the name of the second file follows from the first's")
    words = {"in": read, "out": out, "other": other, "folder": folder, "stem": out.with_suffix("")}
    assert geoseg(*command.format(**words).split()) == 2
    assert "what is read" in capsys.readouterr().err
    assert read.read_text() == other.read_text() == "what is read"


def test_an_area_inside_the_output_that_it_would_replace_stays(
    write_scene: WriteScene, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, out = write_scene(), tmp_path / "out"
    options = ["--model", tiny_model, "--runtime", "torch", "--device", "cpu", "--quiet", "--out", out]
    assert geoseg("predict", scene, *options) == 0
    area = out / "scene" / "scene_segments.gpkg"
    before = area.read_bytes()
    assert geoseg("predict", scene, *options, "--aoi", area, "--overwrite") == 2
    assert "scene_segments.gpkg" in capsys.readouterr().err
    assert area.read_bytes() == before
    hidden = out / ".scene.building"
    hidden.mkdir()
    shutil.copy(scene, hidden / "scene.tif")
    assert geoseg("predict", hidden / "scene.tif", *options, "--overwrite") == 2
    assert (hidden / "scene.tif").exists()


def test_outputs_beside_what_is_read_are_fine(tmp_path: Path) -> None:
    read = tmp_path / "a.tif"
    read.write_text("what is read")
    keep_inputs((read, None, "https://example.org/a.tif"), tmp_path / "a.gpkg", tmp_path / "new" / "a.tif")
    keep_inputs((tmp_path,), tmp_path / "report.json", folders=(tmp_path / "out",))
    with pytest.raises(UsageError, match="holds what is read"):
        keep_inputs((read,), folders=(tmp_path,))


def test_a_folder_for_outputs_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.txt"
    file.write_text("")
    for path in (file, file / "inside"):
        with pytest.raises(UsageError, match=r"a\.txt"):
            make_folder(path)
    make_folder(tmp_path / "new" / "inside")
    assert (tmp_path / "new" / "inside").is_dir()
    recipe = tmp_path / "recipe.yaml"
    source = {"kind": "files", "name": "n", "licence": "CC0-1.0", "image": "i.tif", "labels": "l.tif", "train": [0, 9]}
    facts = {
        "name": "tiny",
        "licence": "CC0-1.0",
        "architecture": {"name": "unet"},
        "bands": [{"name": "red"}],
        "gsd_m": {"min": 0.4, "max": 0.6},
        "legend": LEGEND.model_dump(mode="json"),
        "sources": [source],
        "schedule": {"steps": 1},
    }
    recipe.write_text(json.dumps(facts))
    assert geoseg("train", recipe, "--out", file) == 2
    assert "a.txt: this is, or lies in, a file" in capsys.readouterr().err
    assert geoseg("models", "export", "buildings-unet", tmp_path) == 2
    assert geoseg("evaluate", "--prediction", file, "--reference", file, "--out", tmp_path, "--overwrite") == 2
