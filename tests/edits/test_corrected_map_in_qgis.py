"""A corrected map opens in the real QGIS, with the edits as a layer that is off at first."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from corrected_maps import (  # noqa: F401 - fixtures
    box,
    fixture_of_finished_map,
    fixture_of_finished_maps,
    repaint,
    table,
)
from PIL import Image

import geoseg.edits

PYTHON = Path("/usr/bin/python3")
PROBE = Path(__file__).with_name("corrected_map_probe.py")


@pytest.mark.qgis
def test_the_edits_are_a_styled_layer_and_all_layers_are_valid(finished_map, tmp_path) -> None:
    if not PYTHON.exists() or subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True).returncode:
        pytest.skip("Debian's QGIS is not installed")
    folder = finished_map("objects")
    session = geoseg.edits.open(folder, author="Ann")
    session.apply(repaint(box(40, 90, 50, 120), 5), repaint(box(100, 120, 30, 60), 1))
    session.save()
    session.undo()
    session.save()
    picture = tmp_path / "map.png"
    command = [PYTHON, PROBE, folder / "scene.qgz", picture]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    seen = json.loads(found.stdout.splitlines()[-1])
    assert seen["opened"]
    assert all(layer["valid"] for layer in seen["layers"])
    edits = seen["layers"][0]
    assert edits["name"] == "scene corrections by hand"
    assert not edits["visible"]
    assert edits["features"] == 2
    assert edits["categories"] == ["Edited by hand", "Undone", "Undone for good"]
    assert "author" in edits["tip"]
    segments = next(layer for layer in seen["layers"] if layer["name"].endswith("segments"))
    assert segments["features"] == len(table(folder / "scene_segments.gpkg"))
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert (abs(pixels - [216, 27, 96]).sum(axis=2) < 30).sum() > 200  # the outline of the active edit
