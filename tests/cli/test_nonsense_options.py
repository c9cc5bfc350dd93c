"""No option, argument or file of nonsense is a bug: it is refused in words, ends soon, and never ends in code 1.

The table is made from the parameters that the commands declare, so a new option is swept by itself.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from conftest import WriteScene, blobs
from small_training import document, write_squares

from geoseg.cli.main import app
from geoseg.process.command import run_command

LIMIT_S = 60
"""Far above what any of the runs takes on a busy machine: what is alive then waits for something."""

ROOT = typer.main.get_command(app)

# what each command needs to run; {name} is one of the inputs below, {out} a new place for outputs
COMMANDS: dict[str, dict[str, str]] = {
    "predict": {"scenes": "{scene}", "model": "{model}", "out": "{out}", "runtime": "torch", "device": "cpu"},
    "vectorise": {"codes": "{codes}", "out": "{out}.gpkg"},
    "train": {"recipe": "{recipe}", "data": "{data}", "out": "{out}"},
    "evaluate": {"prediction": "{codes}", "reference": "{codes}"},
    "evaluate seams": {"prediction": "{codes}", "shifted": "{codes}", "tile_px": "32", "halo_px": "8"},
    "evaluate objects": {"prediction": "{polygons}", "reference": "{polygons}"},
    "evaluate clicks": {"model": "{model}", "data": "{data}"},
    "evaluate panoptic": {"prediction": "{panoptic}", "reference": "{panoptic}"},
    "edit apply": {"out": "{bundle}", "edits": "{edits}"},
    "edit list": {"out": "{bundle}"},
    "edit undo": {"out": "{bundle}"},
    "edit redo": {"out": "{bundle}"},
    "edit save": {"out": "{bundle}"},
    "view": {"target": "{page}"},  # which is refused: a server would run on
    "evaluate sample": {"class_map": "{codes}", "out": "{out}.gpkg", "points": "20", "minimum": "5"},
    "evaluate estimate": {"points": "{polygons}"},
    "models": {},
    "models list": {},
    "models show": {"model": "{model}"},
    "models halo": {"model": "{model}"},
    "models calibrate": {"model": "{model}", "recipe": "{recipe}", "data": "{data}", "out": "{out}.safetensors"},
    "models quantise": {"model": "{model}", "recipe": "{recipe}", "data": "{data}", "out": "{out}.safetensors"},
    "models import": {"checkpoint": "{checkpoint}", "network": "unet", "out": "{out}.safetensors", "legend": "voc"},
    "models export": {"model": "{model}", "out": "{out}.pt", "to": "torchscript"},
    "models push": {"model": "{model}", "place": "{out}"},
    "models pull": {"reference": "{folder}/x-1.safetensors#sha256=" + "a" * 64, "out": "{out}"},
    "init train": {"recipe": "{out}.yaml", "data": "{data}", "images": "image.tif", "labels": "labels.tif"},
    "init archive": {"config": "{out}.yaml", "source": "{data}", "model": "{model}"},
    "init example": {"name": "train/town_unet", "target": "{out}.yaml"},
    "archive run": {"config": "{archive}"},
    "archive status": {"config": "{archive}"},
    "archive report": {"archive": "{archive}"},
    "archive retry-failed": {"config": "{archive}"},
    "inspect": {"scene": "{scene}", "model": "{model}"},
    "check": {"out": "{folder}"},
    "demo": {"out": "{out}"},
    "doctor": {},
}

WHOLE = ["-1", "9223372036854775808"]
REAL = ["nan", "-1e308"]
TEXT = ["", "1e400", "x" * 5000]
PATHS = ["", "{pipe}", "{noise}"]
MORE_WHOLE = ["0", "1", "3", "33", "1000000000", "-9223372036854775808", "inf", "1.5"]
MORE_REAL = ["0", "-1", "1e308", "inf", "-inf", "9223372036854775808", "1e-320"]
MORE_TEXT = [
    " ", "../x", "nan", "-1", "1e308", "9223372036854775808", "-1,-1", ",", "1,", "1:", "1:2:3", ":", "a:b", "=", "a=",
    "=1", "é漢字🗺", "\udc80x", "x\ny", "none", "[]", "null", "*", "[", "%s", "{{0}}", "/", "https://", "s3://x",
    "/vsicurl/http://127.0.0.1:9/x", "GPKG:x", "tcp://127.0.0.1:9", "EPSG:0", "٣", "0,1e308", "depth=99999999",
]  # fmt: skip
MORE_PATHS = [
    "{folder}", "{loop}", "{dangling}", "{empty}", "{page}", "{cut}", "{scene}/x",
    "{scene}", "{polygons}", "{model}", "{recipe}", "{archive}", "x" * 300,
    *(f"{{shape{number}}}" for number in range(10)),
]  # fmt: skip
SHAPES = [
    "[]", "null", "1", '{"classes": [1]}', '{"a": {"b": [{}]}}', "{1: 2}", "a: &x [*x]", "a: b: c",
    '{"type": "FeatureCollection", "features": [null]}', '{"stac_version": "1.0.0", "type": "Feature", "assets": []}',
]  # fmt: skip

EDITS = {
    "type": "FeatureCollection",
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}},
    "features": [
        {
            "type": "Feature",
            "properties": {"kind": "repaint", "class": "1"},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[500005, 5399990], [500015, 5399990], [500015, 5399980], [500005, 5399990]]],
            },
        }
    ],
}

NAMES_OF_FILES = {"scenes", "scene", "model", "checkpoint", "aoi", "zonal", "legend", "start_from"}
"""Options of text that name files."""

READ = {
    "checksum", "codes", "legend", "recipe", "data", "prediction", "reference", "shifted",
    "class_map", "points", "config", "scenes", "scene", "model", "checkpoint", "start_from", "labels", "aoi", "zonal",
    "edits",
}  # fmt: skip
"""Options whose files are read: nonsense in them is never passed over."""


def parameters() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        command: Any = ROOT
        for word in name.split():
            command = command.commands[word]
        yield from ((name, parameter) for parameter in command.params)


def values(parameter: Any, *, whole_sweep: bool) -> list[str]:
    """List nonsense of the kind that an option takes, and of the others where it takes text."""
    kind = str(parameter.type_descriptor.annotation)
    few: tuple[list[str], list[str]]
    if getattr(parameter, "is_flag", False):
        return []
    if "enum" in kind:
        few = ["no-such"], [""]
    elif "Path" in kind or parameter.name in NAMES_OF_FILES:
        few = PATHS, MORE_PATHS + MORE_TEXT
    elif "int" in kind:
        few = WHOLE, MORE_WHOLE
    elif "float" in kind:
        few = REAL, MORE_REAL
    else:
        few = TEXT, MORE_TEXT + MORE_PATHS
    return few[whole_sweep]


def writes(name: str, parameter: Any) -> bool:
    """Tell whether a command writes to the place that a parameter names."""
    written = {"out", "target", "place", "picture", "verdicts"}
    reads = name.startswith("edit ") or name == "check"
    return (name, parameter.name) == ("archive report", "archive") or (parameter.name in written and not reads)


def cases(*, whole_sweep: bool) -> list[Any]:
    return [
        pytest.param(name, parameter, value, id=f"{name} {parameter.name} {value[:20]!a}")
        for name, parameter in parameters()
        for value in values(parameter, whole_sweep=whole_sweep)
        if whole_sweep or name != "demo"  # which takes half a minute
        if (name, parameter.name) != ("view", "target")  # it serves whatever it can show
        if not (value.startswith("/") and writes(name, parameter))  # root would write there
    ]


def every_fourth_quick(found: list[Any]) -> list[Any]:
    """Leave the other three of four cases to the slow suite."""
    slow = [pytest.param(*case.values, id=case.id, marks=pytest.mark.slow) for case in found]
    return [slow[number] if number % 4 else case for number, case in enumerate(found)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the whole sweep, which is most of the tests there are, only where slow tests are asked for."""
    if metafunc.function is test_any_nonsense_is_refused_in_words_and_ends_soon:
        left_out = metafunc.config.getoption("markexpr") == "not slow"
        metafunc.parametrize(("name", "parameter", "value"), [] if left_out else cases(whole_sweep=True))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    write: WriteScene = _writer(folder)
    codes = (blobs((60, 70))[:1] > 128).astype(np.uint8)
    found = {"scene": write(blobs((60, 70)), "scene.tif"), "codes": write(codes, "codes.tif"), "model": tiny_model}
    squares = folder / "squares"
    squares.mkdir()
    found |= {"data": write_squares(squares), "recipe": folder / "recipe.yaml", "checkpoint": folder / "net.pt"}
    found["recipe"].write_text(json.dumps(document(steps=1)))
    torch.save({"a": torch.zeros(3)}, found["checkpoint"])
    found |= {"polygons": folder / "polygons.gpkg", "archive": folder / "archive.yaml"}
    assert geoseg("vectorise", found["codes"], "--out", found["polygons"]) == 0
    for name in ("folder", "source"):
        (folder / name).mkdir()
    write((codes + 256 * (codes > 0)).astype(np.int32), "panoptic.tif")
    found |= {"panoptic": folder / "panoptic.tif", "bundle": folder / "bundle", "edits": folder / "edits.geojson"}
    run = ("--model", tiny_model, "--out", found["bundle"], "--runtime", "torch", "--device", "cpu")
    assert geoseg("predict", found["scene"], *run) == 0
    found["edits"].write_text(json.dumps(EDITS))
    facts = {"source": str(folder / "source"), "model": str(tiny_model), "out": str(folder / "done"), "workers": 0}
    found["archive"].write_text(json.dumps(facts))
    found |= {name: folder / f"{name}.tif" for name in ("pipe", "loop", "dangling", "noise", "empty", "page", "cut")}
    os.mkfifo(found["pipe"])
    found["loop"].symlink_to(found["loop"])
    found["dangling"].symlink_to(folder / "gone")
    found["noise"].write_bytes(np.random.default_rng(0).bytes(3000))
    found["empty"].touch()
    found["page"].write_text("<html><body>Not found</body></html>")
    found["cut"].write_bytes(found["scene"].read_bytes()[:400])
    for number, text in enumerate(SHAPES):
        found[f"shape{number}"] = folder / f"shape{number}.json"
        found[f"shape{number}"].write_text(text)
    return {name: str(path) for name, path in found.items()} | {
        "folder": str(folder / "folder"),
    }  # fmt: skip


