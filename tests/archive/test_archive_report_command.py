"""``geoseg archive report`` on a configuration, on its folder, and on a folder of plain predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pystac
import pytest
from conftest import blobs

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.run import run_archive
from geoseg.cli.door import enter
from geoseg.cli.main import app


def report(*arguments: str) -> int:
    return enter(lambda: app(args=["archive", "report", *arguments], standalone_mode=False), debug=False)


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
    assert report(str(tmp_path)) == 0, "an empty folder has an empty report"
