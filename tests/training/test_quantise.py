"""Quantisation: the int8 form answers nearly as float32 does, is measured truly, and changes nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from safetensors.numpy import save_file
from typer.testing import CliRunner

import geoseg
from geoseg.cli.main import app
from geoseg.core.card import ModelCard, Quantisation
from geoseg.core.choices import Precision
from geoseg.errors import ModelError, OutputError, UsageError
from geoseg.io.weights.model_file import (
    QuantisedGraph,
    read_card,
    read_model,
    read_quantised,
    write_model,
    write_quantised,
)
from geoseg.models.bundled import resolve
from geoseg.runtimes.runtime import PROBABILITIES, Runtime
from geoseg.testing.fake_runtimes import ConstantRuntime
from geoseg.training.quantisation import parts
from geoseg.training.quantisation import quantise as module
from geoseg.training.quantisation.parts import Part, of_scenes

pytest.importorskip("nncf")
TOWN = Path(__file__).parents[2] / "sample_tiles" / "town.tif"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the town, two tiles of 512 px high, so that one half is calibrated on and the other compared."""
    path = tmp_path_factory.mktemp("scene") / "town.tif"
    with rasterio.open(TOWN) as source:
        window = rasterio.windows.Window(0, 0, 256, 1024)
        profile = source.profile | {"width": 256, "height": 1024, "transform": source.window_transform(window)}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=window))
    return path


@pytest.fixture(scope="module")
def small_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """town-unet with tiles that fit half of the scene."""
    path = tmp_path_factory.mktemp("model") / "town.safetensors"
    weights, card = read_model(resolve("town-unet")[0])
    write_model(path, weights, card.model_copy(update={"tile_px": 256, "halo_px": 0}))
    return path


@pytest.fixture(scope="module")
def quantised(scene: Path, small_tiles: Path) -> Path:
    out = small_tiles.with_name("town_int8.safetensors")
    done = CliRunner().invoke(app, ["models", "quantise", str(small_tiles), "--scene", str(scene), "--json"])
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["int8"]["agreement"] >= module.MIN_AGREEMENT
    return out


def codes(model: Path, scene: Path, out: Path, precision: Precision) -> np.ndarray:
    layers = geoseg.predict(scene, geoseg.load_model(model, precision=precision, runtime="openvino"), out=out)
    with rasterio.open(next(out.rglob("*_classes.tif"))) as raster:
        del layers
        return np.asarray(raster.read(1))


@pytest.mark.slow
def test_the_card_has_the_agreement_that_a_prediction_has(scene: Path, quantised: Path, tmp_path: Path) -> None:
    float32, int8 = (codes(quantised, scene, tmp_path / name, name) for name in ("fp32", "int8"))
    lower = (slice(512, None), slice(None))
    card = read_card(quantised)
    assert card.int8 is not None
    assert float((float32 == int8)[lower].mean()) == pytest.approx(card.int8.agreement, abs=5e-4)
    assert (float32 != int8).any()  # it is another network


def test_weights_and_runs_in_other_precisions_stay_what_they_were(small_tiles: Path, quantised: Path) -> None:
    (before, old), (after, new) = read_model(small_tiles), read_model(quantised)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert old.weights_sha256 == new.weights_sha256
    for precision in ("fp32", "bf16"):
        one, other = (load_digest(path, precision) for path in (small_tiles, quantised))
        assert one == other
    assert load_digest(quantised, "int8") != load_digest(small_tiles, "fp32")


def load_digest(path: Path, precision: Precision) -> str:
    return str(geoseg.load_model(path, precision=precision, runtime="openvino").digest())


def test_auto_takes_the_form_only_where_the_card_prefers_it(small_tiles: Path, quantised: Path, tmp_path: Path) -> None:
    assert geoseg.load_model(quantised).info.precision.startswith("int8/")
    form, card = read_quantised(quantised), read_card(quantised)
    assert form is not None
    assert card.int8 is not None
    other = tmp_path / "other.safetensors"
    write_quantised(other, small_tiles, card.int8.model_copy(update={"preferred": False}), form)
    assert not geoseg.load_model(other).info.precision.startswith("int8")
    assert geoseg.load_model(other, precision="int8").info.precision.startswith("int8/")


def test_a_temperature_fitted_later_counts_for_both_forms(quantised: Path, tmp_path: Path) -> None:
    weights, card = read_model(quantised)
    warm = tmp_path / "warm.safetensors"
    form = read_quantised(quantised)
    assert form is not None
    assert card.int8 is not None
    write_model(warm, weights, card.model_copy(update={"temperature": 3.0}))
    assert read_card(warm).int8 is None  # other weights have no quantised form
    write_quantised(warm, warm, card.int8, form)
    tile = np.random.default_rng(0).normal(size=(1, 3, 128, 128)).astype(np.float32)
    cold, hot = (
        np.asarray(geoseg.load_model(path, precision="int8").runtime.run(tile)[PROBABILITIES])
        for path in (quantised, warm)
    )
    expected = np.exp(np.log(np.maximum(cold, 1e-30)) / (3.0 / card.temperature))
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(hot, expected, atol=0.02)