def _writer(folder: Path) -> WriteScene:
    import rasterio
    from affine import Affine

    def write(values: Any, name: str) -> Path:
        bands, height, width = values.shape
        profile = {"driver": "GTiff", "dtype": values.dtype, "count": bands, "height": height, "width": width}
        colours = {"photometric": "RGB"} if bands == 3 else {}
        place = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500000, 0, -0.5, 5400000)}
        with rasterio.open(folder / name, "w", **profile, **colours, **place) as file:
            file.write(values)
        return folder / name

    return write


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Leave the signals as they were, and end a run that waits for something."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def hung(*_: Any) -> None:
        raise KeyboardInterrupt(f"still running after {LIMIT_S} s")

    alarm = signal.signal(signal.SIGALRM, hung)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)
    for number, handler in (before | {signal.SIGALRM: alarm}).items():
        signal.signal(number, handler)


def command_line(name: str, chosen: dict[str, str]) -> list[str]:
    arguments, positional = name.split(), []
    for at, parameter in parameters():
        if at != name or parameter.name not in chosen:
            continue
        if parameter.param_type_name == "argument":
            positional.append(chosen[parameter.name])
        else:
            arguments.append(f"{parameter.opts[0]}={chosen[parameter.name]}")
    return [*arguments, "--", *positional] if positional else arguments


