"""``geoseg init`` writes files that run as they are, and says what is in the data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from conftest import blobs

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.draft import ArchiveRequest, draft_archive
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.cli.main import app
from geoseg.process.command import run_command
from geoseg.training.recipe import read_recipe

SHAPE = (256, 320)


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


@pytest.fixture
def town(write_scene: Any, tmp_path: Path) -> Path:
    """A folder with an image of half-metre pixels and 30 polygons of two kinds in degrees."""
    image = write_scene(blobs(SHAPE), name="ortho.tif")
    rows, cols = np.mgrid[16:256:42, 16:320:62]
    boxes = [
        shapely.box(500000 + c / 2, 5400000 - (r + 16) / 2, 500000 + (c + 20) / 2, 5400000 - r / 2)
        for r, c in zip(rows.ravel(), cols.ravel(), strict=True)
    ]
    kinds = ["roof" if place % 3 else "pond: deep" for place in range(len(boxes))]
    frame = geopandas.GeoDataFrame({"kind": kinds}, geometry=boxes, crs="EPSG:32632").to_crs("EPSG:4326")
    frame.to_file(image.parent / "drawn.gpkg")
    return image.parent


def init_train(town: Path, *options: str | Path) -> int:
    recipe = town / "my town.yaml"
    return geoseg("init", "train", recipe, "--data", town, "--images", "ortho.tif", "--labels", "drawn.gpkg", *options)


def test_a_recipe_of_polygons_has_their_classes_and_trains_as_it_is(
    town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init_train(town, "--attribute", "kind", "--steps", "2", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    recipe = read_recipe(town / "my town.yaml")
    assert recipe.name == "my-town"
    assert recipe.legend.names == ("background", "pond: deep", "roof")
    assert [band.name for band in recipe.bands] == ["red", "green", "blue"]
    assert recipe.gsd_m.min <= 0.5 <= recipe.gsd_m.max
    assert answer["next"] == f"geoseg train '{town / 'my town.yaml'}' --data {town}"
    assert any("EPSG:32632" in line for line in answer["findings"])
    command = ["train", town / "my town.yaml", "--data", town, "--out", tmp_path / "run", "--threads", "1", "--quiet"]
    assert geoseg(*command) == 0
    assert (tmp_path / "run" / "my-town.safetensors").is_file()


def test_class_shares_are_those_of_the_polygons(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init_train(town, "--attribute", "kind", "--json") == 0
    shares = json.loads(capsys.readouterr().out)["classes"]
    frame = geopandas.read_file(town / "drawn.gpkg").to_crs("EPSG:32632")
    with rasterio.open(town / "ortho.tif") as image:
        pairs = [(shape, 1 + (kind == "roof")) for shape, kind in zip(frame.geometry, frame["kind"], strict=True)]
        codes = rasterio.features.rasterize(pairs, SHAPE, transform=image.transform)
    scored = codes[192:]  # the last quarter of the rows
    learnt = codes[: 192 - 32]  # an eighth of the rows is the guard
    for code, name in enumerate(("background", "pond: deep", "roof")):
        assert shares[name]["validate"] == pytest.approx((scored == code).mean(), abs=1e-6)
        assert shares[name]["train"] == pytest.approx((learnt == code).mean(), abs=1e-6)


def test_numbers_in_a_field_are_the_codes(town: Path) -> None:
    frame = geopandas.read_file(town / "drawn.gpkg")
    frame["code"] = [10, 2, 7] * (len(frame) // 3) + [2] * (len(frame) % 3)
    frame.to_file(town / "drawn.gpkg")
    assert init_train(town, "--attribute", "code") == 0
    legend = read_recipe(town / "my town.yaml").legend
    assert [(entry.code, entry.name) for entry in legend.classes][1:] == [
        (2, "class 2"),
        (7, "class 7"),
        (10, "class 10"),
    ]


def test_labels_of_one_class_are_questioned(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with rasterio.open(town / "ortho.tif") as image:
        profile = {"crs": image.crs, "transform": image.transform, "height": SHAPE[0], "width": SHAPE[1]}
    codes = (np.indices(SHAPE).sum(0) // 24 % 2).astype(np.uint8)
    with rasterio.open(town / "m.tif", "w", driver="GTiff", count=1, dtype="uint8", nodata=0, **profile) as target:
        target.write(codes, 1)
    assert geoseg("init", "train", town / "m.yaml", "--data", town, "--images", "ortho.tif", "--labels", "m.tif") == 0
    assert "check: the labels have one class only" in capsys.readouterr().out


def test_without_an_attribute_every_polygon_is_the_one_class(town: Path) -> None:
    assert init_train(town, "--class-name", "house", "--licence", "CC-BY-4.0") == 0
    recipe = read_recipe(town / "my town.yaml")
    assert recipe.legend.names == ("background", "house")
    assert recipe.licence == "CC-BY-4.0"


def test_weights_to_start_from_give_network_and_bands(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init_train(town, "--start-from", "buildings-unet") == 0
    recipe = read_recipe(town / "my town.yaml")
    assert recipe.architecture.options["encoder"] == "mobilenetv2_100"
    assert recipe.bands[0].mean == 0.485
    assert recipe.tile_px == 1152
    assert capsys.readouterr().out.rstrip().endswith("--start-from buildings-unet")


def test_weights_of_other_classes_are_refused_with_the_numbers(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init_train(town, "--attribute", "kind", "--start-from", "buildings-unet") == 2
    said = capsys.readouterr().err
    assert "2 classes (background, building)" in said
    assert "3 (background, pond: deep, roof)" in said
    assert not (town / "my town.yaml").exists()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("values", "names"), [((0, 1, 7), 3), ((-5, 111, 312), 3)])
def test_a_class_raster_gives_its_codes_and_trains(
    town: Path, tmp_path: Path, values: tuple[int, ...], names: int
) -> None:
    codes = np.asarray(values, np.int16)[np.indices(SHAPE).sum(0) // 24 % 3]
    with rasterio.open(town / "ortho.tif") as image:
        profile = {"crs": image.crs, "transform": image.transform, "height": SHAPE[0], "width": SHAPE[1]}
    with rasterio.open(town / "codes.tif", "w", driver="GTiff", count=1, dtype="int16", **profile) as target:
        target.write(codes, 1)
    recipe = town / "of_codes.yaml"
    made = ["init", "train", recipe, "--data", town, "--images", "ortho.tif", "--labels", "codes.tif", "--steps", "1"]
    assert geoseg(*made) == 0
    legend = read_recipe(recipe).legend
    assert len(legend) == names
    assert [entry.code for entry in legend.classes] == ([0, 1, 7] if values[0] == 0 else [0, 1, 2])
    assert geoseg("train", recipe, "--data", town, "--out", tmp_path / "run", "--threads", "1", "--quiet") == 0


def test_images_of_many_bits_get_a_range_of_values(write_scene: Any) -> None:
    values = (np.random.default_rng(1).random((4, 128, 160)) * 3000 + 100).astype(np.uint16)
    image = write_scene(values, name="wide.tif")
    labels = np.indices((128, 160)).sum(0) // 20 % 2
    with rasterio.open(image) as opened:
        profile = {"crs": opened.crs, "transform": opened.transform, "height": 128, "width": 160}
    with rasterio.open(image.parent / "codes.tif", "w", driver="GTiff", count=1, dtype="uint8", **profile) as target:
        target.write(labels.astype(np.uint8), 1)
    recipe = image.parent / "wide.yaml"
    made = ["--data", image.parent, "--images", "wide.tif", "--labels", "codes.tif"]
    assert geoseg("init", "train", recipe, *made) == 0
    (source,) = read_recipe(recipe).sources
    low, high = np.percentile(values, (2, 98))
    assert source.value_range == pytest.approx((low, high), rel=0.02)  # type: ignore[union-attr]
    assert len(read_recipe(recipe).bands) == 4


def test_options_that_are_missing_are_named_where_nobody_can_be_asked(
    town: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("init", "train", town / "r.yaml") == 2
    assert "--images and --labels must be given" in capsys.readouterr().err
    assert geoseg("init", "archive", town / "a.yaml", "--source", town) == 2
    assert "--model must be given" in capsys.readouterr().err


def test_a_terminal_is_asked(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["ortho.tif", "drawn.gpkg", "kind", ""])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *question, **options: next(answers))
    assert geoseg("init", "train", town / "asked.yaml", "--data", town) == 0
    assert len(read_recipe(town / "asked.yaml").legend) == 3


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--images", "gone.tif", "--labels", "drawn.gpkg"], 3, "gone.tif: there is no such file"),
        (["--images", "ortho.tif", "--labels", "gone.gpkg"], 3, "gone.gpkg"),
        (["--images", "ortho.tif", "--labels", "drawn.gpkg", "--attribute", "colour"], 3, "colour"),
        (["--images", "ortho.tif", "--labels", "ortho.tif", "--attribute", "kind"], 2, "is a raster"),
        (["--images", "ortho.tif", "--labels", "drawn.gpkg", "--name", "My Town"], 2, "--name"),
        (["--images", "ortho.tif", "--labels", "drawn.gpkg", "--minutes", "-1"], 2, "--minutes"),
        (["--images", "ortho.tif", "--labels", "drawn.gpkg", "--start-from", "nothing"], 4, "nothing"),
    ],
)
def test_refusals_name_the_cause_and_write_nothing(
    town: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, said: str
) -> None:
    assert geoseg("init", "train", town / "r.yaml", "--data", town, *options) == code
    assert said in capsys.readouterr().err
    assert not (town / "r.yaml").exists()


def test_a_file_is_not_replaced_unless_told(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (town / "my town.yaml").write_text("mine")
    assert init_train(town) == 6
    assert (town / "my town.yaml").read_text() == "mine"
    assert init_train(town, "--overwrite") == 0
    assert geoseg("init", "train", town / "recipe.txt", "--images", "a", "--labels", "b") == 2
    assert ".yaml" in capsys.readouterr().err


def test_an_archive_runs_as_it_is(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_scene(name="a.tif").parent
    write_scene(name="b.tif")
    write_scene(blobs((64, 64)), name="left.txt.tif")
    config = tmp_path / "archive.yaml"
    made = ["--source", folder, "--model", tiny_model, "--out", tmp_path / "maps", "--glob", "?.tif", "--json"]
    assert geoseg("init", "archive", config, *made) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["findings"][0].startswith("2 scenes")
    assert answer["findings"][1:] == ["bands: red, green, blue (2)", "CRS: EPSG:32632 (2)", "pixels of 0.5002 m"]
    assert answer["next"] == f"geoseg archive run {config}"
    read = ArchiveConfig.read(config)
    assert read.out == tmp_path / "maps"
    assert yaml.safe_load(config.read_text())["model"] == str(tiny_model)
    assert geoseg("archive", "run", config) == 0
    assert {path.name for path in (tmp_path / "maps").iterdir() if path.is_dir()} >= {"a", "b"}


def test_an_archive_names_scenes_that_the_model_cannot_read(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_scene(name="a.tif").parent
    (folder / "broken.tif").write_bytes(b"II*\0 no image")
    config = tmp_path / "archive.yaml"
    assert geoseg("init", "archive", config, "--source", folder, "--model", tiny_model) == 0
    assert "check: " in (said := capsys.readouterr().out)
    assert "broken.tif" in said
    (folder / "a.tif").unlink()
    assert geoseg("init", "archive", tmp_path / "b.yaml", "--source", folder, "--model", tiny_model) == 3
    assert not (tmp_path / "b.yaml").exists()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("vaihingen", "assume_crs: EPSG:32632"),
        ("potsdam", "assume_crs: EPSG:32633"),
        ("deepglobe", "assume_gsd_m: 0.5"),
        (None, "# assume_crs"),
    ],
)
def test_published_sets_get_what_their_files_lack(
    write_scene: Any, tiny_model: Path, tmp_path: Path, kind: str | None, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_scene(name="a.tif")
    monkeypatch.setattr("geoseg.archive.draft.find_scenes", lambda config: [SceneRef(uri=str(scene), name="a")])
    request = ArchiveRequest(source=str(scene.parent), kind=kind, model=str(tiny_model), out=tmp_path / "out")
    assert f"opening:\n  {line}" in draft_archive(request, tmp_path).text
