"""Every kind of scene keeps the laws that are shipped for readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS

from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene
from geoseg.testing.scenes import GEOBOX, SceneTests

Values = np.ndarray[Any, Any]


def geotiff(path: Path, values: Values, **profile: Any) -> str:
    count, height, width = values.shape
    size = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
    options: dict[str, Any] = size | {"crs": CRS.from_epsg(32633), "transform": GEOBOX.transform} | profile
    with rasterio.open(path, "w", **options) as file:
        file.write(values)
    return str(path)


class TestStripedGeoTiff(SceneTests):
    def write(self, folder: Path, values: Values) -> str:
        return geotiff(folder / "scene.tif", values)


class TestTiledGeoTiffWithNodata(SceneTests):
    dtype = "uint16"
    bands = 5
    nodata = 0

    def write(self, folder: Path, values: Values) -> str:
        tiles = {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate", "interleave": "band"}
        return geotiff(folder / "scene.tif", values, nodata=self.nodata, **tiles)


class TestFloats(SceneTests):
    dtype = "float32"
    bands = 1
    nodata = -9999.0

    def write(self, folder: Path, values: Values) -> str:
        return geotiff(folder / "scene.tif", values, nodata=self.nodata)


class TestJpeg2000(SceneTests):
    def write(self, folder: Path, values: Values) -> str:
        return geotiff(folder / "scene.jp2", values, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES")


class TestMosaicInAVrt(SceneTests):
    """Left and right halves in two files."""

    def write(self, folder: Path, values: Values) -> str:
        cut, (rows, cols) = 40, GEOBOX.shape
        left, right = values[..., :cut], values[..., cut:]
        geotiff(folder / "left.tif", left, transform=GEOBOX[:, :cut].transform)
        geotiff(folder / "right.tif", right, transform=GEOBOX[:, cut:].transform)
        sources = "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}">'
            + "".join(
                f'<SimpleSource><SourceFilename relativeToVRT="1">{name}.tif</SourceFilename>'
                f"<SourceBand>{band}</SourceBand>"
                f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{rows}"/>'
                f'<DstRect xOff="{first}" yOff="0" xSize="{width}" ySize="{rows}"/></SimpleSource>'
                for name, first, width in (("left", 0, cut), ("right", cut, cols - cut))
            )
            + "</VRTRasterBand>"
            for band in range(1, self.bands + 1)
        )
        transform = ", ".join(map(str, GEOBOX.transform.to_gdal()))
        path = folder / "scene.vrt"
        path.write_text(
            f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}"><SRS>{CRS.from_epsg(32633).to_wkt()}</SRS>'
            f"<GeoTransform>{transform}</GeoTransform>{sources}</VRTDataset>"
        )
        return str(path)

    def open(self, uri: str) -> Scene:
        return Scene(uri, OpenOptions(allow_vrt=True))


class TestItemOfStac(SceneTests):
    """One file a band, as Sentinel-2 has it."""

    dtype = "uint16"

    def write(self, folder: Path, values: Values) -> str:
        names = ("red", "green", "blue")
        for name, plane in zip(names, values, strict=True):
            geotiff(folder / f"{name}.tif", plane[None])
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": "scene",
            "geometry": None,
            "properties": {"datetime": "2024-01-01T00:00:00Z"},
            "links": [],
            "assets": {
                name: {
                    "href": f"./{name}.tif",
                    "type": "image/tiff; application=geotiff",
                    "roles": ["data"],
                    "eo:bands": [{"name": name, "common_name": name}],
                }
                for name in names
            },
        }
        path = folder / "scene.json"
        path.write_text(json.dumps(item))
        return str(path)

    def open(self, uri: str) -> Scene:
        return Scene(uri, OpenOptions(assets=("red", "green", "blue")))
