"""Drawn stuff and things, seen tile by tile by a network that is always right, are the map that a run writes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from drawn_panoptic import LEGEND, THINGS, drawn, expected_labels, panoptic_card, write_drawn
from rasterio.features import rasterize
from scipy import ndimage

import geoseg
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.spec import InstanceChoice, ObjectChoice, PanopticChoice, PredictSpec
from geoseg.errors import ModelError, UsageError
from geoseg.inference.card_defaults import with_card_defaults
from geoseg.io.labels.panoptic_raster import classes_in
from geoseg.io.weights.model_file import read_model
from geoseg.models.bundled import resolve
from geoseg.models.model import ModelSource, combined
from geoseg.run.open_executor import ExecutorChoice, open_executor
from geoseg.testing.instances import PerfectDetector
from geoseg.testing.panoptic import PerfectPanoptic
from geoseg.vector.objects.scene import SceneObjects

SHAPE = (211, 267)
LAYOUTS = (
    {"tile_px": 96, "halo_px": 16, "block_px": 64},
    {"tile_px": 96, "halo_px": 16, "block_px": 4096},
    {"tile_px": 64, "halo_px": 8, "block_px": 128},
    {"tile_px": 160, "halo_px": 48, "block_px": 64},
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return write_drawn(tmp_path_factory.mktemp("drawn") / "town.tif", drawn(SHAPE, 1))


def predicted(scene, out, stuff_area_m2=0.0, **options):
    model = geoseg.load_model(PerfectPanoptic(5, THINGS), card=panoptic_card())
    choice = PanopticChoice(stuff_area_m2=stuff_area_m2) if stuff_area_m2 else None
    spec = PredictSpec(value_range=(0, 255), min_area_m2=0, panoptic=choice, **options)
    return geoseg.predict(scene, model, out, spec=spec)


def labels_of(layers):
    with rasterio.open(layers.bundle.by_role()["panoptic"]) as file:
        assert file.dtypes == ("int32",)
        assert file.nodata == -1
        return file.read(1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_drawn_labels_come_back_for_every_tile_and_block(tmp_path, layout) -> None:
    bands = drawn(SHAPE, LAYOUTS.index(layout))
    layers = predicted(write_drawn(tmp_path / "town.tif", bands), tmp_path, **layout)
    labels, truth = labels_of(layers), expected_labels(bands)
    np.testing.assert_array_equal(labels, truth)
    with rasterio.open(layers.bundle.classes) as file:
        np.testing.assert_array_equal(file.read(1), truth % 256)
    assert layers.record["things"] == (np.unique(truth) >= 256).sum()


def test_segments_cover_the_map_once_and_share_their_edges(scene, tmp_path) -> None:
    layers = predicted(scene, tmp_path, block_px=64)
    labels = labels_of(layers)
    frame = geopandas.read_file(layers.bundle.segments, layer="segments")
    assert frame.geometry.is_valid.all()
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    assert frame.area.sum() == labels.size * 0.25
    with rasterio.open(layers.bundle.by_role()["panoptic"]) as file:
        shapes = zip(frame.geometry, frame["segment_id"], strict=True)
        burnt = rasterize(shapes, labels.shape, -1, transform=file.transform, dtype="int32")
    np.testing.assert_array_equal(burnt, labels)
    things = frame[frame["kind"] == "thing"]
    stuff = frame[frame["kind"] == "stuff"]
    assert set(frame["kind"]) == {"thing", "stuff"}
    assert things["segment_id"].is_unique
    assert (things["segment_id"] % 256 == things["class_code"]).all()
    assert (stuff["segment_id"] == stuff["class_code"]).all()
    assert stuff["score"].isna().all()
    assert things["score"].between(0.5, 0.91).all()
    regions = sum(ndimage.label(labels == code)[1] for code in (1, 7, 9))
    assert len(stuff) == regions
    pixels = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    assert all(row.area_m2 == pytest.approx(pixels[row.segment_id] * 0.25, rel=1e-3) for row in things.itertuples())


def stuff_regions(labels: np.ndarray, area_px: int) -> tuple[np.ndarray, dict[int, int], set[int]]:
    """Numbers of the regions of stuff on a picture, the label of each, and those that are small."""
    regions, code, small, number = np.zeros(labels.shape, int), {}, set(), 0
    for label in np.unique(labels[labels < 256]):
        parts, count = ndimage.label(labels == label)
        for part in range(1, count + 1):
            number += 1
            regions[parts == part], code[number] = number, label
            if (parts == part).sum() < area_px:
                small.add(number)
    return regions, code, small


def borders(regions: np.ndarray) -> dict[tuple[int, int], int]:
    border: dict[tuple[int, int], int] = {}
    for one, other in ((regions[:-1], regions[1:]), (regions[:, :-1], regions[:, 1:])):
        for a, b in zip(one.ravel(), other.ravel(), strict=True):
            if a != b and a and b:
                border[a, b] = border[b, a] = border.get((a, b), 0) + 1
    return border


def joined_by_hand(labels: np.ndarray, area_px: int) -> np.ndarray:
    """Small regions of stuff join the stuff with the longest common border, from the outside in."""
    labels = labels.copy()
    regions, code, small = stuff_regions(labels, area_px)
    border = borders(regions)
    while True:
        moved = {}
        for region in small:
            lengths: dict[int, int] = {}
            for (a, b), length in border.items():
                if a == region and b not in small:
                    lengths[code[b]] = lengths.get(code[b], 0) + length
            if lengths:
                moved[region] = min(lengths, key=lambda c: (-lengths[c], LEGEND.codes.index(c)))
        if not moved:
            return labels
        for region, label in moved.items():
            code[region] = label
            labels[regions == region] = label
        small -= moved.keys()


@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_small_regions_of_stuff_join_the_stuff_around_them(scene, tmp_path, layout) -> None:
    layers = predicted(scene, tmp_path, stuff_area_m2=5.0, **layout)
    truth = expected_labels(drawn(SHAPE, 1))
    wanted = joined_by_hand(truth, 20)
    assert (wanted != truth).sum() > 100
    np.testing.assert_array_equal(labels_of(layers), wanted)
    frame = geopandas.read_file(layers.bundle.segments, layer="segments")
    assert frame.area.sum() == truth.size * 0.25


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(scene, tmp_path) -> None:
    alone = predicted(scene, tmp_path / "one", block_px=64)
    with open_executor(ExecutorChoice(processes=2)) as executor:
        model = geoseg.load_model(PerfectPanoptic(5, THINGS), card=panoptic_card())
        spec = PredictSpec(value_range=(0, 255), min_area_m2=0, block_px=64)
        both = geoseg.predict(scene, model, tmp_path / "two", spec=spec, workers=executor)
    for role in ("classes", "confidence", "panoptic", "segments"):
        assert alone.bundle.by_role()[role].read_bytes() == both.bundle.by_role()[role].read_bytes()


def test_an_interrupted_run_is_resumed_to_the_same_bytes(scene, tmp_path) -> None:
    whole = predicted(scene, tmp_path / "whole", block_px=64)

    class Dying(geoseg.run.report.Silence):
        calls = 0

        def advance(self, pixels: int) -> None:
            self.calls += 1
            if self.calls == 5:
                raise KeyboardInterrupt

    model = geoseg.load_model(PerfectPanoptic(5, THINGS), card=panoptic_card())
    spec = PredictSpec(value_range=(0, 255), min_area_m2=0, block_px=64)
    with pytest.raises(KeyboardInterrupt):
        geoseg.predict(scene, model, tmp_path / "cut", spec=spec, reporter=Dying())
    again = geoseg.predict(scene, model, tmp_path / "cut", spec=spec)
    assert again.record["blocks"]["resumed"] > 0
    for role in ("classes", "confidence", "panoptic", "segments"):
        assert again.bundle.by_role()[role].read_bytes() == whole.bundle.by_role()[role].read_bytes()


@pytest.mark.parametrize(("stage", "count"), [("predict", 9), pytest.param("layers", 2, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_bytes(scene, tmp_path, stage, count) -> None:
    whole, out = predicted(scene, tmp_path / "whole", block_px=64), tmp_path / "cut"
    script = Path(__file__).with_name("killed_panoptic.py")
    assert subprocess.run([sys.executable, str(script), str(scene), str(out), stage, str(count)]).returncode == 9
    assert not (out / "town").exists()
    again = predicted(scene, out, block_px=64)
    blocks = again.record["blocks"]
    assert blocks["resumed"] == blocks["total"] if stage == "layers" else 0 < blocks["resumed"] < blocks["total"]
    for role in ("classes", "confidence", "panoptic", "segments"):
        assert again.bundle.by_role()[role].read_bytes() == whole.bundle.by_role()[role].read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["town"]


def test_views_of_flips_are_one_map(scene, tmp_path) -> None:
    np.testing.assert_array_equal(labels_of(predicted(scene, tmp_path, tta="flip")), expected_labels(drawn(SHAPE, 1)))


def test_things_are_outlined_and_stuff_is_not(scene, tmp_path) -> None:
    layers = predicted(scene, tmp_path, block_px=4096)
    assert outlines(layers) == {"road": "no", "house": "solid", "car": "solid", "grass": "no", "water": "no"}


class PerfectStuff(PerfectPanoptic):
    """Names the stuff and the things of each pixel, and no identity."""

    def forward(self, tiles):
        return torch.stack([one["semantic"] for one in super().forward(tiles)])


@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_a_semantic_and_an_instance_model_make_a_panoptic_map(scene, tmp_path, layout) -> None:
    """Classes are matched by name; those that only the detector knows get codes of their own."""
    seen = Legend(
        classes=[
            LegendClass(code=0, name="background", colour="#000000"),
            LegendClass(code=3, name="car", colour="#ffff00"),
            LegendClass(code=4, name="boat", colour="#00ffff"),
        ]
    )
    bands = ("red",)
    things = panoptic_card(name="things", task="instance", legend=seen, bands=panoptic_card().bands[:1])
    stuff = panoptic_card(name="stuff", task="semantic", tile_px=128, halo_px=20)
    models = [
        geoseg.load_model(PerfectStuff(5, THINGS), card=stuff, runtime="torch", precision="fp32"),
        geoseg.load_model(PerfectDetector(classes=2), card=things),
    ]
    assert bands == models[1].card.band_names
    pair = combined(models, (), ModelSource(name_or_path="pair"))
    spec = PredictSpec(value_range=(0, 255), min_area_m2=0, block_px=layout["block_px"])
    layers = geoseg.predict(scene, pair, tmp_path, spec=spec)
    numbers, below = drawn(SHAPE, 1).astype(int)
    truth = expected_labels(drawn(SHAPE, 1))
    code = np.where(numbers > 0, np.where(numbers % 2 == 0, 5, 0), np.array(LEGEND.codes)[below])
    labels = labels_of(layers)
    np.testing.assert_array_equal(labels % 256, code)
    np.testing.assert_array_equal(labels // 256, truth // 256)
    assert {e.name: e.code for e in pair.card.legend.classes if e.countable} == {"car": 5, "boat": 0}


def test_models_that_cannot_be_put_together_are_refused() -> None:
    both = [geoseg.load_model(PerfectPanoptic(5, THINGS), card=panoptic_card(name=name)) for name in ("a", "b")]
    with pytest.raises(ModelError, match="one semantic and one instance model"):
        combined(both, (), ModelSource(name_or_path="pair"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"uncertainty": True}, "uncertainty"),
        ({"blend": "taper"}, "blend"),
        ({"instances": InstanceChoice(overlaps="keep")}, "overlaps"),
        ({"halo_px": 1}, "halo_px|halo-px"),
    ],
)
def test_options_that_make_no_sense_are_refused(scene, tmp_path, options, named) -> None:
    with pytest.raises(UsageError, match=named):
        predicted(scene, tmp_path, **options)


def from_classes(scene, out, **options):
    """A panoptic map of a perfect class map, whose regions of houses and cars are things."""
    card = panoptic_card(name="stuff", task="semantic")
    model = geoseg.load_model(PerfectStuff(5, THINGS), card=card, runtime="torch", precision="fp32")
    objects = ObjectChoice(classes="countable", split="none")
    spec = PredictSpec(value_range=(0, 255), objects=objects, panoptic=PanopticChoice(), **options)
    return geoseg.predict(scene, model, out, spec=spec)


@pytest.mark.parametrize("block_px", [64, 4096])
def test_the_regions_of_a_class_map_are_things(scene, tmp_path, block_px) -> None:
    layers = from_classes(scene, tmp_path, block_px=block_px, min_area_m2=0)
    code = expected_labels(drawn(SHAPE, 1)) % 256
    regions = np.zeros(code.shape, int)
    for thing in (2, 5):
        found, _ = ndimage.label(code == thing)
        regions = np.where(found > 0, found + regions.max(), regions)
    last = {int(np.flatnonzero(regions.ravel() == n)[-1]): n for n in range(1, regions.max() + 1)}
    wanted = code.copy()
    for place, (_, number) in enumerate(sorted(last.items()), start=1):
        wanted[regions == number] += 256 * place
    np.testing.assert_array_equal(labels_of(layers), wanted)
    assert layers.record["things"] == regions.max()


def outlines(layers) -> dict[str, str]:
    """The style of the outline of each class, in the style that the polygons carry."""
    with sqlite3.connect(layers.bundle.segments) as db:
        (qml,) = db.execute("SELECT styleQML FROM layer_styles WHERE f_table_name = 'segments'").fetchone()
    root = ET.fromstring(qml)  # noqa: S314 - the test's own
    category = {c.get("symbol"): c.get("label") for c in root.iter("category")}
    return {
        category[s.get("name")]: next(o.get("value") for o in s.iter("Option") if o.get("name") == "outline_style")
        for s in root.iter("symbol")
        if s.get("name") in category
    }


def test_things_are_those_that_are_asked_for_and_are_found_once(scene, tmp_path, monkeypatch) -> None:
    """Metadata, attributes and styles name cars as things and houses as stuff, though the legend counts both."""
    found = []
    find = SceneObjects.find.__func__
    monkeypatch.setattr(SceneObjects, "find", classmethod(lambda *given: found.append(1) or find(*given)))
    card = panoptic_card(name="stuff", task="semantic")
    model = geoseg.load_model(PerfectStuff(5, THINGS), card=card, runtime="torch", precision="fp32")
    cars = ObjectChoice(classes="car", split="none")
    by_objects = PredictSpec(value_range=(0, 255), min_area_m2=0, objects=cars, panoptic=PanopticChoice())
    by_choice = PredictSpec(value_range=(0, 255), min_area_m2=0, panoptic=PanopticChoice(objects=cars))
    kinds = {"road": "stuff", "house": "stuff", "car": "thing", "grass": "stuff", "water": "stuff"}
    for name, spec in (("objects", by_objects), ("choice", by_choice)):
        layers = geoseg.predict(scene, model, tmp_path / name, spec=spec)
        tags = classes_in(layers.bundle.by_role()["panoptic"])
        assert {name: "thing" if is_thing else "stuff" for name, is_thing in tags.values()} == kinds
        frame = geopandas.read_file(layers.bundle.segments, layer="segments")
        assert {tuple(row) for row in frame[["class_name", "kind"]].to_numpy()} == set(kinds.items())
        assert {name for name, style in outlines(layers).items() if style == "solid"} == {"car"}
        count = ndimage.label(expected_labels(drawn(SHAPE, 1)) % 256 == 5)[1]
        assert layers.record["things"] == count == (frame["kind"] == "thing").sum()
    assert found == [1, 1]


@pytest.mark.parametrize("classes", ["tower", "12"])
def test_things_that_are_no_class_are_refused_before_anything_is_predicted(scene, tmp_path, classes) -> None:
    card = panoptic_card(name="stuff", task="semantic")
    model = geoseg.load_model(PerfectStuff(5, THINGS), card=card, runtime="torch", precision="fp32")
    spec = PredictSpec(value_range=(0, 255), panoptic=PanopticChoice(objects=ObjectChoice(classes=classes)))
    with pytest.raises(UsageError, match=f"no class {classes}"):
        geoseg.predict(scene, model, tmp_path / "out", spec=spec)
    assert not (tmp_path / "out").exists()


def test_things_are_not_parted_by_a_confidence_that_is_not_written() -> None:
    choice = PanopticChoice(objects=ObjectChoice(classes="car", split="confidence"))
    with pytest.raises(ValueError, match="parted by the confidence"):
        PredictSpec(confidence=False, panoptic=choice)


def test_specks_of_things_join_the_stuff_around_them(scene, tmp_path) -> None:
    layers = from_classes(scene, tmp_path, block_px=64, min_area_m2=3)
    labels = labels_of(layers)
    sizes = dict(zip(*np.unique(labels[labels >= 256], return_counts=True), strict=True))
    assert min(sizes.values()) >= 12
    code = expected_labels(drawn(SHAPE, 1)) % 256
    gone = np.isin(code, (2, 5)) & (labels < 256)
    assert gone.any()
    frame = geopandas.read_file(layers.bundle.segments, layer="segments")
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    assert frame.area.sum() == labels.size * 0.25
    assert (frame["kind"] == "thing").sum() == layers.record["things"]
    with rasterio.open(layers.bundle.classes) as file:
        np.testing.assert_array_equal(file.read(1), code)


def test_a_class_map_without_countable_classes_is_refused(tiny_model, write_scene, tmp_path) -> None:
    spec = PredictSpec(panoptic=PanopticChoice(stuff_area_m2=1))
    with pytest.raises(UsageError, match="countable"):
        geoseg.predict(write_scene(np.zeros((3, 64, 64), np.uint8)), tiny_model, tmp_path / "out", spec=spec)


def test_stuff_lies_below_things_that_are_left_out(scene, tmp_path) -> None:
    """Every pixel keeps a class: small things give way to the stuff below them."""
    layers = predicted(scene, tmp_path, instances=InstanceChoice(min_score=0.75))
    numbers, below = drawn(SHAPE, 1).astype(int)
    gone = (numbers > 0) & (0.9 - numbers % 7 / 20 < 0.75)
    labels = labels_of(layers)
    np.testing.assert_array_equal(labels[gone], np.array(LEGEND.codes)[below[gone]])
    assert (labels[(numbers > 0) & ~gone] >= 256).all()


def test_a_card_says_how_its_class_map_is_parted() -> None:
    """As of objects: what the card advises counts unless the options say otherwise."""
    _, card = read_model(*resolve("buildings-separate"))
    advice = card.objects
    assert advice is not None
    spec, notes = with_card_defaults(PredictSpec(panoptic=PanopticChoice()), [card])
    assert spec.panoptic is not None
    chosen = spec.panoptic.objects
    assert chosen is not None
    assert (chosen.classes, chosen.split, chosen.neck) == ("countable", advice.split, advice.neck)
    assert chosen.min_area_m2 == advice.min_area_m2
    assert "advises" in notes[0]
    named = PredictSpec(panoptic=PanopticChoice(), objects=ObjectChoice(classes="building", split="none"))
    assert with_card_defaults(named, [card])[0].objects.split == "none"
