"""No chip to learn from overlaps or touches ground that is scored, whatever the split, also across scenes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from written_sets import TWO, codes_in_blobs, picture, write_tiff

from geoseg.core.window import Window
from geoseg.data.chips import ChipSpec, cut
from geoseg.data.file_scene import FileScene, ScenePart
from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.data.regions import ground
from geoseg.data.sources.georeferenced import GeoreferencedSource
from geoseg.errors import SceneError, UsageError


class Watched:
    """A part that remembers which pixels of its scene were read."""

    def __init__(self, part: ScenePart) -> None:
        self.part = part
        self.name, self.gsd_m, self.weight = part.name, part.gsd_m, part.weight
        self.shape, self.bands = part.shape, part.bands
        self.seen: list[Window] = []

    def read(self, window: Window) -> Any:
        self.seen.append(window.shifted(self.part.window.row_start, self.part.window.col_start))
        return self.part.read(window)


SPLITS = st.one_of(
    st.builds(lambda share: {"by": "rows", "validate_share": share}, st.floats(0.1, 0.6)),
    st.builds(
        lambda top, rows: {"by": "rows", "validate_on": [top, top + rows]}, st.integers(0, 60), st.integers(1, 40)
    ),
    st.builds(
        lambda side, share, seed: {"by": "blocks", "block_px": side, "validate_share": share, "seed": seed},
        st.integers(16, 60),
        st.floats(0.05, 0.5),
        st.integers(0, 9),
    ),
    st.just({"by": "area", "validate_on": "area.gpkg", "cell_px": 16}),
    st.just({"by": "area", "validate_on": "area.gpkg", "train": "wide.gpkg", "cell_px": 24}),
    st.builds(lambda name: {"by": "names", "validate_on": [name]}, st.sampled_from(["a", "b"])),
    st.just({"by": "share", "validate_share": 0.4}),
)


@settings(max_examples=30, deadline=None)
@given(
    split=SPLITS,
    guard_px=st.integers(1, 20),
    moved=st.tuples(st.floats(-60, 60), st.floats(-60, 60)),
    turned=st.booleans(),
    size_px=st.integers(32, 64),
    seed=st.integers(0, 99),
)
def test_training_keeps_away_from_validation(
    split: dict[str, Any], guard_px: int, moved: tuple[float, float], turned: bool, size_px: int, seed: int
) -> None:
    """Two scenes that may show the same ground, on grids of their own."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        grids = {
            "a": Affine(1, 0, 500000, 0, -1, 5400000),
            "b": Affine(1, 0, 500000 + moved[0], 0, -1, 5400000 + moved[1]) * Affine.rotation(20 if turned else 0),
        }
        for number, (name, grid) in enumerate(grids.items()):
            write_tiff(folder / f"{name}.tif", picture((100, 90), number).transpose(2, 0, 1), transform=grid)
            write_tiff(folder / f"{name}_codes.tif", codes_in_blobs((100, 90), 2)[None], transform=grid)
        for name, box in (("area", (500030, 5399940, 500052, 5399961)), ("wide", (500000, 5399930, 500080, 5400000))):
            area = geopandas.GeoDataFrame(geometry=[shapely.box(*box).buffer(3)], crs="EPSG:32632")
            area.to_crs("EPSG:4326").to_file(folder / f"{name}.gpkg")
        source = GeoreferencedSource.model_validate(
            {
                "kind": "georeferenced",
                "name": "s",
                "licence": "CC0",
                "images": ["a.tif", "b.tif"],
                "labels": "*_codes.tif",
                "split": split,
                "guard_px": guard_px,
            }
        )
        try:
            train = read_source(source, "train", folder, TWO)
        except UsageError as error:
            if "leaves no training data" not in str(error):
                raise
            return
        except SceneError as error:  # the guard leaves rectangles that hold no pixel of the training area
            if split.get("train") != "wide.gpkg" or "no pixel of" not in str(error):
                raise
            return
        held_out = read_source(source, "validate", folder, TWO)
        scored = [ground(part.scene.geobox, part.window) for part in held_out]
        assert train
        assert _disjoint(held_out)
        rng = np.random.default_rng(seed)
        spec = ChipSpec(size_px=size_px, small="pad", turned=0.5, balance=0.5, gsd_m=(0.01, 10))
        for part in train:
            watched = Watched(part)
            for _ in range(4):
                cut(watched, spec, rng)
            for window in watched.seen:
                chip = ground(part.scene.geobox, window)
                # pixels are one metre; grids turned against each other are measured corner to corner
                assert all(chip.distance(other) >= guard_px - 1e-6 for other in scored)


def _disjoint(parts: list[ScenePart]) -> bool:
    by_scene: dict[int, list[Window]] = {}
    for part in parts:
        by_scene.setdefault(id(part.scene), []).append(part.window)
    return all(
        not one.intersection(other).pixels
        for windows in by_scene.values()
        for place, one in enumerate(windows)
        for other in windows[place + 1 :]
    )


def test_a_part_lets_nothing_outside_of_it_be_read(tmp_path: Path) -> None:
    scene = _scene(tmp_path, {"by": "rows", "validate_share": 0.5})[0]
    with pytest.raises(ValueError, match="leaves its"):
        scene.read(Window(0, scene.shape[0] + 1, 0, 10))


def test_all_ground_is_used_but_the_guard_band(tmp_path: Path) -> None:
    train = _scene(tmp_path, {"by": "blocks", "block_px": 20, "validate_share": 0.2, "seed": 3}, guard_px=2)
    held_out = _scene(tmp_path, {"by": "blocks", "block_px": 20, "validate_share": 0.2, "seed": 3}, "validate", 2)
    sides = np.zeros((100, 90), int)
    for part in train:
        sides[part.window.slices] = 1
    guard = np.zeros((100, 90), bool)
    for part in held_out:
        assert not sides[part.window.slices].any()
        guard[part.window.expanded(2).intersection(Window.whole((100, 90))).slices] = True
    # rectangles cannot follow every corner, so a little more than the band is lost
    assert ((sides == 0) & ~guard).mean() < 0.12
    assert sum(part.window.pixels for part in held_out) == pytest.approx(0.2 * 9000, rel=0.1)


def test_an_area_is_scored_inside_its_polygons_only(tmp_path: Path) -> None:
    area = geopandas.GeoDataFrame(geometry=[shapely.Point(500045, 5399950).buffer(14)], crs="EPSG:32632")
    area.to_file(tmp_path / "area.gpkg")
    held_out = _scene(tmp_path, {"by": "area", "validate_on": "area.gpkg", "cell_px": 16}, "validate")
    labelled = sum(int((part.class_indices != UNLABELLED).sum()) for part in held_out)
    assert labelled == pytest.approx(np.pi * 14**2, rel=0.02)


def _scene(folder: Path, split: dict[str, Any], side: str = "train", guard_px: int = 4) -> list[Any]:
    grid = Affine(1, 0, 500000, 0, -1, 5400000)
    write_tiff(folder / "a.tif", picture((100, 90)).transpose(2, 0, 1), transform=grid)
    write_tiff(folder / "codes.tif", codes_in_blobs((100, 90), 2)[None], transform=grid)
    keys = {"images": "a.tif", "labels": "codes.tif", "split": split, "guard_px": guard_px}
    source = GeoreferencedSource.model_validate({"kind": "georeferenced", "name": "s", "licence": "CC0"} | keys)
    found = read_source(source, side, folder, TWO)  # type: ignore[arg-type]
    assert all(isinstance(part.scene, FileScene) for part in found)
    return found
