"""Class and confidence COGs carry the scene's grid exactly, every pixel, and the legend."""

import warnings
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rio_cogeo.cogeo import cog_validate

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.window import Window
from geoseg.errors import WriteError
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster import cog
from geoseg.io.raster.cog import write_class_cog, write_confidence_cog
from geoseg.io.raster.pyramid import halve_by_mean, halve_by_mode

LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="other", colour="#808080"),
        LegendClass(code=3, name="tree & <shrub>", colour="#33A02C"),
        LegendClass(code=7, name='"water" é', colour="#1f78b4"),
    ]
)
UTM = Affine(0.5, 0, 500000, 0, -0.5, 3000000)
# no authority knows it
ALBERS = "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +x_0=0 +y_0=0 +ellps=GRS80 +units=m +no_defs"
GRIDS = {
    "UTM": ("EPSG:32645", UTM),
    "web Mercator": ("EPSG:3857", UTM),
    "degrees": ("EPSG:4326", Affine(1e-5, 0, 179.999, 0, -1e-5, 50)),
    "rotated": ("EPSG:32759", Affine(0.7, 0.3, 500000, 0.3, -0.7, 3000000)),
    "south-up": ("EPSG:32645", Affine(0.5, 0, 500000, 0, 0.5, 3000000)),
    "not square": ("EPSG:25832", Affine(0.5, 0, 500000, 0, -2, 3000000)),
    "US feet": ("EPSG:2263", UTM),
    "with heights": ("EPSG:7415", UTM),
    "no EPSG code": (ALBERS, UTM),
    "no authority": ("ESRI:54009", UTM),
    "rotated pole": ("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39 +lon_0=18 +R=6371229 +no_defs", UTM),
    "a site's own": ('LOCAL_CS["site grid",UNIT["metre",1]]', UTM),
    "none": (None, UTM),
}


def codes_of(shape, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array([0, 3, 7], np.uint8), (shape[0] // 23 + 1, shape[1] // 23 + 1))
    codes = np.kron(coarse, np.ones((23, 23), np.uint8))[: shape[0], : shape[1]]
    codes[: shape[0] // 4, : shape[1] // 3] = 255
    return codes


def cut(array, rows, cols, seed=0):
    height, width = array.shape
    windows = [
        Window(r, min(r + rows, height), c, min(c + cols, width))
        for r in range(0, height, rows)
        for c in range(0, width, cols)
    ]
    for index in np.random.default_rng(seed).permutation(len(windows)):
        yield windows[index], array[windows[index].slices]


def grid_of(shape, crs="EPSG:32645", transform=UTM):
    return LayerGrid(geobox=GeoBox(shape, transform, crs))


def opened(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, **options)


@pytest.mark.parametrize("name", GRIDS)
def test_the_layer_has_the_scenes_grid(tmp_path, name):
    crs, transform = GRIDS[name]
    codes = codes_of((40, 60))
    with rasterio.open(
        tmp_path / "scene.tif",
        "w",
        driver="GTiff",
        height=40,
        width=60,
        count=1,
        dtype="uint8",
        crs=crs,
        transform=transform,
    ) as scene:
        scene.write(codes, 1)  # fmt: skip
    with rasterio.open(tmp_path / "scene.tif") as scene:
        grid = grid_of(scene.shape, scene.crs.to_wkt() if scene.crs else None, scene.transform)
        write_class_cog(tmp_path / "c.tif", grid, cut(codes, 40, 60), LEGEND, tags={})
        write_confidence_cog(tmp_path / "k.tif", grid, cut(np.minimum(codes, 100), 40, 60), tags={})
        for layer in ("c.tif", "k.tif"):
            with rasterio.open(tmp_path / layer) as written:
                assert written.crs == scene.crs
                assert written.transform == scene.transform
                assert written.shape == scene.shape
    assert cog_validate(tmp_path / "c.tif", strict=True, quiet=True)[0]
    assert cog_validate(tmp_path / "k.tif", strict=True, quiet=True)[0]


def test_ground_control_points_stand_instead_of_a_transform(tmp_path):
    gcps = tuple(
        GroundControlPoint(row, col, 10 + col * 0.01 + row * 0.001, 50 - row * 0.01, 100.5)
        for row, col in ((0, 0), (0, 60.5), (40, 0), (40, 60), (20.25, 30))
    )
    grid = LayerGrid(geobox=GeoBox((40, 60), Affine.identity(), None), gcps=gcps, gcps_crs=CRS.from_epsg(4326))
    write_class_cog(tmp_path / "c.tif", grid, cut(codes_of((40, 60)), 40, 60), LEGEND, tags={})
    with opened(tmp_path / "c.tif") as written:
        found, crs = written.gcps
        assert [(g.row, g.col, g.x, g.y, g.z) for g in found] == [(g.row, g.col, g.x, g.y, g.z) for g in gcps]
        assert crs == CRS.from_epsg(4326)
        assert written.transform == Affine.identity()
        assert written.crs is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 1300), (5, 700), (1300, 5), (513, 511), (1025, 1600)])
