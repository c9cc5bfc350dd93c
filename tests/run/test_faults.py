"""Broken input and full disks: one line that says why, the right exit code, nothing half-written."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import blobs

from geoseg.core.spec import PredictSpec
from geoseg.errors import WriteError
from geoseg.models.model import load_model
from geoseg.run.predict import predict
from geoseg.run.report import Silence


def run(*arguments: str | Path, file_limit_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, files limited in size if asked: a disk that fills up, without root."""

    def limit() -> None:
        if file_limit_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit_bytes, file_limit_bytes))

    command = [sys.executable, "-m", "geoseg.cli.main", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=120)


@pytest.fixture
def options(tiny_model: Path, tmp_path: Path) -> list[str]:
    where = ["--model", str(tiny_model), "--out", str(tmp_path / "out")]
    return [*where, "--runtime", "torch", "--device", "cpu", "--quiet"]


def left_behind(out: Path) -> list[str]:
    """What stands in the output folder, but for the blocks a later run goes on with."""
    return sorted(p.name for p in out.iterdir() if p.name != ".scene.blocks") if out.exists() else []


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("damage", ["second half missing", "a torn tile"])
def test_damaged_pixels_stop_the_run_with_file_and_place(
    damage: str, write_scene: Any, options: list[str], tmp_path: Path
) -> None:
    # LZW knows when its codes are nonsense; libtiff does not check the sums of deflate and zstd
    path = write_scene(blobs((400, 400)), compress="lzw", tiled=True, blockxsize=128, blockysize=128)
    content = bytearray(path.read_bytes())
    if damage == "second half missing":
        content = content[: len(content) // 2]
    else:
        middle = len(content) // 2
        content[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    done = run(path, *options)
    assert done.returncode == 3, done.stderr
    assert "scene.tif" in done.stderr
    assert "Traceback" not in done.stderr
    assert left_behind(tmp_path / "out") == []


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(
    write_scene: Any, options: list[str], tmp_path: Path
) -> None:
    scene = write_scene(blobs((500, 500)))
    limited = run(scene, *options, file_limit_bytes=30_000)
    assert limited.returncode == 5, limited.stderr
    assert "Traceback" not in limited.stderr
    assert set(left_behind(tmp_path / "out")) <= {".scene.building"}
    whole = run(scene, *options)
    assert whole.returncode == 0, whole.stderr
    assert left_behind(tmp_path / "out") == ["scene"]
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.parametrize("name", ["a b.tif", "ünï 漢.tif", "-dash.tif", "100%.tif", "x" * 240 + ".tif", "a'b&c#d.tif"])
def test_odd_names_work(name: str, write_scene: Any, tiny_model: Path, tmp_path: Path) -> None:
    from geoseg.run.predict import predict

    plain = write_scene(blobs((40, 40)))
    path = plain.with_name(name)
    shutil.copy(plain, path)
    layers = predict(path, tiny_model, tmp_path / "out")
    assert layers.bundle.segments.exists()
    assert layers.bundle.project.exists()


def test_an_output_in_the_scene_s_own_folder_is_fine(write_scene: Any, tiny_model: Path) -> None:
    from geoseg.run.predict import predict

    path = write_scene(blobs((40, 40)))
    assert predict(path, tiny_model, path.parent).bundle.directory == path.parent / "scene"
    assert path.exists()


def test_a_folder_that_is_removed_during_a_run_is_named_and_not_called_full(
    write_scene: Any, tiny_model: Path, tmp_path: Path
) -> None:
    class Removing(Silence):
        def advance(self, pixels: int) -> None:
            shutil.rmtree(tmp_path / "out", ignore_errors=True)

    model = load_model(tiny_model, device="cpu", runtime="torch")
    with pytest.raises(WriteError, match=r"its folder was removed during the run\)\. Run again\.$"):
        predict(write_scene(), model, tmp_path / "out", spec=PredictSpec(block_px=64), reporter=Removing())
    assert left_behind(tmp_path / "out") == []
