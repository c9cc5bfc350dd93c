"""Training from corrections: only pixels that an active edit painted have a class."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import LEGEND
from corrected_maps import (  # noqa: F401 - fixtures
    box,
    fixture_of_finished_map,
    fixture_of_finished_maps,
    read,
    repaint,
)

import geoseg.edits
from geoseg.core.window import Window
from geoseg.data.labelled_scene import UNLABELLED
from geoseg.data.sources.edits import EditsSource
from geoseg.errors import UsageError
from geoseg.models.model import load_model
from geoseg.training.recipe import Recipe
from geoseg.training.train import train


def source(folder, **fields):
    return EditsSource(kind="edits", name="mine", licence="CC0-1.0", map=str(folder), cell_px=32, guard_px=1, **fields)


def test_only_edited_areas_count(finished_map) -> None:
    folder = finished_map()
    session = geoseg.edits.open(folder)
    with pytest.raises(UsageError, match="no corrections"):
        source(folder).scenes("train", folder, LEGEND)
    session.apply(repaint(box(40, 60, 50, 90), 5), repaint(box(100, 120, 10, 30), 1), repaint(box(5, 9, 150, 190), 1))
    session.undo()
    with pytest.raises(UsageError, match="2 edits are not saved"):
        source(folder).scenes("train", folder, LEGEND)
    session.save()
    parts = source(folder).scenes("train", folder, LEGEND)
    whole = parts[0].scene.read(Window(0, 150, 0, 200)).class_indices
    expected = np.full((150, 200), UNLABELLED)
    expected[40:60, 50:90], expected[100:120, 10:30] = 2, 1
    np.testing.assert_array_equal(whole, expected)
    covered = np.zeros((150, 200), bool)
    for part in parts:
        covered[part.window.slices] = True
    assert covered[expected != UNLABELLED].all()
    assert not covered[:30, 150:].any()


def test_a_network_learns_from_corrections_end_to_end(finished_map, tmp_path) -> None:
    folder = finished_map()
    session = geoseg.edits.open(folder)
    session.apply(repaint(box(30, 130, 20, 100), 5), repaint(box(30, 130, 100, 180), 1))
    session.save()
    recipe = Recipe.model_validate(
        {
            "name": "mine",
            "licence": "MIT",
            "architecture": {"name": "unet", "options": {"widths": [8, 16], "residual": True}},
            "bands": [{"name": name} for name in ("red", "green", "blue")],
            "gsd_m": {"min": 0.4, "max": 0.6},
            "tile_px": 64,
            "halo_px": 8,
            "legend": LEGEND.model_dump(),
            "sources": [source(folder, validate_share=0.2).model_dump()],
            "chips": {"size_px": 32, "batch": 4},
            "schedule": {"steps": 4, "learning_rate": 0.02, "save_every": 1000},
        }
    )
    path, card = train(recipe, tmp_path, tmp_path / "runs")
    assert "corrected by hand" in json.dumps(card.model_dump(mode="json"))
    assert load_model(path, device="cpu").card == card
