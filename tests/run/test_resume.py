"""A run that dies at any moment and is started again gives the same bytes and repeats only what was in flight."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import rasterio
from conftest import blobs

from geoseg.core.spec import PredictSpec
from geoseg.errors import OutputError, UsageError
from geoseg.models.model import Model, load_model
from geoseg.run.predict import predict

SCRIPT = Path(__file__).with_name("killed_run.py")


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")


TIMES = ("created", "updated", "processing:datetime")


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file but the run record; of STAC items without the times of the run."""
    files = {path.name: path for path in sorted(folder.iterdir()) if path.name != "run.json"}
    written = {name: _without_times(path) if ".stac." in name else path.read_bytes() for name, path in files.items()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}


def _without_times(path: Path) -> bytes:
    item = json.loads(path.read_text())
    properties = item["properties"]
    if properties["datetime"] == properties["created"]:  # nothing says when the image was taken
        del properties["datetime"]
    for name in TIMES:
        del properties[name]
    return json.dumps(item).encode()


def edit(raster: Path) -> None:
    """Save a raster with another pixel, as a person would."""
    with rasterio.open(raster) as source:
        codes, profile = source.read(), source.profile
    codes[0, 5, 5] = 1 - codes[0, 5, 5]
    with rasterio.open(raster, "w", **profile | {"driver": "COG"}) as target:
        target.write(codes)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("die_at", [11, 21, *(pytest.param(call, marks=pytest.mark.slow) for call in (3, 6, 14, 20))])
def test_a_run_killed_anywhere_is_resumed_to_the_same_bytes(
    die_at: int, write_scene: Any, tiny_model: Path, model: Model, tmp_path: Path
) -> None:
    scene = write_scene(blobs((330, 310)))
    whole = predict(scene, model, tmp_path / "whole", spec=PredictSpec(block_px=128))
    died = subprocess.run(
        [sys.executable, str(SCRIPT), str(scene), str(tiny_model), str(tmp_path / "out"), str(die_at)]
    )
    assert died.returncode == 9
    assert not (tmp_path / "out" / "scene").exists(), "nothing may stand at its final place before all is whole"
    layers = predict(scene, model, tmp_path / "out", spec=PredictSpec(block_px=128))
    assert contents(layers.bundle.directory) == contents(whole.bundle.directory)
    blocks = layers.record["blocks"]
    finished_before = min(blocks["total"], die_at - 2)  # the first report is the stage, the last kills its own block
    assert blocks["resumed"] >= finished_before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scene"]


def test_a_finished_run_is_not_done_again(write_scene: Any, model: Model, tmp_path: Path) -> None:
    scene = write_scene()
    first = predict(scene, model, tmp_path)
    again = predict(scene, model, tmp_path)
    assert first.fresh
    assert not again.fresh
    assert again.record == first.record


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("scene", "another scene"),
        ("option", "--blend"),
        ("vector", "polygons"),
        ("edit", "scene_classes.tif was changed"),
    ],
)
def test_another_output_is_never_replaced_unasked(
    change: str, why: str, write_scene: Any, model: Model, tmp_path: Path
) -> None:
    scene, spec = write_scene(), PredictSpec()
    first = predict(scene, model, tmp_path, spec=spec)
    if change == "scene":
        scene = write_scene(blobs((200, 260), seed=1))
    elif change == "option":
        spec = PredictSpec(blend="taper")
    elif change == "vector":
        spec = PredictSpec(simplify_m=1)
    else:
        edit(first.bundle.classes)
    before = {path: path.read_bytes() for path in first.bundle.directory.iterdir()}
    with pytest.raises(OutputError, match=rf"{why}.*--overwrite"):
        predict(scene, model, tmp_path, spec=spec)
    assert {path: path.read_bytes() for path in first.bundle.directory.iterdir()} == before
    again = predict(scene, model, tmp_path, spec=spec, overwrite=True)
    assert again.fresh
    assert json.loads(again.bundle.run_record.read_text())["identity"] == again.record["identity"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["the scene itself", "a folder of other files", "a file beside the layers"])
