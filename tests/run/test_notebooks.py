"""geoseg in notebooks: values show themselves, arrays have an accessor, runs have a bar."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import WriteScene, blobs

import geoseg
from geoseg.io.publish.notebook_html import html_legend, html_table
from geoseg.run.notebook_progress import NotebookProgress, default_reporter
from geoseg.run.report import Silence


class Words(HTMLParser):
    """Collects the text of a page and checks that its tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.open, self.images = "", [], 0  # type: ignore[var-annotated]
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.images += tag == "img"
        if tag not in {"img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_a_scene_shows_grid_bands_and_nodata(write_scene: WriteScene) -> None:
    with geoseg.open_scene(write_scene(blobs((70, 90)), name="a & b.tif", nodata=7)) as scene:
        text = Words(scene._repr_html_()).text
    for word in ("a & b.tif", "70 x 90 px", "EPSG:32632", "0.5002 x 0.5002 m", "1 red, 2 green, 3 blue", "7.0"):
        assert word in text


def test_a_model_and_its_layers_show_card_areas_and_preview(
    write_scene: WriteScene, tiny_model: Path, tmp_path: Path
) -> None:
    model = geoseg.load_model(tiny_model, runtime="torch", device="cpu")
    page = model._repr_html_()
    assert "0.4 to 0.6 m on the ground" in Words(page).text
    assert all(entry.colour in page and entry.name in page for entry in model.card.legend.classes)
    layers = geoseg.predict(write_scene(blobs((70, 90))), model, out=tmp_path / "out")
    shown = Words(layers._repr_html_())
    assert shown.images == 1
    for entry in layers.record["classes"]:
        assert f"{entry['area_m2']:,.1f} m²" in shown.text
    assert str(layers.bundle.segments) in shown.text


def test_the_accessor_gives_what_segment_gives(write_scene: WriteScene, tiny_model: Path) -> None:
    import geoseg.xarray

    model = geoseg.load_model(tiny_model, runtime="torch", device="cpu")
    with geoseg.open_scene(write_scene(blobs((70, 90)))) as scene:
        pixels = scene.to_xarray()
        xr.testing.assert_identical(
            pixels.geoseg.segment(model).compute(scheduler="synchronous"),
            geoseg.segment(pixels, model).compute(scheduler="synchronous"),
        )
    array = xr.DataArray(np.zeros((3, 8, 8), np.uint8), dims=("band", "y", "x"))
    with pytest.raises(geoseg.GeosegError, match="CRS"):
        array.geoseg.segment(model)


def test_names_in_pages_are_escaped() -> None:
    page = html_table("<script>", [("a", "<b>"), ("x\ny", "&")])
    assert "<script>" not in page
    assert "<b>" not in page
    assert "\n" not in page
    legend = geoseg.Legend(classes=[geoseg.LegendClass(code=0, name="<i>", colour="#000000")])
    assert "<i>" not in html_legend(legend)


class Shown:
    """What ``IPython.display`` is asked to show."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.displays = 0

    def HTML(self, text: str) -> str:  # noqa: N802
        return text

    def display(self, page: str, *, display_id: bool) -> Shown:
        assert display_id
        self.displays += 1
        self.update(page)
        return self

    def update(self, page: str) -> None:
        self.pages.append(page)


def test_a_bar_is_shown_once_and_updated_to_its_end() -> None:
    shown = Shown()
    bar = NotebookProgress(shown)
    bar.stage("predict", 100, 20)
    bar.note("bands <1>")
    bar.advance(80)
    assert shown.displays == 1
    assert 'value="0.2000"' in shown.pages[0]
    assert 'value="1.0000"' in shown.pages[-1]
    assert "bands &lt;1&gt;" in shown.pages[-1]


def test_a_run_in_a_kernel_has_a_bar_and_elsewhere_none(
    monkeypatch: pytest.MonkeyPatch, write_scene: WriteScene, tiny_model: Path, tmp_path: Path
) -> None:
    shown, ipython = Shown(), ModuleType("IPython")
    ipython.display = shown  # type: ignore[attr-defined]
    ipython.get_ipython = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert isinstance(default_reporter(), Silence)  # IPython on a terminal
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    model = geoseg.load_model(tiny_model, runtime="torch", device="cpu")
    geoseg.predict(write_scene(blobs((70, 90))), model, out=tmp_path / "out")
    assert shown.displays == 1
    assert "publish" in shown.pages[-1]
    monkeypatch.delitem(sys.modules, "IPython")
    assert isinstance(default_reporter(), Silence)


def test_importing_geoseg_registers_no_accessor_and_loads_no_xarray() -> None:
    code = "import sys, geoseg; print('xarray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
