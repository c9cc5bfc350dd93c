"""Scenes that are read beyond their edges from their neighbours: the map of a cut scene is that of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine
from conftest import WriteModel, WriteScene, blobs

from geoseg.core.spec import PredictSpec
from geoseg.core.window import Window
from geoseg.errors import OutputError
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.models.model import Model, load_model
from geoseg.run.predict import Layers, predict

SIDE, TILE, HALO = 160, 64, 8
ALIGNED = HALO + 2 * (TILE - 2 * HALO)  # a border of cores: the scenes' tiles lie where those of the mosaic do
SPEC = PredictSpec(tile_px=TILE, halo_px=HALO, block_px=64, min_area_m2=0)


def cut(
    write_scene: WriteScene, values: npt.NDArray[Any], parts: dict[str, tuple[slice, slice]], **profile: Any
) -> dict[str, Path]:
    """Write windows of one image as scenes of their own, on its grid."""
    paths = {}
    for name, (rows, cols) in parts.items():
        grid = Affine(0.5, 0, 500000 + 0.5 * cols.start, 0, -0.5, 5400000 - 0.5 * rows.start)
        paths[name] = write_scene(values[:, rows, cols], name=f"{name}.tif", **({"transform": grid} | profile))
    return paths


def quarters(at: int, side: int = SIDE, overlap: int = 0) -> dict[str, tuple[slice, slice]]:
    first, last = slice(0, at + overlap), slice(at - overlap, side)
    return {"nw": (first, first), "ne": (first, last), "sw": (last, first), "se": (last, last)}


def model_of(path: Path) -> Model:
    return load_model(str(path), device="cpu", runtime="torch", precision="fp32")


def planes(layers: Layers) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    with rasterio.open(layers.bundle.classes) as codes, rasterio.open(layers.bundle.confidence) as confidence:
        return codes.read(1), confidence.read(1)


def segment(
    path: Path,
    model: Model,
    out: Path,
    neighbours: list[Path],
    spec: PredictSpec = SPEC,
) -> Layers:
    with open_scene(path, neighbours=tuple(map(str, neighbours))) as scene:
        return predict(scene, model, out, spec=spec, overwrite=True)


def others(paths: dict[str, Path], name: str) -> list[Path]:
    return [path for other, path in paths.items() if other != name]


def test_a_scene_cut_in_four_has_the_map_of_the_whole_to_the_bit(
    write_tiny: WriteModel, write_scene: WriteScene, tmp_path: Path
) -> None:
    """The halo is smaller than what the network sees, so that it shows where a tile lies."""
    values, model = blobs((SIDE, SIDE), seed=3), model_of(write_tiny(5))
    codes, confidence = planes(segment(write_scene(values, name="whole.tif"), model, tmp_path / "whole", []))
    paths = cut(write_scene, values, quarters(ALIGNED))
    alone = 0
    for name, window in quarters(ALIGNED).items():
        own, sure = planes(segment(paths[name], model, tmp_path / "alone", []))
        alone += np.count_nonzero(own != codes[window])
        own, sure = planes(segment(paths[name], model, tmp_path / "out", others(paths, name)))
        np.testing.assert_array_equal(own, codes[window])
        np.testing.assert_array_equal(sure, confidence[window])
    assert alone > 0.002 * codes.size, "alone they differ along the borders, or this test would show nothing"


WIDE = SPEC.model_copy(update={"tile_px": 128, "halo_px": 44})
"""A halo as wide as what the network sees, twice: with ``taper`` half of it is context."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "overlap"),
    [
        pytest.param({}, 0, id="core"),
        pytest.param({}, 4, id="overlap", marks=pytest.mark.slow),
        pytest.param({"blend": "taper"}, 0, id="taper", marks=pytest.mark.slow),
        pytest.param({"crf": "3,4,20"}, 0, id="crf", marks=pytest.mark.slow),
    ],
)
def test_tiles_in_the_phase_of_the_network_give_the_map_of_the_whole(
    write_tiny: WriteModel, write_scene: WriteScene, tmp_path: Path, changes: dict[str, Any], overlap: int
) -> None:
    values, model = blobs((208, 208), seed=3), model_of(write_tiny(5))
    spec = PredictSpec.model_validate(WIDE.model_dump() | changes)
    codes, _ = planes(segment(write_scene(values, name="whole.tif"), model, tmp_path / "whole", [], spec))
    windows = quarters(112, side=208, overlap=overlap)  # of the network's stride, whose phase counts
    paths = cut(write_scene, values, windows)
    differ = alone = 0
    for name, window in windows.items():
        made = segment(paths[name], model, tmp_path / "out", others(paths, name), spec)
        differ += np.count_nonzero(planes(made)[0] != codes[window])
        alone += np.count_nonzero(planes(segment(paths[name], model, tmp_path / "alone", [], spec))[0] != codes[window])
    assert alone > 0
    if changes:  # a CRF is solved block by block, and nothing fades over the border of two scenes
        assert differ < alone / 2, (differ, alone)
    else:
        assert differ <= 0.0001 * codes.size, (differ, alone)


