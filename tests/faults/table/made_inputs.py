"""Inputs of the cases, made when they run."""

from __future__ import annotations

import itertools
import json
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from command_case import Make, Place
from conftest import blobs
from rasterio.errors import NotGeoreferencedWarning

GRID: Final = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
CRS: Final = "EPSG:32632"


def write(path: Path, values: npt.NDArray[Any] | None = None, **profile: Any) -> Path:
    """Write a GeoTIFF (band, y, x): smooth colours of half a metre unless told otherwise."""
    values = blobs((40, 50)) if values is None else values
    bands, height, width = values.shape
    facts: dict[str, Any] = {"driver": "GTiff", "dtype": values.dtype, "count": bands, "height": height, "width": width}
    facts |= {"crs": CRS, "transform": GRID} | ({"photometric": "RGB"} if bands == 3 else {}) | profile
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **{key: value for key, value in facts.items() if value is not None}) as file:
            file.write(values)
    return path


def scene(values: npt.NDArray[Any] | None = None, name: str = "input.tif", **profile: Any) -> Make:
    """A scene of these values."""
    return lambda place: write(place.folder / name, values, **profile)


def content(data: bytes | str, name: str = "input.tif") -> Make:
    """A file of these bytes or this text."""
    return lambda place: (place.folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def both(*makes: Make) -> Make:
    """Several inputs, one after the other."""
    return lambda place: [make(place) for make in makes]


def cut(keep: float, **profile: Any) -> Make:
    """A scene of which only the first part came."""

    def make(place: Place) -> None:
        path = write(place.folder / "input.tif", blobs((200, 200)), **profile)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])

    return make


def damaged_tile(**profile: Any) -> Make:
    """A tiled scene in whose last tile the compressed bytes are overwritten."""

    def make(place: Place) -> None:
        layout = {"tiled": True, "blockxsize": 32, "blockysize": 32}
        path = write(place.folder / "input.tif", blobs((64, 64)), **layout, **profile)
        with rasterio.open(path) as file:
            offset, size = (int(file.get_tag_item(f"BLOCK_{what}_1_1", "TIFF", bidx=3)) for what in ("OFFSET", "SIZE"))
        data = bytearray(path.read_bytes())
        data[offset + 8 : offset + size - 8] = bytes(size - 16)
        path.write_bytes(bytes(data))

    return make


def header(*entries: tuple[int, int], next_directory: int = 0) -> bytes:
    """A TIFF of one directory of long values and no pixels."""
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", next_directory)


def looping(place: Place) -> None:
    """A scene whose directory says that it is followed by itself."""
    path = write(place.folder / "input.tif")
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + entries * 12, first)
    path.write_bytes(bytes(data))


def sparse(side: int) -> Make:
    """A square scene without any written pixel."""

    def make(place: Place) -> None:
        facts = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": side, "width": side, "crs": CRS}
        layout = {"SPARSE_OK": True, "tiled": True, "blockxsize": 4096, "blockysize": 4096, "BIGTIFF": "YES"}
        with rasterio.open(place.folder / "input.tif", "w", **facts, **layout, transform=GRID):
            pass

    return make


def vrt(source: str, *, relative: bool = False, before: str = "", kind: str = "", band: str = "") -> str:
    """A VRT of 50 x 40 px whose three bands are those of a source."""
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{n}"{kind}>{band}<SimpleSource><SourceFilename '
        f'relativeToVRT="{int(relative)}">{source}</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for n in (1, 2, 3)
    )
    place = "<SRS>EPSG:32632</SRS><GeoTransform>500000,.5,0,5400000,0,-.5</GeoTransform>"
    return f'{before}<VRTDataset rasterXSize="50" rasterYSize="40">{place}{bands}</VRTDataset>'


RAW_VRT: Final = (
    '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1" {kind}="VRTRawRasterBand">'
    '<{source} relativetoVRT="0">/etc/passwd</{source}></VRTRasterBand></VRTDataset>'
)
"""A VRT that shows the bytes of a file of the system as pixels."""
LAUGHS: Final = "<!DOCTYPE x [" + '<!ENTITY a0 "' + "a" * 1000 + '">' + "".join(
    f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9)
) + "]>"  # fmt: skip
"""Entities that grow to a thousand million letters."""


