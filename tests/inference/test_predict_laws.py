"""The invariants of tiled prediction, stated on networks whose whole-image answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import NO_PERCENT
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.raster import Raster
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block, Blocks, Tiling
from geoseg.errors import ModelError
from geoseg.inference.match import ReadPlan
from geoseg.inference.passes import BlockPixels, InferencePass
from geoseg.inference.predict import predict_block
from geoseg.inference.prepare import prepare, scene_window
from geoseg.inference.tasks.semantic import SemanticTask
from geoseg.inference.tasks.task import Assembly
from geoseg.runtimes.runtime import Runtime
from geoseg.testing.fake_runtimes import ConstantRuntime, FilterRuntime

BANDS = 2
shapes = st.tuples(st.integers(1, 150), st.integers(1, 150))


def legend(classes: int) -> Legend:
    return Legend(classes=[LegendClass(code=i + 3, name=f"c{i}", colour="#123456") for i in range(classes)])


def plan(shape: tuple[int, int], work: tuple[int, int] | None = None) -> ReadPlan:
    ones, zeros = (1.0,) * BANDS, (0.0,) * BANDS
    return ReadPlan(
        bands=tuple(range(1, BANDS + 1)),
        gain=(1 / 255,) * BANDS,
        bias=zeros,
        mean=zeros,
        std=tuple(1 / 255 for _ in ones),  # the network sees 0-255 again
        scene_shape=shape,
        work_shape=work or shape,
        scene_gsd_m=(1.0, 1.0),
    )


class Predicted:
    """A whole scene, predicted block by block."""

    def __init__(self, values: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_], read: ReadPlan) -> None:
        self.values, self.valid, self.read = values, valid, read

    def run(
        self, runtime: Runtime, tiling: Tiling, block_px: int, classes: int, order: list[int] | None = None
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        codes = np.full(self.valid.shape, 77, np.uint8)
        confidence = np.full(self.valid.shape, 77, np.uint8)
        blocks = list(Blocks(tiling, block_px))
        for index in order or range(len(blocks)):
            result = self.predict(runtime, tiling, blocks[index], classes)
            codes[blocks[index].window.slices] = result.planes["classes"]
            confidence[blocks[index].window.slices] = result.planes["confidence"]
        return codes, confidence

    def predict(self, runtime: Runtime, tiling: Tiling, block: Block, classes: int) -> BlockResult:
        task, spec = SemanticTask(), PredictSpec()
        assembly = Assembly(legend=legend(classes), spec=spec, schema=task.schema(spec, legend(classes), 1))
        one = InferencePass(member=0, scale=1.0, read=self.read, tiling=tiling)
        source = self.input(tiling, block)
        pixels = BlockPixels(block=block, valid=source.valid, inputs=iter([(one, source)]))
        return predict_block(task, [(runtime, 1.0)], assembly, pixels)

    def input(self, tiling: Tiling, block: Block):
        window = scene_window(self.read, tiling, block)
        grid = GeoBox(window.shape, (1.0, 0, 0, 0, -1.0, 0), "EPSG:32632")
        raster = Raster(values=self.values[:, *window.slices], valid=self.valid[window.slices], geobox=grid)
        return prepare(self.read, tiling, block, raster)


@st.composite
def scenes(draw: st.DrawFn, *, valid: bool = True) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    shape = draw(shapes)
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    values = random.integers(0, 256, size=(BANDS, *shape)).astype(np.uint8)
    mask = np.ones(shape, bool) if valid else random.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.5, 0.98]))
    return values, mask


@st.composite
def tilings(draw: st.DrawFn, shape: tuple[int, int], halo: int, work: tuple[int, int] | None = None) -> Tiling:
    tile = draw(st.integers(2 * halo + max(8, max(work or shape) // 4), 2 * halo + 80))
    blend = draw(st.sampled_from(["core", "taper"]))
    return Tiling(shape, work or shape, tile_px=tile, halo_px=halo, blend=blend)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_local_filter_within_the_halo_gives_the_whole_image_answer(data: st.DataObject) -> None:
    values, valid = data.draw(scenes())
    radius = data.draw(st.integers(0, 3))
    exact = data.draw(st.booleans())  # cores need the radius as their halo, tapers twice that
    halo = radius if exact else 2 * radius
    tiling = data.draw(tilings(valid.shape, halo=halo + data.draw(st.integers(0, 3))))
    if exact:
        tiling = replace(tiling, blend="core")
    # a scene a little smaller than what a tile reads ends nearer to the network's own padding than the filter reaches
    sides = zip(valid.shape, tiling.read_shape, strict=True)
    assume(all(side >= read or side + radius <= read for side, read in sides))
    runtime = FilterRuntime(3, radius, batch=data.draw(st.integers(1, 3)))
    codes, confidence = Predicted(values, valid, plan(valid.shape)).run(runtime, tiling, 60, 3)
    whole = FilterRuntime(3, radius).run(values[None].astype(np.float32))["probabilities"][0]
    runner_up = np.sort(whole, axis=0)[-2]
    clear = whole.max(axis=0) - runner_up > 1e-5
    np.testing.assert_array_equal(codes[clear], whole.argmax(axis=0)[clear] + 3)
    np.testing.assert_allclose(confidence, np.rint(whole.max(axis=0) * 100), atol=1)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_constant_network_gives_a_constant_map_corners_included(data: st.DataObject) -> None:
    values, valid = data.draw(scenes())
    work = data.draw(st.one_of(st.none(), shapes))
    tiling = data.draw(tilings(valid.shape, halo=data.draw(st.integers(0, 12)), work=work))
    predicted = Predicted(values, valid, plan(valid.shape, work))
    codes, confidence = predicted.run(ConstantRuntime((0.2, 0.7, 0.1)), tiling, data.draw(st.integers(1, 200)), 3)
    assert (codes == 4).all()
    assert (confidence == 70).all()


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_codes_depend_on_neither_batch_nor_order_nor_block_size(data: st.DataObject) -> None:
    values, valid = data.draw(scenes(valid=False))
    work = data.draw(st.one_of(st.none(), shapes))
    tiling = data.draw(tilings(valid.shape, halo=data.draw(st.integers(0, 8)), work=work))
    predicted = Predicted(values, valid, plan(valid.shape, work))
    codes, confidence = predicted.run(FilterRuntime(3, 1), tiling, 40, 3)
    backwards = list(range(len(Blocks(tiling, 40))))[::-1]
    again, confidence_again = predicted.run(FilterRuntime(3, 1, batch=3), tiling, 40, 3, backwards)
    np.testing.assert_array_equal(codes, again)
    np.testing.assert_array_equal(confidence, confidence_again)
    large, _ = predicted.run(FilterRuntime(3, 1), tiling, 1000, 3)
    assert (codes != large).mean() <= 1e-4 or (codes != large).sum() <= 1


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_an_invalid_pixel_is_never_predicted_and_never_seen(data: st.DataObject) -> None:
    values, valid = data.draw(scenes(valid=False))
    work = data.draw(st.one_of(st.none(), shapes))
    tiling = data.draw(tilings(valid.shape, halo=data.draw(st.integers(0, 8)), work=work))
    other = values.copy()
    other[:, ~valid] = 255 - other[:, ~valid]
    first = Predicted(values, valid, plan(valid.shape, work)).run(FilterRuntime(2, 1), tiling, 50, 2)
    second = Predicted(other, valid, plan(valid.shape, work)).run(FilterRuntime(2, 1), tiling, 50, 2)
    for codes, confidence in (first, second):
        assert (codes[~valid] == 255).all()
        assert (confidence[~valid] == NO_PERCENT).all()
        assert np.isin(codes[valid], (3, 4)).all()
        assert (confidence[valid] <= 100).all()
    np.testing.assert_array_equal(first[0], second[0])


def test_a_network_that_answers_nan_is_refused_by_name() -> None:
    values, valid = np.zeros((BANDS, 20, 20), np.uint8), np.ones((20, 20), bool)
    tiling = Tiling((20, 20), (20, 20), tile_px=32, halo_px=4)
    with pytest.raises(ModelError, match="NaN"):
        Predicted(values, valid, plan((20, 20))).run(ConstantRuntime((float("nan"), 0.5)), tiling, 32, 2)


def test_a_network_that_answers_another_shape_is_refused() -> None:
    values, valid = np.zeros((BANDS, 20, 20), np.uint8), np.ones((20, 20), bool)
    tiling = Tiling((20, 20), (20, 20), tile_px=32, halo_px=4)
    with pytest.raises(ModelError, match="shape"):
        Predicted(values, valid, plan((20, 20))).run(ConstantRuntime((0.5, 0.5, 0.0)), tiling, 32, 2)