def test_a_network_that_loses_too_much_is_refused(
    scene: Path, small_tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def broken(float32: object, crops: object, preset: str) -> QuantisedGraph:
        tried.append(preset)
        return QuantisedGraph(graph=b"", constants=b"")

    monkeypatch.setattr(module, "_quantised", broken)
    lost = module.Comparison(agreement=0.98, score_fp32=0.7, score_int8=0.7)
    monkeypatch.setattr(module, "compare", lambda *_: lost)
    out = tmp_path / "out.safetensors"
    data = module.QuantiseData(
        calibration=of_scenes([scene], upper=True), held_out=of_scenes([scene], upper=False), on="town"
    )
    with pytest.raises(ModelError, match="98.00% of the pixels keep their class"):
        module.quantise_file(small_tiles, data, out)
    assert tried == ["performance", "mixed"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("agreement", "before", "after", "passed"),
    [(0.995, 0.8, 0.796, True), (0.995, 0.8, 0.794, False), (0.989, 0.8, 0.8, False), (0.99, np.nan, np.nan, True)],
)
def test_limits_of_agreement_and_score(agreement: float, before: float, after: float, *, passed: bool) -> None:
    compared = module.Comparison(agreement=agreement, score_fp32=before, score_int8=after)
    assert compared.passed is passed


def test_ranges_are_taken_from_a_bounded_sample_of_all_tiles(small_tiles: Path) -> None:
    def many(runtime: Runtime, _: ModelCard) -> Iterator[Part]:
        for number in range(2000):
            runtime.run(np.full((1, 3, 2, 2), number, np.float32))
        yield from ()

    kept = [int(tile[0, 0, 0, 0]) for tile in module._crops(many, read_card(small_tiles))]
    assert len(set(kept)) == module.CALIBRATION_TILES
    assert 700 < np.mean(kept) < 1300  # of 48 uniform numbers: 1000, give or take 83
    assert [int(tile[0, 0, 0, 0]) for tile in module._crops(many, read_card(small_tiles))] == kept


def test_a_large_scene_gives_a_bounded_number_of_tiles(
    scene: Path, small_tiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = read_card(small_tiles).model_copy(update={"tile_px": 64, "halo_px": 0})
    runtime = ConstantRuntime((1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    halves = [
        sum(part.valid.size for part in of_scenes([scene], upper=upper)(runtime, card)) for upper in (True, False)
    ]
    assert halves == [256 * 512, 256 * 512]  # 32 tiles each
    monkeypatch.setattr(parts, "MOST_BLOCKS", 5)
    assert sum(part.valid.size for part in of_scenes([scene], upper=True)(runtime, card)) == 5 * 64 * 64


def test_a_form_of_other_content_than_the_card_says_is_refused(quantised: Path, tmp_path: Path) -> None:
    card, form = read_card(quantised), read_quantised(quantised)
    assert card.int8 is not None
    assert form is not None
    changed = tmp_path / "changed.safetensors"
    write_quantised(changed, quantised, card.int8, QuantisedGraph(graph=form.graph + b" ", constants=form.constants))
    with pytest.raises(ModelError, match="hash mismatch"):
        geoseg.load_model(changed, precision="int8")


def test_tiles_that_the_form_does_not_take_are_refused_with_a_size_that_it_takes(quantised: Path) -> None:
    runtime = geoseg.load_model(quantised, precision="int8").runtime
    with pytest.raises(ModelError, match="multiple of 32"):
        runtime.run(np.zeros((1, 3, 100, 100), np.float32))
    assert runtime.run(np.zeros((1, 3, 96, 128), np.float32))[PROBABILITIES].shape == (1, 6, 96, 128)


def test_a_form_that_the_card_describes_and_the_file_lacks_is_refused(small_tiles: Path, tmp_path: Path) -> None:
    weights, card = read_model(small_tiles)
    int8 = Quantisation(on="town", agreement=1.0, sha256="0" * 64)
    told = card.model_copy(update={"int8": int8})
    bare = tmp_path / "bare.safetensors"
    save_file(weights, bare, metadata={"geoseg_card": told.model_copy(update={"weights_sha256": ""}).model_dump_json()})
    with pytest.raises(ModelError, match="the file has none"):
        geoseg.load_model(bare, runtime="openvino")
    assert geoseg.load_model(bare, runtime="openvino", precision="fp32").info.precision == "fp32"


def test_a_model_without_the_form_and_other_runtimes_are_refused(small_tiles: Path, quantised: Path) -> None:
    with pytest.raises(UsageError, match="no int8 form"):
        geoseg.load_model(small_tiles, precision="int8", runtime="openvino")
    with pytest.raises(UsageError, match="torch computes in floats"):
        geoseg.load_model(quantised, precision="int8", runtime="torch")


def test_the_command_writes_beside_the_model_and_replaces_nothing(quantised: Path, scene: Path) -> None:
    again = CliRunner().invoke(
        app, ["models", "quantise", str(quantised), "--scene", str(scene), "--out", str(quantised)]
    )
    assert isinstance(again.exception, UsageError | OutputError)
    bundled = CliRunner().invoke(app, ["models", "quantise", "town-unet", "--scene", str(scene)])
    assert isinstance(bundled.exception, UsageError)
    neither = CliRunner().invoke(
        app, ["models", "quantise", str(quantised), "--out", str(quantised.with_name("x.safetensors"))]
    )
    assert isinstance(neither.exception, UsageError)
