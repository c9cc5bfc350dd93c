"""How many buildings come out as one object each, for every way of parting those that touch.

    python benchmarks/splits.py --data DIR [--model buildings-unet]

Predicts rows of the two drone mosaics, those the bundled model has learnt from and those held out, makes objects of the
building class as ``geoseg vectorise --objects`` does, and matches them one to one with the footprints by intersection
over union of at least 0.5. Settings are chosen on rows that were learnt from. ``DIR`` holds ``banepa`` and ``kampala``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from rasterio.windows import Window as RasterioWindow

import geoseg
from geoseg.core.choices import SplitMethod
from geoseg.io.raster.code_file import CodeFile
from geoseg.run.report import Silence
from geoseg.score.objects import match_objects
from geoseg.vector.objects.scene import SceneObjects
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.vectorise import vectorise_labels

BUILDING = 1
PLACES = (
    ("banepa", "banepa_train", (0, 2048), "learnt from"),
    ("banepa", "banepa_train", (2304, 3072), "held out"),
    ("kampala", "kampala_a", (0, 1024), "learnt from"),
    ("kampala", "kampala_a", (1280, 2048), "held out"),
)
LEAST_M2 = (0.0, 2.0, 10.0)
SPLITS: tuple[tuple[SplitMethod, float | None], ...] = (
    ("none", None),
    *(("distance", neck) for neck in (0.8, 0.85, 0.9, 0.95)),
    *(("confidence", neck) for neck in (0.75, 0.8, 0.85, 0.9)),
)


def cut(folder: Path, image: Path, rows: tuple[int, int]) -> Path:
    """Write some rows of an image as a scene of its own."""
    with rasterio.open(image) as file:
        window = RasterioWindow(0, rows[0], file.width, rows[1] - rows[0])
        values = file.read([1, 2, 3], window=window)
        profile = {"driver": "GTiff", "count": 3, "height": values.shape[1], "width": values.shape[2], "dtype": "uint8"}
        path = folder / f"rows{rows[0]}_{image.name}"
        with rasterio.open(
            path, "w", crs=file.crs, transform=file.window_transform(window), photometric="RGB", **profile
        ) as out:
            out.write(values)
    return path


def footprints(path: Path, scene: Path) -> npt.NDArray[np.object_]:
    """Read the reference polygons whose middle lies on a scene, in its CRS."""
    with rasterio.open(scene) as file:
        polygons = geopandas.read_file(path).to_crs(file.crs).explode(index_parts=False).geometry.to_numpy()
        inside = shapely.within(shapely.centroid(polygons), shapely.box(*file.bounds))
    return np.asarray(shapely.make_valid(polygons[inside]), object)


def objects_of(source: CodeFile, geobox: GeoBox, spec: ObjectSpec) -> npt.NDArray[np.object_]:
    """Draw the objects of a class map."""
    with SceneObjects.find(source, geobox, spec) as found:
        batches = [batch.geometry for batch in vectorise_labels(found, geobox, found.table)]
    return np.concatenate([np.zeros(0, object), *batches])


def main() -> None:
    """Read the command line and print one table for each place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="buildings-unet")
    options = parser.parse_args()
    model = geoseg.load_model(options.model)
    for place, stem, rows, use in PLACES:
        with tempfile.TemporaryDirectory() as name:
            scene = cut(Path(name), options.data / place / f"{stem}_rgb.tif", rows)
            reference = footprints(options.data / place / f"{stem}_buildings.gpkg", scene)
            files = geoseg.predict(scene, model, Path(name) / "out", reporter=Silence()).bundle
            with rasterio.open(files.classes) as file:
                geobox = GeoBox(file.shape, file.transform, file.crs.to_wkt())
            print(f"{place} rows {rows[0]}-{rows[1] - 1} ({use}): {len(reference)} buildings", flush=True)
            with CodeFile(files.classes, files.confidence) as source:
                for split, neck in SPLITS:
                    for least_m2 in LEAST_M2:
                        spec = ObjectSpec(codes=(BUILDING,), split=split, neck=neck, min_area_m2=least_m2)
                        drawn = objects_of(source, geobox, spec)
                        pairs = len(match_objects(drawn, reference).iou)
                        f1 = 2 * pairs / (len(drawn) + len(reference))
                        print(
                            f"  {split:10} {neck or '':5} {least_m2:4g} m2 {len(drawn):5} {pairs:5} F1 {f1:.3f}",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
