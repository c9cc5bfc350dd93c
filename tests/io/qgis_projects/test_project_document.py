"""The document of a QGIS project: groups, what is shown, scales, links, the same bytes."""

from xml.etree import ElementTree as ET

import pytest
from pyproj import CRS
from test_qgis import ABOUT, GRID, LEGEND, document, make_bundle

from geoseg.core.layer import whole_class_map_schema
from geoseg.io.publish.bundle import Bundle
from geoseg.io.qgis.document import Shown
from geoseg.io.qgis.map_themes import map_themes
from geoseg.io.qgis.project import Imagery, near_scale, write_project


def root_of(bundle):
    return ET.fromstring(document(bundle))  # noqa: S314 - written by the tests themselves


def test_layers_that_were_not_asked_for_are_not_shown(tmp_path):
    bundle = make_bundle(tmp_path, "scene", imagery=False)
    bundle.confidence.unlink()
    write_project(bundle, whole_class_map_schema(LEGEND), about=ABOUT, grid=GRID, legend=LEGEND)
    names = [node.findtext("layername") for node in root_of(bundle).iter("maplayer")]
    assert names == ["scene <&> segments", "scene <&> classes"]


@pytest.mark.parametrize(
    ("keys", "doubts"),
    [
        (("segments", "confidence", "imagery"), "confidence"),
        (("segments", "confidence", "entropy", "mutual_information", "imagery"), "entropy"),
        (("segments", "probability_1", "imagery"), None),
    ],
)
def test_the_theme_check_shows_what_the_model_is_unsure_of(keys, doubts):
    kind = {"style": [ET.Element("pipe")], "crs_wkt": None, "bounds": (0, 0, 1, 1)}
    group = {"segments": "Result", "imagery": "Imagery"}
    layers = [Shown(key=key, name=key, source=key, group=group.get(key, "Quality"), **kind) for key in keys]
    found = {theme.get("name"): [one.get("id") for one in theme.iter("layer")] for theme in map_themes(layers)}
    shown = [layer.ident for layer in layers if layer.key in {doubts, "imagery"}]
    assert found.get("Check") == (shown if doubts else None)


def test_groups_are_result_quality_and_imagery_and_only_the_hidden_one_is_closed(tmp_path):
    bundle = make_bundle(tmp_path, "scene")
    (tree,) = root_of(bundle).findall("layer-tree-group")
    groups = [(group.get("name"), group.get("checked"), group.get("expanded")) for group in tree]
    shown = [("Result", "Qt::Checked", "1"), ("Quality", "Qt::Checked", "0"), ("Imagery", "Qt::Checked", "1")]
    assert groups == shown
    checked = {layer.get("name"): layer.get("checked") for layer in tree.iter("layer-tree-layer")}
    assert [name for name, state in checked.items() if state == "Qt::Checked"] == [
        "scene <&> segments",
        "scene <&> imagery",
    ]


def test_without_polygons_the_class_raster_is_shown(tmp_path):
    bundle = make_bundle(tmp_path, "scene")
    bundle.segments.unlink()
    write_project(bundle, whole_class_map_schema(LEGEND), about=ABOUT, grid=GRID, legend=LEGEND)
    (classes, *_) = root_of(bundle).iter("layer-tree-layer")
    assert (classes.get("name"), classes.get("checked")) == ("scene <&> classes", "Qt::Checked")


def test_the_raster_stands_for_very_many_polygons_until_the_map_is_near(tmp_path, monkeypatch):
    bundle = make_bundle(tmp_path, "scene")
    monkeypatch.setattr("geoseg.io.qgis.project.MANY_POLYGONS_BYTES", 1000)
    write_project(bundle, whole_class_map_schema(LEGEND), about=ABOUT, grid=GRID, legend=LEGEND)
    root = root_of(bundle)
    segments, classes, confidence = root.iter("maplayer")
    # a pixel of half a metre on four of 0.28 mm
    assert [segments.get("minScale"), float(segments.get("maxScale"))] == ["7000", 0]
    assert [classes.get("maxScale"), classes.get("hasScaleBasedVisibilityFlag")] == ["7000", "1"]
    assert confidence.get("hasScaleBasedVisibilityFlag") == "0"
    assert [node.get("checked") for node in root.iter("layer-tree-layer")][:2] == ["Qt::Checked"] * 2


def test_map_scales_count_in_units_of_the_crs():
    assert near_scale(0.5, GRID.crs_wkt) == 7000
    assert near_scale(10, GRID.crs_wkt) == 100_000
    assert near_scale(1e-4, CRS.from_epsg(4326).to_wkt()) == 200_000
    assert near_scale(0.5, None) == 7000


def test_the_same_layers_give_the_same_bytes(tmp_path):
    bundle = make_bundle(tmp_path, "scene")
    before = bundle.project.read_bytes()
    write_project(
        bundle,
        whole_class_map_schema(LEGEND),
        about=ABOUT,
        grid=GRID,
        legend=LEGEND,
        imagery=Imagery(uri=str(tmp_path / "scene.tif"), bands=(3, 2, 1), stretch=((0, 1020),) * 3),
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
    write_project(
        bundle, whole_class_map_schema(LEGEND), about=ABOUT, grid=GRID, legend=LEGEND, imagery=Imagery(uri=uri)
    )
    (node,) = root_of(bundle).iter("maplayer")
    assert node.findtext("datasource") == source


def test_imagery_of_a_file_address_is_the_file(tmp_path):
    scene = tmp_path / "my scenes" / "50%.tif"
    bundle = Bundle(directory=tmp_path / "out", stem="scene")
    bundle.directory.mkdir()
    write_project(
        bundle,
        whole_class_map_schema(LEGEND),
        about=ABOUT,
        grid=GRID,
        legend=LEGEND,
        imagery=Imagery(uri=scene.as_uri()),
    )
    (node,) = root_of(bundle).iter("maplayer")
    assert node.findtext("datasource") == "../my scenes/50%.tif"


def test_no_absolute_path_stands_in_the_project(tmp_path):
    bundle = make_bundle(tmp_path, "scene")
    assert str(tmp_path) not in document(bundle)


def test_a_stretch_for_each_band_or_none():
    with pytest.raises(ValueError, match="stretches"):
        Imagery(uri="x.tif", bands=(1, 2, 3), stretch=((0, 1),))
    with pytest.raises(ValueError, match="one band or three"):
        Imagery(uri="x.tif", bands=(1, 2))