@pytest.mark.parametrize("compress", ["DEFLATE", "ZSTD"])
def test_every_pixel_comes_back_from_a_valid_cog_of_any_size(tmp_path, shape, compress):
    codes = codes_of(shape)
    write_class_cog(tmp_path / "c.tif", grid_of(shape), cut(codes, 300, 170), LEGEND, compress=compress, tags={})
    valid, errors, notes = cog_validate(tmp_path / "c.tif", strict=True, quiet=True)
    assert valid, (errors, notes)
    with opened(tmp_path / "c.tif") as written:
        assert (written.read(1) == codes).all()
        assert written.nodata == 255
        assert written.dtypes == ("uint8",)
        assert bool(written.overviews(1)) == (max(shape) > 512)
    assert {p.name for p in tmp_path.iterdir()} == {"c.tif", "c.qml", "c.tif.aux.xml"}


def test_the_legend_is_in_the_file_and_beside_it(tmp_path):
    write_class_cog(
        tmp_path / "c.tif", grid_of((40, 60)), cut(codes_of((40, 60)), 40, 60), LEGEND, tags={"MODEL": "a\x00b<&>"}
    )
    with rasterio.open(tmp_path / "c.tif") as written:
        assert written.colorinterp == (ColorInterp.palette,)
        colours = written.colormap(1)
        assert [colours[code] for code in (0, 3, 7)] == [(128,) * 3 + (255,), (51, 160, 44, 255), (31, 120, 180, 255)]
        assert written.tags(1) == {"class_0": "other", "class_3": "tree & <shrub>", "class_7": '"water" é'}
        assert written.tags()["MODEL"] == "a\ufffdb<&>"
        assert written.descriptions == ("class",)
    root = ET.parse(tmp_path / "c.tif.aux.xml").getroot()  # noqa: S314 - written above
    names = [node.text or "" for node in root.findall("PAMRasterBand/CategoryNames/Category")]
    assert names == ["other", "", "", "tree & <shrub>", "", "", "", '"water" é']
    rows = [[cell.text for cell in row] for row in root.findall("PAMRasterBand/GDALRasterAttributeTable/Row")]
    assert rows[1] == ["3", "tree & <shrub>", "51", "160", "44"]


def test_confidence_keeps_both_ends_and_nodata(tmp_path):
    values = np.tile(np.array([0, 1, 50, 100, 255], np.uint8), (30, 10))
    write_confidence_cog(tmp_path / "k.tif", grid_of(values.shape), cut(values, 7, 11), tags={})
    with rasterio.open(tmp_path / "k.tif") as written:
        assert (written.read(1) == values).all()
        assert written.units == ("%",)
        assert written.nodata == 255


