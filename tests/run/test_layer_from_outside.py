"""A layer, a kind and a task that the package does not know are written, shown, described, checked and resumed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from conftest import blobs

import geoseg
from geoseg.archive.check import check_output
from geoseg.core.layer import OutputSchema, RasterLayer
from geoseg.core.spec import PredictSpec
from geoseg.inference.tasks.registry import TASKS
from geoseg.inference.tasks.semantic import SemanticAssembler, SemanticTask
from geoseg.io.publish.layer_kinds import COG, KINDS, QUALITY, LayerKind
from geoseg.io.publish.styles import percent_pipe
from geoseg.io.raster.cog import write_value_cog
from geoseg.io.weights.model_file import read_model, write_model
from geoseg.models.heads import HEADS
from geoseg.run.extensions import register_layer, register_task
from geoseg.run.layer_writers import WRITERS, LayerJob, Writer
from geoseg.testing.layer_writers import LayerWriterTests

MARGIN = RasterLayer(
    name="margin",
    role="margin",
    dtype="float32",
    nodata=-1,
    label="Margin",
    title="Probability of the best class less that of the second",
    unit="1",
    overview="mean",
)


class MarginAssembler(SemanticAssembler):
    def fill_planes(self, planes, probs, valid):
        best = np.sort(probs, axis=0)
        planes["margin"][valid] = (best[-1] - best[-2])[valid]


class MarginTask(SemanticTask):
    def schema(self, spec, legend, members):
        known = super().schema(spec, legend, members)
        return OutputSchema((*known.rasters, MARGIN, *known.vectors))

    def assembler(self, assembly, pixels):
        return MarginAssembler(assembly, pixels)


def write_margin(layer: LayerJob):
    path = layer.job.work.building.file_of(layer.layer)
    write_value_cog(path, layer.grid, layer.plane(), layer.layer, tags=layer.tags())
    return {}


@pytest.fixture
def margin_model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for registry in (TASKS, HEADS, WRITERS, KINDS):  # whatever is registered goes with the test
        monkeypatch.setitem(registry, "margin", None)
    kind = LayerKind(group=QUALITY, media_type=COG, stac_roles=("data", "margin"), style=lambda *_: [percent_pipe()])
    register_layer("margin", writer=write_margin, kind=kind)
    register_task("margin", task=MarginTask(), head=HEADS["semantic"])
    tensors, card = read_model(tiny_model)
    path = tmp_path / "margin.safetensors"
    write_model(path, tensors, card.model_copy(update={"task": "margin"}))
    return path


def test_a_layer_from_outside_is_a_layer_like_any_other(margin_model, tiny_model, write_scene, tmp_path) -> None:
    scene = write_scene(blobs((300, 420)))
    spec = PredictSpec(block_px=128, uncertainty=True)
    layers = geoseg.predict(scene, margin_model, tmp_path / "out", spec=spec)
    path = layers.bundle.by_role()["margin"]
    with rasterio.open(path) as file:
        margin = file.read(1)
        assert (file.dtypes[0], file.nodata, file.units[0]) == ("float32", -1, "1")
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    with rasterio.open(layers.bundle.confidence) as file:
        confidence = file.read(1)
    known = confidence != 255
    assert known.any()
    assert (margin[known] >= 0).all()
    assert (margin[~known] == -1).all()
    assert (margin[known] <= confidence[known] / 100 + 0.006).all()
    item = json.loads(layers.bundle.item.read_text())
    assert item["assets"]["margin"]["roles"] == ["data", "margin"]
    assert item["assets"]["margin"]["data_type"] == "float32"
    with zipfile.ZipFile(layers.bundle.project) as project:
        document = ET.fromstring(project.read(project.namelist()[0]))  # noqa: S314 - made above
    assert f"./{path.name}" in {node.text for node in document.iter("datasource")}
    assert layers.record["layers"] == ["classes", "confidence", "entropy", "margin", "segments"]
    assert path.name in layers.record["files"]
    assert [checked.faults for checked in check_output(layers.bundle.directory)] == [()]
    # the other layers are those of the plain task, to the byte
    plain = geoseg.predict(scene, tiny_model, tmp_path / "plain", spec=spec)
    with rasterio.open(plain.bundle.classes) as one, rasterio.open(layers.bundle.classes) as other:
        np.testing.assert_array_equal(one.read(), other.read())
    path.unlink()
    again = geoseg.predict(scene, margin_model, tmp_path / "out", spec=spec)
    with rasterio.open(again.bundle.by_role()["margin"]) as file:
        np.testing.assert_array_equal(file.read(1), margin)


def test_a_task_that_is_not_known_is_refused_by_name(tiny_model: Path, tmp_path: Path) -> None:
    tensors, card = read_model(tiny_model)
    path = tmp_path / "other.safetensors"
    write_model(path, tensors, card.model_copy(update={"task": "depth"}))
    with pytest.raises(geoseg.ModelError, match="depth.*semantic"):
        geoseg.load_model(path)


@pytest.mark.parametrize("role", ["classes", "segments"])
def test_geosegs_own_layers_cannot_be_replaced(role: str) -> None:
    with pytest.raises(geoseg.UsageError, match=f"'{role}' is a role of geoseg's own"):
        register_layer(role, writer=write_margin, kind=KINDS[role])
    with pytest.raises(geoseg.UsageError, match="'semantic' is a task of geoseg's own"):
        register_task("semantic", task=MarginTask(), head=HEADS["semantic"])


class TestMarginWriter(LayerWriterTests):
    layer = MARGIN

    def writer(self) -> Writer:
        return write_margin
