"""The command line: exit codes, refusals of one line, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from conftest import blobs

from geoseg.cli.main import app
from geoseg.process.command import run_command

pytestmark = pytest.mark.usefixtures("restored_signals")


def geoseg(*arguments: str | Path) -> int:
    """Run in this process, as the installed command does."""
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def on_torch(model: Path) -> list[str | Path]:
    return ["--model", model, "--runtime", "torch", "--device", "cpu"]


def test_help_is_quick_and_loads_neither_torch_nor_gdal_nor_prefect() -> None:
    script = (
        "import sys, time; start = time.process_time()\n"
        "from geoseg.cli.main import app\n"
        "try: app(args=['--help'])\n"
        "except SystemExit: pass\n"
        "print(time.process_time() - start, file=sys.stderr)\n"
        "print([m for m in ('torch', 'prefect', 'rasterio', 'dask', 'numba') if m in sys.modules], file=sys.stderr)"
    )
    runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True) for _ in range(3)]
    assert runs[0].stderr.splitlines()[-1] == "[]"
    assert min(float(run.stderr.splitlines()[-2]) for run in runs) < 0.5
    assert "predict" in runs[0].stdout


def test_one_scene_gives_one_json_object_and_its_layers(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("predict", write_scene(), *on_torch(tiny_model), "--out", tmp_path / "out", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert Path(answer["files"]["scene_classes.tif"]).exists()
    names = {role: Path(path).name for role, path in answer["layers"].items()}
    assert names == {
        "classes": "scene_classes.tif",
        "confidence": "scene_confidence.tif",
        "segments": "scene_segments.gpkg",
        "project": "scene.qgz",
        "stac": "scene.stac.json",
        "preview": "scene_preview.png",
        "run": "run.json",
    }
    assert answer["segments"] > 0
    assert {entry["name"] for entry in answer["classes"]} == {"ground", "roof", "water"}


def test_progress_for_programs_is_json_lines_that_end_at_the_whole_scene(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = geoseg(
        *("predict", write_scene(), *on_torch(tiny_model), "--out", tmp_path / "out"), "--json", "--progress", "json"
    )
    assert ran == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["fresh"]
    lines = [json.loads(line) for line in said.err.splitlines()]
    pixels = [line for line in lines if line.get("stage") == "predict"]
    assert pixels[0]["done_px"] == 0
    assert pixels[-1]["done_px"] == pixels[-1]["total_px"] == 200 * 260
    assert [line["stage"] for line in lines if "stage" in line][-1] == "publish"
    assert {line["scene"] for line in lines} == {"scene"}


def test_plain_lines_tell_progress_and_quiet_tells_nothing(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_scene()
    assert geoseg("predict", scene, *on_torch(tiny_model), "--out", tmp_path / "out") == 0
    spoken = capsys.readouterr()
    assert "segmenting" in spoken.err
    assert "scene.qgz" in spoken.out
    assert geoseg("predict", scene, *on_torch(tiny_model), "--out", tmp_path / "quiet", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_a_bad_scene_among_good_ones_is_named_and_the_rest_is_done(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = write_scene(name="good.tif"), tmp_path / "scenes" / "bad.tif"
    bad.write_text("<html>not found</html>")
    code = geoseg("predict", good.parent, *on_torch(tiny_model), "--out", tmp_path / "out", "--json")
    spoken = capsys.readouterr()
    assert code == 7
    assert "bad.tif" in spoken.err
    results = {Path(r["scene"]).name: r for r in json.loads(spoken.out)["scenes"]}
    assert results["bad.tif"]["exit_code"] == 3
    assert (tmp_path / "out" / "good" / "run.json").exists()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good"]


def test_scenes_of_one_name_get_outputs_of_their_own(write_scene: Any, tiny_model: Path, tmp_path: Path) -> None:
    scenes = [write_scene(blobs((60, 60), seed=i), name=f"{i}/scene.tif") for i in (1, 2)]
    assert geoseg("predict", *scenes, *on_torch(tiny_model), "--out", tmp_path / "out", "--quiet") == 0
    folders = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert len(folders) == 2
    assert all(folder.startswith("scene-") for folder in folders)


REFUSALS: list[tuple[str, list[str], int, str]] = [
    ("no such scene", ["predict", "{gone}", "--model", "{model}", "--out", "{out}"], 3, "gone.tif"),
    ("no such model", ["predict", "{scene}", "--model", "nets", "--out", "{out}"], 4, "nets.*unknown"),
    ("an empty model", ["predict", "{scene}", "--model", "{empty}", "--out", "{out}"], 4, "empty.safetensors"),
    ("missing option", ["predict", "{scene}", "--out", "{out}"], 2, "--model"),
    (
        "unknown option",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--overlap", "3"],
        2,
        "--overlap",
    ),
    ("no such command", ["segmentise"], 2, "segmentise"),
    (
        "halo too large",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--halo-px", "200"],
        2,
        "--halo-px",
    ),
    (
        "negative number",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--simplify-m=-1"],
        2,
        "--simplify-m",
    ),
    (
        "bad range",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--value-range", "3"],
        2,
        "--value-range",
    ),
    *(
        (
            f"a range of no values {text}",
            ["predict", "{scene}", "--model", "{model}", "--out", "{out}", f"--value-range={text}"],
            2,
            "--value-range",
        )
        for text in ("5,5", "5,4", "nan,1", "0,inf", "0,1e-320", "-1e308,1e308")
    ),
    ("too few bands", ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--bands", "1"], 3, "--bands"),
    (
        "no CUDA",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--device", "cuda:99"],
        5,
        "--device cuda:99",
    ),
    (
        "odd device",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--device", "tpu"],
        2,
        "--device tpu",
    ),
    ("an empty folder", ["predict", "{folder}", "--model", "{model}", "--out", "{out}"], 2, "no scene"),
    ("an output that is a file", ["predict", "{scene}", "--model", "{model}", "--out", "{empty}"], 2, "--out"),
    (
        "infinity",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--simplify-m", "inf"],
        2,
        "--simplify-m",
    ),
    (
        "a limit that is no number",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--max-mpx", "nan"],
        2,
        "--max-mpx",
    ),
    ("a limit below 0", ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--max-mpx=-1"], 2, "--max-mpx"),
    ("an unset variable", ["predict", "", "--model", "{model}", "--out", "{out}"], 2, "empty"),
    ("a blank output", ["predict", "{scene}", "--model", "{model}", "--out= "], 2, "--out: its value is empty"),
    (
        "assets of a file",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--assets", "red"],
        2,
        "--assets",
    ),
    ("no assets", ["inspect", "{scene}", "--assets", ","], 2, "--assets"),
    (
        "no address",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--scheduler", "٣"],
        2,
        "--scheduler",
    ),
    (
        "no port",
        ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--scheduler", "tcp://h:٣"],
        2,
        "host:port",
    ),
    ("a name that cannot be", ["predict", "x" * 300 + ".tif", "--model", "{model}", "--out", "{out}"], 3, "xxx"),
    ("a model name that cannot be", ["predict", "{scene}", "--model", "m" * 300, "--out", "{out}"], 4, "mmm"),
    ("a small tile", ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--tile-px", "32"], 2, "--tile-px"),
    ("inspect nothing", ["inspect", "{gone}"], 3, "gone.tif"),
    ("an unknown card", ["models", "show", "nets"], 4, "nets"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_refusals_are_one_line_with_the_documented_exit_code(
    arguments: list[str],
    code: int,
    said: str,
    write_scene: Any,
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import re

    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.safetensors").touch()
    places = {
        "scene": write_scene(),
        "gone": tmp_path / "gone.tif",
        "model": tiny_model,
        "out": tmp_path / "out",
        "empty": tmp_path / "empty.safetensors",
        "folder": tmp_path / "folder",
    }
    filled = [argument.format(**places) for argument in arguments]
    assert geoseg(*filled) == code
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert "Traceback" not in error
    if "Usage:" not in error:
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_a_bug_in_one_scene_does_not_stop_the_others(
    write_scene: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import geoseg.run.predict as run

    scenes = [write_scene(blobs((60, 60)), name=name) for name in ("a.tif", "b.tif")]
    whole = run.predict

    def broken(scene: Any, *arguments: Any, **options: Any) -> Any:
        if scene.stem == "a":
            raise MemoryError
        return whole(scene, *arguments, **options)

    monkeypatch.setattr(run, "predict", broken)
    assert geoseg("predict", *scenes, *on_torch(tiny_model), "--out", tmp_path / "out", "--quiet") == 7
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b"]


def test_our_own_class_raster_is_vectorised_again(write_scene: Any, tiny_model: Path, tmp_path: Path) -> None:
    geopandas = pytest.importorskip("geopandas")
    out = tmp_path / "out"
    assert geoseg("predict", write_scene(), *on_torch(tiny_model), "--out", out, "--quiet") == 0
    again = tmp_path / "again.gpkg"
    assert geoseg("vectorise", out / "scene" / "scene_classes.tif", "--out", again) == 0
    first = geopandas.read_file(out / "scene" / "scene_segments.gpkg", layer="segments")
    second = geopandas.read_file(again, layer="segments")
    assert list(first.class_name) == list(second.class_name)
    assert first.geometry.equals(second.geometry)


def test_a_bug_is_called_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    assert run_command(broken, debug=False) == 1
    assert "a bug in geoseg: ZeroDivisionError: oh" in capsys.readouterr().err


def test_no_secret_of_an_address_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = "https://me:hunter2@127.0.0.1:9/a.tif?sig=SIGNED"
    for more in ([], ["--allow-remote"]):
        assert geoseg("inspect", address, *more) in {2, 3}
        told = capsys.readouterr().err
        assert "https://127.0.0.1:9/a.tif: " in told
        assert "hunter2" not in told
        assert "SIGNED" not in told


def test_control_characters_of_file_names_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert geoseg("inspect", "evil\x1b[31m\n.tif") == 3
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert len(error.strip().splitlines()) == 1


def test_inspect_tells_what_every_model_would_read(
    write_scene: Any, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("inspect", write_scene(), "--model", tiny_model, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["height_px"], facts["width_px"]) == (200, 260)
    assert facts["crs"] == "EPSG:32632"
    assert facts["models"][0]["bands"] == [1, 2, 3]
    assert facts["models"][0]["tiles"] > 1
    assert geoseg("inspect", write_scene(), "--model", tiny_model) == 0
    assert "reads bands 1, 2, 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("side_m", "bands", "fit", "mark"),
    [(0.5, 3, "good", "[yes]"), (0.7, 3, "resampled", "[near]"), (0.1, 3, "poor", "[far]"), (0.5, 1, "none", "[no]")],
)
def test_inspect_marks_models_by_how_well_they_fit(
    side_m: float, bands: int, fit: str, mark: str, write_scene: Any, tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The model was made for pixels of 0.4 to 0.6 m and three bands."""
    colours = {} if bands == 3 else {"photometric": "MINISBLACK"}
    transform = Affine(side_m, 0, 500000, 0, -side_m, 5400000)
    scene = write_scene(blobs((60, 60), bands=bands), transform=transform, **colours)
    assert geoseg("inspect", scene, "--model", tiny_model, "--json") == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["fit"] == fit
    assert geoseg("inspect", scene, "--model", tiny_model) == 0
    assert any(line.startswith(mark) for line in capsys.readouterr().out.splitlines())


