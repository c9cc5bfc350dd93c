"""``geoseg evaluate clicks``, and what other commands say of a model that answers clicks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from PIL import Image

from geoseg.cli.main import app
from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import SceneError, UsageError
from geoseg.interactive.evaluate import evaluate_clicks
from geoseg.interactive.model import ClickModel
from geoseg.interactive.predictor import PredictorSettings
from geoseg.interactive.targets import Target, folder_targets
from geoseg.io.weights.model_file import write_model
from geoseg.nn import build
from geoseg.process.command import run_command
from geoseg.testing.clicks import PerfectClicks

OPTIONS = {"encoder": "mobilenetv2_050", "widths": [8, 8, 8, 8]}
NAMES = ("background", "object")
CARD = ModelCard(
    name="small",
    architecture=Architecture(name="clicks_unet", options=OPTIONS),
    task="interactive",
    bands=(CardBand(name="pan", mean=0.0, std=1 / 255),),
    gsd_m=GsdRange(min=0.1, max=10),
    tile_px=128,
    halo_px=16,
    legend=Legend(classes=tuple(LegendClass(code=c, name=n, colour=f"#{c:06x}") for c, n in enumerate(NAMES))),
    licence="none",
)


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = build("clicks_unet", 1, 2, **OPTIONS)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_model(path, {key: tensor.numpy() for key, tensor in network.state_dict().items()}, CARD)
    return path


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a network that is always right answer, whatever model is named."""
    monkeypatch.setattr(
        "geoseg.interactive.model.load_click_model", lambda *_: ClickModel(CARD, PerfectClicks().eval())
    )


def folder(place: Path, layout: tuple[str, str], mask_values: tuple[int, int]) -> Path:
    for name in layout:
        (place / name).mkdir(parents=True)
    for number, suffix in enumerate(("png", "bmp")):
        image, mask = np.zeros((90, 120), np.uint8), np.zeros((90, 120), np.uint8)
        image[20:60, 30 + number : 80] = 9
        mask[20:60, 30 + number : 80] = mask_values[0]
        mask[60:62, 30:80] = mask_values[1]
        Image.fromarray(image).save(place / layout[0] / f"{number}.png")
        Image.fromarray(mask).save(place / layout[1] / f"{number}.{suffix}")
    return place


@pytest.mark.usefixtures("perfect")
@pytest.mark.parametrize(
    ("layout", "values"),
    [(("data_GT", "boundary_GT"), (255, 128)), (("images", "masks"), (255, 0)), (("images", "masks"), (1, 0))],
)
def test_a_network_that_is_right_needs_one_click(
    layout: tuple[str, str], values: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder(tmp_path / "data", layout, values)
    out = tmp_path / "noc.json"
    assert geoseg("evaluate", "clicks", "--data", place, "--method", "plain", "--out", out) == 0
    report = json.loads(out.read_text())
    assert [row["mean"] for row in report["noc"]] == [1, 1, 1]
    assert [one["name"] for one in report["objects"]] == ["0.png", "1.png"]
    assert report["mean_iou"] == [1]
    text = capsys.readouterr().out
    assert "NoC@90    1.00 clicks on average" in text
    assert geoseg("evaluate", "clicks", "--data", place, "--out", out) == 6  # it stands there already


def scene_with_polygons(place: Path) -> tuple[Path, Path]:
    pixels = np.zeros((600, 700), np.uint8)
    boxes = []
    for number, (row, col) in enumerate(((50, 60), (300, 400), (560, 640)), start=1):
        pixels[row : row + 60, col : col + 50] = 20 * number
        boxes.append(shapely.box(5e5 + col, 5e6 - row - 60, 5e5 + col + 50, 5e6 - row))
    scene, polygons = place / "scene.tif", place / "objects.gpkg"
    profile = {"driver": "GTiff", "width": 700, "height": 600, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(scene, "w", **profile, transform=rasterio.transform.from_origin(5e5, 5e6, 1, 1)) as file:
        file.write(pixels, 1)
        file.set_band_description(1, "pan")
    geopandas.GeoDataFrame(geometry=boxes, crs="EPSG:32633").to_crs(4326).to_file(polygons)
    return scene, polygons


@pytest.mark.usefixtures("perfect")
def test_polygons_on_a_scene_are_clicked_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene, polygons = scene_with_polygons(tmp_path)
    asked = ("evaluate", "clicks", "--scene", scene, "--reference", polygons, "--method", "plain", "--json")
    assert geoseg(*asked) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["objects"]) == 2  # the third leaves the scene
    assert all(one["iou"][0] > 0.95 for one in report["objects"])
    assert geoseg(*asked, "--objects", "1") == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) == 1