def sweep(case: tuple[str, Any, str], inputs: dict[str, str], folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name, parameter, value = case
    words = inputs | {"out": str(folder / "out" / "x")}
    (folder / "out").mkdir()
    chosen = {key: text.format(**words) for key, text in COMMANDS[name].items()}
    chosen[parameter.name] = value.format(**words)
    code = geoseg(*command_line(name, chosen))
    said = capfd.readouterr().err
    assert code in {0, 2, 3, 4, 5, 6, 7, 8}, said
    assert "Traceback" not in said
    if code != 0 and "Usage:" not in said:
        assert said.splitlines()[-1].startswith("geoseg: "), said
    if parameter.name in READ and value in {"", "{pipe}", "{noise}", "{empty}", "{page}", "{loop}", "{dangling}"}:
        assert code != 0, "nonsense was passed over"
    if not value.strip():
        assert code == 2


@pytest.mark.parametrize(("name", "parameter", "value"), every_fourth_quick(cases(whole_sweep=False)))
def test_nonsense_is_refused_in_words_and_ends_soon(
    name: str,
    parameter: Any,
    value: str,
    inputs: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep((name, parameter, value), inputs, tmp_path, capfd)


@pytest.mark.slow
def test_any_nonsense_is_refused_in_words_and_ends_soon(
    name: str,
    parameter: Any,
    value: str,
    inputs: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep((name, parameter, value), inputs, tmp_path, capfd)


def test_every_command_is_swept() -> None:
    def leaves(command: Any, path: str = "") -> Iterator[str]:
        if path and (command.callback is not None or not getattr(command, "commands", {})):
            yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from leaves(inner, f"{path} {name}".strip())

    assert set(leaves(ROOT)) - {"archive"} == set(COMMANDS)
