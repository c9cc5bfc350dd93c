"""The plugin in the real QGIS: algorithms run, layers are styled and grouped, the dialog lists the models."""

import configparser
import io
import json
import stat
import subprocess
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import LEGEND, blobs
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "qgis_plugin"
PYTHON = Path("/usr/bin/python3")
PROBE = Path(__file__).with_name("probe.py")
QGIS_PROCESS = next(map(str, Path("/usr/bin").glob("qgis_process.bin")), "qgis_process")  # Debian's wrapper is broken
COLOURS = [entry.colour for entry in LEGEND.classes]


@cache
def why_no_qgis():
    if not PYTHON.exists():
        return "there is no /usr/bin/python3"
    ran = subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True, env=variables(Path("/nowhere")))
    return "" if ran.returncode == 0 else "Debian's QGIS is not installed (apt install qgis python3-qgis)"


def variables(home):
    """Variables of a desktop: nothing of the environment that the tests run in."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8"}


pytestmark = [pytest.mark.qgis, pytest.mark.skipif(bool(why_no_qgis()), reason=why_no_qgis() or "it is there")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A geoseg program of this source, in a folder whose name a shell would split."""
    path = tmp_path_factory.mktemp("an environment") / "geoseg"
    path.write_text(f'#!/bin/sh\nexec env PYTHONPATH="{ROOT}" "{sys.executable}" -m geoseg "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("imagery") / "scene.tif"
    values = blobs((200, 260))
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 200, "width": 260, "photometric": "RGB"}
    transform = rasterio.Affine(0.5, 0, 500000, 0, -0.5, 5400000)
    with rasterio.open(path, "w", crs="EPSG:32632", transform=transform, **profile) as target:
        target.write(values)
    return path


class Tiles(BaseHTTPRequestHandler):
    """An XYZ service of one grey."""

    def do_GET(self):
        picture = io.BytesIO()
        Image.new("RGB", (256, 256), (90, 120, 150)).save(picture, "PNG")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(picture.getvalue())

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def seen(tmp_path_factory, home, program, scene, tiny_model):
    folder = tmp_path_factory.mktemp("probe")
    with ThreadingHTTPServer(("127.0.0.1", 0), Tiles) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tiles = f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png"
        ran = subprocess.run(
            [PYTHON, PROBE, PLUGINS, program, scene, tiny_model, folder, tiles],
            capture_output=True,
            text=True,
            env=variables(home),
            timeout=400,
        )
        server.shutdown()
    assert (folder / "seen.json").is_file(), ran.stderr
    return json.loads((folder / "seen.json").read_text()) | {"folder": folder}


def group_of(seen, name):
    return next(entry[1] for entry in seen["tree"][1] if isinstance(entry, list) and entry[0] == name)


def test_all_algorithms_are_there_and_go_with_the_plugin(seen):
    names = ("evaluate", "inspect", "make_environment", "objects", "predict", "vectorise")
    assert seen["algorithms"] == [f"geoseg:{name}" for name in names]
    assert seen["after_unload"]


def test_a_prediction_is_that_of_the_command_and_shows_progress(seen, scene):
    assert seen["predict"]["ok"], seen["predict"]["log"]
    results = seen["predict"]["results"]
    with rasterio.open(results["CLASSES"]) as classes, rasterio.open(scene) as imagery:
        assert (classes.shape, classes.transform, classes.crs) == (imagery.shape, imagery.transform, imagery.crs)
    assert Path(results["SEGMENTS"]).is_file()
    assert Path(results["PROJECT"]).is_file()
    percents = seen["predict"]["percents"]
    assert 85.0 in percents
    assert percents[: percents.index(97.0)] == sorted(percents[: percents.index(97.0)])


def test_layers_come_in_a_group_with_the_styles_that_geoseg_wrote(seen):
    layers = group_of(seen, "geoseg: scene (tiny)")
    assert [layer["name"] for layer in layers] == ["scene segments", "scene classes", "scene confidence"]
    assert [layer["renderer"] for layer in layers] == ["categorizedSymbol", "paletted", "singlebandpseudocolor"]
    assert layers[0]["colours"] == layers[1]["colours"] == COLOURS
    assert all(layer["valid"] for layer in layers)
    assert [layer["visible"] for layer in layers] == [True, False, False]  # the imagery is seen through the polygons


def test_an_extent_is_cut_out_by_whole_pixels_of_the_same_grid(seen, scene):
    with rasterio.open(seen["part"]["results"]["CLASSES"]) as part, rasterio.open(scene) as whole:
        # x from 20.2 m to 70.2 m of half-metre pixels: 40 to 141; y from 39.7 m to 90 m below the top: 79 to 180
        assert part.shape == (101, 101)
        assert part.transform == whole.transform * rasterio.Affine.translation(40, 79)
    cut = seen["folder"] / "part" / "imagery" / "scene_40_79_101x101.tif"
    with rasterio.open(cut) as part, rasterio.open(scene) as whole:
        window = rasterio.windows.Window(40, 79, 101, 101)
        np.testing.assert_array_equal(part.read(), whole.read(window=window))


