"""An installation without extras: what needs none works, and what needs one says which, without a traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import json, sys
from geoseg.process.command import run_command

codes = []
for call in json.loads(sys.argv[1]):
    print(*call, flush=True)
    sys.stderr = sys.stdout
    if call[0] == "flow":
        from geoseg.flows.entry import main as run
        sys.argv = ["geoseg", *call]
    else:
        from geoseg.cli.main import app
        run = lambda: app(args=call, standalone_mode=False)
    try:
        code = run_command(run, debug=False)
    except SystemExit as end:
        code = end.code
    codes.append(code or 0)
    print("answered", flush=True)
print("codes", json.dumps(codes))
"""


def installed_without_extras() -> dict[str, Distribution]:
    """Return the distributions that an installation of geoseg alone brings, by name."""
    found: dict[str, Distribution] = {}
    todo, seen = [Requirement("geoseg")], set()
    while todo:
        wanted = todo.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if (name, *sorted(wanted.extras)) in seen:
            continue
        seen.add((name, *sorted(wanted.extras)))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # of another platform, or a name for a package that conda builds
            continue
        needs, extras = map(Requirement, found[name].requires or []), wanted.extras or {""}
        todo += [
            one for one in needs if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment that has these distributions only, linked from the one that runs the tests."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    for name, one in installed_without_extras().items():
        places = {file.parts[0] for file in one.files or [] if file.parts[0] not in {"..", "__pycache__"}}
        for place in places:
            if not (place.endswith(".pth") and name == "geoseg") and not (site / place).exists():
                (site / place).symlink_to(Path(str(one.locate_file(place))))
    (site / "geoseg.pth").write_text(f"{ROOT}\n")
    return home / "bin" / "python"


def run(python: Path, folder: Path, calls: list[list[str]]) -> tuple[list[int], str]:
    """Run commands in one process; returned are their exit codes, and all that they print."""
    done = subprocess.run(
        [python, "-c", RUN, json.dumps(calls)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("codes ")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[0].removeprefix("codes ")), done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Make a folder with a scene of an archive, a model and a recipe."""
    folder = tmp_path_factory.mktemp("without_extras")
    (folder / "scenes").mkdir()
    shutil.copy(ROOT / "sample_tiles" / "town.tif", folder / "scenes" / "a.tif")
    shutil.copy(ROOT / "sample_tiles" / "town_labels.tif", folder / "labels.tif")
    shutil.copy(tiny_model, folder / "model.safetensors")
    (folder / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(512))
    for name in ("parquet", "pmtiles"):
        text = f"source: {{kind: folder, path: scenes}}\nmodel: model.safetensors\nout: {name}\none_layer: {name}\n"
        (folder / f"{name}.yaml").write_text(text)
    text = "source: {kind: folder, path: scenes}\nmodel: model.safetensors\nout: s3://bucket/maps\n"
    (folder / "objects.yaml").write_text(text)
    return folder


def test_what_needs_no_extra_works(python: Path, folder: Path) -> None:
    calls = [
        ["inspect", "scenes/a.tif"],
        ["models", "list"],
        ["doctor", "--help"],
        ["predict", "scenes/a.tif", "--model", "model.safetensors", "--out", "maps"],
        ["vectorise", "maps/a/a_classes.tif", "--out", "a.fgb"],
        ["check", "maps"],
        ["archive", "run", "parquet.yaml"],
        ["archive", "status", "parquet.yaml"],
        ["check", "parquet"],
    ]
    codes, told = run(python, folder, calls)
    assert codes == [0] * len(calls), told


def test_what_needs_an_extra_names_it(python: Path, folder: Path) -> None:
    predict = ["predict", "scenes/a.tif", "--model", "model.safetensors"]
    calls = [
        ("pmtiles", ["archive", "run", "pmtiles.yaml"]),
        ("objects", ["archive", "run", "objects.yaml"]),
        ("objects", ["check", "s3://bucket/maps"]),
        ("pmtiles", ["vectorise", "labels.tif", "--out", "a.pmtiles"]),
        ("openvino", [*predict, "--out", "b", "--runtime", "openvino"]),
        ("regularise", [*predict, "--out", "c", "--regularise", "roof"]),
        ("keras", ["models", "import", "net.h5", "--as", "maskrcnn_r50_fpn"]),
        ("onnx", ["models", "export", "model.safetensors", "m.onnx", "--to", "onnx"]),
        ("view", ["view", "scenes/a.tif"]),
        ("flows", ["flow", "segment-archive", "parquet.yaml"]),
    ]
    codes, told = run(python, folder, [call for _, call in calls])
    assert codes == [2] * len(calls), told
    assert "Traceback" not in told
    for extra, call in calls:
        assert f"geoseg[{extra}]" in told.partition(" ".join(call))[2].partition("\nanswered")[0], told
