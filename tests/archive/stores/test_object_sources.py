"""Scenes on a real S3-compatible server: read in place, done once, done again when an object changes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rasterio
import yaml
from conftest import blobs
from object_server import BUCKET

from geoseg.archive.archive import Archive
from geoseg.archive.run import run_archive
from geoseg.archive.sources.config import ObjectsSource
from geoseg.cli.main import app
from geoseg.errors import SceneError
from geoseg.process.command import run_command

WRONG = {"AWS_SECRET_ACCESS_KEY": "wrong-s3cret"}
SOURCE = f"s3://{BUCKET}/in"


def call(*arguments: str) -> int:
    return run_command(partial(app, args=list(arguments), standalone_mode=False), debug=False)


def fill(server: Any, folder: Path) -> None:
    for path in sorted(folder.glob("*.tif")):
        server.put(f"in/{path.name}", path)


def pixels(path: Path) -> bytes:
    with rasterio.open(path) as file:
        return bytes(file.read().tobytes())


def secrets_in(folder: Path, secret: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@pytest.fixture
def remote(make_archive: Any, object_server: Any, tmp_path: Path) -> Any:
    """Two scenes on the server, and a configuration that reads them there."""
    local = make_archive(2)
    fill(object_server, tmp_path / "scenes")
    source = ObjectsSource(kind="objects", path=SOURCE)
    opening = local.opening.model_copy(update={"allow_remote": True})
    return local.model_copy(update={"source": source, "opening": opening, "out": tmp_path / "far"})


def test_an_archive_is_that_of_the_same_files_in_a_folder(
    make_archive: Any, remote: Any, object_server: Any, tmp_path: Path
) -> None:
    object_server.put("in/notes.txt", b"no scene")
    report = run_archive(remote)
    assert (report.done, report.failed) == (2, ())
    near = make_archive(2)
    run_archive(near)
    for name in ("area0", "area1"):
        far = remote.out / name / f"{name}_classes.tif"
        assert far.read_bytes() == (near.out / name / f"{name}_classes.tif").read_bytes()
    item = json.loads((remote.out / "area0" / "area0.stac.json").read_bytes())
    assert f"{SOURCE}/area0.tif" in json.dumps(item)
    assert secrets_in(tmp_path, object_server.secret) == []


def test_only_an_object_that_changed_is_done_again(remote: Any, object_server: Any, write_scene: Any) -> None:
    run_archive(remote)
    again = run_archive(remote)
    assert (again.done, again.skipped) == (0, 2)
    before = pixels(remote.out / "area1" / "area1_classes.tif")
    object_server.put("in/area1.tif", write_scene(blobs((150, 140), seed=9), name="other.tif"))  # of the same shape
    changed = run_archive(remote)
    assert (changed.done, changed.skipped) == (1, 1)
    assert pixels(remote.out / "area1" / "area1_classes.tif") != before, "nothing is read from a cache of GDAL"
    object_server.put("in/area1.tif", object_server.get("in/area1.tif"))
    assert [record.state for _, record in Archive(remote).iter_status()] == ["done"] * 2, "the same content, put again"


def test_scenes_of_a_list_are_asked_for_their_state(remote: Any, object_server: Any, tmp_path: Path) -> None:
    from geoseg.archive.sources.config import ListSource

    (tmp_path / "scenes.txt").write_text(f"{SOURCE}/area0.tif\n{SOURCE}/area1.tif\n")
    listed = remote.model_copy(update={"source": ListSource(kind="list", path=tmp_path / "scenes.txt")})
    assert run_archive(listed).done == 2
    again = run_archive(listed)
    assert (again.done, again.skipped) == (0, 2)
    object_server.put("in/area0.tif", tmp_path / "scenes" / "area1.tif")
    assert run_archive(listed).done == 1


def test_wrong_credentials_fail_the_source_and_cost_nothing(
    remote: Any, object_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump(remote.model_dump(mode="json")))
    object_server.use(monkeypatch, **WRONG)
    assert call("archive", "run", str(path), "--quiet") == 3
    told = capsys.readouterr().err
    assert SOURCE in told
    assert "SignatureDoesNotMatch" in told
    assert "AWS_SECRET_ACCESS_KEY" in told
    assert "s3cret" not in told
    object_server.use(monkeypatch, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert call("archive", "run", str(path), "--quiet") == 2
    assert "there are no credentials" in capsys.readouterr().err
    object_server.use(monkeypatch)
    empty = remote.model_copy(update={"source": ObjectsSource(kind="objects", path=f"s3://{BUCKET}/empty")})
    with pytest.raises(SceneError, match="no scene"):
        run_archive(empty)
    assert not list(tmp_path.glob("far/area*"))


def test_one_scene_is_predicted_where_it_is(
    object_server: Any,
    write_scene: Any,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scene = write_scene(blobs((150, 140)), name="area.tif")
    object_server.put("in/area.tif", scene)
    options = ["--model", str(tiny_model), "--device", "cpu", "--runtime", "torch", "--quiet"]
    assert call("predict", str(scene), "--out", str(tmp_path / "near"), *options) == 0
    far = [f"{SOURCE}/area.tif", "--out", str(tmp_path / "far"), *options]
    assert call("predict", *far) == 2
    assert "--allow-remote" in capsys.readouterr().err
    assert call("predict", *far, "--allow-remote") == 0
    classes = "area/area_classes.tif"
    assert (tmp_path / "far" / classes).read_bytes() == (tmp_path / "near" / classes).read_bytes()
    assert secrets_in(tmp_path, object_server.secret) == []

    assert call("predict", f"{SOURCE}/none.tif", *far[1:], "--allow-remote") == 3
    told = capsys.readouterr().err
    assert "key does not exist" in told
    assert "AWS_ENDPOINT_URL" in told
    object_server.use(monkeypatch, **WRONG)
    assert call("predict", *far, "--allow-remote", "--overwrite") == 3
    told = capsys.readouterr().err
    assert f"{SOURCE}/area.tif" in told
    assert "AWS_SECRET_ACCESS_KEY" in told
    assert "s3cret" not in told
    object_server.use(monkeypatch, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert call("predict", *far, "--allow-remote", "--overwrite") == 3
    assert "AWS_SECRET_ACCESS_KEY" in capsys.readouterr().err
    assert (tmp_path / "far" / classes).read_bytes() == (tmp_path / "near" / classes).read_bytes()
