"""``geoseg predict --crf``: taken, told, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import blobs

from geoseg.cli.main import app
from geoseg.process.command import run_command

CRF = "4,4,20,2,1.5,4"

pytestmark = pytest.mark.usefixtures("restored_signals")


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def test_the_command_takes_it_and_the_record_tells_it(write_scene: Any, tiny_model: Path, tmp_path: Path) -> None:
    path = write_scene(blobs((100, 120)))
    command = ["predict", path, "--model", tiny_model, "--out", tmp_path, "--quiet", "--runtime", "torch"]
    assert geoseg(*command, "--crf", CRF) == 0
    told = json.loads((tmp_path / "scene" / "run.json").read_text())["options"]["crf"]
    assert told["xy_px"] == 4
    assert told["iterations"] == 4
    assert geoseg(*command) == 6, "another CRF is another answer"


def test_what_is_no_crf_is_refused_in_one_line(
    write_scene: Any, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scene(blobs((100, 120)))
    command = ["predict", path, "--model", tiny_model, "--out", tmp_path]
    for text in ("gabor", "4,67", "4,67,x", "4,0.1,3"):
        assert geoseg(*command, "--crf", text) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "--crf" in line
    assert geoseg(*command, "--crf", "4,1,3", "--block-px", "8192") == 0, "small scenes have small blocks"
