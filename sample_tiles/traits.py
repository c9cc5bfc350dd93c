"""Tiny rasters named after the one trait that each is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from writing import VAIHINGEN, grid_at, write_cog, write_tiff

from geoseg.synthetic.town import draw_town

GSD_M = 0.3
LAEA = "+proj=laea +lat_0=48.9 +lon_0=8.95 +x_0=1000 +y_0=2000 +ellps=GRS80 +units=m +no_defs"
_SIDE = 64
Pixels = npt.NDArray[Any]


def write_traits(folder: Path) -> None:
    """Write every trait file into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    town = draw_town(2037, (2 * _SIDE, 2 * _SIDE), gsd_m=GSD_M)
    whole = np.concatenate([town.rgb, town.nir[None]])
    small = whole[:, :_SIDE, :_SIDE]
    _write_values(folder, small)
    _write_grids(folder, small)
    _write_bands(folder, small)
    _write_containers(folder, small, whole)
    _write_collections(folder, whole)


def wedge(side: int = _SIDE) -> npt.NDArray[np.bool_]:
    """Mark the corner that a slanted flight line leaves empty."""
    return np.add.outer(np.arange(side), 2 * np.arange(side)) < side


def _write_values(folder: Path, rgbn: Pixels) -> None:
    grid = grid_at(VAIHINGEN, GSD_M)
    empty = wedge()
    wide = np.where(empty, 0, rgbn.astype(np.uint16) * 40 + 100).astype(np.uint16)
    write_tiff(folder / "utm_uint16_nodata0.tif", wide, **grid, nodata=0, photometric="MINISBLACK")
    signed = np.where(empty, -9999, rgbn[:3].astype(np.int16) * 30 - 500).astype(np.int16)
    write_tiff(folder / "int16_nodata_minus9999.tif", signed, **grid, nodata=-9999)
    write_tiff(folder / "all_nodata.tif", np.zeros_like(rgbn[:3]), **grid, nodata=0)
    reflectance = ((rgbn / np.float32(255)) ** 2.2 * 0.6).astype(np.float32)
    write_tiff(folder / "float32_reflectance.tif", reflectance, **grid)
    scaled = np.rint(reflectance * 10_000).astype(np.uint16)
    write_tiff(folder / "uint16_reflectance_scaled.tif", scaled, **grid, photometric="MINISBLACK")
    with rasterio.open(folder / "uint16_reflectance_scaled.tif", "r+") as target:
        target.scales = (0.0001,) * 4
        target.descriptions = ("red", "green", "blue", "nir")


def _write_grids(folder: Path, rgbn: Pixels) -> None:
    rgb, grid = rgbn[:3], grid_at(VAIHINGEN, GSD_M)
    _, x, y = VAIHINGEN
    real = np.where(wedge(), np.nan, rgb / np.float32(255)).astype(np.float32)
    turned = Affine.translation(x, y) @ Affine.rotation(17) @ Affine.scale(GSD_M, -GSD_M)
    write_tiff(folder / "rotated_float_nan.tif", real, crs="EPSG:32632", transform=turned, nodata=float("nan"))
    south_up = {"crs": "EPSG:32632", "transform": Affine(GSD_M, 0, x, 0, GSD_M, y - _SIDE * GSD_M)}
    write_tiff(folder / "south_up.tif", rgb[:, ::-1], **south_up, photometric="RGB")
    oblong = {"crs": "EPSG:32632", "transform": Affine(GSD_M, 0, x, 0, -2 * GSD_M, y)}
    write_tiff(folder / "nonsquare.tif", rgb[:, ::2], **oblong, photometric="RGB")
    east, north = Transformer.from_crs(32632, 3857, always_xy=True).transform(x, y)
    stretched = GSD_M / np.cos(np.radians(48.93))
    mercator = {"crs": "EPSG:3857", "transform": Affine(stretched, 0, east, 0, -stretched, north)}
    write_tiff(folder / "mercator_3857.tif", rgb, **mercator, photometric="RGB")
    write_tiff(
        folder / "no_epsg.tif", rgb, crs=LAEA, transform=grid["transform"] @ Affine.translation(9, 9), photometric="RGB"
    )
    lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(
        [x, x + _SIDE * GSD_M], [y, y - _SIDE * GSD_M]
    )
    points = [
        GroundControlPoint(row=float(r), col=float(c), x=float(lon[c > 0]), y=float(lat[r > 0]), id=f"{r}-{c}")
        for r in (0, _SIDE)
        for c in (0, _SIDE)
    ]
    write_tiff(folder / "gcps_only.tif", rgb, gcps=points, crs="EPSG:4326", photometric="RGB")
    degrees = Affine((lon[1] - lon[0]) / _SIDE, 0, lon[0], 0, (lat[1] - lat[0]) / _SIDE, lat[0])
    rgba = np.concatenate([rgb, np.where(wedge(), 0, 255)[None].astype(np.uint8)])
    strips = {"crs": "EPSG:4326", "transform": degrees, "photometric": "RGB", "alpha": "YES"}
    write_tiff(folder / "strips_rgba_4326.tif", rgba, **strips, tiled=False, blockysize=5)
    write_tiff(folder / "one_pixel.tif", rgb[:, :1, :1], **grid, photometric="RGB")
    write_tiff(folder / "one_row.tif", rgb[:, :1], **grid, photometric="RGB")


