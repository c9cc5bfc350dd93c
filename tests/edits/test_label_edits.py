"""Edits of detected objects and of panoptic maps: after any of them all layers are those of a picture in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from corrected_maps import record_of
from label_model import NODATA, LabelModel
from labelled_maps import (  # noqa: F401 - fixtures
    NORTH,
    PIXEL,
    SHAPE,
    WEST,
    area,
    burnt,
    fixture_of_labelled_map,
    fixture_of_predicted_maps,
    fixture_of_tiny_blocks,
    frame,
)
from scipy import ndimage

import geoseg.edits
from geoseg.archive.check import check_output
from geoseg.edits import Edit
from geoseg.errors import UsageError

THINGS = {"panoptic": (2, 5), "instances": (4, 7)}
STUFF = {"panoptic": (1, 7, 9), "instances": (0,)}


def read(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / f"scene_{name}.tif") as file:
        return file.read(1).astype(np.int64)


def model_of(folder: Path) -> LabelModel:
    """The map as the run wrote it; objects of polygons are those that GDAL burns."""
    codes = read(folder, "classes")
    if (folder / "scene_panoptic.tif").exists():
        return LabelModel.of(np.maximum(read(folder, "panoptic"), 0) // 256, codes, THINGS["panoptic"], None)
    if (folder / "scene_object_ids.tif").exists():
        ids = read(folder, "object_ids")
        return LabelModel.of(np.where(ids == 2**32 - 1, 0, ids + 1), codes, THINGS["instances"], 0)
    table = frame(folder)
    ids = burnt(folder, table.geometry.to_list(), table.object_id.to_list())
    return LabelModel.of(ids + 1, codes, THINGS["instances"], 0)


def ident_of(saved: LabelModel, model: LabelModel, number: int) -> int:
    """The id by which edits name an object."""
    if model.background is not None:
        return model.last(number)
    labels = saved.segments()[saved.number == number]
    return int(labels[0]) if len(labels) else 0


def check_layers(folder: Path, model: LabelModel) -> None:
    """All layers agree with the picture."""
    np.testing.assert_array_equal(read(folder, "classes"), model.code)
    panoptic = model.background is None
    if panoptic:
        expected = model.segments()
        np.testing.assert_array_equal(read(folder, "panoptic"), expected)
        assert record_of(folder)["things"] == len(model.objects())
    else:
        expected = model.ids()
        if (folder / "scene_object_ids.tif").exists():
            np.testing.assert_array_equal(read(folder, "object_ids"), np.where(expected < 0, 2**32 - 1, expected))
    if not list(folder.glob("*.gpkg"))[1:]:  # the log alone
        return
    table = frame(folder)
    if not record_of(folder)["options"]["simplify_m"]:
        values = table.segment_id if panoptic else table.object_id
        np.testing.assert_array_equal(burnt(folder, table.geometry.to_list(), values.to_list()), expected)
    things = table[table.kind == "thing"] if panoptic else table
    ids = things.segment_id if panoptic else things.object_id
    assert sorted(ids) == sorted(np.unique(expected[model.number > 0]).tolist())
    by_hand = {int(expected[model.number == n][0]): n >= model.first_by_hand for n in model.objects()}
    assert all(row.score == 1 for row, ident in zip(things.itertuples(), ids, strict=True) if by_hand[ident])
    assert table.pixels.sum() == (expected >= 0).sum()
    if panoptic:
        assert shapely.coverage_is_valid(table.geometry.to_numpy())
    if (folder / "scene_confidence.tif").exists():
        percent = read(folder, "confidence")
        for row, ident in zip(things.itertuples(), ids, strict=True):
            assert (percent[expected == ident] == round(row.confidence * 100)).all()
            assert row.confidence == pytest.approx(row.score, abs=0.0051)
        if not panoptic:
            assert (percent[model.number == 0] == NODATA).all()


def check_untouched(before: Path, folder: Path, first: LabelModel, model: LabelModel) -> int:
    """Objects that no edit touched keep their rows, with the feature id; returns their number."""
    old, new = frame(before), frame(folder)
    column = "segment_id" if model.background is None else "object_id"
    changed = ndimage.binary_dilation((first.number != model.number) | (first.code != model.code), iterations=2)
    ids = first.segments() if model.background is None else first.ids()
    now = model.segments() if model.background is None else model.ids()
    kept = 0
    for number in first.objects():
        mask = first.number == number
        if (mask & changed).any():
            continue
        one = old[old[column] == ids[mask][0]].iloc[0]
        other = new[new[column] == now[mask][0]].iloc[0]
        assert one.name == other.name
        assert one.drop("segment_id", errors="ignore").equals(other.drop("segment_id", errors="ignore"))
        kept += 1
    return kept


class RandomEdits:
    """Makes random edits on a map and on its picture."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.folder, self.session = folder, geoseg.edits.open(folder)
        self.model = model_of(folder)
        self.saved = self.model.copy()
        self.edits: list[Edit] = []  # that the session has not seen yet: writing the log takes a while
        self.things = self.model.things
        self.stuff = STUFF["panoptic" if self.model.background is None else "instances"]

    def box(self) -> tuple[shapely.Polygon, np.ndarray]:
        top, left = int(self.rng.integers(0, SHAPE[0] - 4)), int(self.rng.integers(0, SHAPE[1] - 4))
        bottom, right = top + int(self.rng.integers(1, 22)), left + int(self.rng.integers(1, 26))
        inside = np.zeros(SHAPE, bool)
        inside[top:bottom, left:right] = True
        return area(top, bottom, left, right), inside

    def step(self, kind: str) -> None:
        model, rng = self.model.copy(), self.rng
        shape, inside = self.box()
        nameable = [n for n in model.objects() if ident_of(self.saved, model, n)]
        if kind not in {"repaint", "stuff", "add_object"} and not nameable:
            return
        number = int(rng.choice(nameable)) if nameable else 0
        ident = ident_of(self.saved, model, number) if nameable else 0
        thing = int(rng.choice(self.things))
        asked = int(rng.choice([*self.stuff, NODATA])) if rng.random() < 0.5 else None
        if kind == "repaint":
            edit, done = Edit(kind="repaint", geometry=shape, class_code=thing), model.repaint(inside, thing)
        elif kind == "stuff":
            code = int(rng.choice([*self.stuff, NODATA]))
            edit, done = Edit(kind="repaint", geometry=shape, class_code=code), model.repaint(inside, code)
        elif kind == "add_object":
            edit, done = Edit(kind=kind, geometry=shape, class_code=thing), bool((inside & model.valid).any())
            model.draw(inside & model.valid, thing)
        elif kind == "reshape_object":
            edit = Edit(kind=kind, geometry=shape, ids=(ident,), class_code=asked)
            done = model.reshape(number, inside, asked)
        elif kind == "delete_object":
            edit, done = Edit(kind=kind, ids=(ident,), class_code=asked), model.delete(number, asked)
        elif kind == "set_class":
            code = int(rng.choice([*self.things, *self.stuff]))
            edit, done = Edit(kind=kind, ids=(ident,), class_code=code), True
            model.draw(model.number == number, code)
        else:
            others = [n for n in nameable if n != number and model.touch(number, n)]
            other = int(rng.choice(others or nameable))
            if other == number:
                return
            edit = Edit(kind="merge_objects", ids=(ident, ident_of(self.saved, model, other)))
            done = model.touch(number, other)
            model.merge((number, other))
        self.apply(edit, model, done=done)

    def apply(self, edit: Edit, model: LabelModel, *, done: bool) -> None:
        if done:
            self.edits.append(edit)
            self.model = model
            return
        self.flush()
        revision = self.session.revision
        with pytest.raises(UsageError):
            self.session.apply(edit)
        assert self.session.refresh() == revision

    def flush(self) -> None:
        if self.edits:
            self.session.apply(*self.edits)
        self.edits = []

    def save(self) -> None:
        self.flush()
        self.session.save()
        self.saved = self.model.copy()


