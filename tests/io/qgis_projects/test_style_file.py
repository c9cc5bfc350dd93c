"""Every vector format comes styled: QML beside files for QGIS, a MapLibre style beside PMTiles."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from test_qgis import PYTHON, needs_qgis

from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import OutputError
from geoseg.io.polygons.registry import VECTOR_SUFFIXES
from geoseg.io.polygons.vector_formats import write_vectors
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.maplibre_style import maplibre_style
from geoseg.io.publish.style_file import check_style, style_path, write_style
from geoseg.testing.segments import LEGEND, UTM, segments_of

OBJECTS = Legend(
    classes=[
        LegendClass(code=0, name="background", colour="#d9d9d9"),
        LegendClass(code=3, name="roof", colour="#D7301F"),
        LegendClass(code=7, name="pool", colour="#2166ac"),
    ]
)
COVER = OBJECTS.model_copy(update={"background": None})


@pytest.mark.parametrize("suffix", [suffix for suffix in VECTOR_SUFFIXES if suffix not in {".gpkg", ".pmtiles"}])
def test_the_style_beside_a_file_is_the_one_inside_a_geopackage(suffix: str, tmp_path: Path) -> None:
    for name in (f"roofs{suffix}", "roofs.gpkg"):
        write_vectors(tmp_path / name, [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    with closing(sqlite3.connect(tmp_path / "roofs.gpkg")) as db:
        (inside,) = db.execute("SELECT styleQML FROM layer_styles").fetchone()
    assert (tmp_path / "roofs.qml").read_text() == inside
    assert {path.name for path in tmp_path.iterdir()} == {f"roofs{suffix}", "roofs.gpkg", "roofs.qml"}


@pytest.mark.parametrize("suffix", [".fgb", ".geojson"])
@pytest.mark.qgis
class TestInQgis:
    pytestmark = needs_qgis

    def test_a_file_opens_styled(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"roofs{suffix}"
        write_vectors(path, [segments_of(3)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
        script = (
            "import json, os, sys; os.environ['QT_QPA_PLATFORM'] = 'offscreen'\n"
            "from qgis.core import QgsApplication, QgsVectorLayer\n"
            "app = QgsApplication([], False); app.initQgis()\n"
            "layer = QgsVectorLayer(sys.argv[1], 'roofs', 'ogr')\n"
            "found = [[int(c.value()), c.label()] for c in layer.renderer().categories()]\n"
            "print(json.dumps([found, layer.attributeAlias(layer.fields().indexOf('class_name'))]), flush=True)\n"
            "os._exit(0)"
        )
        ran = subprocess.run([PYTHON, "-c", script, path], capture_output=True, text=True, check=True)
        categories, alias = json.loads(ran.stdout.splitlines()[-1])
        assert categories == [[entry.code, entry.name] for entry in LEGEND.classes]
        assert alias == "Class"


def shown(expression: Any, code: int) -> str:
    """Evaluate a ``match`` expression by the MapLibre style specification."""
    operator, (get, column), *rest = expression
    assert (operator, get, column) == ("match", "get", "class_code")
    *pairs, fallback = rest
    return dict(zip(pairs[::2], pairs[1::2], strict=True)).get(code, fallback)


@pytest.mark.parametrize("legend", [OBJECTS, COVER], ids=["objects", "land cover"])
def test_web_maps_draw_classes_in_their_colours(legend: Legend) -> None:
    style = json.loads(maplibre_style("my map #1.pmtiles", legend))
    assert style["version"] == 8
    (source,) = style["sources"].values()
    assert source.keys() == {"type", "url"}
    assert source["type"] == "vector"
    assert re.fullmatch(r"pmtiles://[A-Za-z0-9%._-]+", source["url"])
    assert unquote(source["url"].removeprefix("pmtiles://")) == "my map #1.pmtiles"
    fill, line = style["layers"]
    assert (fill["type"], line["type"]) == ("fill", "line")
    for layer in (fill, line):
        assert layer["source"] in style["sources"]
        assert layer["source-layer"] == "segments"
        background = legend.background
        assert layer.get("filter") == (None if background is None else ["!=", ["get", "class_code"], background])
    for entry in legend.classes:
        if entry.code != legend.background:
            assert shown(fill["paint"]["fill-color"], entry.code) == entry.colour.lower()
            assert re.fullmatch("#[0-9a-f]{6}", shown(line["paint"]["line-color"], entry.code))
    assert 0 < fill["paint"]["fill-opacity"] < 1, "what lies below is seen"


def test_a_legend_of_the_background_alone_is_a_style_too() -> None:
    style = json.loads(maplibre_style("a.pmtiles", OBJECTS.model_copy(update={"classes": OBJECTS.classes[:1]})))
    assert style["layers"][0]["paint"]["fill-color"].startswith("#"), "a match without cases would be no expression"


@pytest.mark.qgis
class TestConverted:
    pytestmark = needs_qgis

    def test_a_reader_of_mapbox_styles_understands_it(self, tmp_path: Path) -> None:
        path = tmp_path / "roofs.style.json"
        path.write_text(maplibre_style("roofs.pmtiles", OBJECTS))
        script = (
            "import json, os, sys; os.environ['QT_QPA_PLATFORM'] = 'offscreen'\n"
            "from qgis.core import QgsApplication, QgsMapBoxGlStyleConverter\n"
            "app = QgsApplication([], False); app.initQgis()\n"
            "converter = QgsMapBoxGlStyleConverter()\n"
            "result = converter.convert(json.load(open(sys.argv[1])))\n"
            "styles = [[s.layerName(), s.filterExpression()] for s in converter.renderer().styles()]\n"
            "print(json.dumps([int(result), converter.warnings(), styles]), flush=True)\n"
            "os._exit(0)"
        )
        ran = subprocess.run([PYTHON, "-c", script, path], capture_output=True, text=True, check=True)
        result, warnings, styles = json.loads(ran.stdout.splitlines()[-1])
        assert (result, warnings) == (0, [])
        assert [layer for layer, _ in styles] == ["segments", "segments"]
        assert all("class_code" in chosen for _, chosen in styles)


def test_styles_of_other_layers_and_of_somebody_are_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "map.fgb"
    check_style(path, OBJECTS, overwrite=False)
    assert write_style(path, OBJECTS) == style_path(path) == tmp_path / "map.qml"
    check_style(path, OBJECTS, overwrite=False)
    with pytest.raises(OutputError, match="--overwrite"):
        check_style(path, COVER, overwrite=False)
    check_style(path, COVER, overwrite=True)
    (tmp_path / "map.qml").write_text("<qgis><pipe><rasterrenderer/></pipe></qgis>")
    with pytest.raises(OutputError, match="the style of another layer"):
        check_style(path, OBJECTS, overwrite=True)
    check_style(tmp_path / "map.gpkg", OBJECTS, overwrite=False)
