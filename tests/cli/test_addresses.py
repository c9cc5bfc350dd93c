"""Addresses of the web where a local path is meant: refused before any work, and shown as they were given."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from geoseg.cli.main import app
from geoseg.errors import GeosegError

SAMPLES = Path(__file__).parents[2] / "sample_tiles"
SCENE, LABELS = str(SAMPLES / "town.tif"), str(SAMPLES / "town_labels.tif")


def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> GeosegError:
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, GeosegError)
    assert list(tmp_path.iterdir()) == []
    return error


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", SCENE, "--model", "town-unet", "--out", "s3://bucket/out"],
        ["vectorise", LABELS, "--out", "s3://bucket/out.gpkg"],
        ["evaluate", "--prediction", LABELS, "--reference", LABELS, "--out=s3://bucket/out"],
        ["demo", "--out", "s3://bucket/out"],
    ],
)
def test_an_output_at_an_address_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    error = refusal(tmp_path, monkeypatch, arguments)
    assert error.exit_code == 2
    assert str(error).startswith(f"{arguments[-1].removeprefix('--out=')}: this is an address")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["evaluate", "--prediction", LABELS, "--reference", "http://a.b/c.tif"], 2),
        (["evaluate", "--prediction", "http://a.b/c.tif", "--reference", LABELS], 3),
        (["vectorise", "http://a.b/c.tif", "--out", "out.gpkg"], 2),
        (["check", "http://a.b/c.tif"], 2),
    ],
)
def test_an_address_is_shown_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    error = refusal(tmp_path, monkeypatch, arguments)
    assert error.exit_code == code
    assert str(error).startswith("http://a.b/c.tif: ")


def test_a_folder_named_like_an_address_can_be_read_and_written(tmp_path: Path) -> None:
    folder = tmp_path / "s3:"
    folder.mkdir()
    done = CliRunner().invoke(app, ["vectorise", LABELS, "--out", str(folder / "out.gpkg")])
    assert done.exit_code == 0, done.exception
    assert (folder / "out.gpkg").is_file()
