"""A project opens in the real QGIS: valid, styled, in groups, moved; at first the imagery is seen through the map."""

import json
import re
import shutil
import sqlite3
import subprocess
import zipfile
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image
from scipy.ndimage import binary_erosion

from geoseg.core.layer import whole_class_map_schema
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.about import About
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.segment_style import ALIASES
from geoseg.io.qgis.project import Imagery, write_project
from geoseg.io.raster.cog import write_class_cog, write_confidence_cog

PYTHON = Path("/usr/bin/python3")
PROBE = Path(__file__).with_name("qgis_probe.py")
LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="other", colour="#808080"),
        LegendClass(code=1, name="building", colour="#E31A1C"),
        LegendClass(code=5, name='tree & <shrub> "é"', colour="#33a02c"),
        LegendClass(code=9, name="never seen", colour="#1f78b4"),
    ]
)
LOOK = [[c.code, c.name, c.colour.lower()] for c in LEGEND.classes]
LAND_COVER = LEGEND.model_copy(update={"background": None})
ABOUT = About(
    title="scene <&>",
    abstract="Classes that a <model> predicts.",
    licence="CC-BY-4.0 (the model)",
    history=("Imagery: scene.tif", "Segmented & vectorised"),
    keywords=("roofs",),
)
SHAPE = (120, 160)
GRID = LayerGrid(geobox=GeoBox(SHAPE, Affine(0.5, 0, 500000, 0, -0.5, 3000000), "EPSG:32645"))


@cache
def why_no_qgis():
    if not PYTHON.exists():
        return "there is no /usr/bin/python3"
    ran = subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True, check=False)
    return "" if ran.returncode == 0 else "Debian's QGIS is not installed (apt install qgis python3-qgis)"


needs_qgis = [pytest.mark.qgis, pytest.mark.skipif(bool(why_no_qgis()), reason=why_no_qgis() or "it is there")]


def codes_of():
    coarse = np.random.default_rng(0).choice(np.array([0, 1, 5], np.uint8), (6, 8))
    codes = np.kron(coarse, np.ones((20, 20), np.uint8))
    codes[:25, :30] = 255
    return codes


