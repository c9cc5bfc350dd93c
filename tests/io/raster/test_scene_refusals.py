"""What a scene refuses, in one line that names the file, the cause and the cure; and what cannot move or leak."""

from __future__ import annotations

import http.server
import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from geoseg.core.window import Window
from geoseg.errors import GeosegError, SceneError, UsageError
from geoseg.io.raster.scene import open_scene

UTM = CRS.from_epsg(32633)
GRID = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
VALUES = np.random.default_rng(3).integers(0, 255, (3, 64, 64), dtype=np.uint8)


def tif(path: Path, values: np.ndarray = VALUES, **profile: object) -> Path:
    count, height, width = values.shape
    profile = {"driver": "GTiff", "crs": UTM, "transform": GRID, "dtype": values.dtype, **profile}
    with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as dst:
        dst.write(values)
    return path


def refused(path: object, **options: object) -> str:
    with pytest.raises(GeosegError) as caught:
        open_scene(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == (2 if isinstance(caught.value, UsageError) else 3)
    return message


def test_what_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "gone.tif")
    assert "directory" in refused(tmp_path)
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    assert "loop.tif" in refused(tmp_path / "loop.tif")
    os.mkfifo(tmp_path / "pipe.tif")
    assert "plain file" in refused(tmp_path / "pipe.tif")
    assert "NUL" in refused("a\0.tif")
    assert "path" in refused(tmp_path / ("x" * 300))


