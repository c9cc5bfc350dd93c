"""The page of the bundled models says what their cards say, and shows each."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from PIL import Image

from geoseg.models.bundled import BUNDLED

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "models.py"


def test_the_page_says_what_the_cards_say() -> None:
    spec = importlib.util.spec_from_file_location("models_page", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text() == script.page(), "run python docs/models.py"


def test_each_model_has_its_picture() -> None:
    for name in BUNDLED:
        with Image.open(SCRIPT.parent / "images" / f"{name}.jpg") as picture:
            assert picture.width == 1200, "run python docs/models.py --draw"
