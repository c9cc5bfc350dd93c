"""Names and colours of a class raster come from wherever GDAL keeps them; a hostile sidecar gives none."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image, TiffImagePlugin
from rasterio.transform import from_origin

from geoseg.cli.main import app
from geoseg.io.labels.raster_legend import legend_of
from geoseg.process.command import run_command

_FIELDS = (
    ("Value", "0", "5"),
    ("Count", "0", "1"),
    ("Class_Name", "2", "2"),
    ("Red", "0", "6"),
    ("Green", "0", "7"),
    ("Blue", "0", "8"),
)
_ROWS = (
    ("1", "50", "Water &amp; ice", "0", "0", "255"),
    ("2", "50", "Forêt", "0", "120", "0"),
    ("7", "50", "&lt;Bog&gt;", "90", "60", "10"),
)
NAMES = ("Water & ice", "Forêt", "<Bog>")
COLOURS = ("#0000ff", "#007800", "#5a3c0a")


def table(fields: tuple[tuple[str, str, str], ...] = _FIELDS, rows: tuple[tuple[str, ...], ...] = _ROWS) -> str:
    """A raster attribute table as GDAL 3.6 writes it into ``.aux.xml``, and GDAL 3.12 into the TIFF."""
    definitions = "".join(
        f'<FieldDefn index="{k}"><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage></FieldDefn>'
        for k, (name, kind, usage) in enumerate(fields)
    )
    cells = "".join(f'<Row index="{k}">{"".join(f"<F>{cell}</F>" for cell in row)}</Row>' for k, row in enumerate(rows))
    return f'<GDALRasterAttributeTable tableType="thematic">{definitions}{cells}</GDALRasterAttributeTable>'


def sidecar(path: Path, inside: str, band: int = 1) -> None:
    text = f'<PAMDataset><PAMRasterBand band="{band}">{inside}</PAMRasterBand></PAMDataset>'
    path.with_name(path.name + ".aux.xml").write_text(text, encoding="utf-8")


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    path = tmp_path / "map.tif"
    codes = np.array([1, 2, 7, 1], np.uint8).repeat(10).reshape(4, 10)
    place = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 2, 2), "nodata": 255}
    with rasterio.open(path, "w", driver="GTiff", height=4, width=10, count=1, dtype="uint8", **place) as file:
        file.write(codes, 1)
    return path


def test_an_attribute_table_beside_the_raster_names_and_colours_its_polygons(raster: Path) -> None:
    sidecar(raster, table())
    legend = legend_of(raster, [1, 2, 7])
    assert legend.names == NAMES
    assert tuple(entry.colour for entry in legend.classes) == COLOURS
    assert run_command(lambda: app(args=["vectorise", str(raster)], standalone_mode=False), debug=False) == 0
    frame = geopandas.read_file(raster.with_name("map_segments.gpkg"), layer="segments")
    assert dict(zip(frame.class_code, frame.class_name, strict=True)) == dict(zip((1, 2, 7), NAMES, strict=True))


def test_names_and_colours_may_come_from_different_places(raster: Path) -> None:
    """The file's own colour table goes first, then the attribute table, then category names."""
    with rasterio.open(raster, "r+") as file:
        file.write_colormap(1, {2: (1, 2, 3, 255), 7: (4, 5, 6, 255)})
    rows = (("1", "50", "Water &amp; ice", "0", "0", "255"), ("2", "50", "", "9", "9", "9"))
    categories = "".join(f"<Category>{name}</Category>" for name in ("", "sea", "wood"))
    sidecar(raster, f"<CategoryNames>{categories}</CategoryNames>{table(rows=rows)}")
    legend = legend_of(raster, [1, 2, 7])
    assert legend.by_code(2).colour == "#010203"
    assert legend.by_code(7).colour == "#040506"
    assert (legend.by_code(1).name, legend.by_code(7).name) == ("Water & ice", "class 7")


def test_category_names_alone_still_count(raster: Path) -> None:
    categories = "".join(f"<Category>{name}</Category>" for name in ("", "sea", "wood"))
    sidecar(raster, f"<CategoryNames>{categories}</CategoryNames>")
    assert legend_of(raster, [1, 2, 7]).names == ("sea", "wood", "class 7")


def test_columns_without_a_usage_are_found_by_their_names(raster: Path) -> None:
    """ArcGIS leaves the usage of most columns at 0."""
    sidecar(raster, table(fields=tuple((name.upper(), kind, "0") for name, kind, _ in _FIELDS)))
    legend = legend_of(raster, [1, 2, 7])
    assert legend.names == NAMES
    assert tuple(entry.colour for entry in legend.classes) == COLOURS


def test_a_row_may_stand_for_a_range(raster: Path) -> None:
    fields = (("low", "1", "3"), ("high", "1", "4"), ("label", "2", "2"))
    sidecar(raster, table(fields, (("0.5", "2.4", "wet"), ("2.5", "1e300", "dry"), ("nan", "3", "odd"))))
    legend = legend_of(raster, [2, 7])
    assert legend.names == ("wet", "dry")


def test_the_table_of_another_band_is_not_taken(raster: Path) -> None:
    sidecar(raster, table(), band=2)
    assert legend_of(raster, [1, 2, 7]).names == ("class 1", "class 2", "class 7")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_attribute_table_inside_the_tiff_is_read(order: str, big: bool, tmp_path: Path) -> None:
    path = tmp_path / "inside.tif"
    item = f'<Item name="DEFAULT_RASTER_ATTRIBUTE_TABLE" sample="0" role="rat">{table()}</Item>'
    other = table(rows=(("1", "1", "another band", "1", "2", "3"),))
    text = f'<GDALMetadata><Item name="X" sample="1" role="rat">{other}</Item>{item}</GDALMetadata>'
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[42112] = 2
    tags[42112] = text.encode()
    image = Image.fromarray(np.ones((4, 4), f"{order}u2"))  # Pillow writes the file in the order of its pixels
    image.save(path, tiffinfo=tags, big_tiff=big)
    assert path.read_bytes()[:2] == (b"II" if order == "<" else b"MM")
    legend = legend_of(path, [1, 2, 7])
    assert legend.names == NAMES
    assert tuple(entry.colour for entry in legend.classes) == COLOURS


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<PAMDataset><PAMRasterBand>",
        b"\xff\xfe<\x00",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><PAMDataset>&b;</PAMDataset>',
        b'<!DOCTYPE x SYSTEM "http://localhost:9/x.dtd"><PAMDataset/>',
        b"<PAMDataset>" + b"<a>" * 20_000,
    ],
    ids=["empty", "cut short", "two bytes", "entities", "an address", "deep"],
)
def test_a_hostile_sidecar_gives_no_names(text: bytes, raster: Path) -> None:
    raster.with_name("map.tif.aux.xml").write_bytes(text)
    assert legend_of(raster, [1]).names == ("class 1",)


@pytest.mark.parametrize("offset", [0, 7, 10_000, 2**32 - 1])
def test_a_directory_that_leads_nowhere_gives_no_names(offset: int, tmp_path: Path) -> None:
    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\x00" + offset.to_bytes(4, "little") + b"\xff" * 300)
    assert legend_of(path, [1]).names == ("class 1",)
