"""Known objects, seen tile by tile by a detector that is always right, are the objects of the layers that a run writes."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import geoseg
from geoseg.core.block_result import BlockResult
from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.instance_schema import VALID
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.core.tiling import Blocks, Tiling
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.inference.match import ReadPlan
from geoseg.inference.passes import BlockPixels, Pass
from geoseg.inference.tasks.instance import InstanceTask
from geoseg.inference.tasks.task import Assembly
from geoseg.run.finished_blocks import FinishedBlocks
from geoseg.run.instances.scene import ObjectRules, SceneInstances
from geoseg.testing.instances import PerfectDetector

BANDS = 3
LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="background", colour="#d9d9d9"),
        LegendClass(code=4, name="roof", colour="#d7301f"),
        LegendClass(code=7, name="tree", colour="#33a02c"),
    ]
)
CHOICES = {
    "resolve": InstanceChoice(nms_iou=1.0),
    "keep": InstanceChoice(nms_iou=1.0, overlaps="keep"),
}


def detector_card(**changes: object) -> ModelCard:
    facts = {
        "name": "perfect",
        "architecture": Architecture(name="own"),
        "task": "instance",
        "bands": tuple(CardBand(name=name, mean=0, std=1 / 255) for name in ("red", "green", "blue")),
        "gsd_m": GsdRange(min=0.1, max=10),
        "tile_px": 96,
        "halo_px": 16,
        "legend": LEGEND,
        "licence": "CC0-1.0",
    }
    return ModelCard(**(facts | changes))


def shape_of(kind: int, rows: int, cols: int, rng: np.random.Generator) -> np.ndarray:
    """A full rectangle, a ring, a winding line one pixel wide, a diagonal, or a blob; always of one piece."""
    mask = np.zeros((rows, cols), bool)
    if kind == 0:
        mask[:] = True
    elif kind == 1:
        mask[:] = True
        mask[1:-1, 1:-1] = False
    elif kind == 2:
        for row in range(rows):
            mask[row, :] = row % 2 == 0
            mask[row, -1 if (row // 2) % 2 == 0 else 0] = True
    elif kind == 3:
        mask[
            np.arange(max(rows, cols)) * rows // max(rows, cols), np.arange(max(rows, cols)) * cols // max(rows, cols)
        ] = 1
    else:
        labels, _ = ndimage.label(ndimage.gaussian_filter(rng.random((rows, cols)), 1) > 0.45, np.ones((3, 3)))
        mask = labels == np.bincount(labels.ravel())[1:].argmax() + 1 if labels.any() else ~mask
    return mask


def drawn_objects(shape: tuple[int, int], seed: int, count: int) -> np.ndarray:
    """Bands of numbers of objects: those of one band share no pixel, those of different bands may."""
    rng = np.random.default_rng(seed)
    bands = np.zeros((BANDS, *shape), np.uint8)
    for number in range(1, count + 1):
        rows, cols = (int(rng.integers(1, max(2, min(side, 1 + int(side * rng.random() ** 2))))) for side in shape)
        top, left = (int(rng.integers(0, side - size + 1)) for side, size in zip(shape, (rows, cols), strict=True))
        mask = np.zeros(shape, bool)
        mask[top : top + rows, left : left + cols] = shape_of(int(rng.integers(5)), rows, cols, rng)
        for band in rng.permutation(BANDS):
            if not (mask & (bands[band] > 0)).any():
                bands[band][mask] = number
                break
    return bands


def known(bands: np.ndarray, classes: int, scores: int) -> list[tuple[float, int, np.ndarray]]:
    """Score, code and mask of each object, by ``PerfectDetector``'s rules."""
    codes = (4, 7)
    return [
        (
            np.float32(0.9 - (int(v) + 1000 * band) % scores / (2 * scores)),
            codes[(int(v) + 1000 * band) % classes],
            plane == v,
        )
        for band, plane in enumerate(bands)
        for v in np.unique(plane[plane > 0])
    ]


def expected(bands: np.ndarray, classes: int, scores: int, overlaps: str, valid: np.ndarray) -> dict:
    """Code and pixels of each object, by the pixel that names it; scores must differ where objects overlap."""
    objects = sorted(known(bands, classes, scores), key=lambda entry: -entry[0])
    kept = []
    for score, code, mask in objects:
        covered = any((mask & m).sum() > 0.5 * min(mask.sum(), m.sum()) for _, _, m in kept)
        if overlaps == "keep" or not covered:
            kept.append((score, code, mask))
    taken = np.zeros(valid.shape, bool)
    found, ids = {}, set()
    for _, code, mask in kept:
        seen = mask & valid & ~(taken if overlaps == "resolve" else False)
        taken |= mask
        if seen.any():
            numbers = np.flatnonzero(seen)
            ids.add(int(numbers[-1]))
            found[frozenset(numbers.tolist())] = code
    return found


