"""ClickSession: masks of what is clicked on, at the scene's own pixels, wherever the scene lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.window import Window
from geoseg.errors import MatchError, UsageError
from geoseg.interactive.model import ClickModel
from geoseg.interactive.pixels import MOST_PX
from geoseg.interactive.session import ClickSession
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.testing.clicks import PerfectClicks

NUMBERS = np.zeros((700, 900), np.uint8)
NUMBERS[100:160, 200:300] = 40
NUMBERS[110:120, 210:220] = 0  # a court
NUMBERS[300:340, 320:330] = 80
NUMBERS[600:700, 800:900] = 120
NORTH_UP = Affine(0.2, 0, 500_000, 0, -0.2, 5_000_000)
ROTATED = Affine.translation(500_000, 5_000_000) * Affine.rotation(30) * Affine.scale(0.2, -0.2)


def card(tile_px: int = 400) -> ModelCard:
    classes = (
        LegendClass(code=0, name="background", colour="#000000"),
        LegendClass(code=1, name="o", colour="#ff0000"),
    )
    return ModelCard(
        name="perfect",
        architecture=Architecture(name="perfect"),
        task="interactive",
        bands=(CardBand(name="pan", mean=0.0, std=1 / 255),),
        gsd_m=GsdRange(min=1, max=2),  # not the scene's: its own pixels count
        tile_px=tile_px,
        legend=Legend(classes=tuple(classes)),
        licence="none",
    )


def written(folder: Path, transform: Affine, dtype: str = "uint8") -> Path:
    path = folder / "numbers.tif"
    profile = {"driver": "GTiff", "width": 900, "height": 700, "count": 1, "dtype": dtype, "crs": "EPSG:32633"}
    with rasterio.open(path, "w", **profile, transform=transform, tiled=True, blockxsize=256, blockysize=256) as out:
        out.write(NUMBERS.astype(dtype), 1)
        out.set_band_description(1, "pan")
    return path


@pytest.fixture(params=["north up", "rotated"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    with open_scene(written(tmp_path, NORTH_UP if request.param == "north up" else ROTATED)) as opened:
        yield opened


def session(scene: Scene) -> ClickSession:
    return ClickSession(scene, ClickModel(card(), PerfectClicks().eval()), method="plain")


def at(scene: Scene, row: float, col: float, *, positive: bool = True) -> tuple[float, float, bool]:
    x, y = scene.geobox.transform * (col + 0.5, row + 0.5)
    return x, y, positive


def test_a_click_is_answered_with_its_object_and_its_outline(scene: Scene) -> None:
    answer = session(scene).predict([at(scene, 150, 250)])
    assert answer.window.shape == (400, 400)
    assert answer.mask.shape == answer.probability.shape == (400, 400)
    np.testing.assert_array_equal(answer.mask, NUMBERS[answer.window.slices] == 40)
    assert answer.polygon is not None
    assert answer.polygon.is_valid
    assert len(answer.polygon.interiors) == 1
    assert answer.polygon.area == pytest.approx((60 * 100 - 100) * 0.2**2)
    burnt = rasterize([answer.polygon], (700, 900), transform=scene.geobox.transform)
    np.testing.assert_array_equal(burnt == 1, NUMBERS == 40)
    # the transform of the mask leads to the same place
    col, row = np.argwhere(answer.mask).mean(0)[::-1] + 0.5
    assert shapely.Point(answer.transform * (col, row)).distance(answer.polygon.centroid) < 0.01


def test_a_window_at_the_edge_stays_in_the_scene(scene: Scene) -> None:
    answer = session(scene).predict([at(scene, 699, 899)])
    assert (answer.window.row_stop, answer.window.col_stop) == (700, 900)
    assert answer.mask.sum() == 100 * 100


def test_negative_clicks_and_the_last_answer_count(scene: Scene) -> None:
    clicks = session(scene)
    first = clicks.predict([at(scene, 150, 250)])
    again = clicks.predict([at(scene, 150, 250), at(scene, 320, 325)], previous=first)
    assert again.window.contains(Window(100, 321, 200, 326))
    assert again.window.shape == (400, 400)
    both = np.isin(NUMBERS[again.window.slices], (40, 80))
    assert (again.mask & both).sum() / (again.mask | both).sum() > 0.95  # zoomed in, edges are interpolated
    less = clicks.predict([at(scene, 150, 250), at(scene, 320, 325, positive=False)], previous=again)
    assert not less.mask[NUMBERS[less.window.slices] == 80].any()


def test_a_box_stands_for_clicks_and_bounds_the_answer(scene: Scene) -> None:
    corners = [at(scene, row, col)[:2] for row, col in ((80, 180), (80, 320), (180, 180), (180, 320))]
    box = shapely.MultiPoint(corners).bounds
    answer = session(scene).predict([], box=box)
    wanted = NUMBERS[answer.window.slices] == 40
    assert (answer.mask & wanted).sum() / (answer.mask | wanted).sum() > 0.95
    assert [positive for *_, positive in answer.clicks][:1] == [True]
    assert answer.polygon is not None
    assert shapely.box(*box).buffer(0.3).contains(answer.polygon)


def test_a_box_beside_the_scene_is_refused_whatever_is_clicked_on(scene: Scene) -> None:
    corners = [at(scene, row, col)[:2] for row, col in ((-900, -900), (-900, -800), (-800, -900), (-800, -800))]
    box = shapely.MultiPoint(corners).bounds
    for clicks in ([], [at(scene, 150, 250)]):
        with pytest.raises(UsageError, match="covers no pixel"):
            session(scene).predict(clicks, box=box)


def test_an_outline_of_a_map_can_be_mended_by_negative_clicks_alone(scene: Scene) -> None:
    clicks = session(scene)
    drawn = clicks.predict([at(scene, 150, 250)]).polygon
    assert drawn is not None
    answer = clicks.predict([at(scene, 320, 325, positive=False)], previous=drawn)
    wanted = NUMBERS[answer.window.slices] == 40
    assert (answer.mask & wanted).sum() / (answer.mask | wanted).sum() > 0.95


def test_an_answer_of_nothing_has_no_outline(scene: Scene) -> None:
    answer = session(scene).predict([at(scene, 150, 250), at(scene, 150, 260, positive=False)])
    assert not answer.mask.any()
    assert answer.polygon is None


def test_impossible_clicks_are_refused(scene: Scene) -> None:
    clicks = session(scene)
    with pytest.raises(UsageError, match="no click is positive"):
        clicks.predict([])
    with pytest.raises(UsageError, match="no click is positive"):
        clicks.predict([at(scene, 5, 5, positive=False)])
    for row, col in ((-3.0, 5.0), (5.0, 2000.0), (float("nan"), 5.0)):
        with pytest.raises(UsageError, match="outside of"):
            clicks.predict([at(scene, row, col)])


def test_an_answer_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "wide.tif"
    profile = {"driver": "GTiff", "width": 4 * MOST_PX, "height": 50, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", **profile, transform=NORTH_UP) as out:
        out.set_band_description(1, "pan")
    with open_scene(path) as wide:
        clicks = session(wide)
        with pytest.raises(UsageError, match=f"at most {MOST_PX}"):
            clicks.predict([at(wide, 5, 5), at(wide, 5, 3 * MOST_PX)])
        assert clicks.predict([at(wide, 5, 5)]).window.shape == (50, 400)


def test_values_without_a_known_scale_are_refused(tmp_path: Path) -> None:
    with open_scene(written(tmp_path, NORTH_UP, "uint16")) as opened, pytest.raises(MatchError, match="value-range"):
        session(opened)
