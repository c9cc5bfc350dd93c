"""Laws of a scene that is read beyond its edges: its map is the part of the larger map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from test_predict_laws import BANDS, legend, plan

from geoseg.core.raster import Raster
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Blocks, Tiling
from geoseg.core.window import Margin, Window
from geoseg.inference.match import ReadPlan
from geoseg.inference.passes import BlockPixels, InferencePass
from geoseg.inference.predict import predict_block
from geoseg.inference.prepare import prepare, scene_window
from geoseg.inference.tasks.semantic import SemanticTask
from geoseg.inference.tasks.task import Assembly
from geoseg.runtimes.runtime import Runtime
from geoseg.testing.fake_runtimes import ConstantRuntime, FilterRuntime

side = st.integers(0, 12)
margins = st.builds(Margin, top=side, bottom=side, left=side, right=side)


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    shape = draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    work = draw(st.tuples(st.integers(1, 90), st.integers(1, 90))) if draw(st.booleans()) else shape
    halo = draw(st.integers(0, 12))
    finer = max(-(-2 * fine // coarse) for fine, coarse in zip(work, shape, strict=True))  # of two pixels of the scene
    least = max(4, max(work) // 5, finer)
    tile = draw(st.integers(2 * halo + least, 2 * halo + max(80, least)))
    blend = draw(st.sampled_from(["core", "taper"]))
    return Tiling(shape, work, tile_px=tile, halo_px=halo, blend=blend, margin=draw(margins))


@given(tilings(), st.integers(1, 120))
@example(Tiling((5, 5), (14, 14), tile_px=13, halo_px=0), 1)  # a last core of less than half a pixel
@example(Tiling((1, 1), (1, 5), tile_px=5, halo_px=0), 8)
def test_blocks_partition_the_scene_and_tiles_weigh_one_on_it(tiling: Tiling, block_px: int) -> None:
    owners = np.zeros(tiling.scene_shape, int)
    for block in Blocks(tiling, block_px):
        assert block.window.pixels
        owners[block.window.slices] += 1
        assert tiling.cells(block.window) == block.cells
    assert (owners == 1).all()
    total = sum(tiling.weight(tile, Window.whole(tiling.scene_shape)).astype(np.float64) for tile in tiling)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@given(tilings())
def test_every_core_pixel_has_its_halo_unless_the_margin_ends_there(tiling: Tiling) -> None:
    if tiling.scene_shape != tiling.work_shape:
        return
    readable = tiling.readable
    for tile in tiling:
        needed = tile.core.expanded(tiling.halo_px).intersection(readable)
        assert tile.read.contains(needed)
        if min(readable.shape) >= tiling.tile_px:
            assert readable.contains(tile.read)


class Surrounded:
    """A scene that is a window of larger imagery, predicted with a margin of it."""

    def __init__(self, values: npt.NDArray[np.uint8], window: Window, read: ReadPlan) -> None:
        self.values, self.window, self.read = values, window, read

    def run(self, runtime: Runtime, tiling: Tiling, block_px: int) -> npt.NDArray[np.uint8]:
        codes = np.full(self.window.shape, 77, np.uint8)
        task, spec = SemanticTask(), PredictSpec()
        assembly = Assembly(legend=legend(3), spec=spec, schema=task.schema(spec, legend(3), 1))
        one = InferencePass(member=0, scale=1.0, read=self.read, tiling=tiling)
        for block in Blocks(tiling, block_px):
            asked = scene_window(self.read, tiling, block)
            there = asked.shifted(self.window.row_start, self.window.col_start)
            grid = GeoBox(asked.shape, (1.0, 0, 0, 0, -1.0, 0), "EPSG:32632")
            assert Window.whole(self.values.shape[1:]).contains(there), "no more is read than the margin has"
            raster = Raster(values=self.values[:, *there.slices], valid=np.ones(there.shape, bool), geobox=grid)
            source = prepare(self.read, tiling, block, raster)
            pixels = BlockPixels(block=block, valid=source.valid, inputs=iter([(one, source)]))
            codes[block.window.slices] = predict_block(task, [(runtime, 1.0)], assembly, pixels).planes["classes"]
        return codes


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_local_filter_within_the_halo_gives_the_answer_of_the_larger_image(data: st.DataObject) -> None:
    radius = data.draw(st.integers(1, 3))
    halo, blend = data.draw(st.sampled_from([(radius, "core"), (2 * radius, "taper")]))
    margin = data.draw(
        st.builds(Margin, **dict.fromkeys(("top", "bottom", "left", "right"), st.sampled_from([0, halo])))
    )
    shape = data.draw(st.tuples(st.integers(40, 120), st.integers(40, 120)))
    window = Window.whole(shape).shifted(margin.top, margin.left)
    whole_shape = margin.around(shape).shape
    values = np.random.default_rng(data.draw(st.integers(0, 1000))).integers(0, 256, (BANDS, *whole_shape), np.uint8)
    tile = data.draw(st.integers(2 * halo + 24, 40))
    tiling = Tiling(shape, shape, tile_px=tile, halo_px=halo, blend=blend, margin=margin)
    read = replace(plan(shape), margin=margin)
    codes = Surrounded(values, window, read).run(FilterRuntime(3, radius), tiling, data.draw(st.integers(20, 90)))
    whole = FilterRuntime(3, radius).run(values[None].astype(np.float32))["probabilities"][0]
    # at an edge without a margin the network's own padding is seen, there as here
    clear = (whole.max(axis=0) - np.sort(whole, axis=0)[-2] > 1e-5)[window.slices]
    np.testing.assert_array_equal(codes[clear], (whole.argmax(axis=0) + 3)[window.slices][clear])


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_constant_network_gives_a_constant_map_on_a_resampled_scene_with_a_margin(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(20, 90), st.integers(20, 90)))
    work = data.draw(st.tuples(st.integers(10, 120), st.integers(10, 120)))
    halo = data.draw(st.integers(0, 10))
    margin = data.draw(margins).at_most(halo, halo)
    read = replace(plan(shape, work), margin=margin)
    window = Window.whole(shape).shifted(-read.readable.row_start, -read.readable.col_start)
    values = np.full((BANDS, *read.readable.shape), 9, np.uint8)
    tile = data.draw(st.integers(2 * halo + 30, 2 * halo + 80))
    tiling = Tiling(
        shape, work, tile_px=tile, halo_px=halo, margin=margin, blend=data.draw(st.sampled_from(["core", "taper"]))
    )
    codes = Surrounded(values, window, read).run(
        ConstantRuntime((0.2, 0.7, 0.1)), tiling, data.draw(st.integers(1, 90))
    )
    assert (codes == 4).all()


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_margin_has_no_negative_side(side: str) -> None:
    with pytest.raises(ValueError, match="negative"):
        Margin(**{side: -1})