def picture_of(codes):
    """Colours (band, y, x) that differ from pixel to pixel, so that each place is known by its own."""
    rows, cols = np.indices(codes.shape)
    return np.stack([rows * 2, cols, 255 - rows - cols // 2]).astype(np.uint16)


def make_bundle(folder, stem, grid=GRID, imagery=True, legend=LEGEND):
    bundle = Bundle(directory=folder / stem, stem=stem)
    bundle.directory.mkdir()
    codes, whole = codes_of(), Window.whole(SHAPE)
    write_class_cog(bundle.classes, grid, [(whole, codes)], legend, tags={})
    write_confidence_cog(bundle.confidence, grid, [(whole, np.where(codes == 255, codes, 60))], tags={})
    found = list(rasterio.features.shapes(codes, mask=codes != 255, transform=grid.geobox.transform))
    geometry = np.array([shapely.geometry.shape(g) for g, _ in found], dtype=object)
    one = np.ones(len(found))
    segments = Segments(
        geometry=geometry,
        class_code=np.array([v for _, v in found], np.uint8),
        area_m2=shapely.area(geometry),
        perimeter_m=shapely.length(geometry),
        confidence=(one * 0.6).astype(np.float32),
        confidence_min=(one * 0.6).astype(np.float32),
        pixels=one.astype(np.int64),
    )
    write_segments(bundle.segments, [segments], VectorSchema(crs_wkt=grid.crs_wkt, legend=legend), about=ABOUT)
    scene = folder / f"{stem}.tif"
    if imagery:
        with rasterio.open(
            scene,
            "w",
            driver="GTiff",
            height=SHAPE[0],
            width=SHAPE[1],
            count=4,
            dtype="uint16",
            crs=grid.crs_wkt,
            transform=grid.geobox.transform,
        ) as file:
            file.write(np.concatenate([picture_of(codes)[::-1] * 4, picture_of(codes)[:1]]))
    shown = Imagery(uri=str(scene), bands=(3, 2, 1), stretch=((0, 1020),) * 3) if imagery else None
    write_project(
        bundle,
        whole_class_map_schema(legend),
        about=replace(ABOUT, title=f"{stem} <&>"),
        grid=grid,
        legend=legend,
        imagery=shown,
    )
    return bundle


def probe(bundle, folder, pictures, size=SHAPE):
    pictures.mkdir()
    names = [bundle.project.name, bundle.classes.name, bundle.segments.name]
    command = [str(PYTHON), str(PROBE), str(folder), *names, str(pictures), str(size[1]), str(size[0])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.strip().splitlines()[-1])


def document(bundle):
    with zipfile.ZipFile(bundle.project) as archive:
        (name,) = archive.namelist()
        return archive.read(name).decode()


def moved_to(tmp_path_factory, legend):
    """Make a bundle, move it with its scene to another folder, and look at it there."""
    home = tmp_path_factory.mktemp("home")
    bundle = make_bundle(home, "scene", legend=legend)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(home, elsewhere)
    pictures = tmp_path_factory.mktemp("seen") / "pictures"
    return probe(bundle, elsewhere / "scene", pictures), pictures, elsewhere


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A map of objects on a background."""
    return moved_to(tmp_path_factory, LEGEND)


@pytest.fixture(scope="module")
def covered(tmp_path_factory):
    """A map whose classes cover all ground."""
    return moved_to(tmp_path_factory, LAND_COVER)


def drawn_in(pictures, name):
    return np.asarray(Image.open(pictures / name).convert("RGB")).astype(float)


def inner(codes, code):
    """Pixels of a class away from outlines, which are two pixels wide."""
    return binary_erosion(codes == code, np.ones((7, 7)))


class TestInQgis:
    pytestmark = needs_qgis

    def test_every_layer_is_there_valid_and_styled_after_the_move(self, moved):
        seen, _, elsewhere = moved
        assert seen["opened"]
        assert seen["listed"] == 4
        found = {layer["name"]: layer for layer in seen["layers"]}
        names = ["segments", "classes", "confidence (%)", "imagery"]
        assert list(found) == [f"scene <&> {name}" for name in names]
        assert [layer["group"] for layer in found.values()] == ["Result", "Result", "Quality", "Imagery"]
        assert all(layer["valid"] and layer["crs"] == "EPSG:32645" for layer in found.values())
        assert all(str(elsewhere) in layer["source"] for layer in found.values())
        assert [layer["visible"] for layer in found.values()] == [True, False, False, True]
        renderers = [layer["renderer"] for layer in found.values()]
        assert renderers == ["categorizedSymbol", "paletted", "singlebandpseudocolor", "multibandcolor"]
        for layer in list(found.values())[:2]:
            assert [[int(v), *rest] for v, *rest in layer["classes"]] == LOOK

    def test_at_first_the_background_shows_the_imagery_and_objects_are_tinted(self, moved):
        codes, pictures = codes_of(), moved[1]
        first, imagery = drawn_in(pictures, "first.png"), drawn_in(pictures, "imagery_alone.png")
        np.testing.assert_array_equal(imagery, np.moveaxis(picture_of(codes), 0, 2))
        ground = binary_erosion(np.isin(codes, (0, 255)), np.ones((7, 7)), border_value=1)
        assert ground.mean() > 0.2
        np.testing.assert_array_equal(first[ground], imagery[ground])
        for entry in LEGEND.classes[1:3]:
            inside = inner(codes, entry.code)
            mixed = 0.65 * imagery[inside] + 0.35 * np.array(entry.rgb)
            assert inside.any()
            assert np.abs(first[inside] - mixed).max() <= 2
            edge = (codes == entry.code) & ~binary_erosion(codes == entry.code)
            outlined = (np.abs(first[edge] - entry.rgb) <= 2).all(-1)
            assert outlined.mean() > 0.5, "outlines are crisp: in the full colour of the class"

    def test_at_first_land_cover_lies_on_the_imagery_at_sixty_percent(self, covered):
        codes, pictures = codes_of(), covered[1]
        first, imagery = drawn_in(pictures, "first.png"), drawn_in(pictures, "imagery_alone.png")
        for entry in LAND_COVER.classes[:3]:
            inside = inner(codes, entry.code)
            mixed = 0.4 * imagery[inside] + 0.6 * np.array(entry.rgb)
            assert inside.any()
            assert np.abs(first[inside] - mixed).max() <= 2
        nothing = binary_erosion(codes == 255, np.ones((7, 7)))
        np.testing.assert_array_equal(first[nothing], imagery[nothing])

    @pytest.mark.parametrize(("legend", "share"), [(LEGEND, 0.35), (LAND_COVER, 0.6)], ids=["objects", "land cover"])
    def test_the_class_raster_is_drawn_in_the_legends_colours_to_the_pixel(self, moved, covered, legend, share):
        codes, pictures = codes_of(), (moved if legend is LEGEND else covered)[1]
        drawn, paper = drawn_in(pictures, "classes_alone.png"), np.array([255.0, 0, 255])
        for entry in legend.classes[:3]:
            shown = 0 if entry.code == legend.background else share
            mixed = (1 - shown) * paper + shown * np.array(entry.rgb)
            assert np.abs(drawn[codes == entry.code] - mixed).max() <= 1
        assert (drawn[codes == 255] == paper).all()

    def test_confidence_is_drawn_where_it_is(self, moved):
        confidence = drawn_in(moved[1], "confidence_alone.png")
        assert (confidence[codes_of() != 255] == (0x22, 0xA8, 0x84)).all()

    def test_layers_and_project_tell_what_they_are_and_how_they_were_made(self, moved):
        seen = moved[0]
        segments, classes, confidence, imagery = seen["layers"]
        for layer in (segments, classes, confidence):
            assert layer["title"] == layer["name"]
            assert layer["abstract"].endswith(ABOUT.abstract)
            assert layer["licences"] == [ABOUT.licence]
            assert layer["history"] == list(ABOUT.history)
        assert imagery["licences"] == [], "the imagery's licence is not ours to tell"
        assert seen["project"] == ["scene <&>", ABOUT.abstract, list(ABOUT.history)]
        alone = seen["segments_alone"]
        assert alone["title"] == "scene <&> segments"
        assert [part in alone["abstract"] for part in (ABOUT.abstract, ABOUT.licence, *ABOUT.history)] == [True] * 4

    def test_a_polygon_tells_class_area_and_confidence(self, moved):
        segments, alone = moved[0]["layers"][0], moved[0]["segments_alone"]
        for layer in (segments, alone):
            assert layer["aliases"] == ALIASES
            assert "<b>building</b>" in layer["tip"]
            assert "confidence 60 %" in layer["tip"]
            assert re.search(r"\d(\.\d)? m²", layer["tip"])
        assert segments["display"] == '"class_name"'
        assert alone["drawn"] == [entry.name for entry in LEGEND.classes[1:]], "the background is not drawn"

    def test_the_project_starts_with_the_map_in_view(self, moved):
        seen = moved[0]
        assert seen["crs"] == "EPSG:32645"
        assert seen["title"] == "scene <&>"
        west, south, east, north = seen["view"]
        assert 499990 < west < 500000
        assert 500080 < east < 500090
        assert 2999930 < south < 2999940
        assert 3000000 < north < 3000010

    def test_themes_show_the_result_the_confidence_and_the_imagery(self, moved):
        segments, _, confidence, imagery = (layer["name"] for layer in moved[0]["layers"])
        themes = {"Result": [segments, imagery], "Check": [confidence, imagery], "Raw": [imagery]}
        assert moved[0]["themes"] == themes

    def test_a_page_can_be_printed_with_legend_scale_and_credits(self, moved):
        (page,) = moved[0]["layouts"]
        assert (page["name"], page["theme"]) == ("Map", "Result")
        assert page["page"] == [297, 210], "the scene is wider than tall"
        assert page["legend"] == [entry.name for entry in LEGEND.classes[1:]]
        assert page["labels"]["title"] == "scene <&>"
        assert page["labels"]["credits"] == f"{ABOUT.abstract} Licence: {ABOUT.licence}. Made with geoseg."
        assert page["bar"] == ["m", 10]
        assert 10 < 1000 * 10 / page["scale"] < 25, "millimetres on paper"
        printed = drawn_in(moved[1], "printed.png")
        assert (np.abs(printed - (227, 26, 28)) < 60).all(-1).sum() > 20, "outlines of buildings are on it"

    @pytest.mark.parametrize("legend", [LEGEND, LAND_COVER], ids=["objects", "land cover"])
    def test_the_legend_of_a_raster_lists_the_classes_that_are_drawn(self, tmp_path, legend):
        bundle = make_bundle(tmp_path, "scene", legend=legend)
        bundle.segments.unlink()
        write_project(bundle, whole_class_map_schema(legend), about=ABOUT, grid=GRID, legend=legend)
        bundle.segments.write_bytes(make_bundle(tmp_path, "other").segments.read_bytes())  # which the probe opens
        (page,) = probe(bundle, bundle.directory, tmp_path / "pictures")["layouts"]
        assert page["legend"] == [entry.name for entry in legend.classes if entry.code != legend.background]

    def test_polygons_are_labelled_near_by_but_for_the_background(self, moved, covered):
        names = [entry.name for entry in LEGEND.classes[:3]]
        for seen, labels in ((moved[0], [None, *names[1:]]), (covered[0], names)):
            assert seen["layers"][0]["labels"] == labels
            assert seen["layers"][0]["labelled"] == 3500

    def test_each_layer_opened_alone_is_styled_too(self, moved):
        for key, renderer in (("classes_alone", "paletted"), ("segments_alone", "categorizedSymbol")):
            alone = moved[0][key]
            assert alone["valid"]
            assert alone["renderer"] == renderer
            assert [[int(v), *rest] for v, *rest in alone["classes"]] == LOOK

    @pytest.mark.parametrize("legend", [LEGEND, LAND_COVER], ids=["objects", "land cover"])
    def test_the_style_inside_the_geopackage_is_the_projects(self, tmp_path, legend):
        bundle = make_bundle(tmp_path, "scene", legend=legend)
        with closing(sqlite3.connect(bundle.segments)) as db:
            (style,) = db.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchone()
        inside = ET.fromstring(style)  # noqa: S314
        shown = next(ET.fromstring(document(bundle)).iter("maplayer"))  # noqa: S314
        for tag in ("renderer-v2", "layerOpacity", "aliases", "mapTip", "previewExpression"):
            both = [ET.tostring(node.find(tag)).split() for node in (inside, shown)]
            assert both[0] == both[1], tag

    def test_bookmarks_lead_to_the_least_certain_places(self, tmp_path):
        bundle = make_bundle(tmp_path, "scene")
        percent = np.full(SHAPE, 90, np.uint8)
        percent[40:48, 80:88], percent[96:104, 16:24], percent[:, 120:] = 20, 30, 255
        write_confidence_cog(bundle.confidence, GRID, [(Window.whole(SHAPE), percent)], tags={})
        write_project(bundle, whole_class_map_schema(LEGEND), about=ABOUT, grid=GRID, legend=LEGEND)
        seen = probe(bundle, bundle.directory, tmp_path / "pictures")
        marks = seen["bookmarks"]
        assert len(marks) == 20
        assert {(mark["group"], mark["crs"]) for mark in marks} == {("Least certain places", "EPSG:32645")}
        assert [mark["name"] for mark in marks[:3]] == [
            "1: 20 % confidence",
            "2: 30 % confidence",
            "3: 90 % confidence",
        ]
        assert marks[0]["bounds"] == [500040, 3000000 - 24, 500044, 3000000 - 20]
        assert marks[1]["bounds"] == [500008, 3000000 - 52, 500012, 3000000 - 48]
        boxes = [shapely.box(*mark["bounds"]) for mark in marks]
        assert not any(a.intersects(b) for a, b in combinations(boxes, 2))
        assert set(seen["themes"]) == {"Result", "Check"}, "there is no imagery"

    @pytest.mark.parametrize("stem", ["[% 6*7 %]", "[%[%6*7%]%]"])
    def test_names_are_no_expressions_on_the_printed_page(self, tmp_path, stem):
        bundle = make_bundle(tmp_path, stem)
        (page,) = probe(bundle, bundle.directory, tmp_path / "pictures")["layouts"]
        assert "42" not in "".join(page["labels"].values())

    # GDAL 3.6, Debian's, decodes %20 in the name of a GeoPackage and then does not find the file
    @pytest.mark.parametrize("stem", ["a b é漢'\"&#?", "line\nbreak {x}", "50% [1]~$HOME"])
    def test_odd_names_open(self, tmp_path, stem):
        bundle = make_bundle(tmp_path, stem)
        seen = probe(bundle, bundle.directory, tmp_path / "pictures")
        assert [layer["valid"] for layer in seen["layers"]] == [True] * 4

    @pytest.mark.parametrize(
        ("crs", "transform"),
        [
            ("EPSG:4326", Affine(1e-5, 0, 85, 0, -1e-5, 27)),
            ("EPSG:32759", Affine(0.4, 0.3, 500000, 0.3, -0.4, 3000000)),
            ("EPSG:32645", Affine(0.5, 0, 500000, 0, 0.5, 3000000)),
            ("+proj=laea +lat_0=27 +lon_0=85 +datum=WGS84", Affine(0.5, 0, 0, 0, -0.5, 0)),
            ('LOCAL_CS["site",UNIT["metre",1]]', Affine(0.5, 0, 0, 0, -0.5, 0)),
        ],
    )
    def test_any_grid_opens(self, tmp_path, crs, transform):
        grid = LayerGrid(geobox=GeoBox(SHAPE, transform, crs))
        bundle = make_bundle(tmp_path, "scene", grid)
        seen = probe(bundle, bundle.directory, tmp_path / "pictures")
        assert [layer["valid"] for layer in seen["layers"]] == [True] * 4
        assert seen["crs_valid"] or crs.startswith("LOCAL")
        drawn = drawn_in(tmp_path / "pictures", "project.png")
        outlines = (np.abs(drawn - LEGEND.classes[1].rgb) <= 2).all(-1)
        assert outlines.mean() > 0.01