def test_json_of_a_scene_with_infinite_nodata_is_json(
    write_scene: Any, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = write_scene(blobs((20, 20)).astype(np.float32), nodata=np.inf, photometric=None)
    assert geoseg("inspect", scene, "--model", tiny_model, "--json") == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["nodata"] == "inf"


def test_a_scene_that_lies_nowhere_is_refused(write_scene: Any, tiny_model: Path) -> None:
    scene = write_scene(blobs((20, 20)), transform=Affine(1, 0, 9e9, 0, -1, 9e9))
    assert geoseg("inspect", scene, "--model", tiny_model, "--json") == 3


def test_the_halo_is_measured(tiny_model: Path, write_scene: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert geoseg("models", "halo", tiny_model, "--scene", write_scene()) == 0
    assert "A halo of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_says_how_to_resume(
    number: signal.Signals, code: int, write_scene: Any, tiny_model: Path, tmp_path: Path
) -> None:
    scene = write_scene(blobs((3000, 3000)))
    command = [sys.executable, "-m", "geoseg.cli.main", "predict", str(scene), "--out", str(tmp_path / "out")]
    command += [str(a) for a in on_torch(tiny_model)] + ["--block-px", "256"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    store = tmp_path / "out" / ".scene.blocks"
    deadline = time.monotonic() + 60
    while not list(store.glob("*.block")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == code, error
    assert "run the same command again to resume" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "scene").exists()


def test_the_package_runs_as_the_command_does() -> None:
    ended = subprocess.run([sys.executable, "-m", "geoseg", "predict"], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "python -m geoseg predict" in ended.stderr
