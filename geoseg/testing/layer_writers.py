"""Contract tests of writers of raster layers, to inherit for a layer of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from geoseg.core.block_result import BlockResult
from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.layer import OutputSchema, RasterLayer
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.core.types.arrays import AnyArray
from geoseg.errors import OutputError
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.commit import RunPaths
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.models.model import Model, ModelSource
from geoseg.run.finished_blocks import FinishedBlocks
from geoseg.run.layer_writers import LayerJob, Writer
from geoseg.run.plan import Job, make_plan
from geoseg.testing.fake_runtimes import ConstantRuntime

SHAPE = (150, 220)
"""(rows, columns) of the scene whose layers are written."""

LEGEND = Legend(
    classes=(
        LegendClass(code=0, name="ground", colour="#c8b48c"),
        LegendClass(code=1, name="roof", colour="#d7301f"),
        LegendClass(code=5, name="water", colour="#2b8cbe"),
    )
)
_TRANSFORM = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
_CARD = ModelCard(
    name="contract",
    architecture=Architecture(name="unet"),
    bands=(CardBand(name="red"),),
    gsd_m=GsdRange(min=0.4, max=0.6),
    tile_px=32,
    halo_px=0,
    legend=LEGEND,
    licence="CC0-1.0",
)


class LayerWriterTests:
    """Laws of a writer of one raster layer: what the blocks hold is in the file, exactly, or there is no file.

    Attributes:
        layer: the layer that is written.

    Examples:
        >>> class TestMine(LayerWriterTests):
        ...     layer = RasterLayer(
        ...         name="height", role="height", dtype="float32", nodata=-1, label="Height (m)", title="Height"
        ...     )
        ...
        ...     def writer(self) -> Writer:
        ...         return write_height
    """

    layer: RasterLayer

    def writer(self) -> Writer:
        """Override it: the writer."""
        raise NotImplementedError("define the method writer")

    def values(self, random: np.random.Generator) -> AnyArray:
        """Make the pixels (y, x) of the layer, of ``SHAPE``; override it where not every number is a value."""
        kind = np.dtype(self.layer.dtype)
        if kind.kind == "f":
            return random.random(SHAPE).astype(kind)
        return random.integers(0, 100, SHAPE).astype(kind)

    @pytest.fixture
    def plane(self) -> AnyArray:
        """The pixels of the layer, with a corner and single pixels without a result."""
        random = np.random.default_rng(3)
        plane = self.values(random)
        plane[:40, :50] = self.layer.nodata
        plane[random.random(SHAPE) < 0.01] = self.layer.nodata
        return plane

    @pytest.fixture
    def scene(self, tmp_path: Path) -> Iterator[Scene]:
        """A scene of ``SHAPE``, open."""
        path = tmp_path / "scene.tif"
        facts = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "crs": "EPSG:32632", "transform": _TRANSFORM}
        with rasterio.open(path, "w", count=1, dtype="uint8", **facts) as target:
            target.write(np.ones((1, *SHAPE), np.uint8))
        with open_scene(path) as opened:
            yield opened

    def test_the_file_holds_the_plane_on_the_grid_of_the_scene(self, scene: Scene, plane: AnyArray) -> None:
        """Every pixel, the type, nodata, CRS and transform come back, read by rasterio."""
        path, _ = self._write(scene, plane)
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.read(1), plane)
            assert (file.dtypes[0], file.nodata) == (self.layer.dtype, self.layer.nodata)
            assert (file.crs, file.transform) == (rasterio.CRS.from_epsg(32632), _TRANSFORM)

    def test_the_bytes_do_not_depend_on_the_blocks(self, scene: Scene, plane: AnyArray) -> None:
        """Small blocks, large ones and a second time give the same file."""
        files = [self._write(scene, plane, block_px=block_px)[0].read_bytes() for block_px in (32, 96, 512, 512)]
        assert len(set(files)) == 1

    def test_its_facts_go_into_the_run_record(self, scene: Scene, plane: AnyArray) -> None:
        """The returned facts are JSON."""
        facts = dict(self._write(scene, plane)[1])
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts

    def test_it_reports_every_pixel_once(self, scene: Scene, plane: AnyArray) -> None:
        """Progress adds up to the scene."""
        reported: list[int] = []
        self._write(scene, plane, tick=reported.append)
        assert sum(reported) == SHAPE[0] * SHAPE[1]

    def test_stopped_it_leaves_no_file(self, scene: Scene, plane: AnyArray) -> None:
        """An interruption passes through, and nothing lies at the path."""

        def stop(_pixels: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self._write(scene, plane, tick=stop)
        self._assert_nothing_left(scene)

    def test_without_a_block_it_leaves_no_file(self, scene: Scene, plane: AnyArray) -> None:
        """A block that is missing or damaged is an error, never a hole."""
        with pytest.raises(OutputError, match="missing or damaged"):
            self._write(scene, plane, missing=(1, 2))
        self._assert_nothing_left(scene)

    def _write(
        self,
        scene: Scene,
        plane: AnyArray,
        *,
        block_px: int = 64,
        tick: Callable[[int], None] = lambda _: None,
        missing: tuple[int, int] | None = None,
    ) -> tuple[Path, Any]:
        """Write the layer and return its path and what the writer returned."""
        spec = PredictSpec(block_px=block_px, vector=False)
        plan = replace(make_plan(scene, _CARD, spec), schema=OutputSchema((self.layer,)))
        runtime = ConstantRuntime((1.0, 0.0, 0.0))
        model = Model(_CARD, ModelSource(name_or_path=_CARD.name), info=runtime.info, runtime=runtime)
        work = RunPaths(bundle=Bundle.in_folder(Path(scene.uri).parent, "out"))
        work.building.directory.mkdir(exist_ok=True)
        key = {"scene": "0" * 64}
        job = Job(scene=scene, model=model, plan=plan, mask=None, work=work, key=key)
        blocks = FinishedBlocks(plan.blocks, _Blocks(self.layer.name, plane, missing))
        layer = LayerJob(layer=self.layer, job=job, blocks=blocks, grid=LayerGrid(geobox=scene.geobox), tick=tick)
        facts = self.writer()(layer)
        return work.building.file_of(self.layer), facts

    def _assert_nothing_left(self, scene: Scene) -> None:
        building = RunPaths(bundle=Bundle.in_folder(Path(scene.uri).parent, "out")).building.directory
        assert [path.name for path in building.iterdir()] == []


class _Blocks:
    """Finished blocks cut from a plane."""

    path = Path("blocks")

    def __init__(self, name: str, plane: AnyArray, missing: tuple[int, int] | None) -> None:
        self._name, self._plane, self._missing = name, plane, missing

    def read(self, block: Block) -> BlockResult | None:
        """Read a block; see ``geoseg.run.finished_blocks.BlockSource``."""
        if (block.row, block.col) == self._missing:
            return None
        return BlockResult(block=block, planes={self._name: self._plane[block.window.slices]})