def test_what_geoseg_did_not_make_is_never_removed(
    kind: str, overwrite: bool, write_scene: Any, model: Model, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    scene = write_scene()
    spec = PredictSpec()
    if kind == "the scene itself":
        (out / "scene").mkdir(parents=True)
        scene = scene.rename(out / "scene" / "scene.tif")
    elif kind == "a folder of other files":
        (out / "scene").mkdir(parents=True)
        (out / "scene" / "notes.txt").write_text("mine")
    else:
        predict(scene, model, out)
        (out / "scene" / "notes.txt").write_text("mine")
        spec = PredictSpec(blend="taper")
    before = {path: path.read_bytes() for path in (out / "scene").iterdir()}
    with pytest.raises((OutputError, UsageError), match="did not make|other options|holds what is read"):
        predict(scene, model, out, spec=spec, overwrite=overwrite)
    assert {path: path.read_bytes() for path in (out / "scene").iterdir()} == before
    assert sorted(path.name for path in out.iterdir()) == ["scene"]


def test_a_project_saved_in_qgis_does_not_unmake_the_bundle(write_scene: Any, model: Model, tmp_path: Path) -> None:
    scene = write_scene()
    first = predict(scene, model, tmp_path)
    with zipfile.ZipFile(first.bundle.project, "w") as archive:
        archive.writestr("scene.qgs", "<qgis/>")
    before = first.bundle.project.read_bytes()
    first.bundle.preview.unlink()
    (first.bundle.directory / "scene.qgz~").write_bytes(b"its backup")
    assert not predict(scene, model, tmp_path).fresh
    assert first.bundle.project.read_bytes() == before
    assert not first.bundle.preview.exists()
    assert predict(scene, model, tmp_path, spec=PredictSpec(blend="taper"), overwrite=True).fresh


def test_leftovers_of_a_run_that_died_after_its_last_rename_are_swept(
    write_scene: Any, model: Model, tmp_path: Path
) -> None:
    scene = write_scene()
    predict(scene, model, tmp_path)
    (tmp_path / ".scene.blocks").mkdir()
    assert not predict(scene, model, tmp_path).fresh
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "scenes") == ["scene"]


def test_blocks_of_another_option_are_not_reused(
    write_scene: Any, tiny_model: Path, model: Model, tmp_path: Path
) -> None:
    scene = write_scene(blobs((330, 310)))
    died = subprocess.run([sys.executable, str(SCRIPT), str(scene), str(tiny_model), str(tmp_path / "out"), "8"])
    assert died.returncode == 9
    tapered = PredictSpec(block_px=128, blend="taper")
    layers = predict(scene, model, tmp_path / "out", spec=tapered)
    assert layers.record["blocks"]["resumed"] == 0
    assert contents(layers.bundle.directory) == contents(
        predict(scene, model, tmp_path / "whole", spec=tapered).bundle.directory
    )


def test_two_runs_on_one_output_do_not_mix(write_scene: Any, model: Model, tmp_path: Path) -> None:
    scene = write_scene(blobs((330, 310)))

    class Second:
        """Starts another run on the same output while the first is on."""

        refused = ""

        def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
            try:
                predict(scene, model, tmp_path)
            except OutputError as error:
                self.refused = str(error)

        def advance(self, pixels: int) -> None: ...

        def note(self, text: str) -> None: ...

    second = Second()
    predict(scene, model, tmp_path, reporter=second)
    assert f"locked by pid {os.getpid()}" in second.refused


@pytest.mark.slow
def test_ten_kills_at_random_moments(write_scene: Any, tiny_model: Path, model: Model, tmp_path: Path) -> None:
    scene = write_scene(blobs((1500, 1400)))
    command = [sys.executable, str(SCRIPT), str(scene), str(tiny_model), str(tmp_path / "out"), "-1"]
    start = time.monotonic()
    whole = predict(scene, model, tmp_path / "whole", spec=PredictSpec(block_px=128))
    length = time.monotonic() - start
    moments, kills = random.Random(0), 0  # noqa: S311 - no secret
    while kills < 10:
        process = subprocess.Popen(command)
        time.sleep(3 + moments.random() * length / 4)  # three seconds go into imports
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        if (tmp_path / "out" / "scene").exists():
            assert contents(tmp_path / "out" / "scene") == contents(whole.bundle.directory)
            for path in (tmp_path / "out" / "scene").iterdir():
                path.unlink()
            (tmp_path / "out" / "scene").rmdir()
    layers = predict(scene, model, tmp_path / "out", spec=PredictSpec(block_px=128))
    assert contents(layers.bundle.directory) == contents(whole.bundle.directory)
