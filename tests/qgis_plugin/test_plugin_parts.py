"""The parts of the plugin that know nothing of QGIS: finding geoseg, running it, reading its answers."""

import importlib
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "qgis_plugin" / "geoseg_qgis"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(PACKAGE.parent))
        yield


def part(name):
    return importlib.import_module(f"geoseg_qgis.{name}")


def program(folder, name="geoseg"):
    path = folder / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_setting_counts_first_as_program_or_as_environment(tmp_path):
    found = part("environment").find_executable
    set_, own = program(tmp_path / "set"), program(tmp_path / "own")
    assert found(str(set_), tmp_path / "own") == set_
    assert found(str(tmp_path / "set"), tmp_path / "own") == set_
    assert found("", tmp_path / "own") == own


def test_a_wrong_setting_is_not_replaced_by_something_found(tmp_path):
    program(tmp_path / "own")
    with pytest.raises(part("environment").EnvironmentMissing, match="there is no geoseg program"):
        part("environment").find_executable(str(tmp_path / "gone"), tmp_path / "own")


def test_programs_are_found_on_the_search_path_and_in_conda(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    find, none = part("environment").find_executable, tmp_path / "none"
    with pytest.raises(part("environment").EnvironmentMissing, match="Make environment"):
        find("", none)
    conda = program(tmp_path / "home" / "miniforge3" / "envs" / "geoseg")
    assert find("", none) == conda
    on_path = program(tmp_path / "local")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find("", none) == on_path


def test_variables_of_qgis_do_not_reach_geoseg(monkeypatch):
    for name in ("PYTHONPATH", "PYTHONHOME", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "QT_PLUGIN_PATH"):
        monkeypatch.setenv(name, "/of/qgis")
    monkeypatch.setenv("GEOSEG_CACHE_DIR", "/kept")
    variables = part("environment").clean_variables()
    assert "/of/qgis" not in variables.values()
    assert variables["GEOSEG_CACHE_DIR"] == "/kept"


def test_an_environment_is_made_of_a_wheel_and_holds_its_program(tmp_path):
    """A wheel of a program of one line stands for geoseg: venv and pip are real, nothing is downloaded."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pretend.py").write_text("def main():\n    print('geoseg 0')\n")
    wheel = tmp_path / "geoseg-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.write(source / "pretend.py", "pretend.py")
        file.writestr(
            "geoseg-0.dist-info/METADATA", "Metadata-Version: 2.1\nName: geoseg\nVersion: 0\nProvides-Extra: openvino\n"
        )
        file.writestr("geoseg-0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("geoseg-0.dist-info/entry_points.txt", "[console_scripts]\ngeoseg = pretend:main\n")
        file.writestr("geoseg-0.dist-info/RECORD", "")
    environment, process = part("environment"), part("process")
    python, folder = environment.find_python(), tmp_path / "with blank" / "environment"
    ran = [
        process.run(command, lambda line: None, lambda: False)
        for command in environment.environment_commands(python, folder, str(wheel))
    ]
    assert [one.code for one in ran] == [0, 0, 0], ran
    assert ran[-1].stdout.strip() == "geoseg 0"
    assert environment.find_executable("", folder) == environment.program_of(folder)


def test_lines_arrive_while_the_program_runs_and_output_is_whole():
    script = "import sys\nfor i in range(3): print(i, file=sys.stderr, flush=True)\nprint('x' * 200000)"
    lines = []
    ran = part("process").run([sys.executable, "-c", script], lines.append, lambda: False)
    assert lines == ["0", "1", "2"]
    assert (ran.code, ran.last_line, len(ran.stdout.strip())) == (0, "2", 200000)


def test_a_cancelled_program_is_interrupted_and_gone(tmp_path):
    mark = tmp_path / "mark"
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "try:\n print('up', file=sys.stderr, flush=True)\n time.sleep(60)\n"
        f"except KeyboardInterrupt: Path({str(mark)!r}).write_text('in order')"
    )
    up = []
    start = time.monotonic()
    with pytest.raises(part("process").Cancelled):
        part("process").run([sys.executable, "-c", script], up.append, lambda: bool(up))
    assert mark.read_text() == "in order"
    assert time.monotonic() - start < 20


def test_models_are_read_from_the_command_once(tmp_path):
    script = tmp_path / "geoseg"
    log = tmp_path / "log"
    script.write_text(f'#!/bin/sh\necho run >> {log}\nexec env PYTHONPATH="{ROOT}" "{sys.executable}" -m geoseg "$@"\n')
    script.chmod(0o755)
    models = part("catalogue").models_of(script)
    assert part("catalogue").models_of(script) is models
    assert log.read_text().count("run") == 1
    first = models[0]
    assert (first.name, first.bands, first.gsd_m) == ("buildings-unet", ("red", "green", "blue"), (0.05, 0.3))
    assert first.label == "buildings-unet: red, green, blue; pixels of 0.05 to 0.3 m"
    assert all(model.preview.is_file() for model in models)


def test_the_best_model_is_the_first_good_one_that_reads_the_scene():
    refused = {"model": "a", "fit": "good", "refused": "bands", "notes": []}
    resampled, good = ({"model": name, "fit": name, "notes": []} for name in ("resampled", "good"))
    best = part("pages").best_model
    assert best({"models": [refused, resampled, good]}) == "good"
    assert best({"models": [refused, resampled]}) == "resampled"
    assert best({"models": [refused]}) == ""


def test_pages_escape_what_files_say():
    report = {"protocol": "classes", "results": {"all": {"classes": [{"code": 1, "name": "<b>", "iou": None}]}}}
    page = part("pages").score_page(report)
    assert "&lt;b&gt;" in page
    assert "<td><b>" not in page


def test_the_zip_is_a_plugin_that_imports_under_any_folder_name(tmp_path):
    target, wheel = tmp_path / "geoseg_qgis.zip", tmp_path / "geoseg-0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    subprocess.run([sys.executable, ROOT / "qgis_plugin" / "build_plugin.py", target, wheel], check=True)
    with zipfile.ZipFile(target) as archive:
        names = set(archive.namelist())
        metadata = archive.read("geoseg_qgis/metadata.txt").decode()
        archive.extractall(tmp_path / "plugins")
    assert {"geoseg_qgis/__init__.py", "geoseg_qgis/icon.svg", "geoseg_qgis/LICENSE"} <= names
    assert {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*.py")} <= names
    assert "qgisMinimumVersion=3.22" in metadata
    assert "hasProcessingProvider=yes" in metadata
    (tmp_path / "plugins" / "geoseg_qgis").rename(tmp_path / "plugins" / "renamed")
    script = "from renamed.environment import bundled_wheel; print(bundled_wheel().name)"
    said = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": "."},
        cwd=tmp_path / "plugins",
    )
    assert said.stdout.strip() == wheel.name, said.stderr


def test_the_version_is_that_of_geoseg():
    import geoseg

    assert f"\nversion={geoseg.__version__}\n" in (PACKAGE / "metadata.txt").read_text()


def test_json_of_the_models_command_is_what_the_plugin_reads():
    card = {
        "name": "n", "title": "", "description": "d", "bands": [{"name": "red"}], "gsd_m": {"min": 1, "max": 2},
        "legend": {"classes": [{"name": "c"}]}, "licence": "CC0-1.0",
    }  # fmt: skip
    (model,) = part("catalogue").read_models(json.dumps({"models": [card]}))
    assert (model.title, model.preview) == ("d", None)