def test_a_damaged_neighbour_is_left_out_and_the_next_takes_its_place(
    write_tiny: WriteModel, write_scene: WriteScene, tmp_path: Path
) -> None:
    values, model = blobs((SIDE, SIDE), seed=3), model_of(write_tiny(5))
    paths = cut(
        write_scene, values, {"west": (slice(0, SIDE), slice(0, 104)), "east": (slice(0, SIDE), slice(104, SIDE))}
    )
    copy = write_scene(values[:, :, 104:], name="copy.tif", transform=rasterio.open(paths["east"]).transform)
    whole = segment(paths["west"], model, tmp_path / "one", [paths["east"]])
    alone = segment(paths["west"], model, tmp_path / "alone", [])
    paths["east"].write_bytes(paths["east"].read_bytes()[:3000])
    broken = segment(paths["west"], model, tmp_path / "two", [paths["east"]])
    record = broken.record["neighbours"]
    assert record["used"] == []
    assert str(paths["east"]) in record["left_out"]
    assert any("without a neighbour" in note for note in broken.record["notes"])
    assert broken.bundle.classes.read_bytes() == alone.bundle.classes.read_bytes()
    assert broken.record["identity"] == alone.record["identity"]
    other = segment(paths["west"], model, tmp_path / "three", [paths["east"], copy])
    assert other.record["neighbours"]["used"] == [str(copy)]
    assert other.bundle.classes.read_bytes() == whole.bundle.classes.read_bytes()
    assert other.record["identity"] == whole.record["identity"], "equal pixels, whoever has them"


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("fault", ["crs", "pixel", "shift", "bands", "dtype", "apart"])
def test_a_scene_on_another_grid_or_with_other_bands_is_no_neighbour(
    write_tiny: WriteModel, write_scene: WriteScene, tmp_path: Path, fault: str
) -> None:
    values, model = blobs((100, 100)), model_of(write_tiny(5))
    east: dict[str, Any] = {"transform": Affine(0.5, 0, 500050, 0, -0.5, 5400000)}
    changes: dict[str, dict[str, Any]] = {
        "crs": {"crs": "EPSG:32633"},
        "pixel": {"transform": Affine(0.5002, 0, 500050, 0, -0.5, 5400000)},
        "shift": {"transform": Affine(0.5, 0, 500050.01, 0, -0.5, 5400000)},
        "apart": {"transform": Affine(0.5, 0, 500060, 0, -0.5, 5400000)},
    }
    pixels = {"bands": blobs((100, 100), bands=2), "dtype": values.astype(np.uint16)}.get(fault, values)
    other = write_scene(pixels, name="other.tif", **(east | changes.get(fault, {})))
    made = segment(write_scene(values, name="own.tif"), model, tmp_path / "out", [other])
    alone = segment(tmp_path / "scenes" / "own.tif", model, tmp_path / "alone", [])
    assert made.record["neighbours"]["used"] == []
    assert bool(made.record["neighbours"]["left_out"]) == (fault != "apart")
    assert made.bundle.classes.read_bytes() == alone.bundle.classes.read_bytes()


def test_only_the_halo_of_a_neighbour_is_read(
    write_tiny: WriteModel, write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, model = blobs((SIDE, SIDE), seed=3), model_of(write_tiny(5))
    paths = cut(write_scene, values, quarters(ALIGNED), tiled=True, blockxsize=16, blockysize=16)
    reads: dict[str, list[Any]] = {}
    read = Scene.read

    def counted(scene: Scene, window: Window, bands: Any = None) -> Any:
        reads.setdefault(Path(scene.uri).stem, []).append(window)
        return read(scene, window, bands)

    monkeypatch.setattr(Scene, "read", counted)
    segment(paths["nw"], model, tmp_path / "out", others(paths, "nw"))
    assert {name: _hull(windows) for name, windows in reads.items() if name != "nw"} == {
        "ne": Window(0, ALIGNED, 0, HALO),
        "sw": Window(0, HALO, 0, ALIGNED),
        "se": Window(0, HALO, 0, HALO),
    }


def _hull(windows: list[Window]) -> Window:
    hull = windows[0]
    for window in windows:
        hull = hull.union(window)
    return hull


def test_a_changed_neighbour_makes_another_run_of_it(
    write_tiny: WriteModel, write_scene: WriteScene, tmp_path: Path
) -> None:
    values, model = blobs((SIDE, SIDE), seed=3), model_of(write_tiny(5))
    halves = {"west": (slice(0, SIDE), slice(0, 104)), "east": (slice(0, SIDE), slice(104, SIDE))}
    paths = cut(write_scene, values, halves)
    with open_scene(paths["west"], neighbours=(str(paths["east"]),)) as scene:
        first = predict(scene, model, tmp_path / "out", spec=SPEC)
        assert not predict(scene, model, tmp_path / "out", spec=SPEC).fresh
        far = values.copy()
        far[:, :, 104 + 2 * HALO :] = 7
        cut(write_scene, far, {"east": halves["east"]})
        assert first.fresh
    with open_scene(paths["west"], neighbours=(str(paths["east"]),)) as scene:
        assert not predict(scene, model, tmp_path / "out", spec=SPEC).fresh, "what changed is beyond the halo"
    cut(write_scene, 255 - far, {"east": halves["east"]})
    with open_scene(paths["west"], neighbours=(str(paths["east"]),)) as scene:
        with pytest.raises(OutputError, match="other pixels of neighbouring scenes"):
            predict(scene, model, tmp_path / "out", spec=SPEC)
        assert predict(scene, model, tmp_path / "out", spec=SPEC, overwrite=True).fresh
