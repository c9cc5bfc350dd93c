"""The project over a whole archive opens in QGIS, styled, wherever it is moved to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LEGEND
from made_archive import Made, publish
from PIL import Image

from geoseg.archive.publish import publish_archive
from geoseg.archive.record import SceneRecord

QGIS_PYTHON = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return publish(tmp_path_factory.mktemp("archive"), tiny_model)


@cache
def why_no_qgis() -> str:
    if not QGIS_PYTHON.exists():
        return "there is no /usr/bin/python3"
    ran = subprocess.run([QGIS_PYTHON, "-c", "import qgis.core"], capture_output=True, check=False)
    return "" if ran.returncode == 0 else "Debian's QGIS is not installed (apt install qgis python3-qgis)"


@pytest.fixture(scope="module")
def in_qgis(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, Path]:
    """The archive, moved to another folder, as QGIS sees it there."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.copytree(made.out, elsewhere)
    pictures = tmp_path_factory.mktemp("pictures")
    command = [str(QGIS_PYTHON), str(Path(__file__).with_name("archive_map_probe.py")), str(elsewhere), str(pictures)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.strip().splitlines()[-1]), pictures, elsewhere


@pytest.mark.qgis
@pytest.mark.skipif(bool(why_no_qgis()), reason=why_no_qgis() or "it is there")
class TestInQgis:
    def test_every_layer_is_there_styled_after_the_move(self, made: Made, in_qgis: Any) -> None:
        seen, _, elsewhere = in_qgis
        assert seen["opened"]
        layers = {layer["name"]: layer for layer in seen["layers"]}
        assert list(layers) == ["Scenes", *(n for n in layers if n.startswith("Classes"))]
        assert {layer["crs"] for layer in layers.values()} == {"EPSG:4326", "EPSG:32632"}
        assert all(layer["valid"] and str(elsewhere) in layer["source"] for layer in layers.values())
        assert layers["Scenes"]["states"][:2] == [["done", "#2a9d6f"], ["failed", "#d1495b"]]
        assert layers["Scenes"]["rows"] == len(made.records)
        assert seen["alone"] == "categorizedSymbol", "the GeoPackage opened alone is styled too"
        assert seen["crs"] == "EPSG:3857", "several CRSs are drawn in one"
        assert not layers["Scenes"]["scaled"]

    def test_the_maps_are_drawn_in_the_legends_colours_at_sixty_percent(self, in_qgis: Any) -> None:
        seen, pictures, _ = in_qgis
        paper = np.array([255, 0, 255])
        own = np.stack([paper, *(0.4 * paper + 0.6 * np.array(entry.rgb) for entry in LEGEND.classes)])
        for index, layer in enumerate(seen["layers"]):
            if layer["renderer"] == "paletted":
                drawn = np.asarray(Image.open(pictures / f"{index}.png").convert("RGB")).reshape(-1, 3)
                found, counts = np.unique(drawn, axis=0, return_counts=True)
                off = np.abs(found[:, None].astype(float) - own[None]).max(axis=2)
                assert (off.min(axis=1) <= 1).all()
                nearest = off.argmin(axis=1)
                assert len(set(nearest.tolist())) > 2
                assert counts[nearest > 0].sum() > 2000


def test_rasters_of_a_large_archive_wait_until_one_is_near(made: Made, tmp_path: Path) -> None:
    def document(records: list[SceneRecord]) -> str:
        files = publish_archive(made_small, records, legend=LEGEND)
        assert files.project is not None
        with zipfile.ZipFile(files.project) as archive:
            return archive.read("project.qgs").decode()

    made_small = tmp_path / "out"
    like = made.done[0]
    records = []
    for number in range(201):
        name = f"s{number:03d}"
        shutil.copytree(made.out / like.layers, made_small / name, copy_function=os.link)
        for file in (made_small / name).iterdir():
            file.rename(file.with_name(file.name.replace(like.name, name)))
        records.append(like.model_copy(update={"name": name, "layers": name}))
    assert 'minScale="250000"' in document(records)
    assert "minScale" not in document(records[:200])
    assert str(tmp_path) not in document(records), "no absolute path"