@pytest.mark.parametrize("wrong", [101, 254])
def test_a_percentage_above_a_hundred_is_refused(tmp_path, wrong):
    values = np.full((30, 30), wrong, np.uint8)
    with pytest.raises(ValueError, match=str(wrong)):
        write_confidence_cog(tmp_path / "k.tif", grid_of((30, 30)), cut(values, 30, 30), tags={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("blocks", ["gap", "overlap", "outside", "odd code", "odd shape", "odd dtype"])
def test_blocks_that_do_not_make_up_the_map_are_refused(tmp_path, blocks):
    codes = codes_of((30, 30))
    whole = (Window.whole((30, 30)), codes)
    cases = {
        "gap": [(Window(0, 30, 0, 29), codes[:, :29])],
        "overlap": [whole, (Window(3, 5, 3, 5), codes[3:5, 3:5])],
        "outside": [whole, (Window(30, 31, 0, 30), codes[:1])],
        "odd code": [(whole[0], np.full((30, 30), 5, np.uint8))],
        "odd shape": [(whole[0], codes[:-1])],
        "odd dtype": [(whole[0], codes.astype(np.int16))],
    }
    with pytest.raises((ValueError, WriteError)):
        write_class_cog(tmp_path / "c.tif", grid_of((30, 30)), cases[blocks], LEGEND, tags={})
    assert not list(tmp_path.iterdir())


def test_a_pixel_that_turns_on_its_way_to_the_disk_is_found(tmp_path, monkeypatch):
    copy = cog._copy_to_cog

    def bad_disk(tiles, part, layer):
        with rasterio.open(tiles, "r+") as raster:
            raster.write(np.full((1, 1, 1), 3, np.uint8), window=rasterio.windows.Window(29, 29, 1, 1))
        copy(tiles, part, layer)

    monkeypatch.setattr(cog, "_copy_to_cog", bad_disk)
    codes = np.zeros((30, 30), np.uint8)
    with pytest.raises(WriteError, match="other values than were written"):
        write_class_cog(tmp_path / "c.tif", grid_of((30, 30)), cut(codes, 10, 10), LEGEND, tags={})
    assert not list(tmp_path.iterdir())


def test_a_failed_rewrite_leaves_the_old_map_with_its_legend(tmp_path, monkeypatch):
    codes = codes_of((30, 30))
    write_class_cog(tmp_path / "c.tif", grid_of((30, 30)), cut(codes, 30, 30), LEGEND, tags={})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cog, "_copy_to_cog", full)
    with pytest.raises(WriteError, match="No space left"):
        write_class_cog(tmp_path / "c.tif", grid_of((30, 30)), cut(codes, 30, 30), LEGEND, tags={})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_the_order_and_size_of_blocks_leave_no_trace(tmp_path):
    codes = codes_of((700, 900))
    for number, (rows, cols) in enumerate(((700, 900), (64, 64), (513, 200))):
        write_class_cog(
            tmp_path / f"{number}.tif", grid_of(codes.shape), cut(codes, rows, cols, number), LEGEND, tags={}
        )
    assert len({(tmp_path / f"{number}.tif").read_bytes() for number in range(3)}) == 1


def test_overviews_hold_the_mode_of_the_level_below(tmp_path):
    codes = codes_of((1101, 1303))
    write_class_cog(tmp_path / "c.tif", grid_of(codes.shape), cut(codes, 500, 500), LEGEND, tags={})
    with opened(tmp_path / "c.tif", overview_level=0) as level:
        found = level.read(1)
    padded = np.pad(codes, ((0, 1), (0, 1)), constant_values=255)
    squares = padded.reshape(551, 2, 652, 2).swapaxes(1, 2).reshape(551, 652, 4)
    votes = np.stack([(squares == code).sum(-1) for code in (0, 3, 7)])
    known = votes.max(0) > 0
    assert found.shape == (551, 652)
    assert ((found == 255) == ~known).all()
    chosen = np.take_along_axis(votes, np.searchsorted([0, 3, 7], np.where(known, found, 0))[None], 0)[0]
    assert (chosen == votes.max(0)).all()


@given(pixels=arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 99, 100, 255])))
@settings(deadline=None)
def test_halving_by_mean_agrees_with_floating_point(pixels):
    squares = pixels.reshape(2, 2, 3, 2).swapaxes(1, 2).reshape(2, 3, 4)
    known = np.ma.masked_equal(squares, 255).astype(float)
    expected = np.floor(known.mean(-1) + 0.5).filled(255).astype(np.uint8)
    assert (halve_by_mean(pixels, 255) == expected).all()


@given(pixels=arrays(np.uint8, (4, 6), elements=st.sampled_from([0, 1, 2, 255])))
@settings(deadline=None)
def test_halving_by_mode_takes_a_most_frequent_value(pixels):
    found = halve_by_mode(pixels, 255)
    for (row, col), value in np.ndenumerate(found):
        square = pixels[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].ravel().tolist()
        counts = [square.count(v) for v in set(square) - {255}]
        assert (square.count(value) == max(counts)) if counts else value == 255


def test_odd_file_names_work(tmp_path):
    path = Path(tmp_path, "a b%20é漢\n'\"&#?:.tif")
    write_class_cog(path, grid_of((30, 30)), cut(codes_of((30, 30)), 30, 30), LEGEND, tags={})
    with rasterio.open(path) as written:
        assert written.shape == (30, 30)
