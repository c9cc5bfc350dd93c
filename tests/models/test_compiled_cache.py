"""Compiled networks: the second process needs no torch, and gives the same answers; a damaged file is made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteScene
from typer.testing import CliRunner

from geoseg.cli.main import app
from geoseg.models.model import load_model
from geoseg.runtimes.compiled_cache import CompiledCache, cache_folder, clear, kept_bytes

SCRIPT = """
import sys
import numpy as np
from geoseg.models.model import load_model
model = load_model(sys.argv[1], device="cpu", runtime="openvino")
tiles = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
np.save(sys.argv[2], model.runtime.run(tiles)["probabilities"])
print("torch" in sys.modules, "numba" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOSEG_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def answer(model: Path, folder: Path, name: str) -> tuple[np.ndarray, str]:
    path = folder.parent.parent / f"{name}.npy"
    done = subprocess.run([sys.executable, "-c", SCRIPT, model, path], check=True, capture_output=True, text=True)
    return np.load(path), done.stdout.strip()


@pytest.mark.slow
def test_the_second_process_needs_no_torch_and_gives_the_same_answer(tiny_model: Path, folder: Path) -> None:
    first, loaded = answer(tiny_model, folder, "first")
    assert loaded == "True False"
    second, loaded = answer(tiny_model, folder, "second")
    assert loaded == "False False"
    np.testing.assert_array_equal(first, second)
    # without a cache: the same answer
    os.environ["GEOSEG_CACHE_DIR"] = ""
    fresh, _ = answer(tiny_model, folder, "fresh")
    np.testing.assert_array_equal(first, fresh)


COMMAND = """
import sys
from geoseg.cli.main import app
app(sys.argv[1:], standalone_mode=False)
print("torch" in sys.modules)
"""


def test_a_warm_prediction_loads_no_torch(tiny_model: Path, folder: Path, write_scene: WriteScene) -> None:
    loaded = []
    for name in ("cold", "warm"):
        out = folder.parent.parent / name
        command = [sys.executable, "-c", COMMAND, "predict", write_scene(), "--model", tiny_model, "--out", out]
        done = subprocess.run(
            [*command, "--runtime", "openvino", "--device", "cpu"], check=True, capture_output=True, text=True
        )
        loaded.append(done.stdout.split()[-1])
    assert loaded == ["True", "False"]


def test_the_doctor_empties_the_cache(tiny_model: Path, folder: Path) -> None:
    load_model(tiny_model, device="cpu", runtime="openvino").runtime.run(np.zeros((1, 3, 64, 64), np.float32))
    assert kept_bytes(folder) > 0
    done = CliRunner().invoke(app, ["doctor", "--clear-cache"])
    assert done.exit_code == 0
    assert "removed" in done.output
    assert kept_bytes(folder) == 0


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_a_damaged_form_is_compiled_again(tiny_model: Path, folder: Path, damage: str) -> None:
    tiles = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    first = load_model(tiny_model, device="cpu", runtime="openvino").runtime.run(tiles)["probabilities"]
    (form,) = folder.rglob("*.compiled")
    whole = form.read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    if damage == "gone":
        form.unlink()
    else:
        form.write_bytes({"flipped": flipped, "cut": whole[:-100], "empty": b""}[damage])
    again = load_model(tiny_model, device="cpu", runtime="openvino").runtime.run(tiles)["probabilities"]
    np.testing.assert_array_equal(first, again)
    assert form.read_bytes()[32:] == whole[32:] or len(form.read_bytes()) > 1000


def test_another_size_precision_or_network_is_another_form(tiny_model: Path, folder: Path) -> None:
    for side, precision in ((64, "fp32"), (96, "fp32"), (64, "bf16")):
        model = load_model(tiny_model, device="cpu", runtime="openvino", precision=precision)  # type: ignore[arg-type]
        model.runtime.run(np.zeros((1, 3, side, side), np.float32))
    assert len(list(folder.rglob("*.compiled"))) == 3
    assert len(list(folder.iterdir())) == 1, "one network"


def test_a_folder_that_cannot_be_written_is_no_error(tiny_model: Path, folder: Path) -> None:
    folder.parent.write_text("a file where the folder would be")
    model = load_model(tiny_model, device="cpu", runtime="openvino")
    assert model.runtime.run(np.zeros((1, 3, 64, 64), np.float32))["probabilities"].shape == (1, 3, 64, 64)


def test_what_was_used_longest_ago_goes_first(folder: Path) -> None:
    cache = CompiledCache(folder, "network", limit_bytes=3500)
    assert not cache.filled
    for number, form in enumerate("abc"):
        cache.write(form, bytes([number]) * 1000)
        path = max(folder.rglob("*.compiled"), key=lambda file: file.stat().st_mtime_ns)
        os.utime(path, ns=(number * 10**9, number * 10**9))
    assert cache.read("a") == bytes([0]) * 1000  # now b is the oldest
    cache.write("d", b"d" * 1000)
    assert cache.read("b") is None
    assert [cache.read(form) is not None for form in "acd"] == [True] * 3
    assert kept_bytes(folder) <= 3500
    clear(folder)
    assert kept_bytes(folder) == 0
    assert not cache.filled


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEOSEG_CACHE_DIR", "")
    assert cache_folder() is None
    monkeypatch.delenv("GEOSEG_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert sys.platform != "linux" or cache_folder() == tmp_path / "geoseg" / "compiled"
