"""Several tiles are computed at a time: the same bytes as one by one, without compiling more than is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geoseg.models.model import load_model
from geoseg.runtimes import openvino_runtime
from geoseg.runtimes.openvino_runtime import MAX_STREAMS, OpenvinoRuntime


def tiles(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 3, side, side)).astype(np.float32)


def runtime_of(model: Path, precision: str = "fp32", threads: int | None = 2) -> OpenvinoRuntime:
    loaded = load_model(model, device="cpu", runtime="openvino", precision=precision, threads=threads)  # type: ignore[arg-type]
    assert isinstance(loaded.runtime, OpenvinoRuntime)
    return loaded.runtime


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str | int]]:
    """Record the settings of each compilation."""
    found: list[dict[str, str | int]] = []
    original = OpenvinoRuntime._compile

    def counted(self: OpenvinoRuntime, shape: tuple[int, ...], metadata: dict[str, str | int]) -> object:
        found.append(metadata)
        return original(self, shape, metadata)

    monkeypatch.setattr(OpenvinoRuntime, "_compile", counted)
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tiles_at_a_time_give_the_bytes_of_each_alone(tiny_model: Path, precision: str) -> None:
    many, alone = runtime_of(tiny_model, precision), runtime_of(tiny_model, precision, threads=1)
    assert (many.batch, alone.batch) == (2, 1)
    source = tiles(5, side=96)
    together = many.run(source)["probabilities"]
    single = runtime_of(tiny_model, precision)
    for index in range(5):
        np.testing.assert_array_equal(together[index], alone.run(source[index : index + 1])["probabilities"][0])
        np.testing.assert_array_equal(together[index], single.run(source[index : index + 1])["probabilities"][0])


def test_a_scene_of_one_tile_and_one_of_many_compile_once_each(
    tiny_model: Path, compiled: list[dict[str, str | int]]
) -> None:
    one = runtime_of(tiny_model)
    one.run(tiles(1))
    one.run(tiles(1))
    assert [metadata["PERFORMANCE_HINT"] for metadata in compiled] == ["LATENCY"]
    compiled.clear()
    many = runtime_of(tiny_model)
    for count in (2, 1, 2, 3):  # the last tile of a block is no reason to compile again
        many.run(tiles(count))
    assert [metadata["PERFORMANCE_HINT"] for metadata in compiled] == ["THROUGHPUT"]


def test_large_tiles_are_computed_one_at_a_time(
    tiny_model: Path, compiled: list[dict[str, str | int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "STREAM_TILE_PX", 64 * 64 - 1)
    runtime_of(tiny_model).run(tiles(2))
    assert [metadata["PERFORMANCE_HINT"] for metadata in compiled] == ["LATENCY"]


def test_streams_are_bounded(tiny_model: Path) -> None:
    assert runtime_of(tiny_model, threads=64).batch == MAX_STREAMS
