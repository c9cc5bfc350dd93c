"""A project opens in the real QGIS: valid, styled, in the tree, moved, with the legend's colours to the pixel."""

import json
import shutil
import subprocess
import zipfile
from functools import cache
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

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.io.bundle import Bundle
from geoseg.io.cog import write_class_cog, write_confidence_cog
from geoseg.io.geopackage import write_segments
from geoseg.io.grid import LayerGrid
from geoseg.io.qgis import Imagery, write_project

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


def make_bundle(folder, stem, grid=GRID, imagery=True):
    bundle = Bundle(directory=folder / stem, stem=stem)
    bundle.directory.mkdir()
    codes, whole = codes_of(), Window.whole(SHAPE)
    write_class_cog(bundle.classes, grid, [(whole, codes)], LEGEND, tags={})
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
    write_segments(bundle.segments, [segments], crs_wkt=grid.crs_wkt, legend=LEGEND)
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
            file.write(np.stack([codes * np.uint16(200)] * 4))  # fmt: skip
    shown = Imagery(uri=str(scene), bands=(3, 2, 1), stretch=((0, 1000),) * 3) if imagery else None
    write_project(bundle, title=f"{stem} <&>", grid=grid, legend=LEGEND, imagery=shown)
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


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A bundle, moved with its scene to another folder, as QGIS sees it there."""
    home = tmp_path_factory.mktemp("home")
    bundle = make_bundle(home, "scene")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(home, elsewhere)
    pictures = tmp_path_factory.mktemp("seen") / "pictures"
    return probe(bundle, elsewhere / "scene", pictures), pictures, elsewhere


class TestInQgis:
    pytestmark = needs_qgis

    def test_every_layer_is_there_valid_and_styled_after_the_move(self, moved):
        seen, _, elsewhere = moved
        assert seen["opened"]
        assert seen["listed"] == 4
        found = {layer["name"]: layer for layer in seen["layers"]}
        assert list(found) == ["Segments", "Classes", "Confidence (%)", "Imagery"]
        assert all(layer["valid"] and layer["crs"] == "EPSG:32645" for layer in found.values())
        assert all(str(elsewhere) in layer["source"] for layer in found.values())
        assert {name for name, layer in found.items() if not layer["visible"]} == {"Confidence (%)"}
        renderers = [layer["renderer"] for layer in found.values()]
        assert renderers == ["categorizedSymbol", "paletted", "singlebandpseudocolor", "multibandcolor"]
        assert [[int(v), *rest] for v, *rest in found["Classes"]["classes"]] == LOOK
        assert [[int(v), *rest] for v, *rest in found["Segments"]["classes"]] == LOOK

    def test_the_map_is_drawn_in_the_legends_colours_to_the_pixel(self, moved):
        codes = codes_of()
        for picture in ("classes.png", "imagery_alone.png"):
            drawn = np.asarray(Image.open(moved[1] / picture).convert("RGB"))
            if picture == "classes.png":
                for entry in LEGEND.classes:
                    assert ((drawn == entry.rgb).all(-1) == (codes == entry.code)).all()
                assert ((drawn == (255, 0, 255)).all(-1) == (codes == 255)).all()
            else:  # 16-bit values 0, 200 and 1000 of a stretch from 0 to 1000
                assert [np.unique(drawn[codes == code]).tolist() for code in (0, 1, 5)] == [[0], [51], [255]]

    def test_polygons_and_confidence_are_drawn_where_they_are(self, moved):
        codes = codes_of()
        drawn = np.asarray(Image.open(moved[1] / "segments_alone.png").convert("RGB"))
        for entry in LEGEND.classes[:3]:
            # the outline is a pixel wide
            inner = binary_erosion(codes == entry.code, np.ones((5, 5)))
            assert (drawn[inner] == entry.rgb).all()
        confidence = np.asarray(Image.open(moved[1] / "confidence_alone.png").convert("RGB"))
        assert (confidence[codes != 255] == (0x22, 0xA8, 0x84)).all()

    def test_the_project_starts_with_the_map_in_view(self, moved):
        seen = moved[0]
        assert seen["crs"] == "EPSG:32645"
        assert seen["title"] == "scene <&>"
        west, south, east, north = seen["view"]
        assert 499990 < west < 500000
        assert 500080 < east < 500090
        assert 2999930 < south < 2999940
        assert 3000000 < north < 3000010

    def test_each_layer_opened_alone_is_styled_too(self, moved):
        for key, renderer in (("classes_alone", "paletted"), ("segments_alone", "categorizedSymbol")):
            alone = moved[0][key]
            assert alone["valid"]
            assert alone["renderer"] == renderer
            assert [[int(v), *rest] for v, *rest in alone["classes"]] == LOOK

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
        drawn = np.asarray(Image.open(tmp_path / "pictures" / "project.png").convert("RGB"))
        assert (drawn == LEGEND.classes[1].rgb).all(-1).mean() > 0.05


def test_layers_that_were_not_asked_for_are_not_shown(tmp_path):
    bundle = make_bundle(tmp_path, "scene", imagery=False)
    bundle.confidence.unlink()
    write_project(bundle, title="t", grid=GRID, legend=LEGEND)
    names = [node.findtext("layername") for node in ET.fromstring(document(bundle)).iter("maplayer")]  # noqa: S314
    assert names == ["Segments", "Classes"]


def test_the_same_layers_give_the_same_bytes(tmp_path):
    bundle = make_bundle(tmp_path, "scene")
    before = bundle.project.read_bytes()
    write_project(
        bundle,
        title="scene <&>",
        grid=GRID,
        legend=LEGEND,
        imagery=Imagery(uri=str(tmp_path / "scene.tif"), bands=(3, 2, 1), stretch=((0, 1000),) * 3),
    )
    assert bundle.project.read_bytes() == before


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("https://u:p@example.org/a.tif", "/vsicurl/https://example.org/a.tif"),
        ("s3://bucket/key.tif", "/vsis3/bucket/key.tif"),
        ("/vsizip/x.zip/a.tif", "/vsizip/x.zip/a.tif"),
        ("/vsicurl/https://u:p@example.org/a.tif?sig=1", "/vsicurl/https://example.org/a.tif"),
    ],
)
def test_imagery_may_be_remote_and_never_carries_a_password(tmp_path, uri, source):
    bundle = Bundle(directory=tmp_path, stem="scene")
    write_project(bundle, title="t", grid=GRID, legend=LEGEND, imagery=Imagery(uri=uri))
    (node,) = ET.fromstring(document(bundle)).iter("maplayer")  # noqa: S314
    assert node.findtext("datasource") == source


def test_imagery_of_a_file_address_is_the_file(tmp_path):
    scene = tmp_path / "my scenes" / "50%.tif"
    bundle = Bundle(directory=tmp_path / "out", stem="scene")
    bundle.directory.mkdir()
    write_project(bundle, title="t", grid=GRID, legend=LEGEND, imagery=Imagery(uri=scene.as_uri()))
    (node,) = ET.fromstring(document(bundle)).iter("maplayer")  # noqa: S314
    assert node.findtext("datasource") == "../my scenes/50%.tif"


def test_no_absolute_path_stands_in_the_project(tmp_path):
    bundle = make_bundle(tmp_path, "scene")
    assert str(tmp_path) not in document(bundle)


def test_a_stretch_for_each_band_or_none():
    with pytest.raises(ValueError, match="stretches"):
        Imagery(uri="x.tif", bands=(1, 2, 3), stretch=((0, 1),))
    with pytest.raises(ValueError, match="one band or three"):
        Imagery(uri="x.tif", bands=(1, 2))
