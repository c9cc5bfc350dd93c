"""Scenes that are more than a file of one raster: subdatasets, a Sentinel-2 product, services; all show one image."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from pyproj import CRS
from rasterio.transform import from_origin
from scipy.io import netcdf_file

from geoseg import load_model, open_scene, predict
from geoseg.core.spec import PredictSpec
from geoseg.io.publish.bundle import Bundle

sys.path.insert(0, str(Path(__file__).parent / "raster"))
sys.path.insert(0, str(Path(__file__).parent / "services"))
from map_server import PIXEL_M, ZOOM, MapServer, bounds_of, known_image, serving
from test_safe_product import write_image, write_metadata

SHAPE = (120, 130)
CORNER = 200
"""First row and column of a service's scene in the server's image."""

IMAGE = known_image()[:, CORNER : CORNER + SHAPE[0], CORNER : CORNER + SHAPE[1]]
"""What every form shows: (band, y, x) uint8, each pixel of another colour than its neighbours."""

EDGES = ("west", "south", "east", "north")
UTM = from_origin(500_000, 5_400_000, 0.5, 0.5)
TITLE = "S2A_MSIL2A_20240501T101021_N0510_R022_T32UPU_20240501T150000"


@dataclass(frozen=True)
class Form:
    """A scene: its address, how it is opened and predicted, and the colours that it shows (band, y, x)."""

    uri: str
    options: dict[str, Any]
    spec: dict[str, Any]
    colours: np.ndarray = field(default_factory=lambda: IMAGE)


def write_tiff(path: Path, *, append: bool = False, values: np.ndarray = IMAGE) -> None:
    profile: dict[str, Any] = {"driver": "GTiff", "count": len(values), "dtype": "uint8", "crs": "EPSG:32632"}
    profile |= {"height": values.shape[1], "width": values.shape[2], "append_subdataset": append}
    with rasterio.open(path, "w", transform=UTM, **profile) as file:
        file.write(values)


def write_netcdf(path: Path, *, packed: bool = False) -> None:
    """A classic netCDF file: ``colours`` of three steps in UTM by CF conventions, and ``other``."""
    with netcdf_file(path, "w") as file:
        file.Conventions = "CF-1.7"
        rows, cols = np.arange(SHAPE[0]), np.arange(SHAPE[1])
        axes = {"band": np.arange(3.0), "y": UTM.f - 0.5 * (rows + 0.5), "x": UTM.c + 0.5 * (cols + 0.5)}
        for name, places in axes.items():
            file.createDimension(name, len(places))
            axis = file.createVariable(name, "d", (name,))
            axis[:] = places
            if name != "band":
                axis.standard_name, axis.units = f"projection_{name}_coordinate", "m"
        grid = file.createVariable("grid", "i", ())
        grid.grid_mapping_name = "transverse_mercator"
        grid.spatial_ref = CRS.from_epsg(32632).to_wkt("WKT1_GDAL")
        for name, plus in (("colours", 0), ("other", 1)):
            variable = file.createVariable(name, "h", ("band", "y", "x"))
            variable[:] = IMAGE.astype(np.int16) + plus
            variable.grid_mapping = "grid"
            if packed:
                variable.scale_factor, variable.add_offset = 0.5, 3.0


def of_netcdf(folder: Path) -> Form:
    write_netcdf(folder / "cube.nc")
    return Form(str(folder / "cube.nc"), {"subdataset": "colours"}, {"value_range": (0, 255)})


def of_packed_netcdf(folder: Path) -> Form:
    write_netcdf(folder / "cube.nc", packed=True)
    return Form(str(folder / "cube.nc"), {"subdataset": "colours"}, {"value_range": (0, 255)})


def of_hdf5(folder: Path) -> Form:
    """netCDF 4 under a name of HDF5: GDAL's driver HDF5 finds no place in it, so it needs an assumed pixel."""
    write_tiff(folder / "plain.tif")
    rasterio.shutil.copy(folder / "plain.tif", folder / "cube.nc", driver="netCDF", FORMAT="NC4")
    (folder / "cube.nc").rename(folder / "cube.h5")
    options = {"subdataset": "Band1", "assume_gsd_m": 0.5}
    return Form(str(folder / "cube.h5"), options, {"bands": ("1", "1", "1")}, np.repeat(IMAGE[:1], 3, axis=0)[:, ::-1])


def of_page(folder: Path) -> Form:
    write_tiff(folder / "pages.tif", values=np.zeros_like(IMAGE))
    write_tiff(folder / "pages.tif", append=True)
    return Form(str(folder / "pages.tif"), {"subdataset": "2"}, {})


def of_product(folder: Path) -> Form:
    """Red, green and blue of a Sentinel-2 product are one JPEG 2000 file each."""
    root = folder / f"{TITLE}.SAFE"
    names = []
    for band, values in zip(("B04", "B03", "B02", "B08"), (*IMAGE, IMAGE[0]), strict=True):
        names.append(f"GRANULE/L2A/IMG_DATA/R10m/T32UPU_20240501T101021_{band}_10m")
        write_image(root / f"{names[-1]}.jp2", 1000 + values[None].astype(np.uint16) * 40, 10)
    names.append("GRANULE/L2A/IMG_DATA/R10m/T32UPU_20240501T101021_TCI_10m")
    write_image(root / f"{names[-1]}.jp2", IMAGE, 10)
    write_metadata(root, names)
    return Form(str(root), {"subdataset": "10m"}, {"value_range": (1000, 1000 + 40 * 255), "gsd_m": 10})


