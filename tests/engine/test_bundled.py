"""The models in the package: whole, pinned, small, documented, and as good as their cards say."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window as RasterioWindow
from rasterio.windows import transform as transform_of

from geoseg.core.spec import PredictSpec
from geoseg.engine.bundled import BUNDLED, MODELS, resolve
from geoseg.errors import ModelError
from geoseg.io.model_file import read_model
from geoseg.run.predict import predict

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


def test_every_file_of_the_folder_is_listed_and_the_other_way_round() -> None:
    assert {file for file, _ in BUNDLED.values()} == {path.name for path in MODELS.glob("*.safetensors")}
    assert {"buildings-unet", "town-unet"} <= set(BUNDLED)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_is_small_pinned_and_documented(name: str) -> None:
    path, sha256 = resolve(name)
    content = path.read_bytes()
    assert len(content) <= 15_000_000
    assert hashlib.sha256(content).hexdigest() == sha256
    _, card = read_model(path, sha256)
    assert card.name == name
    assert card.licence
    assert card.trained_on
    assert all(source.licence for source in card.trained_on)
    assert card.scores
    assert card.recipe
    assert card.weights_sha256


def test_a_bundled_model_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    path, sha256 = resolve("buildings-unet")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    (tmp_path / "spoiled.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="hash|sha256|digest"):
        read_model(tmp_path / "spoiled.safetensors", sha256)


def scored(image: Path, instances: Path, rows: tuple[int, int], folder: Path) -> float:
    """Building IoU of ``geoseg.predict`` on some rows of an orthophoto, counted over the whole of them."""
    with rasterio.open(image) as source:
        window = RasterioWindow(0, rows[0], source.width, rows[1] - rows[0])
        profile: dict[str, Any] = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": source.crs}
        profile |= {"width": source.width, "height": rows[1] - rows[0], "photometric": "RGB"}
        with rasterio.open(
            folder / "rows.tif", "w", transform=transform_of(window, source.transform), **profile
        ) as target:
            target.write(source.read(window=window))
    layers = predict(folder / "rows.tif", "buildings-unet", folder, spec=PredictSpec(vector=False))
    codes = rasterio.open(layers.bundle.classes).read(1)
    truth = rasterio.open(instances).read(1, window=window) > 0
    return float(((codes == 1) & truth).sum() / ((codes == 1) | truth).sum())


@pytest.mark.skipif(not DATA.exists(), reason="the labelled orthophotos are not on this machine")
@pytest.mark.parametrize(
    ("place", "stem", "rows"), [("banepa", "banepa_train", (2304, 3072)), ("kampala", "kampala_a", (1280, 2048))]
)
def test_the_scores_of_the_card_are_those_of_a_run(
    place: str, stem: str, rows: tuple[int, int], tmp_path: Path
) -> None:
    found = scored(DATA / place / f"{stem}_rgb.tif", DATA / place / f"{stem}_instances.tif", rows, tmp_path)
    _, card = read_model(*resolve("buildings-unet"))
    said = next(score.value for score in card.scores if place in score.on and score.metric == "IoU building")
    assert found == pytest.approx(said, abs=0.01)


def test_the_town_model_knows_the_town_it_has_never_seen(tmp_path: Path) -> None:
    labels = rasterio.open(ROOT / "sample_tiles" / "town_labels.tif").read(1)
    layers = predict(ROOT / "sample_tiles" / "town.tif", "town-unet", tmp_path, spec=PredictSpec(vector=False))
    codes = rasterio.open(layers.bundle.classes).read(1)
    known = labels != 255
    assert (codes == labels)[known].mean() > 0.85
    assert np.isin(codes, range(6)).all()
