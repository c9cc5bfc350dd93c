"""What is fuzzed: readers of what others made, each with seeds that it accepts and the errors it may end in."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import shutil
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.manifest import Entry, Manifest
from geoseg.archive.record import SceneRecord
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
from geoseg.io.weights.model_file import CARD_KEY, read_card, read_model
from geoseg.training.recipe import read_recipe

CODES = {2, 3, 4, 5, 6}
"""Exit codes of a refusal."""
GEOBOX = GeoBox((40, 50), Affine(0.5, 0, 500000, 0, -0.5, 5400000), "EPSG:32632")
PLACE = {"crs": "EPSG:32632", "transform": GEOBOX.transform}


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


def tiff(path: Path, bands: int = 3, **profile: object) -> bytes:
    """Write a small GeoTIFF and return its bytes."""
    values = np.random.default_rng(bands).integers(0, 3, (bands, 40, 50)).astype(np.uint8)
    made = path / "seed.tif"
    options = {"driver": "GTiff", "dtype": "uint8", "count": bands, "height": 40, "width": 50, **PLACE, **profile}
    with rasterio.open(made, "w", **options) as file:
        file.write(values.astype(options["dtype"]))
    content = made.read_bytes()
    made.unlink()
    return content


def tiffs(folder: Path) -> list[bytes]:
    """GeoTIFFs of several layouts and compressions."""
    kinds: list[dict[str, object]] = [
        {},
        {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"compress": "deflate", "predictor": 2, "dtype": "uint16"},
        {"compress": "zstd", "interleave": "band"},
        {"compress": "packbits", "nodata": 0},
        {"compress": "jpeg", "photometric": "ycbcr", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"dtype": "float32", "nodata": float("nan"), "compress": "lerc"},
        {"driver": "COG"},
    ]
    return [tiff(folder, **kind) for kind in kinds] + [tiff(folder, 1), tiff(folder, 4, photometric="rgb", alpha="yes")]


def read_scene(path: Path) -> None:
    """Open a scene and decode all of it, block by block."""
    options = OpenOptions(max_pixels=500_000, allow_vrt=path.suffix == ".vrt", max_block_bytes=2**24)
    with Scene(str(path), options) as scene:
        rows, columns = tuple(scene.geobox.shape)
        for top in range(0, rows, 256):
            for left in range(0, columns, 256):
                scene.read(Window(top, min(top + 256, rows), left, min(left + 256, columns)))


def vrts(folder: Path) -> list[bytes]:
    """VRTs: one source, three bands with nodata, and a mosaic."""
    (folder / "a.tif").write_bytes(tiff(folder))
    (folder / "b.tif").write_bytes(tiff(folder))
    source = (
        '<{kind}><SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>{band}</SourceBand>'
        '<SrcRect xOff="0" yOff="0" xSize="50" ySize="40"/><DstRect xOff="{left}" yOff="0" xSize="50" ySize="40"/>'
        "{more}</{kind}>"
    )
    head = (
        '<VRTDataset rasterXSize="{width}" rasterYSize="40"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500000, 0.5, 0, 5400000, 0, -0.5</GeoTransform>"
    )
    one = source.format(kind="SimpleSource", name="a.tif", band=1, left=0, more="")
    two = source.format(kind="ComplexSource", name="b.tif", band=2, left=50, more="<NODATA>0</NODATA>")
    band = '<VRTRasterBand dataType="Byte" band="{band}">{inside}</VRTRasterBand>'
    plain = head.format(width=50) + band.format(band=1, inside=one) + "</VRTDataset>"
    mosaic = (
        head.format(width=100)
        + "".join(band.format(band=n, inside=f"<NoDataValue>0</NoDataValue>{one}{two}") for n in (1, 2, 3))
        + "<Metadata><MDI key='AREA_OR_POINT'>Area</MDI></Metadata></VRTDataset>"
    )
    return [plain.encode(), mosaic.encode()]


def item(folder: Path) -> dict[str, object]:
    """One STAC item with an asset that exists."""
    (folder / "a.tif").write_bytes(tiff(folder))
    bands = [{"name": f"b{n}", "common_name": name} for n, name in enumerate(("red", "green", "blue"))]
    asset = {
        "href": "./a.tif",
        "type": "image/tiff; application=geotiff",
        "roles": ["data"],
        "eo:bands": bands,
        "raster:bands": [{"nodata": 0, "scale": 1.0, "offset": 0.0}] * 3,
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "scene",
        "collection": "c",
        "bbox": [9.0, 48.7, 9.1, 48.8],
        "geometry": None,
        "properties": {"datetime": "2024-05-01T00:00:00Z", "platform": "sentinel-2a"},
        "assets": {"visual": asset},
        "links": [{"rel": "self", "href": "./input.json"}],
    }


def items(folder: Path) -> list[bytes]:
    """An item, with and without descriptions of bands."""
    whole = item(folder)
    short = whole | {"assets": {"x": {"href": "a.tif"}}}
    return [json.dumps(whole).encode(), json.dumps(short).encode()]


def catalogues(folder: Path) -> list[bytes]:
    """A catalogue of one item and one child, and a collection of features."""
    (folder / "item.json").write_text(json.dumps(item(folder)))
    links = [{"rel": "item", "href": "./item.json"}, {"rel": "child", "href": "./input.json"}]
    catalogue = {"type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x", "links": links}
    features = {
        "type": "FeatureCollection",
        "features": [item(folder)],
        "links": [{"rel": "next", "href": "item.json"}],
    }
    return [json.dumps(catalogue).encode(), json.dumps(features).encode()]


def read_catalogue(path: Path) -> None:
    """List the items of a catalogue, by time and place."""
    for source in (
        StacSource(kind="stac", path=str(path)),
        StacSource(kind="stac", path=str(path), bbox=(9, 48, 10, 49), datetime="2024-01-01T00:00:00Z/.."),
    ):
        list(stac_scenes(source))


def card() -> dict[str, object]:
    """A model card as its file holds it."""
    return {
        "name": "m",
        "architecture": {"name": "unet", "options": {"width": 4, "depth": 2}},
        "bands": [{"name": name, "mean": 1.0, "std": 2.0} for name in ("red", "green", "blue")],
        "gsd_m": {"min": 0.1, "max": 1.0},
        "tile_px": 96,
        "halo_px": 16,
        "licence": "MIT",
        "legend": {"classes": [{"code": n, "name": f"c{n}", "colour": f"#00000{n}"} for n in range(3)]},
    }


def model_of(text: bytes) -> bytes:
    """A safetensors file whose card is these bytes."""
    header = {"__metadata__": {CARD_KEY: text.decode("utf-8", "replace")}}
    header |= {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + bytes(8)


def read_wrapped_card(path: Path) -> None:
    """Read a card from a model file made around it."""
    model = path.with_suffix(".safetensors")
    model.write_bytes(model_of(path.read_bytes()))
    read_card(model)


def read_any_model(path: Path) -> None:
    """Read the card and the tensors of a model file."""
    for read in (read_card, read_model):
        read(path)


def models(folder: Path) -> list[bytes]:
    """Model files: of one tensor, and as written."""
    from geoseg.core.card import ModelCard
    from geoseg.io.weights.model_file import write_model

    write_model(folder / "seed.safetensors", {"a": np.zeros(3, np.float32)}, ModelCard.model_validate(card()))
    return [(folder / "seed.safetensors").read_bytes(), model_of(json.dumps(card()).encode())]


def checkpoints(folder: Path) -> list[bytes]:
    """Checkpoints of torch: of the zip and of the older layout."""
    import torch

    found = []
    for new in (True, False):
        torch.save({"state_dict": {"a": torch.zeros(3)}}, folder / "seed.pt", _use_new_zipfile_serialization=new)
        found.append((folder / "seed.pt").read_bytes())
    return found


def recipes(folder: Path) -> list[bytes]:
    """A recipe as JSON and as YAML."""
    from small_training import document

    del folder
    return [json.dumps(document()).encode(), yaml.safe_dump(document()).encode()]


def archives(folder: Path) -> list[bytes]:
    """Configurations of archives."""
    plain = {"source": str(folder), "model": "buildings-unet", "out": "out", "workers": 0}
    full = plain | {
        "source": {"kind": "stac", "path": "c.json", "bbox": [1, 2, 3, 4], "datetime": "2024-01-01/.."},
        "opening": {"assume_crs": "EPSG:32632", "nodata": 0, "alpha": "no"},
        "predict": {"block_px": 64, "tile_px": 64, "halo_px": 8, "bands": ["red", "green", "blue"]},
    }
    return [yaml.safe_dump(plain).encode(), yaml.safe_dump(full).encode(), json.dumps(full).encode()]


def entries(folder: Path) -> list[bytes]:
    """One entry of a manifest."""
    manifest = Manifest(folder / "out")
    manifest.write(Entry(record=SceneRecord(name="a", uri="a.tif", state="done"), files={"a": (1, 2)}, stamp="x"))
    file = next((folder / "out").rglob("a.json"))
    content = file.read_bytes()
    shutil.rmtree(folder / "out")
    return [content]


def read_entry(path: Path) -> None:
    """Read the entry of a scene from a manifest made around the file."""
    manifest = Manifest(path.parent / "archive")
    place = manifest._path("a")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    manifest.entry("a")
    list(manifest.records())


def legends(folder: Path) -> list[bytes]:
    """A legend as YAML and JSON."""
    del folder
    legend = {"classes": [{"code": 0, "name": "a", "colour": "#000000"}, {"code": 1, "name": "b", "colour": "#ffffff"}]}
    return [yaml.safe_dump(legend).encode(), json.dumps(legend).encode()]


def coco(folder: Path) -> list[bytes]:
    """Objects as COCO lists them."""
    del folder
    images = [{"id": 1, "file_name": "a.tif", "height": 40, "width": 50}]
    ring = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 9, 0, 9, 9]], "iscrowd": 0}
    runs = ring | {"id": 2, "segmentation": {"size": [40, 50], "counts": [5, 9, 1986]}}
    packed = ring | {"id": 3, "segmentation": {"size": [40, 50], "counts": "PQ1"}}
    text = {"images": images, "annotations": [ring, runs, packed], "categories": [{"id": 1, "name": "roof"}]}
    return [json.dumps(text).encode()]


def read_drawn(path: Path) -> None:
    """Read the objects of COCO."""
    read_coco(path)


def read_codes_of(path: Path) -> None:
    """Read a class raster whole."""
    with ClassRaster(str(path), ClassRules()) as raster:
        rows, columns = (min(side, 700) for side in tuple(raster.geobox.shape))
        raster.read(Window(0, rows, 0, columns))


def class_rasters(folder: Path) -> list[bytes]:
    """Class rasters with and without nodata."""
    return [tiff(folder, 1), tiff(folder, 1, nodata=255, compress="lzw")]


def vectors(driver: str, suffix: str) -> Callable[[Path], list[bytes]]:
    """Make seeds of a vector format."""

    def made(folder: Path) -> list[bytes]:
        import geopandas

        shapes = [shapely.box(500001, 5399990, 500010, 5399999), shapely.Point(500012, 5399995).buffer(2, 2)]
        frame = geopandas.GeoDataFrame({"class": ["a", "b"], "n": [1, 2]}, geometry=shapes, crs=32632)
        found = []
        for crs in (32632, 4326):
            path = folder / f"seed{suffix}"
            path.unlink(missing_ok=True)
            if driver == "Parquet":
                frame.to_crs(crs).to_parquet(path)
            elif driver == "zip":
                found.append(_zipped(frame.to_crs(crs), folder))
                continue
            else:
                frame.to_crs(crs).to_file(path, driver=driver)
            found.append(path.read_bytes())
            path.unlink()
        return found

    return made


def _zipped(frame: object, folder: Path) -> bytes:
    place = folder / "shapes"
    place.mkdir(exist_ok=True)
    frame.to_file(place / "seed.shp")  # type: ignore[attr-defined]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in sorted(place.iterdir()):
            archive.write(file, file.name)
    shutil.rmtree(place)
    return content.getvalue()


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