def distinct(bands: np.ndarray, scores: int) -> bool:
    """Objects that overlap have different scores, so that the better one is known."""
    objects = known(bands, 1, scores)
    return not any(
        one[0] == other[0] and (one[2] & other[2]).any() for n, one in enumerate(objects) for other in objects[:n]
    )


def assembled(bands, tile_px, halo_px, block_px, choice, valid, detector) -> SceneInstances:
    """Run the task over the blocks of a scene that is in memory."""
    import torch  # noqa: PLC0415

    shape = bands.shape[1:]
    tiling = Tiling(shape, shape, tile_px=tile_px, halo_px=halo_px)
    blocks, task = Blocks(tiling, block_px), InstanceTask()
    spec = PredictSpec(instances=choice)
    schema = task.schema(spec, LEGEND, 1)
    read = ReadPlan(
        bands=(1, 2, 3), gain=(1, 1, 1), bias=(0, 0, 0), mean=(0, 0, 0), std=(1, 1, 1), scene_shape=shape,
        work_shape=shape, scene_gsd_m=(1, 1),
    )  # fmt: skip
    one = Pass(member=0, scale=1.0, read=read, tiling=tiling)
    results = {}
    for block in blocks:
        here = valid[block.window.slices]
        pixels = BlockPixels(block=block, valid=here, inputs=iter(()))
        assembler = task.assembler(Assembly(legend=LEGEND, spec=spec, schema=schema), pixels)
        assembler.begin(one, 1.0)
        for tile in tiling.tiles(block.cells):
            if not valid[tile.core.slices].any():
                continue
            rows, cols = (np.pad(np.arange(n), (0, 512), "reflect") if n > 1 else np.zeros(513, int) for n in shape)
            at = np.ix_(range(BANDS), rows[slice(*_ends(tile.read)[:2])], cols[slice(*_ends(tile.read)[2:])])
            found = detector(torch.from_numpy((bands * valid)[at].astype(np.float32))[None])[0]
            answer = {name: value.numpy() for name, value in found.items()}
            assembler.add(tile, answer)
        results[block.row, block.col] = assembler.result()
    plan = _Plan(schema=schema, read=read, tiling=tiling)
    from odc.geo.geobox import GeoBox  # noqa: PLC0415

    rules = ObjectRules(legend=LEGEND, choice=choice, min_score=0.0)
    geobox = GeoBox(shape, Affine(1, 0, 5e5, 0, -1, 4e6), "EPSG:32632")
    return SceneInstances.of_run(FinishedBlocks(blocks, _Results(results)), plan, geobox, rules)


def _ends(window: Window) -> tuple[int, int, int, int]:
    return window.row_start, window.row_stop, window.col_start, window.col_stop


class _Plan:
    def __init__(self, **facts) -> None:
        self.__dict__.update(facts)


class _Results:
    path = Path("memory")

    def __init__(self, results: dict[tuple[int, int], BlockResult]) -> None:
        self._results = results

    def read(self, block) -> BlockResult:
        return self._results[block.row, block.col]


def found_in(instances: SceneInstances) -> dict:
    whole = Window.whole(instances.shape)
    found = {}
    for layer in range(instances.layers):
        labels = instances.labels(whole, layer)
        for label in np.unique(labels[labels > 0]):
            found[frozenset(np.flatnonzero(labels == label).tolist())] = int(instances.table.code[label])
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(2, 90), st.integers(2, 90)),
    st.integers(0, 2**32 - 1),
    st.integers(1, 14),
    st.tuples(st.integers(32, 64), st.integers(2, 15), st.sampled_from((16, 40, 64, 200))),
    st.sampled_from(tuple(CHOICES)),
    st.booleans(),
)
def test_known_objects_come_back_exactly_for_every_tile_halo_and_block_size(
    shape, seed, count, layout, overlaps, holes
) -> None:
    bands = drawn_objects(shape, seed, count)
    if not distinct(bands, 17):
        bands[1:] = 0
    valid = np.ones(shape, bool)
    if holes:
        valid = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 3) > 0.45
    detector = PerfectDetector(classes=2, scores=17)
    instances = assembled(bands, *layout, CHOICES[overlaps], valid, detector)
    if not holes:  # a hole may cut an object into pieces that tiles do not see together
        assert found_in(instances) == expected(bands, 2, 17, overlaps, valid)
    ids = instances.ids
    assert len(set(ids.tolist())) == len(ids)
    other = assembled(bands, *layout[:2], 48, CHOICES[overlaps], valid, detector)
    assert found_in(other) == found_in(instances)
    for name in instances.table.columns.dtype.names:
        np.testing.assert_array_equal(other.table.columns[name], instances.table.columns[name])
