"""``geoseg archive`` from the outside: what it prints, what it exits with."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from geoseg.archive.archive import Archive
from geoseg.cli.main import app
from geoseg.process.command import run_command


def call(*arguments: str) -> int:
    return run_command(partial(app, args=["archive", *arguments], standalone_mode=False), debug=False)


@pytest.fixture
def config(make_archive: Any, tmp_path: Path) -> Path:
    """Three scenes, the second of them cut short."""
    made = make_archive(3)
    bad = tmp_path / "scenes" / "area1.tif"
    bad.write_bytes(bad.read_bytes()[:200])
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump(made.model_dump(mode="json")))
    return path


def test_run_status_and_retry(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("status", str(config), "--json") == 0
    assert json.loads(capsys.readouterr().out)["scenes"] == {"done": 0, "failed": 0, "running": 0, "waiting": 3}

    assert call("run", str(config), "--json") == 7
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["skipped"]) == (2, 0)
    (failed,) = told["failed"]
    assert (failed["name"], failed["exit_code"], failed["attempts"]) == ("area1", 3, 1)
    assert "area1.tif" in failed["cause"]

    assert call("status", str(config)) == 7
    printed = capsys.readouterr()
    assert printed.out.startswith("2 done, 1 failed, 0 running, 0 waiting")
    assert "roof" in printed.out
    assert "area1 (3): " in printed.err

    assert call("run", str(config), "--quiet") == 0, "it was reported once"
    assert capsys.readouterr().out == ""
    assert call("run", str(config)) == 0
    assert "0 scenes done, 2 done before, 1 known bad" in capsys.readouterr().out
    assert call("run", str(config), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["failed"], [record["name"] for record in told["known_bad"]]) == ([], ["area1"])
    assert call("retry-failed", str(config), "--json") == 7
    assert json.loads(capsys.readouterr().out)["failed"][0]["attempts"] == 2

    scenes = config.parent / "scenes"
    (scenes / "area1.tif").write_bytes((scenes / "area0.tif").read_bytes())
    assert call("run", str(config)) == 0
    printed = capsys.readouterr()
    assert "1 scenes done, 2 done before" in printed.out
    assert "area1: 0.0 Mpx" in printed.err


def test_a_second_run_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from geoseg.archive.config import ArchiveConfig

    with Archive.open(ArchiveConfig.read(config)):
        assert call("run", str(config)) == 6
        assert "locked by pid" in capsys.readouterr().err
        assert call("status", str(config), "--json") == 0
        assert json.loads(capsys.readouterr().out)["running"].startswith("pid ")


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (["run", "absent.yaml"], 2, "absent.yaml: cannot be read"),
        (["run", "CONFIG", "--workers", "1", "--scheduler", "tcp://h:1"], 2, "Pass one of them"),
        (["run", "CONFIG", "--scheduler", "tcp://127.0.0.1:1"], 5, "no Dask scheduler answers"),
        (["run", "MODEL"], 4, "no.safetensors"),
        (["status", "SOURCE"], 2, "no such folder"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: list[str],
    code: int,
    cause: str,
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from geoseg.run import cluster

    monkeypatch.setattr(cluster, "joined_cluster", partial(cluster.joined_cluster, timeout_s=0.5))
    values = yaml.safe_load(config.read_text())
    for name, changes in (("MODEL", {"model": "no.safetensors"}), ("SOURCE", {"source": {"path": "absent"}})):
        (config.parent / f"{name}.yaml").write_text(yaml.safe_dump(values | changes))
    paths = {"CONFIG": str(config), **{name: str(config.parent / f"{name}.yaml") for name in ("MODEL", "SOURCE")}}
    assert call(*(paths.get(argument, argument) for argument in arguments)) == code
    error = capsys.readouterr().err
    assert cause in error
    assert len(error.strip().splitlines()) == 1
