"""The layers of a run are data sets of torchgeo, as docs/torchgeo.md opens them; a run does not import torchgeo."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from conftest import WriteScene, blobs

import geoseg

PAGE = Path(__file__).resolve().parents[2] / "docs/torchgeo.md"


def test_the_layers_are_torchgeo_data_sets(tiny_model: Path, write_scene: WriteScene, tmp_path: Path) -> None:
    layers = geoseg.predict(write_scene(blobs((96, 120))), tiny_model, tmp_path / "maps")
    with rasterio.open(layers.bundle.classes) as file:
        codes = file.read(1)
    section = PAGE.read_text().partition("## Layers as torchgeo data sets")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"maps": str(tmp_path / "maps"), "__name__": "page"}
    exec(code[1], names)  # noqa: S102 - the page's own lines
    found = names["classes"][names["classes"].bounds]["mask"].numpy()
    assert len(np.unique(codes)) > 1
    np.testing.assert_array_equal(found, codes)
    burnt = names["segments"][names["classes"].bounds]["mask"].numpy()
    np.testing.assert_array_equal(burnt, codes)


def test_a_run_does_not_import_torchgeo(tiny_model: Path, write_scene: WriteScene, tmp_path: Path) -> None:
    code = (
        "import sys, geoseg\n"
        f"geoseg.predict({str(write_scene(blobs((64, 64))))!r}, {str(tiny_model)!r}, {str(tmp_path / 'out')!r})\n"
        "print([name for name in ('torchgeo', 'lightning', 'kornia') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
