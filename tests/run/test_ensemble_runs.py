"""A run of several networks, scales and views leaves what a run of one leaves, and how uncertain it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
from conftest import LEGEND, blobs
from scipy import stats
from test_bundle_contract import CHECK
from test_resume import contents

import geoseg
from geoseg.core.card import CardBand, GsdRange
from geoseg.core.spec import PredictSpec
from geoseg.errors import MatchError, OutputError
from geoseg.models.model import ModelSource, load
from geoseg.run.predict import predict

SPEC = PredictSpec(block_px=128, tta_scales=(1, 0.75), uncertainty=True, probabilities=True)
MORE = ("entropy", "mutual_information", "probability_0", "probability_1", "probability_5")


def source(*paths: Path) -> ModelSource:
    first, *others = map(str, paths)
    return ModelSource(name_or_path=first, others=tuple(others), device="cpu", runtime="torch", precision="fp32")


@pytest.fixture
def pair(write_tiny: Any) -> tuple[Path, Path]:
    """Two networks that differ in bands, pixel sizes, tile and halo."""
    bands = tuple(CardBand(name=name, mean=0.4) for name in ("blue", "red"))
    other = write_tiny(2, bands=bands, gsd_m=GsdRange(min=0.8, max=1.0), tile_px=64, halo_px=8)
    return write_tiny(1), other


def layers_of(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for path in folder.glob("scene_*.tif"):
        with rasterio.open(path) as file:
            found[path.stem.removeprefix("scene_")] = file.read(1)
    return found


def test_every_layer_is_there_told_of_and_holds_what_it_says(
    pair: tuple[Path, Path], write_scene: Any, tmp_path: Path
) -> None:
    values = blobs((230, 260))
    values[:, 40:90, 100:180] = 0
    scene = write_scene(values, nodata=0)
    spec = SPEC.model_copy(update={"tta": "flip"})
    bundle = predict(scene, load(source(*pair)), tmp_path / "out", spec=spec).bundle
    found = layers_of(bundle.directory)
    assert set(found) == {"classes", "confidence", *MORE}
    valid = values.any(axis=0)
    for name, layer in found.items():
        np.testing.assert_array_equal(layer == 255, ~valid, err_msg=name)
        assert name == "classes" or (layer[valid] <= 100).all()
    probable = np.stack([found[f"probability_{code}"] for code in LEGEND.codes])[:, valid]
    np.testing.assert_array_equal(probable.max(axis=0), found["confidence"][valid])
    clear = np.diff(np.sort(probable, axis=0)[-2:], axis=0)[0] > 1
    chosen = np.array(LEGEND.codes)[probable.argmax(axis=0)]
    np.testing.assert_array_equal(found["classes"][valid][clear], chosen[clear])
    # percentages are rounded, and entropy is steep where a probability is near zero
    spread = stats.entropy(np.maximum(probable, 0.2), base=3, axis=0) * 100
    np.testing.assert_allclose(found["entropy"][valid], spread, atol=4)
    assert (found["mutual_information"][valid] <= found["entropy"][valid]).all()
    assert found["mutual_information"][valid].max() > 1
    with rasterio.open(bundle.by_role()["entropy"]) as layer:
        assert layer.descriptions == ("entropy",)
        assert layer.units == ("%",)
    assert bundle.by_role()["entropy"].with_suffix(".qml").exists()
    if CHECK.exists():
        command = [sys.executable, str(CHECK), str(bundle.directory), str(scene), "--exact"]
        checked = subprocess.run(command, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr[-500:]


def test_the_record_the_item_and_the_project_name_members_and_layers(
    pair: tuple[Path, Path], write_scene: Any, tmp_path: Path
) -> None:
    model = load(source(*pair))
    layers = predict(write_scene(), model, tmp_path / "out", spec=SPEC)
    members = layers.record["model"]["members"]
    assert [member["weights_sha256"] for member in members] == [m.card.weights_sha256 for m in model.members]
    assert [member["share"] for member in members] == [0.5, 0.5]
    assert layers.record["model"]["weights_sha256"] == model.card.weights_sha256
    passes = {(one["model"], one["scale"]): one for one in layers.record["passes"]}
    assert set(passes) == {(name, scale) for name in ("tiny-1", "tiny-2") for scale in (0.75, 1.0)}
    assert passes["tiny-1", 1.0]["work_shape_px"] == [200, 260]
    assert passes["tiny-1", 0.75]["work_shape_px"] == [150, 195]
    assert passes["tiny-2", 1.0]["work_shape_px"] == [125, 163]
    assert (passes["tiny-2", 0.75]["tile_px"], passes["tiny-2", 0.75]["halo_px"]) == (64, 8)
    item = json.loads(layers.bundle.item.read_text())
    assert item["properties"]["geoseg:members"] == members
    assert item["properties"]["geoseg:model"]["architecture"] == "ensemble"
    roles = {key: item["assets"][key]["roles"] for key in MORE}
    assert roles["entropy"] == roles["mutual_information"] == ["data", "uncertainty"]
    assert roles["probability_5"] == ["data", "probability"]
    with ZipFile(layers.bundle.project) as project:
        root = ET.fromstring(project.read("project.qgs"))  # noqa: S314 - written by geoseg
    shown = {node.get("name"): node.get("checked") for node in root.iter("layer-tree-layer")}
    for name in ("Uncertainty: entropy (%)", "Disagreement: mutual information (%)", "Probability of water (%)"):
        assert shown[f"scene {name[0].lower()}{name[1:]}"] == "Qt::Unchecked"


@pytest.mark.slow
def test_the_order_of_models_and_a_file_that_lists_them_change_no_byte(
    pair: tuple[Path, Path], write_scene: Any, tmp_path: Path
) -> None:
    scene = write_scene()
    one = predict(scene, load(source(*pair)), tmp_path / "one", spec=SPEC)
    file = tmp_path / "both.json"
    file.write_text(json.dumps({"members": [{"model": str(path)} for path in pair[::-1]]}))
    for name, other in (("two", load(source(*pair[::-1]))), ("three", load(source(file)))):
        again = predict(scene, other, tmp_path / name, spec=SPEC)
        assert contents(again.bundle.directory) == contents(one.bundle.directory)
        assert again.record["identity"] == one.record["identity"]


@pytest.mark.parametrize("blend", ["core", "taper"])
def test_copies_of_a_model_give_its_map(blend: Any, tiny_model: Path, write_scene: Any, tmp_path: Path) -> None:
    scene = write_scene()
    spec = PredictSpec(block_px=128, blend=blend, uncertainty=True)
    one = predict(scene, load(source(tiny_model)), tmp_path / "one", spec=spec)
    two = predict(scene, load(source(tiny_model, tiny_model)), tmp_path / "two", spec=spec)
    alone, together = layers_of(one.bundle.directory), layers_of(two.bundle.directory)
    assert set(together) - set(alone) == {"mutual_information"}
    for name, layer in alone.items():
        np.testing.assert_array_equal(together[name], layer)
    assert not together["mutual_information"].any()


def test_a_killed_run_is_resumed_to_the_same_bytes_and_other_layers_are_another_run(
    pair: tuple[Path, Path], write_scene: Any, tmp_path: Path
) -> None:
    scene, model = write_scene(), load(source(*pair))
    whole = predict(scene, model, tmp_path / "whole", spec=SPEC)

    class Killer:
        def __init__(self, after_px: int) -> None:
            self.left_px = after_px

        def stage(self, name: str, total_px: int, done_px: int = 0) -> None: ...

        def note(self, text: str) -> None: ...

        def advance(self, pixels: int) -> None:
            self.left_px -= pixels
            if self.left_px < 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(scene, model, tmp_path / "out", spec=SPEC, reporter=Killer(200 * 260 * 9 // 10))
    layers = predict(scene, model, tmp_path / "out", spec=SPEC)
    assert layers.record["blocks"]["resumed"] >= 2
    assert contents(layers.bundle.directory) == contents(whole.bundle.directory)
    with pytest.raises(OutputError, match=r"other options \(--uncertainty\)"):
        predict(scene, model, tmp_path / "out", spec=SPEC.model_copy(update={"uncertainty": False}))
    with pytest.raises(OutputError, match="another model"):
        predict(scene, load(source(pair[0])), tmp_path / "out", spec=SPEC)


@pytest.mark.slow
def test_the_workers_of_a_cluster_give_the_same_bytes(
    pair: tuple[Path, Path], write_scene: Any, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    import warnings

    from geoseg.run.cluster import DaskExecutor, local_cluster

    scene = write_scene()
    alone = predict(scene, load(source(*pair)), tmp_path / "alone", spec=SPEC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with local_cluster(1) as client:
            workers = DaskExecutor(client, threads=1)
            described = workers.load_model(source(*pair[::-1]))
            assert [m.card for m in described.members] == [m.card for m in load(source(*pair)).members]
            shared = predict(scene, described, tmp_path / "shared", spec=SPEC, workers=workers)
    assert contents(shared.bundle.directory) == contents(alone.bundle.directory)
    assert shared.record["identity"] == alone.record["identity"]


def test_a_lazy_array_has_the_same_layers(pair: tuple[Path, Path], write_scene: Any, tmp_path: Path) -> None:
    scene, model = write_scene(), load(source(*pair))
    found = layers_of(predict(scene, model, tmp_path, spec=SPEC).bundle.directory)
    with geoseg.open_scene(scene) as opened:
        lazy = geoseg.segment(opened.to_xarray(), model, spec=SPEC).compute(scheduler="synchronous")
    assert set(lazy.data_vars) == {"codes", "confidence", *MORE}
    for name in lazy.data_vars:
        np.testing.assert_array_equal(lazy[name], found["classes" if name == "codes" else name])


def test_a_scene_that_one_member_cannot_read_is_refused_by_its_name(
    write_tiny: Any, write_scene: Any, tmp_path: Path
) -> None:
    bands = tuple(CardBand(name=name) for name in ("red", "nir"))
    model = load(source(write_tiny(1), write_tiny(2, bands=bands)))
    with pytest.raises(MatchError, match="model tiny-2 needs .red, nir."):
        predict(write_scene(), model, tmp_path)


@pytest.mark.slow
def test_the_command_averages_and_writes_what_is_asked_for(
    pair: tuple[Path, Path], write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from geoseg.cli.main import app
    from geoseg.process.command import run_command

    def command(*arguments: Any) -> int:
        return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)

    scene = write_scene()
    models = [
        "--model",
        pair[0],
        "--model",
        pair[1],
        "--runtime",
        "torch",
        "--device",
        "cpu",
        "--out",
        tmp_path / "out",
    ]
    asked = [
        "--weights",
        "3,1",
        "--tta",
        "flip",
        "--tta-scales",
        "1,0.75",
        "--uncertainty",
        "--json",
        "--precision",
        "fp32",
    ]
    assert command("predict", scene, *models, *asked) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {"scene_entropy.tif", "scene_mutual_information.tif"} <= set(files)
    record = json.loads(Path(files["run.json"]).read_text())
    assert sorted(member["share"] for member in record["model"]["members"]) == [0.25, 0.75]
    assert record["options"]["tta_scales"] == [0.75, 1.0]
    assert command("inspect", scene) == 0
    capsys.readouterr()
    for wrong, why in (
        (["--tta-scales", "1,1"], "--tta-scales: value error, a scale stands twice"),
        (["--tta-scales", "0.01"], "--tta-scales"),
        (["--tta-scales", "a"], "--tta-scales a: numbers between commas"),
        (["--weights", "1"], "--weights: 1 weights for 2 models"),
    ):
        assert command("predict", scene, *models, *wrong) == 2
        assert why in capsys.readouterr().err
