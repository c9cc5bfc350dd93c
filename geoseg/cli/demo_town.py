"""The demonstration: a synthetic town, segmented and scored against its exact labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.cli.output.progress import reporter
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.io.files.targets import check_folder, make_folder
from geoseg.io.raster.code_file import CodeFile
from geoseg.io.raster.png_file import write_picture
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import load_model
from geoseg.run.predict import predict
from geoseg.score.matrix import iou
from geoseg.synthetic.town import draw_town
from geoseg.training.score import confusion

_SEED = 2026
_SHAPE = (1536, 1536)
_GSD_M = 0.09


def run_demo(out: Path, scene: Path | None, labels: Path | None) -> None:
    """Segment a town and print the scores.

    Args:
        out: folder for the layers.
        scene: the town; None draws one that was not used in training.
        labels: its exact labels, a raster of the model's codes on the same grid; None leaves the scores out.

    Raises:
        UsageError: the labels are missing or differ from the scene in size, or a file stands where the folder should.
    """
    check_folder(out)
    if labels is not None and not labels.is_file():
        raise UsageError(f"--labels {labels}: no such file.")
    if scene is None:
        scene, labels = _draw(out)
    model = load_model("town-unet")
    with open_scene(scene) as opened, reporter(opened.stem) as report:
        layers = predict(opened, model, out, reporter=report)
    if labels is not None:
        _print_scores(layers.bundle.classes, labels, model.card.legend.names)
    print(f"{layers.record['segments']:,} polygons, {layers.record['pixels_per_s'] / 1e6:.2f} Mpx/s")
    print(f"Look at {layers.bundle.preview}")
    print(f"Open    {layers.bundle.project} in QGIS")


def _print_scores(classes: Path, labels: Path, names: tuple[str, ...]) -> None:
    with CodeFile(classes, None) as answer, CodeFile(labels, None) as truth:
        if answer.shape != truth.shape:
            raise UsageError(f"{labels}: is {truth.shape} px, the scene is {answer.shape} px.")
        whole = Window.whole(answer.shape)
        values = iou(confusion(truth.read(whole)[0], answer.read(whole)[0], len(names)))
    print("IoU against the exact labels")
    for name, value in zip(names, values, strict=True):
        print(f"  {name:<22} {value:6.3f}")
    print(f"  {'mean':<22} {np.nanmean(values):6.3f}")


def _draw(out: Path) -> tuple[Path, Path]:
    town = draw_town(_SEED, _SHAPE, _GSD_M)
    grid = GeoBox(_SHAPE, (_GSD_M, 0, 497_120.16, 0, -_GSD_M, 5_419_980.0), "EPSG:32632")
    make_folder(out)
    scene, labels = out / "town.tif", out / "town_labels.tif"
    write_picture(scene, town.rgb, grid)
    write_picture(labels, town.labels[None], grid)
    return scene, labels
