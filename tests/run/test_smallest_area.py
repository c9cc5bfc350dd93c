"""Specks are no polygons: the card says from which area on, a run may say otherwise, the class raster never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize
from scipy import ndimage

from geoseg.archive.config import ArchiveConfig
from geoseg.cli.main import app
from geoseg.core.card import CountingDefaults
from geoseg.core.spec import ObjectChoice, PredictSpec
from geoseg.models.model import load_model
from geoseg.process.command import run_command
from geoseg.run.predict import Layers, predict
from geoseg.score.object_files import evaluate_objects

AREA_M2 = 20.0
SAID = "polygons under 20 m2 merged; --min-area-m2 0 gives all"


def polygons(layers: Layers) -> geopandas.GeoDataFrame:
    return geopandas.read_file(layers.bundle.segments, layer="segments")


def regions(codes: np.ndarray[Any, Any]) -> int:
    """Count the 4-connected regions of one code."""
    return int(sum(ndimage.label(codes == code)[1] for code in np.unique(codes)))


def test_the_card_decides_unless_the_run_does(write_tiny: Any, write_scene: Any, tmp_path: Path) -> None:
    model = load_model(write_tiny(3, min_area_m2=AREA_M2), device="cpu", runtime="torch", precision="fp32")
    scene = write_scene()
    whole = predict(scene, model, tmp_path / "all", spec=PredictSpec(min_area_m2=0))
    usual = predict(scene, model, tmp_path / "usual")
    said = predict(scene, model, tmp_path / "said", spec=PredictSpec(min_area_m2=50))

    codes = rasterio.open(whole.bundle.classes).read(1)
    assert usual.bundle.classes.read_bytes() == whole.bundle.classes.read_bytes() == said.bundle.classes.read_bytes()
    every = polygons(whole)
    assert len(every) == regions(codes) == whole.record["segments"]
    assert every.area_m2.min() < AREA_M2
    shapes = zip(every.geometry, every.class_code, strict=True)
    transform = rasterio.open(scene).transform
    np.testing.assert_array_equal(rasterize(shapes, codes.shape, transform=transform, fill=255), codes)

    for layers, least in ((usual, AREA_M2), (said, 50)):
        kept = polygons(layers)
        assert 0 < len(kept) < len(every)
        assert kept.area_m2.min() >= least
        assert kept.area.sum() == pytest.approx(every.area.sum()), "merged, not dropped"
        assert layers.record["options"]["min_area_m2"] == least
    assert usual.record["notes"] == [SAID]
    assert whole.record["notes"] == said.record["notes"] == []
    assert not predict(scene, model, tmp_path / "usual", spec=PredictSpec(min_area_m2=AREA_M2)).fresh, "the same run"


def test_a_card_that_does_not_say_keeps_every_region(write_tiny: Any, write_scene: Any, tmp_path: Path) -> None:
    layers = predict(write_scene(), write_tiny(3), tmp_path)
    codes = rasterio.open(layers.bundle.classes).read(1)
    assert layers.record["segments"] == regions(codes)
    assert layers.record["options"]["min_area_m2"] == 0
    assert layers.record["notes"] == []


def test_without_polygons_nothing_is_said(write_tiny: Any, write_scene: Any, tmp_path: Path) -> None:
    model = write_tiny(3, min_area_m2=AREA_M2)
    assert predict(write_scene(), model, tmp_path, spec=PredictSpec(vector=False)).record["notes"] == []


def test_the_command_says_it(
    write_tiny: Any, write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*more: str) -> str:
        arguments = [
            "predict",
            write_scene(),
            "--model",
            write_tiny(3, min_area_m2=AREA_M2),
            "--runtime",
            "torch",
            *more,
        ]
        assert run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False) == 0
        both = capsys.readouterr()
        return both.out + both.err

    assert SAID in run("--out", str(tmp_path / "a"))
    assert json.loads(run("--out", str(tmp_path / "b"), "--json"))["notes"] == [SAID]
    assert "merged" not in run("--out", str(tmp_path / "c"), "--min-area-m2", "0")


def test_archives_take_it_from_the_card_or_from_their_configuration(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"source": str(tmp_path), "model": "buildings-unet", "out": str(tmp_path / "out")}
    assert ArchiveConfig(**facts).predict.min_area_m2 is None
    assert ArchiveConfig(**facts, predict={"min_area_m2": 0}).predict.min_area_m2 == 0


def test_the_card_says_how_objects_are_counted_unless_the_run_does(
    write_tiny: Any, write_scene: Any, tmp_path: Path
) -> None:
    advice = CountingDefaults(split="distance", neck=0.6, min_area_m2=3)
    advised = load_model(write_tiny(3, objects=advice), device="cpu", runtime="torch", precision="fp32")
    plain = load_model(write_tiny(3), device="cpu", runtime="torch", precision="fp32")
    scene, name = write_scene(), advised.card.legend.names[1]

    def objects(model: Any, out: str, spec: PredictSpec) -> tuple[geopandas.GeoDataFrame, list[str]]:
        layers = predict(scene, model, tmp_path / out, spec=spec)
        file = layers.bundle.segments.with_name(f"{layers.bundle.stem}_objects.gpkg")
        return geopandas.read_file(file, layer="objects"), layers.record["notes"]

    usual, notes = objects(advised, "usual", PredictSpec(objects=ObjectChoice(classes=name)))
    said = "split by distance, neck 0.6, those under 3 m2 left out"
    assert notes == [f"objects are counted as the model's card advises: {said}"], "no option that polygons have too"
    written_out = ObjectChoice(classes=name, split="distance", neck=0.6, min_area_m2=3)
    same, notes = objects(plain, "same", PredictSpec(objects=written_out))
    assert notes == []
    assert usual.geometry.equals(same.geometry)
    assert usual.area_m2.min() >= 3

    said = ObjectChoice(classes=name, split="none")
    other, notes = objects(advised, "other", PredictSpec(objects=said, min_area_m2=0))
    without, _ = objects(plain, "without", PredictSpec(objects=said, min_area_m2=0))
    assert notes == []
    assert other.geometry.equals(without.geometry)
    assert len(other) > len(usual)


@pytest.mark.slow
def test_a_scene_s_folder_is_scored_by_its_objects(write_tiny: Any, write_scene: Any, tmp_path: Path) -> None:
    model = load_model(write_tiny(3), device="cpu", runtime="torch", precision="fp32")
    name = model.card.legend.names[1]
    spec = PredictSpec(objects=ObjectChoice(classes=name, split="none"), min_area_m2=0)
    bundle = predict(write_scene(), model, tmp_path / "out", spec=spec).bundle
    drawn = bundle.segments.with_name(f"{bundle.stem}_objects.gpkg")

    default = evaluate_objects(drawn.parent, drawn, of_class=name)
    assert default["prediction"] == str(drawn)
    assert default["f1"] == 1.0
    assert evaluate_objects(drawn.parent, drawn, of_class=name, layer="objects") == default
    assert evaluate_objects(drawn.parent, drawn, of_class=name, layer="segments")["prediction"] == str(bundle.segments)

    none = PredictSpec(objects=ObjectChoice(classes=name, split="none", min_area_m2=1e6))
    empty = predict(write_scene(), model, tmp_path / "empty", spec=none).bundle.segments.parent
    scores = evaluate_objects(empty, drawn, of_class=name)
    assert (scores["predicted"], scores["f1"]) == (0, 0.0), (
        "a prediction without objects finds nothing, which is no error"
    )
