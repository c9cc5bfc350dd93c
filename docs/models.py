"""Write docs/models.md from the cards of the bundled models; with ``--draw``, their pictures first.

Run in the repository's root: ``python docs/models.py``. The pictures show drawn scenes only: imagery that models learnt
from has licences of its own and is not shipped.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from scipy import ndimage

import geoseg
from geoseg.core.card import ModelCard
from geoseg.core.spec import PredictSpec
from geoseg.io.weights.model_file import read_model
from geoseg.models.bundled import BUNDLED, MODELS, resolve
from geoseg.synthetic.town import draw_town

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"
PICTURES = ROOT / "docs" / "images"

HEAD = """# Bundled models

`geoseg predict SCENE.tif --model NAME` runs them. Each was made by its recipe in `configs/train` and scored on imagery
that it never saw, held out by whole files or by rows with a gap between. What they learnt from is little, so expect
what the scores say on such places and check elsewhere (`geoseg evaluate`), or go on training with labels of your own
(`geoseg train --start-from NAME`).

Two kinds of scores answer two questions. *IoU* says which share of the pixels is right. *Object F1* says which share of
the buildings, panels or cars comes out as one polygon each, matched with the reference by an IoU of at least 0.5: a map
that is good by the pixel can be poor by the object, since touching objects of one class are one polygon.
`python benchmarks/objects.py --data DIR` measures it.

The pictures are scenes that geoseg draws, beside the model's answer: another world than the one they learnt from.

This page is written by `docs/models.py` from the models' cards; do not edit it.
"""


def page(names: tuple[str, ...] = tuple(BUNDLED)) -> str:
    """The page's text."""
    return HEAD + "".join(_section(read_model(*resolve(name))[1]) for name in names)


def _section(card: ModelCard) -> str:
    lines = [
        f"\n## {card.name}",
        f"{card.description}\n",
        f"![a drawn scene and what {card.name} makes of it](images/{card.name}.jpg)\n",
        "| | |\n|---|---|",
        f"| classes | {', '.join(card.legend.names)} |",
        f"| bands | {', '.join(band.name for band in card.bands)} |",
        f"| pixels | {card.gsd_m.min:g}-{card.gsd_m.max:g} m on the ground |",
        f"| polygons | from {card.min_area_m2:g} m2 on |",
        *(
            f"| objects | counted so, unless a run says otherwise: {advice.words} |"
            for advice in [card.objects]
            if advice
        ),
        f"| licence | {card.licence} |",
        *(f"| learnt from | {' '.join((it.name, it.split)).strip()}: {it.licence} |" for it in card.trained_on),
        *(
            f"| `--precision int8` | {form.agreement:.1%} of the pixels as in float32 on {form.on}; {form.metric} "
            f"{form.score_fp32:.3f} in float32, {form.score_int8:.3f} in int8 |"
            for form in [card.int8]
            if form
        ),
        *(f"| {score.metric} | {score.value:.3f} on {score.on} |" for score in card.scores),
    ]
    return "\n".join(lines) + "\n"


def drawn_forest(side: int) -> npt.NDArray[np.uint8]:
    """Draw a forest with clearings and a river as a satellite sees it, (3, y, x)."""
    rng = np.random.default_rng(7)

    def noise(scale: float) -> npt.NDArray[np.float64]:
        field = ndimage.gaussian_filter(rng.normal(size=(side, side)), scale, mode="wrap")
        return field / field.std()

    forest = noise(24) + 0.35 * noise(7) > -0.1
    river = np.abs(noise(40)) < 0.05
    crowns, fields = noise(1.0), noise(3) + 0.4 * noise(1.2)
    trees = np.array([38, 58, 42])[:, None, None] + crowns * np.array([4, 6, 4])[:, None, None]
    soil = np.array([138, 122, 92])[:, None, None] + fields * np.array([14, 11, 9])[:, None, None]
    water = np.array([70, 82, 84])[:, None, None] + 1.5 * noise(2)
    scene = np.where(river, water, np.where(forest, trees, soil))
    return np.clip(ndimage.gaussian_filter(scene, (0, 0.7, 0.7)), 1, 255).astype(np.uint8)


def scene_of(card: ModelCard) -> tuple[npt.NDArray[np.uint8], float]:
    """A drawn scene of pixels that the model understands: (3, y, x) and their side in metres."""
    if card.gsd_m.min > 5:
        return drawn_forest(512), 10.0
    gsd_m = float(np.clip(0.2, card.gsd_m.min * 1.2, card.gsd_m.max / 1.5))
    return draw_town(11, (768, 768), gsd_m).rgb, gsd_m


def draw(name: str) -> None:
    """Let a model answer a drawn scene, and keep the picture of both: large for the page, small beside the model."""
    rgb, gsd_m = scene_of(read_model(*resolve(name))[1])
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / f"{name}.tif"
        size = {"height": rgb.shape[1], "width": rgb.shape[2], "count": 3, "dtype": "uint8", "photometric": "RGB"}
        place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_400_000, gsd_m, gsd_m)}
        with rasterio.open(scene, "w", driver="GTiff", **size, **place) as file:
            file.write(rgb)
        layers = geoseg.predict(scene, name, Path(folder) / "out", spec=PredictSpec(vector=False))
        PICTURES.mkdir(exist_ok=True)
        with Image.open(layers.bundle.preview) as picture:
            for width, path in ((1200, PICTURES), (480, MODELS)):
                size_px = (width, width * picture.height // picture.width)
                picture.convert("RGB").resize(size_px).save(path / f"{name}.jpg", quality=80)


if __name__ == "__main__":
    if "--draw" in sys.argv[1:]:
        for bundled in BUNDLED:
            draw(bundled)
    PAGE.write_text(page())