KINDS = ("repaint", "stuff", "add_object", "reshape_object", "delete_object", "set_class", "merge_objects")


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        *(("panoptic", 0), ("instances", 1), ("instances, ids", 2)),
        *((kind, seed) for kind in ("panoptic", "instances", "instances, ids") for seed in range(3, 7)),
        *((kind, 7) for kind in ("panoptic, simplified", "instances, simplified")),
        *((kind, 8) for kind in ("panoptic, rasters", "instances, rasters")),
    ],
)
def test_all_layers_are_those_of_a_plain_picture_and_undoing_brings_the_bytes_back(
    kind, seed, labelled_map, predicted_maps, tiny_blocks
) -> None:
    folder = labelled_map(kind)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    edits = RandomEdits(folder, seed)
    first = edits.model.copy()
    kept = 0
    for place, name in enumerate(edits.rng.permutation(KINDS * 2)):
        edits.step(str(name))
        if place in {2, len(KINDS) * 2 - 1}:
            edits.save()
            check_layers(folder, edits.model)
            if "rasters" not in kind:
                kept += check_untouched(predicted_maps(kind) / "scene", folder, first, edits.model)
    assert kept or "rasters" in kind, "some objects are untouched"
    assert [checked.faults for checked in check_output(folder)] == [()]
    edits.session.undo(every=True)
    edits.session.save()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "edits.gpkg"} == before
