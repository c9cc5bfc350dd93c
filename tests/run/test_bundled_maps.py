"""The bundled models, run as a user runs them, score what their cards say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window as RasterioWindow
from rasterio.windows import transform as transform_of

from geoseg.core.spec import PredictSpec
from geoseg.io.weights.model_file import read_model
from geoseg.models.bundled import resolve
from geoseg.run.predict import predict

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


def cut_rows(image: Path, rows: tuple[int, int], target: Path) -> None:
    """Copy some rows of an orthophoto, georeferenced."""
    with rasterio.open(image) as source:
        window = RasterioWindow(0, rows[0], source.width, rows[1] - rows[0])
        profile: dict[str, Any] = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": source.crs}
        profile |= {"width": source.width, "height": rows[1] - rows[0], "photometric": "RGB"}
        with rasterio.open(target, "w", transform=transform_of(window, source.transform), **profile) as out:
            out.write(source.read(window=window))


@pytest.mark.slow_after(1)
@pytest.mark.skipif(not DATA.exists(), reason="the labelled orthophotos are not on this machine")
@pytest.mark.parametrize(
    ("place", "stem", "rows"), [("banepa", "banepa_train", (2304, 3072)), ("kampala", "kampala_a", (1280, 2048))]
)
def test_the_scores_of_the_card_are_those_of_a_run(
    place: str, stem: str, rows: tuple[int, int], tmp_path: Path
) -> None:
    cut_rows(DATA / place / f"{stem}_rgb.tif", rows, tmp_path / "rows.tif")
    layers = predict(tmp_path / "rows.tif", "buildings-unet", tmp_path / "out", spec=PredictSpec(vector=False))
    codes = rasterio.open(layers.bundle.classes).read(1)
    window = RasterioWindow(0, rows[0], codes.shape[1], codes.shape[0])
    truth = rasterio.open(DATA / place / f"{stem}_instances.tif").read(1, window=window) > 0
    found = ((codes == 1) & truth).sum() / ((codes == 1) | truth).sum()
    _, card = read_model(*resolve("buildings-unet"))
    said = next(score.value for score in card.scores if place in score.on and score.metric == "IoU building")
    assert found == pytest.approx(said, abs=0.01)


def test_the_town_model_maps_a_town_it_has_never_seen(tmp_path: Path) -> None:
    labels = rasterio.open(ROOT / "sample_tiles" / "town_labels.tif").read(1)
    spec = PredictSpec(vector=False)
    layers = predict(ROOT / "sample_tiles" / "town.tif", "town-unet", tmp_path, spec=spec)
    codes = rasterio.open(layers.bundle.classes).read(1)
    assert np.isin(codes, range(6)).all()
    known = labels != 255
    assert (codes == labels)[known].mean() > 0.75