def test_a_scene_that_may_not_be_read_is_refused_with_the_cause(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif")
    open_scene(path).close()  # all that reading imports is imported
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65534)
    try:
        message = refused(path)
    finally:
        os.seteuid(user)
    assert "ermission" in message
    assert "a.tif" in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><html>login</html>", "an HTML page"),
        (b"\x89PNG\r\n\x1a\n....", "PNG"),
        (b"PK\x03\x04", "a zip archive"),
        (b"hello", "an unknown format"),
    ],
)
def test_what_is_not_a_geotiff(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    message = refused(path)
    assert str(path) in message
    assert f"not a GeoTIFF (found: {found})" in message


@pytest.mark.parametrize("keep", [4, 8, 50, 200])
def test_a_header_cut_short(tmp_path: Path, keep: int) -> None:
    path = tif(tmp_path / "a.tif")
    path.write_bytes(path.read_bytes()[:keep])
    assert "a.tif" in refused(path)


@pytest.mark.parametrize("compress", ["none", "deflate", "lzw", "zstd"])
def test_data_cut_short_names_the_rows_and_libtiff_s_reason(tmp_path: Path, compress: str) -> None:
    path = tif(tmp_path / "a.tif", compress=compress, blockysize=8)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    with open_scene(path) as scene, pytest.raises(SceneError) as caught:
        scene.read(Window(0, 64, 0, 64))
    assert "rows 0-64" in str(caught.value)
    assert "See previous exception" not in str(caught.value)
    assert "TIFF" in str(caught.value)


def test_a_flipped_bit_spoils_its_block_only(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", compress="deflate", tiled=True, blockxsize=32, blockysize=32)
    with rasterio.open(path) as src:
        offset = int(src.tags(ns="TIFF", bidx=1)["BLOCK_OFFSET_1_1"]) if src.tags(ns="TIFF", bidx=1) else None
    data = bytearray(path.read_bytes())
    if offset is None:
        offset = len(data) - 200
    data[offset + 40 : offset + 90] = bytes(50)
    path.write_bytes(bytes(data))
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(Window(0, 32, 0, 32)).values, VALUES[:, :32, :32])
        with pytest.raises(SceneError, match="columns 32-64"):
            scene.read(Window(32, 64, 32, 64))


def test_limits_are_named(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif")
    assert "--max-mpx" in refused(path, max_pixels=4096)
    assert "3 bands, the limit is 2" in refused(path, max_bands=2)
    assert "MiB" in refused(path, max_block_bytes=1000)


def test_too_many_bands_are_refused_in_a_moment(tmp_path: Path) -> None:
    entries = [(256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (277, 10_000), (284, 1), (322, 64), (323, 64)]
    entries += [(324, 8), (325, 100)]
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4))
    start = time.process_time()
    assert "10000 bands, the limit is 1024" in refused(path)
    assert time.process_time() - start < 5


def test_a_sparse_giant_is_refused_in_a_moment_and_reads_when_allowed(tmp_path: Path) -> None:
    path, side = tmp_path / "a.tif", 200_000
    options = {"tiled": True, "SPARSE_OK": True, "compress": "deflate", "BIGTIFF": "YES", "crs": UTM, "transform": GRID}
    with rasterio.open(path, "w", driver="GTiff", count=1, height=side, width=side, dtype="uint8", **options):
        pass
    start = time.process_time()
    assert "40 Gpx" in refused(path)
    assert time.process_time() - start < 5
    with open_scene(path, max_pixels=10**11) as scene:
        assert not scene.read(Window(199_000, 200_000, 199_000, 200_000)).values.any()


@pytest.mark.parametrize(
    ("dtype", "word"),
    [("complex64", "complex"), ("complex_int16", "complex"), ("palette", "palette"), ("cmyk", "CMYK")],
)
def test_values_that_are_no_measurements(tmp_path: Path, dtype: str, word: str) -> None:
    path = tmp_path / "a.tif"
    if dtype == "palette":
        tif(path, VALUES[:1])
        with rasterio.open(path, "r+") as dst:
            dst.write_colormap(1, {0: (255, 0, 0, 255), 1: (0, 255, 0, 255)})
    elif dtype == "cmyk":
        tif(path, np.concatenate([VALUES, VALUES[:1]]).astype("uint16"), photometric="cmyk")
    else:
        tif(path, VALUES[:1].astype("complex64"), dtype=dtype)
    assert word in refused(path)


def test_no_crs_names_the_cure_and_takes_it(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", crs=None)
    assert "--assume-crs" in refused(path)
    assert "not a CRS" in refused(path, assume_crs="EPSG:banana")
    with open_scene(path, assume_crs="EPSG:32633") as scene:
        assert scene.geobox.crs == "EPSG:32633"
        assert any("assumed" in note for note in scene.notes)


def test_assume_crs_never_replaces_the_file_s_own(tmp_path: Path) -> None:
    with open_scene(tif(tmp_path / "a.tif"), assume_crs="EPSG:3857") as scene:
        assert scene.geobox.crs == "EPSG:32633"


@pytest.mark.parametrize(
    "transform",
    [Affine(0.5, 0, 1, 0, 0, 1), Affine(0, 0, 1, 0, 0, 1), Affine(1, 2, 0, 2, 4, 0), Affine(np.nan, 0, 1, 0, -1, 1)],
)
def test_a_transform_that_maps_nowhere(tmp_path: Path, transform: Affine) -> None:
    assert "transform" in refused(tif(tmp_path / "a.tif", transform=transform))


def test_rpcs_alone_need_gdalwarp(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rpcs = rasterio.rpc.RPC(
        height_off=0, height_scale=1, lat_off=1, lat_scale=1, line_off=1, line_scale=1, long_off=1, long_scale=1,
        samp_off=1, samp_scale=1, line_num_coeff=[1.0] * 20, line_den_coeff=[1.0] * 20, samp_num_coeff=[1.0] * 20,
        samp_den_coeff=[1.0] * 20, err_bias=None, err_rand=None,
    )  # fmt: skip
    with rasterio.open(path, "w", driver="GTiff", count=1, height=9, width=9, dtype="uint8", rpcs=rpcs) as dst:
        dst.write(VALUES[:1, :9, :9])
    assert "gdalwarp -rpc" in refused(path)


class _Counter(http.server.BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    handler = type("Handler", (_Counter,), {"seen": seen})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", seen
        httpd.shutdown()
        thread.join()


def vrt(source: str, relative: int = 0, extra: str = "") -> str:
    return (
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32633</SRS><GeoTransform>500000,.5,0,5400000,0,-.5'
        f'</GeoTransform>{extra}<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename '
        f'relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
        f"</VRTDataset>"
    )


RAW = (
    '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
    '<SourceFilename relativetoVRT="0">/etc/passwd</SourceFilename></VRTRasterBand></VRTDataset>'
)


def test_a_vrt_in_disguise_opens_nothing(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, seen = server
    for text in (RAW, vrt(f"/vsicurl/{address}/a.tif"), vrt(f"{address}/a.tif")):
        path = tmp_path / "a.tif"
        path.write_text(text)
        for allow in (False, True):
            assert "root:" not in refused(path, allow_vrt=allow)
    assert seen == []


def test_a_vrt_beside_its_sources_reads_when_allowed(tmp_path: Path) -> None:
    tif(tmp_path / "a.tif")
    path = tmp_path / "b.vrt"
    path.write_text(vrt("a.tif", 1))
    assert "--allow-vrt" in refused(path)
    with open_scene(path, allow_vrt=True) as scene:
        np.testing.assert_array_equal(scene.read(Window(0, 64, 0, 64)).values[0], VALUES[0])
        assert {Path(name).name for name in scene.files} == {"a.tif", "b.vrt"}


def test_what_a_vrt_may_not_refer_to(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, seen = server
    inner = tmp_path / "inner"
    inner.mkdir()
    tif(tmp_path / "outside.tif")
    (inner / "link.tif").symlink_to(tmp_path / "outside.tif")
    (inner / "disguise.tif").write_text(RAW)
    (inner / "self.vrt").write_text(vrt("self.vrt", 1))
    path = inner / "a.vrt"
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + vrt("../outside.tif", 1)
    start = time.process_time()
    for text in (
        RAW,
        bomb,
        "<VRTDataset",
        vrt(f"/vsicurl/{address}/a.tif"),
        vrt("../outside.tif", 1),
        vrt("link.tif", 1),
        vrt("disguise.tif", 1),
        vrt("self.vrt", 1),
        vrt(str(tmp_path / "outside.tif")),
        vrt("/etc/passwd"),
        vrt("&lt;VRTDataset/>"),
        vrt("gone.tif", 1),
    ):
        path.write_text(text)
        assert "root:" not in refused(path, allow_vrt=True), text
    assert time.process_time() - start < 5
    path.write_text(vrt("../outside.tif", 1))
    open_scene(path, allow_vrt=True, vrt_root=str(tmp_path)).close()
    assert seen == []


def test_addresses_send_nothing_unless_allowed(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    address, seen = server
    tif(tmp_path / "a.tif")
    for uri in (
        f"{address}/a.tif",
        f"/vsicurl/{address}/a.tif",
        "s3://bucket/a.tif",
        f"/vsizip/{tmp_path}/a.zip/a.tif",
    ):
        assert "--allow-remote" in refused(uri)
    assert "subdataset" in refused(f"GTIFF_DIR:1:{tmp_path}/a.tif")
    assert seen == []
    assert "cannot be opened" in refused(f"{address}/a.tif", allow_remote=True)
    assert seen


def test_sidecars_do_not_move_a_georeferenced_scene(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text("9\n0\n0\n-9\n1\n1\n")
    (tmp_path / "a.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:3857</SRS><GeoTransform>1,9,0,1,0,-9</GeoTransform><GCPList><GCP/></GCPList>"
        '<PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    (tmp_path / "a.tif.ovr").write_text(RAW)
    with open_scene(path) as scene:
        assert scene.geobox.transform == GRID
        assert scene.geobox.crs == "EPSG:32633"
        assert scene.nodata == 7
        assert scene.files == (str(path), f"{path}.aux.xml")
        assert "a.tfw" in scene.notes[0]
        assert "a.tif.aux.xml" in scene.notes[0]
        assert "nodata 7 is taken from a.tif.aux.xml" in scene.notes
        np.testing.assert_array_equal(scene.read(Window(0, 64, 0, 64)).values, VALUES)


def test_sidecars_that_georeference_are_named(tmp_path: Path) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = tif(tmp_path / "a.tif", crs=None, transform=None)
    (tmp_path / "a.tfw").write_text("0.5\n0\n0\n-0.5\n500000.25\n5399999.75\n")
    (tmp_path / "a.prj").write_text(UTM.to_wkt())
    with open_scene(path) as scene:
        assert scene.geobox.transform == GRID
        assert scene.geobox.crs == "EPSG:32633"
        assert any("a.tfw" in note for note in scene.notes)


def test_a_mask_file_that_is_no_tiff_is_refused(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif")
    (tmp_path / "a.tif.msk").write_text(RAW)
    assert "a.tif.msk" in refused(path)


@pytest.mark.parametrize(
    "name", ["a b.tif", "é漢.tif", "-x.tif", "a%20b.tif", "a?b#c.tif", "a:b.tif", "a\nb.tif", "'$(x)'.tif"]
)
def test_odd_names_open_and_give_safe_stems(tmp_path: Path, name: str) -> None:
    with open_scene(tif(tmp_path / name)) as scene:
        assert scene.read(Window(0, 1, 0, 1)).valid.all()
        assert not set(scene.stem) & set("/\\:%\n'\"$?#")
        assert not scene.stem.startswith(("-", "."))


def test_stems_of_different_names_differ(tmp_path: Path) -> None:
    stems = set()
    for name in ("a:b.tif", "a_b.tif", "a?b.tif", "x" * 249 + ".tif", "x" * 248 + "y.tif"):
        with open_scene(tif(tmp_path / name)) as scene:
            stems.add(scene.stem)
            assert len(scene.stem.encode()) <= 170
    assert len(stems) == 5


def test_unknown_options_are_listed(tmp_path: Path) -> None:
    assert "allow_vrt" in refused(tif(tmp_path / "a.tif"), allow_vrtt=True)
