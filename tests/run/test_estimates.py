"""What a plan says of memory and disk holds: no run takes more, and none is refused for many times what it takes."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WriteScene, blobs, tiny_card
from scipy import ndimage

from geoseg.core.spec import PredictSpec
from geoseg.errors import ResourceError
from geoseg.io.files.drivers import READ_CACHE_BYTES
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import Model, ModelSource
from geoseg.run.plan import RunPlan
from geoseg.run.predict import predict
from geoseg.run.stages import plan_of
from geoseg.runtimes.runtime import PROBABILITIES, Answer, RuntimeInfo

CARD = tiny_card(tile_px=128, halo_px=16)


class BandsAsClasses:
    """Probabilities are the bands, of which there are as many as classes: maps as busy as the image."""

    info = RuntimeInfo(name="bands", device="cpu", precision="fp32", version="1")
    batch = 1

    def run(self, tiles: np.ndarray[Any, np.dtype[np.float32]]) -> Answer:
        powers = np.exp(tiles)
        return {PROBABILITIES: powers / powers.sum(axis=1, keepdims=True)}


def model() -> Model:
    return Model(CARD, ModelSource(name_or_path="bands"), info=BandsAsClasses.info, runtime=BandsAsClasses())


def planned(path: Path, spec: PredictSpec) -> RunPlan:
    with open_scene(path) as scene:
        return plan_of(scene, model(), spec)


@contextmanager
def most_on_disk(folder: Path) -> Iterator[list[int]]:
    """Watch a folder; the list holds the most bytes that its files had together."""
    most, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.003):
            total = 0
            for parent, _, names in os.walk(folder):  # passes over folders that are removed meanwhile
                for name in names:
                    with suppress(FileNotFoundError):
                        total += (Path(parent) / name).stat().st_size
            most[0] = max(most[0], total)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "all layers": {"uncertainty": True, "probabilities": True},
    "no polygons": {"vector": False, "confidence": False},
}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("options", OPTIONS)
def test_no_run_takes_more_disk_than_its_plan_says(write_scene: WriteScene, tmp_path: Path, options: str) -> None:
    spec = PredictSpec(block_px=512, **OPTIONS[options])
    pixels = blobs((1100, 1300)) if not spec.vector else ndimage.zoom(blobs((138, 163)), (1, 8, 8), order=1)
    scene = write_scene(pixels)
    out = tmp_path / "out"
    out.mkdir()
    with most_on_disk(out) as most:
        predict(scene, model(), out, spec=spec)
    estimate = planned(scene, spec).disk_bytes()
    assert most[0] <= estimate
    assert estimate < 4 * most[0], "so much is not needed"


def test_too_little_room_is_refused_before_anything_is_predicted(
    write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("a tile was predicted")

    scene, spec = write_scene(blobs((300, 300))), PredictSpec()
    need = planned(scene, spec).disk_bytes()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=need - 1))
    monkeypatch.setattr(BandsAsClasses, "run", never)
    with pytest.raises(ResourceError, match=r"MB are needed, .* MB are free") as caught:
        predict(scene, model(), tmp_path / "out", spec=spec)
    assert caught.value.exit_code == 5
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_clock_that_is_set_back_makes_no_negative_duration(
    write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, spec, ticks = write_scene(blobs((150, 150))), PredictSpec(block_px=64), itertools.count()
    usual = predict(scene, model(), tmp_path / "usual", spec=spec)
    monkeypatch.setattr(time, "time", lambda: 2e9 - 3600 * next(ticks))
    monkeypatch.setattr(time, "time_ns", lambda: 2 * 10**18 - 3600 * 10**9 * next(ticks))
    odd = predict(scene, model(), tmp_path / "odd", spec=spec)

    def numbers(found: Any) -> Iterator[float]:
        if isinstance(found, dict):
            for value in found.values():
                yield from numbers(value)
        elif isinstance(found, int | float):
            yield found

    durations = list(numbers(odd.record["timings"]))
    assert durations
    assert min(durations) >= 0
    assert odd.record["pixels_per_s"] >= 0
    name = f"{scene.stem}_classes.tif"
    assert (odd.bundle.directory / name).read_bytes() == (usual.bundle.directory / name).read_bytes()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tta": "flip"},
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in ({"blend": "taper"}, {"probabilities": True}, {"gsd_m": 0.7}, {"tta_scales": (0.75, 1.25)})
        ),
    ],
    ids=str,
)
def test_no_block_takes_more_memory_than_the_plan_says(
    write_scene: WriteScene, tmp_path: Path, options: dict[str, Any]
) -> None:
    spec = PredictSpec(block_px=512, vector=False, **options)
    scene = write_scene(blobs((1000, 1000)))
    predict(scene, model(), tmp_path / "first", spec=spec)  # imports and caches
    tracemalloc.start()
    try:
        predict(scene, model(), tmp_path / "out", spec=spec)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    estimate = planned(scene, spec).memory_bytes(CARD)
    assert peak <= estimate
    assert estimate - READ_CACHE_BYTES < 6 * peak, "so much is not needed"
