"""Inputs that readers of what others made accept, from which fuzzing begins; each function takes their folder."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import shapely
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image

from geoseg.archive.manifest import Entry, Manifest
from geoseg.archive.record import SceneRecord
from geoseg.io.weights.model_file import CARD_KEY

GEOBOX = GeoBox((40, 50), Affine(0.5, 0, 500000, 0, -0.5, 5400000), "EPSG:32632")
PLACE = {"crs": "EPSG:32632", "transform": GEOBOX.transform}


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


def coco_panoptic(folder: Path) -> list[bytes]:
    """Documents of segments; their pictures of ids lie in the folder of the input."""
    pictures = folder / "input"
    pictures.mkdir(exist_ok=True)
    ids = np.zeros((40, 50, 3), np.uint8)
    ids[:, :20, 0], ids[:, 30:, 1] = 7, 1
    Image.fromarray(ids).save(pictures / "a.png")
    segments = [{"id": 7, "category_id": 1, "iscrowd": 0}, {"id": 256, "category_id": 2, "area": 800}]
    picture = {"image_id": 1, "file_name": "a.png", "segments_info": segments}
    categories = [{"id": 1, "name": "roof", "isthing": 1}, {"id": 2, "name": "road", "isthing": 0}]
    named = picture | {"image_id": "a"}
    return [json.dumps({"annotations": [one], "categories": categories}).encode() for one in (picture, named)]


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
