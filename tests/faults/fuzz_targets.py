"""What is fuzzed: readers of what others made, each with seeds that it accepts and the errors it may end in."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz_seeds import (
    GEOBOX,
    archives,
    card,
    catalogues,
    checkpoints,
    class_rasters,
    coco,
    coco_panoptic,
    entries,
    items,
    legends,
    model_of,
    models,
    recipes,
    tiffs,
    vectors,
    vrts,
)

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.manifest import Manifest
from geoseg.archive.sources.config import StacSource
from geoseg.archive.sources.stac import stac_scenes
from geoseg.core.window import Window
from geoseg.errors import GeosegError
from geoseg.io.files.yaml_file import read_config
from geoseg.io.labels.class_raster import ClassRaster, ClassRules
from geoseg.io.labels.drawn_objects import read_coco
from geoseg.io.labels.legend_file import read_legend
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene
from geoseg.io.vectors.read import VectorRequest, read_polygons
from geoseg.io.weights.checkpoint_file import read_checkpoint
from geoseg.io.weights.ensemble_file import read_members
from geoseg.io.weights.model_file import read_card, read_model
from geoseg.score.panoptic.files import PanopticReading, evaluate_panoptic
from geoseg.training.recipe import read_recipe

CODES = {2, 3, 4, 5, 6}
"""Exit codes of a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A reader that is fuzzed.

    Attributes:
        suffix: ending of the file that holds the input.
        read: reads the file, whose folder also holds the seeds' own files.
        seeds: makes inputs that are read without an error, given that folder.
    """

    suffix: str
    read: Callable[[Path], object]
    seeds: Callable[[Path], list[bytes]]


class WrongEndError(Exception):
    """The reader ended neither well nor in a refusal that is documented."""


def try_input(target: Target, folder: Path, content: bytes) -> bool:
    """Read one input.

    Returns:
        True if it was accepted, False if it was refused in words.

    Raises:
        WrongEndError: the refusal has no documented exit code, or says nothing.
        Exception: a bug.
    """
    path = folder / f"input{target.suffix}"
    path.write_bytes(content)
    try:
        target.read(path)
    except GeosegError as error:
        if error.exit_code not in CODES or not str(error).strip() or len(str(error)) > 20_000:
            raise WrongEndError(f"code {error.exit_code}, {len(str(error))} characters: {str(error)[:300]}") from error
        return False
    return True


def read_scene(path: Path) -> None:
    """Open a scene and decode all of it, block by block."""
    options = OpenOptions(max_pixels=500_000, allow_vrt=path.suffix == ".vrt", max_block_bytes=2**24)
    with Scene(str(path), options) as scene:
        rows, columns = tuple(scene.geobox.shape)
        for top in range(0, rows, 256):
            for left in range(0, columns, 256):
                scene.read(Window(top, min(top + 256, rows), left, min(left + 256, columns)))


def read_catalogue(path: Path) -> None:
    """List the items of a catalogue, by time and place."""
    for source in (
        StacSource(kind="stac", path=str(path)),
        StacSource(kind="stac", path=str(path), bbox=(9, 48, 10, 49), datetime="2024-01-01T00:00:00Z/.."),
    ):
        list(stac_scenes(source))


def read_wrapped_card(path: Path) -> None:
    """Read a card from a model file made around it."""
    model = path.with_suffix(".safetensors")
    model.write_bytes(model_of(path.read_bytes()))
    read_card(model)


def read_any_model(path: Path) -> None:
    """Read the card and the tensors of a model file."""
    for read in (read_card, read_model):
        read(path)


def read_entry(path: Path) -> None:
    """Read the entry of a scene from a manifest made around the file."""
    manifest = Manifest(path.parent / "archive")
    place = manifest._path("a")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    manifest.entry("a")
    list(manifest.records())


def read_drawn(path: Path) -> None:
    """Read the objects of COCO."""
    read_coco(path)


def score_segments(path: Path) -> None:
    """Score a panoptic document against itself, and write both as such documents."""
    with TemporaryDirectory() as folder:
        evaluate_panoptic(path, path, PanopticReading(coco=Path(folder) / "coco"))


def read_codes_of(path: Path) -> None:
    """Read a class raster whole."""
    with ClassRaster(str(path), ClassRules()) as raster:
        rows, columns = (min(side, 700) for side in tuple(raster.geobox.shape))
        raster.read(Window(0, rows, 0, columns))


def read_shapes(path: Path) -> None:
    """Read all polygons, without and with a grid."""
    request = VectorRequest(name=str(path), others="leave out", may_be_empty=True)
    read_polygons(request)
    with suppress(GeosegError):
        read_polygons(dataclasses.replace(request, grid=GEOBOX, must_meet="nothing"))


def _vector(driver: str, suffix: str) -> Target:
    return Target(suffix=suffix, read=read_shapes, seeds=vectors(driver, suffix))


TARGETS = {
    "scene": Target(suffix=".tif", read=read_scene, seeds=tiffs),
    "stac item": Target(suffix=".json", read=read_scene, seeds=items),
    "stac catalogue": Target(suffix=".json", read=read_catalogue, seeds=catalogues),
    "vrt": Target(suffix=".vrt", read=read_scene, seeds=vrts),
    "card": Target(suffix=".card", read=read_wrapped_card, seeds=lambda _: [json.dumps(card()).encode()]),
    "model": Target(suffix=".safetensors", read=read_any_model, seeds=models),
    "checkpoint": Target(suffix=".pt", read=read_checkpoint, seeds=checkpoints),
    "ensemble": Target(
        suffix=".json",
        read=lambda path: read_members(str(path)),
        seeds=lambda _: [b'{"members": [{"model": "a.safetensors", "weight": 2}, {"model": "b.safetensors"}]}'],
    ),
    "recipe": Target(suffix=".yaml", read=read_recipe, seeds=recipes),
    "archive": Target(suffix=".yaml", read=lambda path: read_config(path, ArchiveConfig), seeds=archives),
    "manifest": Target(suffix=".entry", read=read_entry, seeds=entries),
    "legend": Target(suffix=".yaml", read=read_legend, seeds=legends),
    "coco": Target(suffix=".json", read=read_drawn, seeds=coco),
    "coco panoptic": Target(suffix=".json", read=score_segments, seeds=coco_panoptic),
    "class raster": Target(suffix=".tif", read=read_codes_of, seeds=class_rasters),
    "geojson": _vector("GeoJSON", ".geojson"),
    "geopackage": _vector("GPKG", ".gpkg"),
    "flatgeobuf": _vector("FlatGeobuf", ".fgb"),
    "geoparquet": _vector("Parquet", ".parquet"),
    "kml": _vector("KML", ".kml"),
    "zipped shapefile": _vector("zip", ".zip"),
}


LIBRARIES = ("rasterio", "pyogrio")
"""Those that report every damaged byte."""


def quiet() -> None:
    """Silence the logs of libraries."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