def test_a_model_file_is_evaluated_with_every_method(model: Path, tmp_path: Path) -> None:
    place = folder(tmp_path / "data", ("images", "masks"), (255, 0))
    for method in ("plain", "f-brs-c", "distmap-brs"):
        out = tmp_path / f"{method}.json"
        asked = ("--model", model, "--data", place, "--method", method, "--max-clicks", "3", "--out", out)
        assert geoseg("evaluate", "clicks", *asked) == 0
        assert all(1 <= row["mean"] <= 3 for row in json.loads(out.read_text())["noc"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "--data, or --scene with --reference"),
        (("--scene", "s.tif"), 2, "--data, or --scene with --reference"),
        (("--data", "here", "--iou", "0"), 2, "--iou 0"),
        (("--data", "here", "--bands", "1"), 2, "are for --scene"),
        (("--data", "here", "--device", "foo"), 2, "--device foo: unknown. Pass auto, cpu"),
        (("--data", "here", "--device", "cuda:99"), 5, "--device cuda:99: not there"),
        (("--data", "here", "--device", "auto"), 2, "has no folders"),
        (("--data", "here"), 2, "has no folders data_GT and boundary_GT or images and masks"),
    ],
)
def test_nonsense_is_refused(
    options: tuple[str, ...], code: int, words: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("evaluate", "clicks", "--model", model, *options) == code
    assert words in capsys.readouterr().err


def test_masks_that_do_not_fit_are_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder(tmp_path / "data", ("images", "masks"), (255, 0))
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(place / "masks" / "1.bmp")
    asked = ("evaluate", "clicks", "--model", model, "--data", place, "--max-clicks", "1")
    assert geoseg(*asked) == 3
    assert "1.bmp: it is (10, 10) px, its image (90, 120)" in capsys.readouterr().err
    (place / "masks" / "1.bmp").unlink()
    assert geoseg(*asked) == 3
    assert "1.png: it has no mask in" in capsys.readouterr().err


def test_names_with_dots_keep_their_own_masks_and_two_masks_of_a_name_are_refused(tmp_path: Path) -> None:
    place = folder(tmp_path / "data", ("images", "masks"), (255, 0))
    for name in ("images", "masks"):
        for number, path in enumerate(sorted((place / name).iterdir())):
            path.rename(path.with_name(f"tile.{number}{path.suffix}"))
    targets = list(folder_targets(place, CARD))
    assert [one.name for one in targets] == ["tile.0.png", "tile.1.png"]
    for number, one in enumerate(targets):
        assert (one.truth == 1).any(axis=0).nonzero()[0].min() == 30 + number
    Image.fromarray(np.zeros((90, 120), np.uint8)).save(place / "masks" / "tile.1.png")
    with pytest.raises(SceneError, match=r"tile\.1\.bmp is a mask of the same name"):
        list(folder_targets(place, CARD))


def test_pictures_are_no_input_of_a_model_of_other_bands(tmp_path: Path) -> None:
    place = folder(tmp_path / "data", ("images", "masks"), (255, 0))
    bands = tuple(CardBand(name=name, mean=0.0, std=1.0) for name in ("nir", "red", "green"))
    with pytest.raises(UsageError, match="nir, red, green, pictures have red, green and blue"):
        list(folder_targets(place, CARD.model_copy(update={"bands": bands})))


def test_seconds_are_those_of_answers(tmp_path: Path) -> None:
    place = folder(tmp_path / "data", ("images", "masks"), (255, 0))

    def slowly() -> Iterator[Target]:
        for target in folder_targets(place, CARD):
            time.sleep(0.5)
            yield target

    model = ClickModel(CARD, PerfectClicks().eval())
    report = evaluate_clicks(slowly(), model, PredictorSettings(method="plain"))
    assert 0 < report["seconds_per_click"] < 0.4


def test_a_model_of_clicks_maps_no_scene(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene, _ = scene_with_polygons(tmp_path)
    assert geoseg("predict", scene, "--model", model, "--out", tmp_path / "maps") == 4
    told = capsys.readouterr().err
    assert "geoseg view SCENE --edit" in told
    assert "geoseg evaluate clicks" in told
    assert geoseg("models", "show", model) == 0


def test_a_model_of_class_maps_answers_no_clicks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder(tmp_path / "data", ("images", "masks"), (255, 0))
    assert geoseg("evaluate", "clicks", "--model", "solar-unet", "--data", place) == 4
    assert "task semantic and answers no clicks" in capsys.readouterr().err
