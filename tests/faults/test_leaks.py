"""A process that makes map after map keeps its memory, descriptors, threads and temporary files as they are."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import pytest
from conftest import blobs
from fork_server import command
from small_runs import OPTIONS, raster

GROWTH_BYTES = 60_000_000
"""Less than what 60 kB kept of each of a thousand scenes would add up to: one of its layers, or its record."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds: bytes of memory, open descriptors, threads, and names in its folder of temporary files."""

    memory: int
    descriptors: int
    threads: int
    files: int

    @classmethod
    def now(cls, scratch: Path) -> Self:
        """Measure this process."""
        gc.collect()
        process = psutil.Process()
        held = process.memory_info().rss, process.num_fds(), process.num_threads()
        return cls(*held, sum(1 for _ in scratch.rglob("*")))


def flat(act: Callable[[int], object], rounds: int, scratch: Path) -> None:
    """Repeat something; from the tenth part of the rounds on nothing may grow."""
    before = Held.now(scratch)
    for number in range(rounds):
        act(number)
        if number == rounds // 10:
            before = Held.now(scratch)
        if number % (rounds // 10) == 0:
            print(number, Held.now(scratch), flush=True)  # noqa: T201 - figures for the page
    after = Held.now(scratch)
    print(f"{rounds} rounds: {before} to {after}")  # noqa: T201
    assert after.memory - before.memory < GROWTH_BYTES * rounds // 1000
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads
    assert after.files == 0


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of Python and of libraries."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name in ("TMPDIR", "CPL_TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(folder))
    return folder


def scenes(folder: Path, model: Path) -> Callable[[int], object]:
    """Predict a scene of seven in turn, with its polygons, and remove the output."""

    def act(number: int) -> None:
        scene = raster(folder / "scene.tif", blobs((60, 70), seed=number % 7))
        assert command(["predict", str(scene), "--model", str(model), "--out", str(folder / "out"), *OPTIONS]) == 0
        assert len(os.listdir(folder / "out" / "scene")) > 5  # noqa: PTH208 - names are enough
        shutil.rmtree(folder / "out")

    return act


def rounds_of_an_archive(folder: Path, model: Path) -> Callable[[int], object]:
    """Change one scene of three and run their archive again."""
    (folder / "source").mkdir()
    config = folder / "archive.yaml"
    place = f"source: {folder / 'source'}\nmodel: {model}\nout: {folder / 'out'}\n"
    config.write_text(
        place + "workers: 0\ndevice: cpu\nruntime: torch\npredict: {block_px: 64, tile_px: 64, halo_px: 8}\n"
    )

    def act(number: int) -> None:
        raster(folder / "source" / f"area{number % 3}.tif", blobs((60, 70), seed=number))
        assert command(["archive", "run", str(config), "--quiet"]) == 0

    return act


@pytest.mark.slow
def test_a_thousand_scenes_leave_a_process_as_it_was(tiny_model: Path, scratch: Path, tmp_path: Path) -> None:
    flat(scenes(tmp_path, tiny_model), 1000, scratch)


@pytest.mark.slow
def test_two_hundred_rounds_of_an_archive_leave_a_process_as_it_was(
    tiny_model: Path, scratch: Path, tmp_path: Path
) -> None:
    flat(rounds_of_an_archive(tmp_path, tiny_model), 200, scratch)
