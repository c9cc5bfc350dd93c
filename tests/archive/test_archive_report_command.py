"""``geoseg archive report`` on a configuration, on its folder, and on a folder of plain predictions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pystac
import pytest
from conftest import blobs

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.run import run_archive
from geoseg.cli.main import app
from geoseg.process.command import run_command


def report(*arguments: str) -> int:
    return run_command(lambda: app(args=["archive", "report", *arguments], standalone_mode=False), debug=False)


@pytest.fixture
def made(make_archive: Callable[..., ArchiveConfig]) -> ArchiveConfig:
    """Two finished scenes."""
    config = make_archive(scenes=2, shape=(70, 60))
    run_archive(config)
    return config


def write_config(config: ArchiveConfig, path: Path) -> str:
    facts = config.model_dump(mode="json")
    path.write_text(json.dumps(facts | {"title": "Two <towns>"}))
    return str(path)


def test_an_archives_run_is_reported_from_its_configuration_and_from_its_folder(
    make_archive: Callable[..., ArchiveConfig], write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_archive(scenes=2)
    write_scene(blobs((150, 140)), name="nowhere.tif", crs=None)
    run_archive(config)
    write_scene(blobs((150, 140), seed=9), name="new.tif")
    path = write_config(config, tmp_path / "archive.yaml")
    assert report(path, "--json") == 7, "a scene failed"
    told = json.loads(capsys.readouterr().out)
    assert told["scenes"] == {"done": 2, "failed": 1, "waiting": 1}
    assert told["missing"] == []
    assert "Two &lt;towns&gt;" in Path(told["files"]["report"]).read_text()
    index = geopandas.read_parquet(told["files"]["index"]).set_index("name")
    assert index.state.to_dict() == {"area0": "done", "area1": "done", "nowhere": "failed", "new": "waiting"}
    assert sum(told["class_areas_m2"].values()) == pytest.approx(index.filter(like="area_m2").sum().sum())
    catalogue = pystac.Catalog.from_file(told["files"]["catalogue"])
    assert next(catalogue.get_items()).assets["model"].href.endswith(".safetensors")

    assert report(str(config.out)) == 7
    assert "2 done" in capsys.readouterr().out
    again = geopandas.read_parquet(config.out / "scenes.parquet").set_index("name")
    assert again.state.to_dict() == {"area0": "done", "area1": "done", "nowhere": "failed"}
    # reports beside the layers do not make the archive outdated
    assert run_archive(config).skipped == 2


def test_what_is_no_archive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(str(tmp_path / "none.yaml")) == 2
    assert "none.yaml" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert report(str(tmp_path / "empty")) == 0, "an empty folder has an empty report"
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mum.txt").write_text("Dear")
    assert report(str(tmp_path / "letters")) == 3
    assert "holds no output of geoseg" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["mum.txt"], "nothing is written there"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"scene": 1}', "\0"])
def test_a_damaged_record_counts_as_none(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "run.json").write_text(text)
    assert report(str(tmp_path)) == 3
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_title_that_was_given_stays(made: ArchiveConfig, tmp_path: Path) -> None:
    path = write_config(made, tmp_path / "archive.yaml")
    assert report(path, "--quiet") == 0
    pages = ("catalog.json", "report.html", "report.md")
    before = {name: (made.out / name).read_bytes() for name in pages}
    assert report(str(made.out), "--quiet") == 0
    assert {name: (made.out / name).read_bytes() for name in pages} == before
    assert json.loads((made.out / "collection.json").read_text())["title"] == "Two <towns>"
    assert report(str(made.out), "--title", "Three", "--quiet") == 0
    assert json.loads((made.out / "collection.json").read_text())["title"] == "Three"
    (made.out / "collection.json").write_text('{"title": 3}')
    assert report(str(made.out), "--quiet") == 0
    assert json.loads((made.out / "collection.json").read_text())["title"] == "out"


def test_an_emptied_source_is_refused_and_what_is_finished_stays_listed(
    made: ArchiveConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(made, tmp_path / "archive.yaml")
    assert report(path, "--quiet") == 0
    before = {file: file.read_bytes() for file in made.out.iterdir() if file.is_file()}
    scenes = tmp_path / "scenes"
    scenes.rename(tmp_path / "unmounted")
    scenes.mkdir()
    for command in ("report", "run", "status"):
        code = run_command(lambda: app(args=["archive", command, path], standalone_mode=False), debug=False)  # noqa: B023
        assert code == 3, command
        assert f"{scenes}: there is no scene in the archive's source" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in made.out.iterdir() if file.is_file()} == before

    facts = json.loads(Path(path).read_text()) | {"allow_empty": True}
    Path(path).write_text(json.dumps(facts))
    for command in ("report", "run"):
        assert run_command(lambda: app(args=["archive", command, path], standalone_mode=False), debug=False) == 0  # noqa: B023
        assert geopandas.read_parquet(made.out / "scenes.parquet").state.tolist() == ["done", "done"], command
    capsys.readouterr()
    assert run_command(lambda: app(args=["archive", "status", path], standalone_mode=False), debug=False) == 0
    assert capsys.readouterr().out.startswith("2 done, 0 failed")


def test_records_that_are_lost_are_read_from_the_layers(made: ArchiveConfig) -> None:
    shutil.rmtree(made.out / ".geoseg" / "scenes")
    (made.out / ".geoseg" / "scenes").mkdir()
    assert report(str(made.out), "--quiet") == 0
    assert geopandas.read_parquet(made.out / "scenes.parquet").state.tolist() == ["done", "done"]