def of_true_colours(folder: Path) -> Form:
    return Form(of_product(folder).uri, {"subdataset": "TCI"}, {"gsd_m": 10})


def of_zipped_product(folder: Path) -> Form:
    form = of_product(folder)
    root = Path(form.uri)
    with zipfile.ZipFile(folder / "product.zip", "w") as archive:
        for file in root.rglob("*.*"):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return Form(str(folder / "product.zip"), form.options, form.spec)


FILES: dict[str, Callable[[Path], Form]] = {
    "netcdf": of_netcdf,
    "packed netcdf": of_packed_netcdf,
    "hdf5": of_hdf5,
    "page": of_page,
    "product": of_product,
    "true colours": of_true_colours,
    "zipped product": of_zipped_product,
}


def window_bounds() -> str:
    return bounds_of(CORNER, CORNER + SHAPE[0], CORNER, CORNER + SHAPE[1])


CAPABILITIES = """<?xml version="1.0"?><WMS_Capabilities version="1.3.0" xmlns="http://www.opengis.net/wms"
xmlns:xlink="http://www.w3.org/1999/xlink"><Service><Name>WMS</Name><Title>Known</Title></Service><Capability><Request>
<GetCapabilities><Format>text/xml</Format><DCPType><HTTP><Get><OnlineResource xlink:href="{address}/wms?"/></Get></HTTP>
</DCPType></GetCapabilities><GetMap><Format>image/png</Format><DCPType><HTTP><Get>
<OnlineResource xlink:href="{address}/wms?"/></Get></HTTP></DCPType></GetMap></Request><Layer><Title>All</Title>
<CRS>EPSG:3857</CRS><Layer><Name>ortho</Name><Title>Ortho</Title><CRS>EPSG:3857</CRS>
<EX_GeographicBoundingBox><westBoundLongitude>5</westBoundLongitude><eastBoundLongitude>9</eastBoundLongitude>
<southBoundLatitude>49</southBoundLatitude><northBoundLatitude>52</northBoundLatitude></EX_GeographicBoundingBox>
<BoundingBox CRS="EPSG:3857" minx="600000" miny="6000000" maxx="900000" maxy="7000000"/><Style><Name>plain</Name>
<Title>Plain</Title></Style></Layer></Layer></Capability></WMS_Capabilities>"""

WMTS = """<?xml version="1.0"?><Capabilities xmlns="http://www.opengis.net/wmts/1.0" version="1.0.0"
xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xlink="http://www.w3.org/1999/xlink"><Contents>
<Layer><ows:Title>Ortho</ows:Title><ows:WGS84BoundingBox><ows:LowerCorner>{west} {south}</ows:LowerCorner>
<ows:UpperCorner>{east} {north}</ows:UpperCorner></ows:WGS84BoundingBox><ows:Identifier>ortho</ows:Identifier>
<Style isDefault="true"><ows:Identifier>plain</ows:Identifier></Style><Format>image/png</Format>
<Dimension><ows:Identifier>Year</ows:Identifier><Default>2024</Default><Value>2024</Value></Dimension>
<TileMatrixSetLink><TileMatrixSet>web</TileMatrixSet></TileMatrixSetLink>
<ResourceURL format="image/png" resourceType="tile"
template="{address}/{{Year}}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.png"/></Layer>
<TileMatrixSet><ows:Identifier>web</ows:Identifier><ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>
<TileMatrix><ows:Identifier>15</ows:Identifier><ScaleDenominator>{scale}</ScaleDenominator>
<TopLeftCorner>-20037508.342789244 20037508.342789244</TopLeftCorner><TileWidth>256</TileWidth>
<TileHeight>256</TileHeight><MatrixWidth>32768</MatrixWidth><MatrixHeight>32768</MatrixHeight></TileMatrix>
</TileMatrixSet></Contents></Capabilities>"""


def address_of(kind: str, server: MapServer) -> str:
    """Address of the image on a server."""
    place = server.address
    return {
        "xyz": f"xyz:{place}/t/{{z}}/{{x}}/{{y}}.png#zoom={ZOOM}&{window_bounds()}",
        "tms": f"xyz:{place}/tms/{{z}}/{{x}}/{{-y}}.png#zoom={ZOOM}&{window_bounds()}",
        "wms": f"wms:{place}/wms?layers=ortho&styles=plain&time=2024#pixel={PIXEL_M!r}&{window_bounds()}",
        "wmts": f"wmts:{place}/WMTSCapabilities.xml#level=15&{window_bounds()}",
    }[kind]


@contextmanager
def service_of(kind: str) -> Iterator[tuple[Form, MapServer]]:
    """Serve the image as XYZ, WMS or WMTS."""
    with serving() as server:
        server.capabilities = CAPABILITIES.format(address=server.address).encode()
        edges = dict(zip(EDGES, window_bounds().removeprefix("bounds=").split(","), strict=True))
        document = WMTS.format(address=server.address, scale=PIXEL_M / 0.00028, **edges)
        server.documents["/WMTSCapabilities.xml"] = document.encode()
        yield Form(address_of(kind, server), {"allow_remote": True}, {"gsd_m": 3.07}), server


def mapped(form: Form, model: Path, out: Path) -> Bundle:
    """Predict a scene."""
    network = load_model(model, device="cpu", runtime="torch", precision="fp32")
    spec = PredictSpec(tile_px=96, halo_px=16, **form.spec)
    with open_scene(form.uri, **form.options) as scene:
        return predict(scene, network, out=out, spec=spec).bundle
