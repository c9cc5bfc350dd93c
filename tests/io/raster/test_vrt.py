"""A plain VRT reads as GDAL reads it; of any other, nothing reaches GDAL, and its refusal takes no time."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.raster.scene import open_scene

GRID = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
SIDE = 40


def tif(path: Path, seed: int, *, bands: int = 3, mask: bool = False, east_px: int = 0, **profile: object) -> Path:
    values = np.random.default_rng(seed).integers(0, 200, (bands, SIDE, SIDE), dtype=np.uint8)
    values[:, :7, :9] = 0
    profile = {"crs": "EPSG:32633", "transform": GRID @ Affine.translation(east_px, 0), **profile}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", count=bands, height=SIDE, width=SIDE, dtype="uint8", **profile) as dst,
    ):
        dst.write(values)
        if mask:
            dst.write_mask(values[0] > 60)
    return path


def source(name: str, inner: str = "", *, kind: str = "SimpleSource", band: str = "1", attributes: str = "") -> str:
    return (
        f'<{kind}{attributes}><SourceFilename relativeToVRT="1">{name}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>{inner}</{kind}>"
    )


def rects(from_px: tuple[float, ...], to_px: tuple[float, ...]) -> str:
    names = ("xOff", "yOff", "xSize", "ySize")
    return "".join(
        f"<{tag} {' '.join(f'{name}={chr(34)}{value}{chr(34)}' for name, value in zip(names, rect, strict=True))}/>"
        for tag, rect in (("SrcRect", from_px), ("DstRect", to_px))
    )


def vrt(*bands: str, size: tuple[int, int] = (SIDE, SIDE), more: str = "") -> str:
    numbered = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}">{inner}</VRTRasterBand>'
        for number, inner in enumerate(bands, 1)
    )
    return (
        f'<VRTDataset rasterXSize="{size[1]}" rasterYSize="{size[0]}"><SRS dataAxisToSRSAxisMapping="1,2">EPSG:32633'
        f"</SRS><GeoTransform>500000, 0.5, 0, 5400000, 0, -0.5</GeoTransform>{more}{numbered}</VRTDataset>"
    )


def same_as_gdal(path: Path, **options: object) -> None:
    with open_scene(path, allow_vrt=True, **options) as scene, rasterio.open(path) as oracle:
        shape = (int(scene.geobox.shape[0]), int(scene.geobox.shape[1]))
        assert shape == oracle.shape
        points, points_crs = oracle.gcps
        assert scene.geobox.crs == (oracle.crs or points_crs).to_wkt()
        assert [(p.row, p.col, p.x, p.y) for p in scene.gcps] == [(p.row, p.col, p.x, p.y) for p in points]
        if not points:
            assert scene.geobox.transform == oracle.transform
        raster = scene.read(Window.whole(shape))
        np.testing.assert_array_equal(raster.values, oracle.read([band.index for band in scene.bands]))
        np.testing.assert_array_equal(raster.valid, oracle.dataset_mask() > 0)
        assert scene.nodata == oracle.nodata
        assert [(band.scale, band.offset) for band in scene.bands] == list(
            zip(oracle.scales, oracle.offsets, strict=True)
        )
        assert [band.description for band in scene.bands] == [text or "" for text in oracle.descriptions]


NODATA = "<NODATA>0</NODATA>"
SPREAD = rects((0, 0, SIDE, SIDE), (SIDE // 2, 0, SIDE, SIDE))
PLAIN = {
    "one": vrt(source("a.tif"), source("a.tif", band="3")),
    "mosaic": vrt(
        "<NoDataValue>0</NoDataValue><ColorInterp>Gray</ColorInterp>"
        + source("a.tif", rects((0, 0, SIDE, SIDE), (0, 0, SIDE, SIDE)) + NODATA, kind="ComplexSource")
        + source("b.tif", SPREAD + NODATA, kind="ComplexSource"),
        size=(SIDE, SIDE * 3 // 2),
    ),
    "resampled": vrt(
        source("a.tif", rects((1.5, 2, 30, 21.25), (0, 0, 17, 33)), attributes=' resampling="bilinear"'),
        source("a.tif", rects((0, 0, SIDE, SIDE), (0, 0, 20, 20)), attributes=' resampling="cubic"'),
    ),
    "values": vrt(
        "<Description>nir</Description><Scale>0.01</Scale><Offset>-1.5</Offset>"
        + source("a.tif", "<ScaleOffset>3</ScaleOffset><ScaleRatio>0.5</ScaleRatio>", kind="ComplexSource"),
        source("a.tif", "<LUT>0:9,100:50,255:60</LUT>", kind="ComplexSource"),
    ),
    "masked": vrt(
        source("masked.tif"),
        more=f'<MaskBand><VRTRasterBand dataType="Byte">{source("masked.tif", band="mask,1")}</VRTRasterBand>'
        "</MaskBand>",
    ),
    "use_mask": vrt(source("a.tif") + source("masked.tif", "<UseMaskBand>true</UseMaskBand>", kind="ComplexSource")),
    "said": vrt(
        '<Metadata><MDI key="a">b</MDI></Metadata><CategoryNames><Category>x</Category></CategoryNames>'
        '<UnitType>m</UnitType><Histograms/><Overview><SourceFilename relativeToVRT="1">gone.ovr</SourceFilename>'
        "<SourceBand>1</SourceBand></Overview>" + source("a.tif"),
        more='<Metadata domain="X"><MDI key="k">v</MDI></Metadata><OverviewList resampling="average">2</OverviewList>',
    ),
    "nested": vrt(source("mosaic.vrt", rects((0, 0, SIDE, SIDE), (0, 0, SIDE, SIDE))), source("one.vrt", band="2")),
    "properties": vrt(
        source(
            "a.tif",
            f'<SourceProperties RasterXSize="{SIDE}" RasterYSize="{SIDE}" DataType="Byte" BlockXSize="{SIDE}" '
            f'BlockYSize="8"/>',
        )
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tif(tmp_path / "a.tif", 1)
    tif(tmp_path / "b.tif", 2, east_px=SIDE // 2)
    tif(tmp_path / "masked.tif", 3, mask=True)
    for name, text in PLAIN.items():
        (tmp_path / f"{name}.vrt").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_vrt_reads_as_gdal_reads_it(folder: Path, name: str) -> None:
    same_as_gdal(folder / f"{name}.vrt")


def test_what_gdal_itself_writes_reads_as_gdal_reads_it(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row=r, col=c, x=13 + c * 1e-5, y=48 - r * 1e-5)
        for r, c in ((0, 0), (0, 40), (40, 0), (40, 40))
    ]
    tif(tmp_path / "utm.tif", 1, nodata=0)
    tif(tmp_path / "degrees.tif", 2, crs="EPSG:4326", transform=Affine(1e-5, 0, 13, 0, -1e-5, 48), mask=True)
    tif(tmp_path / "points.tif", 3, crs="EPSG:4326", transform=None, gcps=points)
    with rasterio.open(tif(tmp_path / "alpha.tif", 4, bands=4), "r+") as dst:
        dst.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    for name in ("utm", "degrees", "points"):
        with rasterio.open(tmp_path / f"{name}.tif") as src:
            rasterio.shutil.copy(src, tmp_path / f"{name}.vrt", driver="VRT")
        same_as_gdal(tmp_path / f"{name}.vrt")
    rasterio.shutil.copy(tmp_path / "alpha.tif", tmp_path / "alpha.vrt", driver="VRT")
    with open_scene(tmp_path / "alpha.vrt", allow_vrt=True) as scene, rasterio.open(tmp_path / "alpha.tif") as oracle:
        assert [band.name for band in scene.bands] == ["red", "green", "blue"]
        np.testing.assert_array_equal(scene.read(Window(0, SIDE, 0, SIDE)).valid, oracle.read(4) > 0)


def test_its_files_are_those_it_was_made_of(folder: Path) -> None:
    with open_scene(folder / "nested.vrt", allow_vrt=True) as scene:
        names = {Path(name).name for name in scene.files}
        assert names == {"nested.vrt", "mosaic.vrt", "one.vrt", "a.tif", "b.tif"}
        before = scene.digest()
    tif(folder / "b.tif", 9, east_px=SIDE // 2)
    with open_scene(folder / "nested.vrt", allow_vrt=True) as scene:
        assert scene.digest() != before


def test_a_link_to_a_vrt_leads_to_the_folder_of_the_vrt(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "one.vrt"
    link.symlink_to(folder / "one.vrt")
    with pytest.raises(SceneError, match="--vrt-root"):
        open_scene(link, allow_vrt=True)
    same_as_gdal(link, vrt_root=str(folder))


def _refused(path: Path, text: str) -> str:
    path.write_text(text)
    try:
        open_scene(path, allow_vrt=True).close()
    except SceneError as error:
        return str(error)
    raise AssertionError(f"opened: {text}")


def _changed(text: str) -> Iterator[str]:
    """Every VRT that has one more attribute or one more element than a plain one."""
    for start in re.finditer(r"<[A-Za-z]+", text):
        yield f'{text[: start.end()]} subclass="VRTRawRasterBand"{text[start.end() :]}'
    for end in re.finditer(r"</", text):
        more = '<sourcefilename relativetoVRT="0">/etc/passwd</sourcefilename>'
        yield text[: end.start()] + more + text[end.start() :]


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "said"])
def test_one_word_too_many_is_refused_wherever_it_stands(folder: Path, name: str) -> None:
    for text in _changed(PLAIN[name]):
        assert "gdal_translate" in _refused(folder / "changed.vrt", text)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port, and what was asked of it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    heard.append(client.recv(200))

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], heard


RAW = '<SourceFilename relativetoVRT="0">/etc/passwd</SourceFilename><ImageOffset>0</ImageOffset>'


def _hostile(port: int) -> Iterator[str]:
    address = f"http://127.0.0.1:{port}/a.tif"
    for name in (address, f"/vsicurl/{address}", f"/vsicurl?url={address}", f"vrt://{address}", f"WMS:{address}"):
        yield vrt(source(name).replace('"1"', '"0"', 1))
        yield vrt(source(name).replace("SourceFilename", "sourcefilename"))
        yield vrt(source(name).replace("SourceFilename", "sourceFilename"))
    yield vrt(RAW).replace("<VRTRasterBand", '<VRTRasterBand SubClass="VRTRawRasterBand"')
    yield vrt(RAW).replace("<VRTRasterBand", '<VRTRasterBand subClass="VRTRawRasterBand"')
    yield vrt(RAW.replace("SourceFilename", "sourceFilename")).replace(
        "<VRTRasterBand", '<VRTRasterBand Subclass="VRTRawRasterBand"'
    )
    yield vrt(source("a.tif")).replace("EPSG:32633", address)
    yield vrt(source("a.tif")).replace("EPSG:32633", "/etc/passwd")
    yield vrt(
        source("a.tif"), more=f'<GCPList Projection="{address}"><GCP Id="1" Pixel="0" Line="0" X="1" Y="1"/></GCPList>'
    )
    yield vrt(source("a.tif"), more=f"<SourceDataset>{address}</SourceDataset>")
    yield vrt(source("a.tif", "<OpenOptions><OOI key='x'>y</OOI></OpenOptions>"))
    yield vrt("<PixelFunctionType>sum</PixelFunctionType>" + source("a.tif"))
    yield vrt(source("a.tif", "<Kernel/>", kind="KernelFilteredSource"))
    yield vrt(source(f"&lt;VRTDataset rasterXSize='1'/&gt;{address}"))
    yield vrt(source("a.tif")).replace("<VRTDataset", '<VRTDataset subClass="VRTWarpedDataset"')
    yield vrt(source("a.tif")).replace("<VRTDataset", '<VRTDataset subClass="VRTPansharpenedDataset"')
    yield vrt(source("item.json"))
    yield vrt(source("a.tif")).replace("Byte", "Bite")
    yield vrt(source("a.tif", band="1 or 2"))


def test_nothing_of_a_hostile_vrt_reaches_gdal(folder: Path, listener: tuple[int, list[bytes]]) -> None:
    port, heard = listener
    (folder / "item.json").write_text("{}")
    path = folder / "hostile.vrt"
    for text in _hostile(port):
        message = _refused(path, text)
        assert str(path) in message
        assert "root:" not in message
    assert heard == []


@pytest.mark.parametrize("fan", [60, 300])
def test_vrts_of_vrts_of_vrts_are_refused_at_once(tmp_path: Path, fan: int) -> None:
    tif(tmp_path / "leaf.tif", 1)
    for level in range(4):
        name = "leaf.tif" if level == 3 else f"fan{level + 1}.vrt"
        (tmp_path / f"fan{level}.vrt").write_text(vrt(source(name) * fan))
    start = time.process_time()
    with pytest.raises(SceneError, match="sources, the limit is"):
        open_scene(tmp_path / "fan0.vrt", allow_vrt=True)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "text",
    [
        '<VRTDataset rasterXSize="1" rasterYSize="1">' + "<Metadata>" * 2_000_000,
        '<VRTDataset rasterXSize="1" rasterYSize="1"><Metadata>' + "<a/>" * 4_000_000,
        f'<VRTDataset rasterXSize="1" rasterYSize="1" a="{"a" * 20_000_000}"/>',
        f'<VRTDataset rasterXSize="{"1" * 5000}" rasterYSize="1"/>',
        f'<VRTDataset rasterXSize="1" rasterYSize="1"><GeoTransform>{"1" * 20_000_000}</GeoTransform></VRTDataset>',
        vrt(*[""] * 100_000),
    ],
    ids=["deep", "many", "long", "digits", "number", "bands"],
)
def test_a_vrt_of_any_shape_is_refused_in_a_moment(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.vrt"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(SceneError) as caught:
        open_scene(path, allow_vrt=True)
    assert time.process_time() - start < 5
    assert len(str(caught.value)) < 1000


def test_a_circle_of_vrts_is_refused(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.vrt").write_text(vrt(source(f"{other}.vrt")))
    with pytest.raises(SceneError, match="deep"):
        open_scene(tmp_path / "a.vrt", allow_vrt=True)


def test_closed_scenes_leave_no_documents_behind(folder: Path) -> None:
    with open_scene(folder / "nested.vrt", allow_vrt=True) as scene:
        name = scene._parts[0].source.dataset.name
        assert name.startswith("/vsimem/")
    with pytest.raises(rasterio.errors.RasterioIOError):
        rasterio.open(name)
