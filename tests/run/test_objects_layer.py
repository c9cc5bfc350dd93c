"""``geoseg predict --objects``: a layer of things beside the class map, whole, described, shown and made anew."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.features
from conftest import blobs
from scipy import ndimage

import geoseg
from geoseg.archive.check import check_output
from geoseg.cli.main import app
from geoseg.core.spec import ObjectChoice, PredictSpec
from geoseg.errors import UsageError
from geoseg.process.command import run_command

KINDS = pytest.mark.parametrize("split", ["none", "distance", "confidence"])


def predicted(scene: Path, model: Path, out: Path, split: str | None = "none", **options: object):
    choice = ObjectChoice(classes="1", split=split)
    return geoseg.predict(scene, model, out, spec=PredictSpec(block_px=128, objects=choice, min_area_m2=0.0, **options))


def objects_of(layers) -> geopandas.GeoDataFrame:
    return geopandas.read_file(layers.bundle.by_role()["objects"], layer="objects")


@pytest.mark.slow_after(1)
@KINDS
def test_objects_are_the_pixels_of_their_class_parted_without_rest(split, tiny_model, write_scene, tmp_path) -> None:
    layers = predicted(write_scene(blobs((300, 420))), tiny_model, tmp_path / "out", split)
    frame = objects_of(layers)
    with rasterio.open(layers.bundle.classes) as file:
        codes = file.read(1)
        shapes = zip(frame.geometry, range(1, len(frame) + 1), strict=True)
        burnt = rasterio.features.rasterize(shapes, file.shape, transform=file.transform, dtype="int32")
    np.testing.assert_array_equal(burnt > 0, codes == 1)
    regions = ndimage.label(codes == 1)[1]
    assert regions > 1
    assert len(frame) == regions if split == "none" else len(frame) >= regions
    last = ndimage.maximum(np.arange(codes.size).reshape(codes.shape), burnt, range(1, len(frame) + 1))
    assert frame["object_id"].tolist() == last.astype(int).tolist()
    assert layers.record["objects"] == len(frame)


def test_the_layer_is_listed_described_shown_checked_and_made_anew(tiny_model, write_scene, tmp_path) -> None:
    scene = write_scene(blobs((300, 420)))
    layers = predicted(scene, tiny_model, tmp_path / "out")
    path = layers.bundle.by_role()["objects"]
    assert layers.record["layers"] == ["classes", "confidence", "objects", "segments"]
    item = json.loads(layers.bundle.item.read_text())
    assert item["assets"]["objects"]["roles"] == ["data", "labels", "labels-vector"]
    with zipfile.ZipFile(layers.bundle.project) as project:
        document = ET.fromstring(project.read(project.namelist()[0]))  # noqa: S314 - made above
    assert f"./{path.name}|layername=objects" in {node.text for node in document.iter("datasource")}
    assert [checked.faults for checked in check_output(layers.bundle.directory)] == [()]
    before = path.read_bytes()
    path.unlink()
    again = predicted(scene, tiny_model, tmp_path / "out")
    assert again.bundle.by_role()["objects"].read_bytes() == before


def test_class_map_and_segments_stay_the_bytes_they_are_without_objects(tiny_model, write_scene, tmp_path) -> None:
    scene = write_scene(blobs((200, 200)))
    with_objects = predicted(scene, tiny_model, tmp_path / "one").bundle
    plain = geoseg.predict(scene, tiny_model, tmp_path / "two", spec=PredictSpec(block_px=128, min_area_m2=0.0)).bundle
    assert with_objects.segments.read_bytes() == plain.segments.read_bytes()
    for one, other in ((with_objects.classes, plain.classes), (with_objects.confidence, plain.confidence)):
        with rasterio.open(one) as a, rasterio.open(other) as b:
            np.testing.assert_array_equal(a.read(), b.read())
    assert "objects" not in PredictSpec().model_dump()


def test_without_confidence_the_width_parts_objects(tiny_model, write_scene, tmp_path) -> None:
    scene = write_scene(blobs((200, 200)))
    by_width = objects_of(predicted(scene, tiny_model, tmp_path / "one", "distance"))
    default = objects_of(predicted(scene, tiny_model, tmp_path / "two", None, confidence=False, vector=False))
    assert default["object_id"].tolist() == by_width["object_id"].tolist()
    with pytest.raises(ValueError, match="confidence"):
        PredictSpec(objects=ObjectChoice(classes="1", split="confidence"), confidence=False)


def test_a_class_that_the_model_lacks_is_refused_before_any_work(tiny_model, write_scene, tmp_path) -> None:
    scene = write_scene(blobs((64, 64)))
    with pytest.raises(UsageError, match="no class barn"):
        geoseg.predict(scene, tiny_model, tmp_path, spec=PredictSpec(objects=ObjectChoice(classes="barn")))
    with pytest.raises(UsageError, match="no class as countable"):
        geoseg.predict(scene, tiny_model, tmp_path, spec=PredictSpec(objects=ObjectChoice(classes="countable")))


@pytest.mark.parametrize(
    "options",
    [
        ["--objects", "nothing"],
        ["--split", "distance"],
        ["--neck", "0.5"],
        ["--objects", "1", "--neck", "1.5"],
        ["--objects", "1", "--split", "confidence", "--no-confidence"],
    ],
)
def test_options_that_make_no_sense_are_usage_errors(options, tiny_model, write_scene, tmp_path) -> None:
    scene, out = write_scene(blobs((64, 64))), tmp_path / "out"
    arguments = ["predict", str(scene), "--model", str(tiny_model), "--out", str(out), "--device", "cpu", *options]
    assert run_command(lambda: app(args=arguments, standalone_mode=False), debug=False) == 2
    assert not (out / scene.stem).exists()
