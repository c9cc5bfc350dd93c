"""The notebooks of the documentation run from top to bottom on the samples, without a connection."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

BOOKS = Path(__file__).resolve().parents[2] / "docs/notebooks"


@pytest.mark.parametrize("name", ["scene_to_layers", "torchgeo"])
def test_every_cell_has_been_run_and_none_has_failed(name: str) -> None:
    text = (BOOKS / f"{name}.ipynb").read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]


def run_offline(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the cells in order; a cell may end in a value that a notebook would show."""
    mpl.use("agg")

    def refuse(*_: Any) -> None:
        raise OSError("the notebook asks for a connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(BOOKS)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads((BOOKS / f"{name}.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102 - the notebook's own lines
    return names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # as in a notebook
def test_the_notebook_for_torchgeo_runs_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_offline("torchgeo", monkeypatch)
    printed = capsys.readouterr().out
    assert "polygons and raster agree in 100.0%" in printed
    assert "potsdam-from-torchgeo.safetensors" in printed
    assert (names["work"] / "maps").is_dir()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_from_a_scene_to_layers_runs_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_offline("scene_to_layers", monkeypatch)
    assert (names["work"] / "maps/town/town.qgz").is_file()
    assert {row["name"]: row["iou"] for row in names["rows"]}["building"] > 0.9
    assert set(names["things"]["class_name"]) == {"building", "tree", "car"}
