"""Object scores of the bundled models: the share of buildings, panels or cars that come out as one polygon each.

    python benchmarks/objects.py --data DIR [--write DIR] [MODEL...]

Predicts the held-out part of each model's data as ``geoseg predict`` does, with the smallest area of the model's card,
and matches its polygons one to one with the reference's by intersection over union of at least 0.5. The reference of
buildings are the footprints; elsewhere it is a mask, and its objects are the connected components (8 neighbours).
``--write`` writes the models with these scores in their cards, the weights untouched, and prints the digests. ``DIR``
holds ``banepa``, ``kampala`` and ``gsi_solar``; the towns are drawn.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from rasterio.features import shapes
from rasterio.windows import Window as RasterioWindow

import geoseg
from geoseg.core.card import Score
from geoseg.core.window import Window
from geoseg.data.labelled import read_source
from geoseg.io.weights.model_file import read_model, write_model
from geoseg.models.bundled import BUNDLED, resolve
from geoseg.run.report import Silence
from geoseg.score.object_files import evaluate_objects
from geoseg.training.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[1]
LEAST_IOU = 0.5


@dataclass(frozen=True, kw_only=True)
class Case:
    """One held-out image with the polygons of one class.

    Attributes:
        on: the data, as the card's pixel scores name them.
        class_name: of the objects.
        scene: georeferenced raster.
        reference: polygons.
    """

    on: str
    class_name: str
    scene: Path
    reference: Path


def _write(path: Path, values: npt.NDArray[np.uint8], transform: Affine, crs: object) -> Path:
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": "uint8", "crs": crs}
    with rasterio.open(path, "w", transform=transform, photometric="RGB", **profile) as file:
        file.write(values)
    return path


def _components(path: Path, mask: npt.NDArray[np.bool_], transform: Affine, crs: object) -> Path:
    found = shapes(mask.astype(np.uint8), mask=mask, connectivity=8, transform=transform)
    geopandas.GeoDataFrame(geometry=[shapely.geometry.shape(one) for one, _ in found], crs=crs).to_file(path)
    return path


def _rows(folder: Path, image: Path, rows: tuple[int, int]) -> Path:
    with rasterio.open(image) as file:
        window = RasterioWindow(0, rows[0], file.width, rows[1] - rows[0])
        return _write(folder / image.name, file.read([1, 2, 3], window=window), file.window_transform(window), file.crs)


def _buildings(data: Path, folder: Path) -> Iterator[Case]:
    for name, stem, rows in (("banepa", "banepa_train", (2304, 3072)), ("kampala", "kampala_a", (1280, 2048))):
        scene = _rows(folder, data / name / f"{stem}_rgb.tif", rows)
        reference = data / name / f"{stem}_buildings.gpkg"
        yield Case(on=f"{name} rows {rows[0]}-{rows[1] - 1}", class_name="building", scene=scene, reference=reference)


def _held_out(recipe: str, class_names: set[str]) -> Callable[[Path, Path], Iterator[Case]]:
    """Take the validation images of a recipe; objects are the connected components of their labels."""

    def cases(data: Path, folder: Path) -> Iterator[Case]:
        wanted = read_recipe(ROOT / "configs" / "train" / recipe)
        images = [image for source in wanted.sources for image in read_source(source, "validate", data, wanted.legend)]
        for number, image in enumerate(images):
            transform, crs = Affine(image.gsd_m, 0, 500_000, 0, -image.gsd_m, 4_000_000), "EPSG:32654"
            values = image.read(Window.whole(image.shape)).values
            scene = _write(folder / f"{number}.tif", values, transform, crs)
            for channel, name in enumerate(wanted.legend.names):
                if name in class_names:
                    mask = image.class_indices == channel
                    reference = _components(folder / f"{number}_{channel}.gpkg", mask, transform, crs)
                    yield Case(on=image.scored_as, class_name=name, scene=scene, reference=reference)

    return cases


CASES = {
    "buildings-separate": _buildings,
    "buildings-unet": _buildings,
    "solar-unet": _held_out("solar.yaml", {"solar panel"}),
    "town-unet": _held_out("town_unet.yaml", {"building", "car"}),
}
"""Models whose classes are things that can be counted."""


def object_scores(name: str, data: Path) -> list[Score]:
    """Predict and match; objects of several images that are scored under one name are counted together."""
    model = geoseg.load_model(name)
    counted: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES[name](data, Path(folder)):
            layers = geoseg.predict(case.scene, model, Path(folder) / "out", reporter=Silence())
            found = evaluate_objects(layers.bundle.directory, case.reference, of_class=case.class_name, iou=LEAST_IOU)
            counts = np.array([found["predicted"], found["reference"], found["matched"]])
            counted[case.on, case.class_name] = counted.get((case.on, case.class_name), 0) + counts
    scores = []
    for (on, class_name), (predicted, expected, matched) in counted.items():
        print(f"{name}: {class_name} on {on}: {predicted} predicted, {expected} in the reference, {matched} matched")
        f1 = 2 * matched / (predicted + expected) if predicted + expected else float("nan")
        scores.append(Score(on=on, metric=f"object F1 {class_name} (IoU {LEAST_IOU:g})", value=round(float(f1), 4)))
    return scores


def main() -> None:
    """Read the command line, score, and write where it is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", default=list(CASES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    for name in arguments.models:
        scores = object_scores(name, arguments.data)
        for score in scores:
            print(f"{name}: {score.metric} {score.value:.3f} on {score.on}")
        if arguments.write is not None:
            tensors, card = read_model(*resolve(name))
            kept = tuple(score for score in card.scores if not score.metric.startswith("object F1"))
            path = arguments.write / BUNDLED[name][0]
            write_model(path, tensors, card.model_copy(update={"scores": (*kept, *scores)}))
            print(f"{path}: sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