def test_polygons_and_objects_of_a_class_raster_are_styled_and_grouped(seen):
    assert seen["vectorise"]["ok"], seen["vectorise"]["log"]
    assert seen["objects"]["ok"], seen["objects"]["log"]
    layers = group_of(seen, "geoseg: codes")
    assert [layer["renderer"] for layer in layers] == ["categorizedSymbol", "categorizedSymbol"]


def test_a_map_agrees_with_its_own_polygons(seen):
    assert seen["evaluate"]["results"]["OVERALL_ACCURACY"] == 1.0
    page = (seen["folder"] / "scores.html").read_text()
    assert "roof" in page
    assert "mean iou" in page


def test_inspection_names_the_model_that_fits(seen):
    assert seen["inspect"]["results"]["MODEL"] == "landcover-unet"  # 0.5 m pixels
    assert seen["inspect"]["results"]["PIXEL_SIZE_M"] == pytest.approx(0.5, rel=1e-3)
    assert "EPSG:32632" in (seen["folder"] / "inspect.html").read_text()


def test_a_cancelled_run_says_how_to_go_on(seen):
    assert not seen["cancelled"]["ok"]
    assert "Cancelled" in seen["cancelled"]["log"][-1]


def test_a_refusal_is_the_message_of_the_command(seen):
    assert not seen["refused"]["ok"]
    assert "no-such-model" in seen["refused"]["log"][-1]
    assert "bundled: buildings-unet" in seen["refused"]["log"][-1]


def test_a_map_service_is_exported_where_extent_and_pixel_size_are_given(seen):
    assert seen["service_valid"]
    assert not seen["service_without_extent"]["ok"]
    assert "Give an extent and a pixel size" in seen["service_without_extent"]["log"][-1]
    assert seen["service"]["ok"], seen["service"]["log"]
    with rasterio.open(seen["service"]["results"]["CLASSES"]) as classes:
        assert classes.shape == (160, 200)
        assert classes.crs == "EPSG:3857"
    (exported,) = (seen["folder"] / "service" / "imagery").glob("*.tif")
    with rasterio.open(exported) as imagery:
        np.testing.assert_array_equal(imagery.read((1, 2, 3)).reshape(3, -1).mean(axis=1), [90, 120, 150])


def test_the_dialog_lists_the_models_with_bands_pixel_sizes_and_preview(seen):
    dialog = seen["dialog"]
    others = [f"{name}-unet" for name in ("forest", "landcover", "roads", "solar", "town")]
    assert dialog["models"] == ["buildings-unet", "buildings-separate", "buildings-instances", *others, "town-panoptic"]
    assert dialog["value"] == "buildings-unet"
    assert "Bands: red, green, blue. Pixels of 0.05 to 0.3 m." in " ".join(dialog["words"])
    assert dialog["preview"]
    picture = np.asarray(Image.open(seen["folder"] / "dialog.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000  # the preview is drawn


def test_qgis_process_runs_a_prediction(home, program, scene, tiny_model, tmp_path):
    profile = tmp_path / "config" / "profiles" / "default" / "QGIS" / "QGIS3.ini"
    profile.parent.mkdir(parents=True)
    settings = configparser.RawConfigParser()
    settings.optionxform = str
    settings["PythonPlugins"] = {"geoseg_qgis": "true", "processing": "true"}
    settings["Processing"] = {"Configuration\\GEOSEG_EXECUTABLE": str(program)}
    with profile.open("w") as file:
        settings.write(file, space_around_delimiters=False)
    ran = subprocess.run(
        [
            *(QGIS_PROCESS, "run", "geoseg:predict", "--", f"INPUT={scene}", f"MODEL={tiny_model}"),
            *(f"OUTPUT={tmp_path / 'out'}", "EXTRA=--runtime torch", "OBJECTS=roof"),
        ],
        capture_output=True,
        text=True,
        env=variables(home) | {"QGIS_PLUGINPATH": str(PLUGINS), "QGIS_CUSTOM_CONFIG_PATH": str(tmp_path / "config")},
        timeout=200,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    folder = tmp_path / "out" / "scene"
    for line in (f"CLASSES:\t{folder}/scene_classes.tif", f"OBJECTS_LAYER:\t{folder}/scene_objects.gpkg"):
        assert line in ran.stdout
    assert (folder / "scene.qgz").is_file()


def test_the_plugin_runs_on_the_python_of_qgis_3_22():
    """Debian's Python is newer than 3.9: the grammar is held to 3.9 at least."""
    import ast

    for path in PLUGINS.rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))