def served(text: str, name: str = "input.tif") -> Make:
    """A file of a text in which ``{server}`` is the address that nobody may ask."""
    return lambda place: (place.folder / name).write_text(text.replace("{server}", place.server))


def fan(place: Place) -> None:
    """VRTs of eight VRTs each, seven deep: two million readings of one picture."""
    write(place.folder / "level7.tif")
    names = ["input.vrt", *(f"level{level}.vrt" for level in range(1, 7)), "level7.tif"]
    for name, inner in itertools.pairwise(names):
        text = vrt(inner, relative=True)
        one = text[text.index("<SimpleSource>") : text.index("</VRTRasterBand>")]
        (place.folder / name).write_text(text.replace(one, one * 8))


def palette(place: Place) -> None:
    """A scene of indices into a table of colours."""
    path = write(place.folder / "input.tif", blobs((40, 50))[:1])
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (255, 0, 0, 255), 1: (0, 255, 0, 255)})


def rational_polynomials(place: Place) -> None:
    """A scene that lies by rational polynomials only."""
    ones, whole = [1.0] * 20, dict.fromkeys(
        ("height_scale", "lat_off", "lat_scale", "line_off", "line_scale", "long_off", "long_scale", "samp_off",
         "samp_scale"), 1)  # fmt: skip
    coefficients = dict.fromkeys(("line_num_coeff", "line_den_coeff", "samp_num_coeff", "samp_den_coeff"), ones)
    rpcs = rasterio.rpc.RPC(height_off=0, err_bias=None, err_rand=None, **whole, **coefficients)
    write(place.folder / "input.tif", crs=None, transform=None, rpcs=rpcs)


def control_points(place: Place) -> None:
    """A scene that lies by ground control points only."""
    gcps = [
        rasterio.control.GroundControlPoint(row=row, col=col, x=500000 + col / 2, y=5400000 - row / 2)
        for row in (0, 40)
        for col in (0, 50)
    ]
    write(place.folder / "input.tif", transform=None, gcps=gcps)


def item(*hrefs: str, name: str = "item.json") -> Make:
    """A STAC item whose assets lie at these addresses; ``{server}`` is filled in."""

    def make(place: Place) -> None:
        assets = {
            f"a{n}": {"href": href.replace("{server}", place.server), "type": "image/tiff", "roles": ["data"]}
            for n, href in enumerate(hrefs)
        }
        facts = {"type": "Feature", "stac_version": "1.0.0", "id": "scene", "geometry": None, "links": []}
        facts |= {"properties": {"datetime": "2024-05-01T00:00:00Z"}, "assets": assets}
        (place.folder / name).write_text(json.dumps(facts))

    return make


HOUSES: Final = [shapely.box(500002 + 6 * n, 5399984, 500005 + 6 * n, 5399996) for n in range(4)]
"""Four houses of 3 m x 12 m on the small scenes."""


def house_map(place: Place) -> None:
    """A class raster in which the houses, and nothing else, are 1."""
    from rasterio.features import rasterize

    codes = rasterize(HOUSES, (40, 50), transform=GRID, dtype="uint8")
    write(place.folder / "codes.tif", codes[None], nodata=255)


def vectors(name: str, shapes: Sequence[object] = HOUSES, *, crs: str | None = CRS, to: str | None = None) -> Make:
    """A vector file of shapes, reprojected if told."""

    def make(place: Place) -> None:
        import geopandas

        frame = geopandas.GeoDataFrame({"cls": [1] * len(shapes)}, geometry=list(shapes), crs=crs)
        frame = frame if to is None else frame.to_crs(to)
        if name.endswith(".parquet"):
            frame.to_parquet(place.folder / name)
        else:
            frame.to_file(place.folder / name, driver="KML" if name.endswith(".kml") else None)

    return make