def _write_bands(folder: Path, rgbn: Pixels) -> None:
    grid, rgb = grid_at(VAIHINGEN, GSD_M), rgbn[:3]
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_tiff(folder / "mask_band.tif", rgb, **grid, photometric="RGB")
        with rasterio.open(folder / "mask_band.tif", "r+") as target:
            target.write_mask(~wedge())
    rgba = np.concatenate([rgb, np.where(wedge(), 0, 255)[None].astype(np.uint8)])
    write_tiff(folder / "alpha_band.tif", rgba, **grid, photometric="RGB", alpha="YES")
    named = {
        "four_band_rgbn.tif": (rgbn, "RGB", ("red", "green", "blue", "nir")),
        "bgr_order.tif": (rgb[::-1], "MINISBLACK", ("blue", "green", "red")),
    }
    for name, (values, photometric, descriptions) in named.items():
        alpha = {"alpha": "NO"} if len(values) == 4 else {}
        write_tiff(folder / name, values, **grid, photometric=photometric, **alpha)
        with rasterio.open(folder / name, "r+") as target:
            target.descriptions = descriptions


def _write_containers(folder: Path, rgbn: Pixels, whole: Pixels) -> None:
    grid, rgb = grid_at(VAIHINGEN, GSD_M), rgbn[:3]
    write_tiff(folder / "bigtiff.tif", rgb, **grid, photometric="RGB", BIGTIFF="YES")
    write_tiff(folder / "uncompressed.tif", rgb, **grid, photometric="RGB", compress="none")
    write_cog(folder / "cog.tif", whole[:3], grid, compress="deflate", level=9, predictor="yes", blocksize=64)
    write_tiff(
        folder / "jpeg2000.jp2", rgb, **grid, driver="JP2OpenJPEG", compress="none", QUALITY="100", REVERSIBLE="YES"
    )
    picture = Image.fromarray(np.ascontiguousarray(rgb.transpose(1, 2, 0)))
    picture.save(folder / "jpeg_worldfile.jpg", quality=90)
    picture.save(folder / "png_worldfile.png", optimize=True)
    step = grid["transform"]
    # A world file gives the centre of the top-left pixel, one number a line: a, d, b, e, c, f.
    centre = step @ Affine.translation(0.5, 0.5)
    lines = "".join(f"{value:.10f}\n" for value in (step.a, step.d, step.b, step.e, centre.c, centre.f))
    (folder / "jpeg_worldfile.jgw").write_text(lines, encoding="ascii")
    (folder / "png_worldfile.pgw").write_text(lines, encoding="ascii")
    wkt = rasterio.crs.CRS.from_epsg(32632).to_wkt(version="WKT1_ESRI")
    (folder / "jpeg_worldfile.prj").write_text(wkt, encoding="ascii")


def _write_collections(folder: Path, whole: Pixels) -> None:
    left, right = whole[:3, :40, :40], whole[:3, :40, 40:72]
    write_tiff(folder / "mosaic_west.tif", left, **grid_at(VAIHINGEN, GSD_M), photometric="RGB")
    write_tiff(folder / "mosaic_east.tif", right, **grid_at(VAIHINGEN, GSD_M, col=40), photometric="RGB")
    (folder / "mosaic.vrt").write_text(_mosaic(), encoding="utf-8")
    (folder / "item.json").write_text(json.dumps(_item(), indent=1) + "\n", encoding="utf-8")


def _mosaic() -> str:
    step = grid_at(VAIHINGEN, GSD_M)["transform"]
    bands = ""
    for band, colour in enumerate(("Red", "Green", "Blue"), 1):
        bands += f'  <VRTRasterBand dataType="Byte" band="{band}">\n    <ColorInterp>{colour}</ColorInterp>\n'
        for name, start, width in (("mosaic_west.tif", 0, 40), ("mosaic_east.tif", 40, 32)):
            bands += (
                f'    <SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename>'
                f"<SourceBand>{band}</SourceBand>"
                f'<SrcRect xOff="0" yOff="0" xSize="{width}" ySize="40"/>'
                f'<DstRect xOff="{start}" yOff="0" xSize="{width}" ySize="40"/></SimpleSource>\n'
            )
        bands += "  </VRTRasterBand>\n"
    return (
        '<VRTDataset rasterXSize="72" rasterYSize="40">\n  <SRS>EPSG:32632</SRS>\n'
        f"  <GeoTransform>{step.c}, {step.a}, 0, {step.f}, 0, {step.e}</GeoTransform>\n{bands}</VRTDataset>\n"
    )


def _item() -> dict[str, Any]:
    crs, x, y = VAIHINGEN
    side = 2 * _SIDE * GSD_M
    to_lonlat = Transformer.from_crs(crs, 4326, always_xy=True)
    ring = [
        [round(float(v), 8) for v in to_lonlat.transform(x + dx * side, y - dy * side)]
        for dx, dy in ((0, 1), (1, 1), (1, 0), (0, 0), (0, 1))
    ]
    lons, lats = zip(*ring, strict=True)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        "id": "drawn-town",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": {"datetime": "2026-06-01T10:00:00Z", "gsd": GSD_M, "proj:code": crs},
        "links": [],
        "assets": {
            "image": {
                "href": "./cog.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
            }
        },
    }
