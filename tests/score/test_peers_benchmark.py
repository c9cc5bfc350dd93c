"""The comparison with other programs: it counts equal pixels, reads what programs print and keeps finished results."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.transform import from_origin

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from peer_runs.measure import measure
from peer_runs.table import agreement, last_object, table
from peers import Comparison

CLASSES = np.random.default_rng(0).integers(0, 3, (700, 90), np.uint8)


def raster(path: Path, classes: npt.NDArray[np.uint8]) -> Path:
    height, width = classes.shape
    place = {"crs": "EPSG:32632", "transform": from_origin(497120, 5419980, 0.1, 0.1)}
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint8", **place) as out:
        out.write(classes, 1)
    return path


def test_agreement_is_the_share_of_equal_pixels_whatever_rows_they_are_in(tmp_path: Path) -> None:
    other = CLASSES.copy()
    other[::3, 5:] += 1
    first, second = raster(tmp_path / "a.tif", CLASSES), raster(tmp_path / "b.tif", other)
    assert agreement(first, first) == 1
    assert agreement(first, second) == agreement(second, first) == float(np.mean(other == CLASSES))


def test_rasters_of_other_sizes_do_not_agree_by_chance(tmp_path: Path) -> None:
    first, second = raster(tmp_path / "a.tif", CLASSES), raster(tmp_path / "b.tif", CLASSES[:-1])
    with pytest.raises(ValueError, match="699"):
        agreement(first, second)


def test_what_a_program_prints_around_its_report_does_not_matter() -> None:
    assert last_object('{"versions": 0}\n{"versions": 1}\n3\n100%|##| done\n') == {"versions": 1}
    assert last_object("no report\n17\n") == {}


def test_the_table_relates_each_speed_to_geoai_on_the_same_scene() -> None:
    plain = {"wall_s": 10.0, "cpu_s": 20.0, "peak_mb": 1500, "agreement": 0.995}
    results = [
        {"side": 8192, "name": "geoseg fp32", "mpx_per_s": 6.0} | plain,
        {"side": 3072, "name": "geoai", "mpx_per_s": 0.5} | plain,
        {"side": 3072, "name": "geoseg fp32", "mpx_per_s": 2.0} | plain,
        {"side": 3072, "name": "terratorch", "failed": "not installed"},
    ]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(results).splitlines()]
    assert len({len(row) for row in rows}) == 1
    by_key = {(row[0], row[1]): row for row in rows}
    assert by_key["3072", "geoseg fp32"][-2:] == ["4.00", "99.50%"]
    assert by_key["3072", "geoai"][-2] == "1.00"
    assert by_key["8192", "geoseg fp32"][-2] == ""  # geoai has no result for this side
    assert by_key["3072", "terratorch"][2] == "not installed"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_time_and_memory_of_children_are_counted(tmp_path: Path) -> None:
    block = (
        "import time; held = b'1' * 200_000_000; end = time.process_time() + 0.5\nwhile time.process_time() < end: 1"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {block!r}], check=True)"
    found = measure([sys.executable, "-c", parent], os.environ, tmp_path / "log", timeout_s=60)
    assert found["exit_code"] == 0
    assert found["cpu_s"] >= 0.5
    assert found["wall_s"] >= 0.5
    assert found["peak_mb"] >= 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    found = measure(command, os.environ, tmp_path / "log", timeout_s=0.5)
    assert found["exit_code"] != 0
    assert found["wall_s"] < 30


def options(tmp_path: Path, classes: int = 2) -> Namespace:
    sizes = {"classes": classes, "tile_px": 512, "overlap_px": 64, "threads": 2}
    return Namespace(image=Path("town.tif"), results=tmp_path / "results.json", json=True, **sizes)


def test_a_comparison_goes_on_with_what_its_file_holds_and_tries_failures_again(tmp_path: Path) -> None:
    first = Comparison(options(tmp_path), tmp_path)
    first.add(3072, "geoai", {"mpx_per_s": 0.5})
    first.add(3072, "terratorch", {"failed": "out of memory"})
    again = Comparison(options(tmp_path), tmp_path)
    assert again.has(3072, "geoai")
    assert not again.has(8192, "geoai")
    assert not again.has(3072, "terratorch")
    again.add(3072, "terratorch", {"mpx_per_s": 0.4})
    assert len(again.stored["results"]) == 2


def test_results_of_another_setting_are_not_mixed_in(tmp_path: Path) -> None:
    Comparison(options(tmp_path), tmp_path).add(3072, "geoai", {"mpx_per_s": 0.5})
    with pytest.raises(SystemExit, match="Remove it"):
        Comparison(options(tmp_path, classes=6), tmp_path)
