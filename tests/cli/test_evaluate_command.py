"""``geoseg evaluate``: one report, as a table, as JSON and as a file; refusals of one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.transform import from_origin

from geoseg.cli.main import app
from geoseg.io.labels.matlab_file import read_annotations
from geoseg.process.command import run_command

SAMPLES = Path(__file__).resolve().parents[2] / "sample_tiles"
DRAWINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "bsds500" / "groundTruth" / "test"


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def write(path: Path, codes: np.ndarray, **profile: object) -> Path:
    options = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 2, 2)} | profile
    with rasterio.open(
        path, "w", driver="GTiff", height=codes.shape[0], width=codes.shape[1], count=1, dtype=codes.dtype, **options
    ) as file:
        file.write(codes, 1)
    return path


@pytest.fixture
def maps(tmp_path: Path) -> tuple[Path, Path]:
    truth = np.zeros((30, 40), np.uint8)
    truth[5:15, 5:25] = 1
    answer = np.roll(truth, 2, axis=1)
    return write(tmp_path / "answer.tif", answer), write(tmp_path / "truth.tif", truth)


def test_a_report_as_table_json_and_file(
    maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["--prediction", maps[0], "--reference", maps[1]]
    assert geoseg("evaluate", *both, "--out", tmp_path / "report.json", "--json", "--boundary", "1,2m") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == json.loads((tmp_path / "report.json").read_text())
    found = answer["results"]["all"]
    assert found["classes"][1]["iou"] == pytest.approx(180 / 220)
    assert found["overall_accuracy"] == pytest.approx(1 - 40 / 1200)
    assert [(row["distance"], row["unit"]) for row in answer["boundary"]] == [(1.0, "px"), (2.0, "m")]
    assert geoseg("evaluate", *both) == 0
    table = capsys.readouterr().out
    assert "0.8182" in table
    assert "overall accuracy" in table
    assert geoseg("evaluate", *both, "--out", tmp_path / "report.json") == 6
    assert geoseg("evaluate", *both, "--out", tmp_path / "none" / "report.json") == 6
    assert geoseg("evaluate", *both, "--out", tmp_path / "report.json", "--overwrite") == 0


def test_wrong_words_are_refused_in_one_line(
    maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["--prediction", maps[0], "--reference", maps[1]]
    for code, *arguments in (
        (2,),
        (2, "--prediction", maps[0]),
        (2, *both, "--boundary", "near"),
        (2, *both, "--outside", "300"),
        (2, *both, "--protocol", "binary", "--positive", "roof"),
        (2, *both, "--protocol", "binary", "--boundary", "2"),
        (2, *both, "--eroded", maps[1]),
        (2, *both, "--legend", tmp_path / "none.yaml"),
        (3, "--prediction", tmp_path / "none.tif", "--reference", maps[1]),
        (3, "--prediction", maps[0], "--reference", tmp_path / "none.tif"),
    ):
        assert geoseg("evaluate", *arguments) == code, arguments
        said = capsys.readouterr()
        assert len(said.err.splitlines()) == 1, said.err
        assert not said.out
    assert geoseg("evaluate", *both, "--protocol", "other") == 2
    moved = write(tmp_path / "moved.tif", np.zeros((30, 40), np.uint8), transform=from_origin(5e5, 5e6, 1, 1))
    capsys.readouterr()
    assert geoseg("evaluate", "--prediction", maps[0], "--reference", moved) == 3
    assert "its pixels are 2 x 2, not 1 x 1" in capsys.readouterr().err


def test_scoring_needs_no_torch(maps: tuple[Path, Path]) -> None:
    arguments = ["evaluate", "--prediction", str(maps[0]), "--reference", str(maps[1])]
    script = (
        "import sys; from geoseg.cli.main import app\n"
        f"app(args={arguments!r}, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules and 'numba' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_from_a_map_to_areas_with_intervals(
    maps: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = tmp_path / "points.gpkg"
    draw = ["evaluate", "sample", maps[0], "--out", points, "--points", "40", "--minimum", "10"]
    assert geoseg(*draw, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert [entry["points"] for entry in made["strata"]] == [30, 10]
    assert geoseg(*draw) == 6
    assert geoseg(*draw, "--overwrite", "--expected", "1:2") == 2
    assert geoseg(*draw, "--overwrite", "--allocation", "neyman", "--expected", "0:0.9,1:0.6") == 0
    capsys.readouterr()
    assert geoseg("evaluate", "estimate", points) == 2
    assert "Interpret the points first" in capsys.readouterr().err
    table = pyogrio.read_dataframe(points, layer="design", read_geometry=False).map_code.to_numpy()
    frame = pyogrio.read_dataframe(points, layer="sample")
    frame["reference_code"] = np.where(np.arange(40) < 4, 1 - table, table)
    pyogrio.write_dataframe(frame, points, layer="sample")
    assert geoseg("evaluate", "estimate", points, "--out", tmp_path / "areas.json") == 0
    said = capsys.readouterr().out
    assert "overall accuracy" in said
    assert "±" in said
    values = json.loads((tmp_path / "areas.json").read_text())
    assert values["interpreted"] == 40
    assert 0.5 < values["overall_accuracy"] < 1
    assert geoseg("evaluate", "estimate", points, "--json") == 0
    assert json.loads(capsys.readouterr().out) == values


def test_objects_as_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = [shapely.box(5e5 + 30 * k, 5e6, 5e5 + 30 * k + 20, 5e6 + 20) for k in range(3)]
    for name, shapes in (("truth", boxes), ("answer", [*boxes[:2], shapely.box(0, 0, 1, 1)])):
        geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32633").to_file(tmp_path / f"{name}.gpkg")
    both = ["--prediction", tmp_path / "answer.gpkg", "--reference", tmp_path / "truth.gpkg"]
    assert geoseg("evaluate", "objects", *both, "--json") == 0
    assert json.loads(capsys.readouterr().out)["f1"] == pytest.approx(2 / 3)
    assert geoseg("evaluate", "objects", *both) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if not line.startswith(" ")][:4]
    assert headings[0] == "Objects"
    assert headings[1].startswith("Scores (a pair has an intersection over union of at least 0.5)")
    assert headings[2:] == ["Counts in squares of 100 metres", "Outlines of matched pairs (distances in metres)"]
    assert sum(line.startswith("  PoLiS distance") for line in lines) == 2
    assert geoseg("evaluate", "objects", "--prediction", tmp_path / "none.gpkg", "--reference", boxes[0].wkt) == 3


def test_seams_as_table_and_json(maps: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    tiles = ["--tile-px", "16", "--halo-px", "2", "--shifted-tile-px", "20", "--shifted-halo-px", "2"]
    both = ["--prediction", maps[0], "--shifted", maps[1]]
    assert geoseg("evaluate", "seams", *both, *tiles, "--near-px", "2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pixels_near"] + found["pixels_elsewhere"] == 1200
    assert geoseg("evaluate", "seams", *both, *tiles) == 0
    assert "seam error" in capsys.readouterr().out
    assert geoseg("evaluate", "seams", *both) == 2
    assert "run.json" in capsys.readouterr().err
    assert geoseg("evaluate", "seams", *both, "--tile-px", "16") == 2


@pytest.mark.parametrize(
    ("protocol", "folder", "reference", "key"),
    [
        ("isprs", "potsdam/5_Labels_all", "potsdam/5_Labels_all", "eroded_without_clutter"),
        ("isprs", "vaihingen/gts_for_participants", "vaihingen/gts_for_participants", "full_with_clutter"),
        ("deepglobe", "deepglobe/train/855_mask.png", "deepglobe/train/855_mask.png", "unknown_excluded"),
    ],
)
def test_a_reference_held_against_itself_scores_one(
    protocol: str, folder: str, reference: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--prediction", SAMPLES / folder, "--reference", SAMPLES / reference]
    assert geoseg("evaluate", *files, "--protocol", protocol, "--json") == 0
    found = json.loads(capsys.readouterr().out)["results"][key]
    assert found["mean_iou"] == found["mean_f1"] == found["overall_accuracy"] == 1
    assert geoseg("evaluate", *files, "--protocol", protocol) == 0
    assert "1.0000" in capsys.readouterr().out


def test_the_eroded_reference_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    full = SAMPLES / "vaihingen/gts_for_participants"
    files = ["--prediction", full, "--reference", full, "--eroded", SAMPLES / "vaihingen/gts_eroded_for_participants"]
    assert geoseg("evaluate", *files, "--protocol", "isprs", "--json") == 0
    given = json.loads(capsys.readouterr().out)
    assert geoseg("evaluate", *files[:4], "--protocol", "isprs", "--json") == 0
    assert json.loads(capsys.readouterr().out)["results"] == given["results"]


@pytest.mark.skipif(not DRAWINGS.is_dir(), reason="the shared data are not here")
def test_boundary_maps_are_held_against_drawings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    for path in sorted(DRAWINGS.glob("*.mat")):
        drawing = read_annotations(path)[1].boundaries
        Image.fromarray((drawing * 200).astype(np.uint8)).save(maps / f"{path.stem}.png")
    arguments = ["evaluate", "--prediction", maps, "--reference", DRAWINGS, "--protocol", "bsds", "--thresholds", "4"]
    assert geoseg(*arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["results"]["edges"]["ods_precision"] == 1
    assert found["results"]["edges"]["ods_f"] > 0.6
    assert len(found["scenes"]) == 3
    assert geoseg(*arguments) == 0
    assert "ods f" in capsys.readouterr().out
