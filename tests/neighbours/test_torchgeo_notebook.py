"""docs/notebooks/torchgeo.ipynb runs from top to bottom on the samples, without a connection."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

BOOK = Path(__file__).resolve().parents[2] / "docs/notebooks/torchgeo.ipynb"


def test_every_cell_has_been_run_and_none_has_failed() -> None:
    cells = [cell for cell in json.loads(BOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # as in a notebook
def test_the_notebook_runs_offline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    mpl.use("agg")

    def refuse(*_: Any) -> None:
        raise OSError("the notebook asks for a connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(BOOK.parent)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(BOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102 - the notebook's own lines
    printed = capsys.readouterr().out
    assert "polygons and raster agree in 100.0%" in printed
    assert "potsdam-from-torchgeo.safetensors" in printed
    assert (names["work"] / "maps").is_dir()
