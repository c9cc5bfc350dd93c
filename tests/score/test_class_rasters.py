"""Class rasters as maps and references: nodata, order of rows, values that are no codes, colours. Said, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from affine import Affine
from maps import patches, write_map

import geoseg as api
from geoseg.cli.main import app
from geoseg.process.command import run_command
from geoseg.score.pairs import Pair

SHAPE = (60, 80)
SOUTH_UP = Affine(0.5, 0, 500000, 0, 0.5, 5400000 - 0.5 * SHAPE[0])
CORINE = {1: 111, 2: 312, 3: 523}
LEGEND = """classes:
- {code: 1, name: town, colour: '#e6004d', values: [111, 112]}
- {code: 2, name: forest, colour: '#00a600', values: [311, 312]}
- {code: 3, name: sea, colour: '#e6f2ff', values: [523]}
"""


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def evaluated(capsys: pytest.CaptureFixture[str], prediction: Path, reference: Path, *more: str | Path) -> Any:
    capsys.readouterr()
    assert geoseg("evaluate", "--prediction", prediction, "--reference", reference, "--json", *more) == 0
    return json.loads(capsys.readouterr().out)


def squares() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:25, 10:50] = 1
    return mask


def test_a_reference_that_hides_its_background_by_nodata_is_told_and_read_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = squares()
    everything = write_map(tmp_path / "all.tif", np.ones_like(mask), nodata=255)
    reference = write_map(tmp_path / "mask.tif", mask, nodata=0)
    found = evaluated(capsys, everything, reference, "--protocol", "binary")
    assert found["results"]["positive"]["iou"] == 1
    (note,) = found["notes"]
    assert f"{reference} is 0, so 4,000 of 4,800 predicted pixels" in note
    assert "--nodata none" in note
    truth = evaluated(capsys, everything, reference, "--protocol", "binary", "--nodata", "none")
    assert truth["results"]["positive"]["iou"] == pytest.approx(mask.mean(), abs=1e-6)
    assert truth["notes"] == []
    settled = evaluated(capsys, everything, reference, "--protocol", "binary", "--nodata", "0")
    assert settled["results"] == found["results"]
    assert settled["notes"] == []


def test_a_prediction_that_hides_its_background_is_told_and_read_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = squares()
    prediction = write_map(tmp_path / "mask.tif", mask, nodata=0)
    reference = write_map(tmp_path / "truth.tif", np.roll(mask, 20, axis=1))
    found = evaluated(capsys, prediction, reference, "--protocol", "binary")
    assert any("--prediction-nodata none" in note for note in found["notes"])
    read = evaluated(capsys, prediction, reference, "--protocol", "binary", "--prediction-nodata", "none")
    assert read["results"]["positive"]["iou"] == pytest.approx(400 / 1200, abs=1e-6)
    assert read["notes"] == []


def test_nodata_that_can_be_no_class_is_not_spoken_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = patches(SHAPE, 3, 1).astype(np.int16)
    codes[:10] = -9999
    path = write_map(tmp_path / "map.tif", codes, nodata=-9999)
    assert evaluated(capsys, path, path)["notes"] == []


def test_what_nodata_is_must_be_a_number_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_map(tmp_path / "map.tif", patches(SHAPE, 3, 1))
    for command in (["evaluate", "--prediction", path, "--reference", path], ["vectorise", path]):
        assert geoseg(*command, "--nodata", "zero") == 2
        assert "--nodata zero: a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flip", "transform"),
    [
        ((slice(None, None, -1), slice(None)), SOUTH_UP),
        ((slice(None), slice(None, None, -1)), Affine(-0.5, 0, 500040, 0, -0.5, 5400000)),
        ((slice(None, None, -1), slice(None, None, -1)), Affine(-0.5, 0, 500040, 0, 0.5, 5399970)),
    ],
)
def test_a_reference_whose_pixels_are_counted_the_other_way_is_the_same_reference(
    flip: tuple[slice, slice], transform: Affine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes, truth = patches(SHAPE, 3, 1), patches(SHAPE, 3, 2)
    prediction = write_map(tmp_path / "answer.tif", codes, nodata=255)
    plain = write_map(tmp_path / "truth.tif", truth, nodata=255)
    turned = write_map(tmp_path / "turned.tif", truth[flip], nodata=255, transform=transform)
    found = evaluated(capsys, prediction, turned)
    assert found["results"] == evaluated(capsys, prediction, plain)["results"]
    assert found["results"]["all"]["overall_accuracy"] == pytest.approx((codes == truth).mean(), abs=1e-6)


def test_south_up_but_elsewhere_is_refused_with_the_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = write_map(tmp_path / "answer.tif", patches(SHAPE, 3, 1))
    moved = Affine.translation(0, 0.2) * SOUTH_UP
    reference = write_map(tmp_path / "truth.tif", patches(SHAPE, 3, 1), transform=moved)
    assert geoseg("evaluate", "--prediction", prediction, "--reference", reference) == 3
    assert "its rows run the other way" in capsys.readouterr().err


def test_values_beyond_codes_are_scored_by_a_legend_that_lists_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.array([0, *CORINE.values()], np.uint16)
    answer, truth = patches(SHAPE, 3, 1) + 1, patches(SHAPE, 3, 2) + 1
    small = write_map(tmp_path / "small.tif", answer)
    prediction = write_map(tmp_path / "answer.tif", values[answer])
    reference = write_map(tmp_path / "truth.tif", values[truth])
    assert geoseg("evaluate", "--prediction", prediction, "--reference", reference) == 3
    error = capsys.readouterr().err
    assert "class codes are whole numbers from 0 to 254. Give a legend with a class of values: [" in error
    legend = tmp_path / "corine.yaml"
    legend.write_text(LEGEND)
    found = evaluated(capsys, prediction, reference, "--legend", legend)
    for row in found["results"]["all"]["classes"]:
        code = row["code"]
        both, either = (answer == code) & (truth == code), (answer == code) | (truth == code)
        assert row["iou"] == pytest.approx(both.sum() / either.sum(), abs=1e-6)
    assert [row["name"] for row in found["results"]["all"]["classes"]] == ["town", "forest", "sea"]
    assert evaluated(capsys, small, reference, "--legend", legend)["results"] == found["results"]


def test_values_beyond_codes_become_polygons_of_small_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = patches(SHAPE, 3, 1) + 1
    values = np.array([0, *CORINE.values()], np.uint16)[codes]
    values[:7] = 65535
    path = write_map(tmp_path / "clc.tif", values, nodata=65535)
    assert geoseg("vectorise", path) == 3
    assert "values: [" in capsys.readouterr().err
    legend = tmp_path / "corine.yaml"
    legend.write_text(LEGEND)
    assert geoseg("vectorise", path, "--legend", legend) == 0
    frame = geopandas.read_file(tmp_path / "clc_segments.gpkg", layer="segments")
    pixels = frame.groupby(["class_code", "class_name"]).pixels.sum().to_dict()
    names = {1: "town", 2: "forest", 3: "sea"}
    assert pixels == {(code, name): (codes[7:] == code).sum() for code, name in names.items()}


@pytest.mark.parametrize(
    ("values", "said"),
    [(([2], []), "codes of other"), (([9], [9]), "belong to two classes"), (([255], []), "nodata value 255")],
)
def test_a_value_has_one_meaning(
    values: tuple[list[int], list[int]], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    legend = tmp_path / "legend.yaml"
    entries = [f"- {{code: {k}, name: n{k}, colour: '#00000{k}', values: {v}}}" for k, v in enumerate(values, start=1)]
    legend.write_text("\n".join(["classes:", *entries]))
    assert geoseg("vectorise", write_map(tmp_path / "map.tif", patches(SHAPE, 2, 1)), "--legend", legend) == 2
    assert said in capsys.readouterr().err


def test_coloured_labels_are_refused_without_a_legend_and_read_by_its_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """GDAL calls these bands gray and undefined: nothing but their number says that they are colours."""
    codes = patches(SHAPE, 2, 1)
    colours = np.array([[12, 200, 7], [200, 12, 7]], np.uint8)[codes].transpose(2, 0, 1)
    path = write_map(tmp_path / "colours.tif", colours, photometric="MINISBLACK")
    assert geoseg("vectorise", path) == 3
    assert "colours.tif: it has 3 bands" in capsys.readouterr().err
    assert not (tmp_path / "colours_segments.gpkg").exists()
    legend = tmp_path / "legend.yaml"
    legend.write_text(
        "classes:\n- {code: 4, name: grass, colour: '#0cc807'}\n- {code: 9, name: roof, colour: '#c80c07'}\n"
    )
    assert geoseg("vectorise", path, "--legend", legend) == 0
    frame = geopandas.read_file(tmp_path / "colours_segments.gpkg", layer="segments")
    pixels = frame.groupby("class_name").pixels.sum().to_dict()
    assert pixels == {"grass": (codes == 0).sum(), "roof": (codes == 1).sum()}


def test_polygons_tell_which_class_nodata_takes_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = squares()
    path = write_map(tmp_path / "mask.tif", mask, nodata=0)
    assert geoseg("vectorise", path, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["segments"] == 1
    assert "its nodata value is 0, so pixels of 0 get no polygon" in answer["notes"][0]
    assert geoseg("vectorise", path, "--nodata", "none", "--overwrite", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["notes"] == []
    frame = geopandas.read_file(answer["output"], layer="segments")
    assert sorted(frame.pixels) == [800, mask.size - 800]
    assert geoseg("vectorise", path, "--nodata", "0", "--overwrite") == 0
    assert "note" not in capsys.readouterr().out


def test_a_sample_has_a_stratum_for_what_nodata_hid_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_map(tmp_path / "mask.tif", squares(), nodata=0)
    command = ["evaluate", "sample", path, "--points", "40", "--minimum", "5", "--json", "--overwrite"]
    out = tmp_path / "points.gpkg"
    assert geoseg(*command, "--out", out) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [entry["code"] for entry in answer["strata"]] == [1]
    assert "are in no stratum" in answer["notes"][0]
    assert geoseg(*command, "--out", out, "--nodata", "none") == 0
    assert [entry["pixels"] for entry in json.loads(capsys.readouterr().out)["strata"]] == [4000, 800]


def test_a_confidence_beyond_percent_is_refused_by_evaluate_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_map(tmp_path / "map.tif", patches(SHAPE, 3, 1))
    percent = write_map(tmp_path / "percent.tif", np.full(SHAPE, 101, np.uint8))
    command = ["evaluate", "--prediction", path, "--reference", path, "--confidence", percent]
    assert geoseg(*command) == 3
    assert "percent.tif: it holds the value 101; a confidence is whole percent" in capsys.readouterr().err


def test_python_takes_a_legend_of_values_and_what_nodata_is(tmp_path: Path) -> None:
    answer, truth = patches(SHAPE, 3, 1) + 1, patches(SHAPE, 3, 2) + 1
    values = np.array([0, *CORINE.values()], np.uint16)
    legend = api.ValueLegend(
        classes=tuple(
            api.ValueClass(code=code, name=f"class {value}", colour=f"#00000{code}", values=(value,))
            for code, value in CORINE.items()
        )
    )
    prediction = write_map(tmp_path / "answer.tif", answer)
    reference = write_map(tmp_path / "truth.tif", values[truth], nodata=111)
    found = api.evaluate(prediction, reference, legend=legend).as_json()
    assert found["scenes"][0]["labelled_px"] == (truth != 1).sum()
    assert any("is 111" in note for note in found["notes"])
    read = api.evaluate(prediction, reference, legend=legend, nodata="none").as_json()
    assert read["scenes"][0]["labelled_px"] == truth.size
    assert read["results"]["all"]["overall_accuracy"] == pytest.approx((answer == truth).mean(), abs=1e-6)


def test_an_archive_reads_nodata_of_references_as_it_is_told(tmp_path: Path) -> None:
    pytest.importorskip("prefect")
    from geoseg.flows.evaluation_pairs import plan_of
    from geoseg.score.evaluate import count_pair

    mask = squares()
    pair = Pair(
        name="a",
        prediction=write_map(tmp_path / "all.tif", np.ones_like(mask), nodata=255),
        reference=write_map(tmp_path / "mask.tif", mask, nodata=0),
    )
    for nodata, background in ((None, 0), ("none", 4000)):
        counts = count_pair(pair, plan_of("binary", None, "ignore", resample=False, nodata=nodata))
        assert counts.matrix[0, 1] == background
