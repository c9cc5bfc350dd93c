"""A wheel, installed apart from the checkout, has all that its commands need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import rasterio
from rasterio.windows import Window

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    names = ["pyproject.toml", "README.md", "LICENSE", "configs", "flows", "geoseg"]
    listed = subprocess.run(["git", "ls-files", "-z", *names], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment that holds geoseg from the wheel, and its libraries by a path file."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "geoseg"


def run(program: Path, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([program, *arguments], capture_output=True, text=True, cwd=folder, env=environment)


def test_the_wheel_carries_models_previews_configurations_and_flows(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "geoseg/models/shipped").iterdir()}
    assert {name for name in names if name.startswith("geoseg/models/shipped/")} == shipped
    assert {Path(name).name for name in shipped} >= {"buildings-unet.safetensors", "buildings-unet.jpg"}
    examples = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")}
    assert {name.partition("share/geoseg/")[2] for name in names if "share/geoseg/" in name} == examples
    assert "geoseg/flows/segment_archive.py" in names
    assert "geoseg/py.typed" in names
    assert not any(name.startswith(("tests/", "docs/")) for name in names)


def test_commands_run_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert run(installed, "--version", folder=tmp_path).stdout.startswith("geoseg ")
    where = [installed.with_name("python"), "-c", "import geoseg; print(geoseg.__file__)"]
    assert str(installed.parents[1]) in run(where[0], *where[1:], folder=tmp_path).stdout
    models = json.loads(run(installed, "models", "--json", folder=tmp_path).stdout)["models"]
    assert all(Path(model["preview"]).is_relative_to(installed.parents[1]) for model in models)
    examples = run(installed, "init", "example", folder=tmp_path).stdout.split()
    assert "train/town_unet" in examples
    assert run(installed, "init", "example", "archives/folder", "mine.yaml", folder=tmp_path).returncode == 0
    assert (tmp_path / "mine.yaml").read_bytes() == (ROOT / "configs" / "archives" / "folder.yaml").read_bytes()
    assert "segment-archive" in run(installed, "flow", folder=tmp_path).stdout
    assert (
        "Usage: geoseg flow segment-scene" in run(installed, "flow", "segment-scene", "--help", folder=tmp_path).stdout
    )


def test_a_sample_is_segmented_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    with rasterio.open(ROOT / "sample_tiles" / "town.tif") as town:
        window = Window(0, 0, 256, 256)
        profile = town.profile | {"height": 256, "width": 256, "transform": town.window_transform(window)}
        with rasterio.open(tmp_path / "crop.tif", "w", **profile) as crop:
            crop.write(town.read(window=window))
    ran = run(installed, "predict", "crop.tif", "--model", "town-unet", "--out", "out", "--json", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["fresh"]
    assert (tmp_path / "out" / "crop" / "crop.qgz").is_file()
