"""A service is read as a file of the same pixels would be, tile by tile, and what it does not give is no blank map."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from map_server import COL, LEFT, PIXEL_M, ROW, TOP, ZOOM, MapServer, bounds_of, encoded, known_image, serving
from rasterio.io import MemoryFile

from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.io.services import tile_fetch

AREA = Window(100, 900, 200, 700)
WMTS = """<?xml version="1.0"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0">
{operation}<Contents><Layer><ows:Identifier>ortho</ows:Identifier><Style isDefault="true">
<ows:Identifier>default</ows:Identifier></Style><Format>image/png</Format>
<TileMatrixSetLink><TileMatrixSet>web</TileMatrixSet></TileMatrixSetLink>{resource}</Layer>
<TileMatrixSet><ows:Identifier>web</ows:Identifier><ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>
{matrices}</TileMatrixSet></Contents></Capabilities>"""
MATRIX = """<TileMatrix><ows:Identifier>{level}</ows:Identifier><ScaleDenominator>{scale!r}</ScaleDenominator>
<TopLeftCorner>-20037508.342789244 20037508.342789244</TopLeftCorner><TileWidth>256</TileWidth>
<TileHeight>256</TileHeight><MatrixWidth>{count}</MatrixWidth><MatrixHeight>{count}</MatrixHeight></TileMatrix>"""
KVP = (
    '<ows:OperationsMetadata><ows:Operation name="GetTile"><ows:DCP><ows:HTTP><ows:Get xlink:href="{0}/kvp?"/>'
    "</ows:HTTP></ows:DCP></ows:Operation></ows:OperationsMetadata>"
)
REST = (
    '<ResourceURL format="image/png" resourceType="tile" '
    'template="{0}/rest/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.png"/>'
)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_fetch, "PAUSE_S", 0.0)


@pytest.fixture
def server() -> Iterator[MapServer]:
    with serving() as served:
        yield served


def capabilities(server: MapServer, *, rest: bool) -> bytes:
    matrices = "".join(
        MATRIX.format(level=level, scale=PIXEL_M * 2 ** (ZOOM - level) / 0.00028, count=2**level) for level in (14, 15)
    )
    operation, resource = ("", REST.format(server.address)) if rest else (KVP.format(server.address), "")
    return WMTS.format(operation=operation, resource=resource, matrices=matrices).encode()


def xyz(server: MapServer, area: Window = AREA, more: str = "", path: str = "/t/{z}/{x}/{y}.png") -> str:
    bounds = bounds_of(area.row_start, area.row_stop, area.col_start, area.col_stop)
    return f"xyz:{server.address}{path}#zoom={ZOOM}&{bounds}{more}"


def opened(uri: str, **options: Any) -> Scene:
    return open_scene(uri, allow_remote=True, **options)


def refused(uri: str, **options: Any) -> str:
    with pytest.raises(SceneError) as error, opened(uri, **options) as scene:
        scene.read(scene.extent)
    return str(error.value)


def addresses(server: MapServer) -> dict[str, str]:
    """The same pixels by every kind of service."""
    bounds = bounds_of(AREA.row_start, AREA.row_stop, AREA.col_start, AREA.col_stop)
    server.documents["/rest.xml"] = capabilities(server, rest=True)
    server.documents["/kvp.xml"] = capabilities(server, rest=False)
    old = "Layers=ortho&VERSION=1.1.1&srs=EPSG:3857"
    return {
        "xyz": xyz(server),
        "tms": xyz(server, path="/s/{z}/{x}/{-y}.png"),
        "wms": f"wms:{server.address}/wms?layers=ortho#pixel={PIXEL_M!r}&{bounds}",
        "wms 1.1.1": f"wms:{server.address}/wms?{old}#pixel={PIXEL_M!r}&{bounds}&tile=300",
        "wmts rest": f"wmts:{server.address}/rest.xml#level=15&{bounds}",
        "wmts kvp": f"wmts:{server.address}/kvp.xml#layer=ortho&matrixset=web&level=15&style=default&{bounds}",
    }


@pytest.mark.parametrize("kind", ["xyz", "tms", "wms", "wms 1.1.1", "wmts rest", "wmts kvp"])
def test_every_service_gives_the_pixels_of_the_image(kind: str, server: MapServer) -> None:
    if kind == "tms":
        respond = server.respond
        count = 2**ZOOM

        def southern(path: str) -> tuple[int, bytes]:
            _, _, zoom, col, row = path.removesuffix(".png").split("/")
            return respond(f"/t/{zoom}/{col}/{count - 1 - int(row)}.png")

        server.respond = southern  # type: ignore[method-assign]
    with opened(addresses(server)[kind]) as first:
        text = pickle.dumps(first)
    with pickle.loads(text) as scene:  # noqa: S301 - its own
        assert tuple(scene.geobox.shape) == AREA.shape
        transform = scene.geobox.transform
        left, top = LEFT + AREA.col_start * PIXEL_M, TOP - AREA.row_start * PIXEL_M
        # the grid of a WMS is anchored at multiples of the pixel: the same one here but for rounding
        np.testing.assert_allclose((transform.c, transform.f), (left, top), atol=1e-3)
        np.testing.assert_allclose((transform.a, -transform.e), (PIXEL_M, PIXEL_M), rtol=1e-9)
        assert scene.geobox.crs.to_epsg() == 3857
        whole = scene.read(scene.extent)
        np.testing.assert_array_equal(whole.values, known_image()[:, *AREA.slices])
        assert whole.valid.all()
        part = scene.read(Window(3, 300, 40, 290), bands=[3, 1])
        np.testing.assert_array_equal(part.values, known_image()[[2, 0], 103:400, 240:490])
        assert [band.name for band in scene.bands] == ["red", "green", "blue"]
        assert scene.remote
        assert scene.files == ()


def test_opening_asks_nothing_and_a_window_asks_for_its_tiles_once(server: MapServer) -> None:
    with opened(xyz(server)) as scene:
        assert server.asked == []
        scene.read(Window(0, 10, 0, 10))
        assert server.asked == [f"/t/{ZOOM}/{COL}/{ROW}.png"]
        scene.read(Window(0, 200, 0, 10))  # of two tiles, one is known
        assert server.asked[1:] == [f"/t/{ZOOM}/{COL}/{ROW + 1}.png"]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(scene.read, [scene.extent] * 4))
        scene.digest()
        assert len(server.asked) == len(set(server.asked)) == 4 * 3


def test_tiles_beyond_the_memory_of_the_cache_are_not_asked_for_again(
    server: MapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geoseg.io.services.service_source._DECODED_BYTES", 1)
    monkeypatch.setattr(tile_fetch, "_CACHE_MEMORY_BYTES", 1)
    with opened(xyz(server)) as scene:
        first, second = scene.read(scene.extent), scene.read(scene.extent)
        np.testing.assert_array_equal(first.values, second.values)
        assert len(server.asked) == 12
        cache = tile_fetch.TileCache(limit_bytes=3)
        for number in range(3):
            cache.keep((0, number), tile_fetch.Fetched(content=b"ab"))
        assert [cache.find((0, number)) is None for number in range(3)] == [False, True, True]
        cache.close()


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (500, b"", r"fails \(500 .*Try again later"),
        (429, b"", r"fails \(429"),
        (403, b"", r"refuses it \(403 .*may use the service"),
        (400, b"", r"refuses it \(400"),
        (404, b"", r"has no such tile.*missing=nodata"),
        (204, b"", r"has no such tile"),
        (200, b"<!DOCTYPE html><html><body>Log in</body></html>", "an HTML page in place of an image"),
        (200, b"<ServiceExceptionReport><ServiceException>No layer x</ServiceException></ServiceExceptionReport>",
         "XML in place of an image: No layer x"),
        (200, b"", "an empty file in place of an image"),
        (200, b"<VRTDataset><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>", "VRT in place of an image"),
        (200, encoded(known_image()[:, :100, :100]), "100 x 100 px where 256 x 256 are expected.*tile=512"),
        (200, encoded(known_image(2)[:, :256, :256].astype(np.uint16)), "bands of uint16, expected are 3 of uint8"),
        (200, encoded(known_image()[:, :256, :256])[:1500], "cannot be decoded"),
        (200, encoded(known_image()[:, :256, :256], "JPEG")[:5000], "cut short|cannot be decoded"),
    ],
)  # fmt: skip
def test_what_is_no_tile_is_refused_in_words(status: int, content: bytes, words: str, server: MapServer) -> None:
    server.answer = lambda row, col: (status, content) if (row, col) == (1, 1) else None
    message = refused(xyz(server))
    with pytest.raises(SceneError, match=words):
        raise SceneError("", message)
    assert f"row {ROW + 1}, column {COL + 1}" in message


def test_a_server_that_fails_now_and_then_is_asked_again(server: MapServer) -> None:
    failures = iter([503, 429])
    server.answer = lambda *_: (status, b"") if (status := next(failures, None)) else None
    with opened(xyz(server, Window(0, 100, 0, 100))) as scene:
        np.testing.assert_array_equal(scene.read(scene.extent).values, known_image()[:, :100, :100])
    assert len(server.asked) == 3


def test_a_server_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch, server: MapServer) -> None:
    nobody = "xyz:http://me:secret@127.0.0.1:9/{z}/{x}/{y}.png#" + xyz(server).partition("#")[2]
    assert "does not answer" in refused(nobody)
    assert "secret" not in refused(nobody)
    monkeypatch.setattr(tile_fetch, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(tile_fetch, "ATTEMPTS", 1)
    server.answer = lambda *_: time.sleep(0.3)
    assert "no answer in time" in refused(xyz(server, Window(0, 10, 0, 10)))


def test_missing_tiles_are_nodata_only_where_the_user_says_so(server: MapServer) -> None:
    server.answer = lambda row, col: (404, b"") if (row, col) == (1, 1) else None
    with opened(xyz(server, more="&missing=nodata")) as scene:
        whole = scene.read(scene.extent)
        expected = np.ones(AREA.shape, bool)
        expected[156:412, 56:312] = False  # the tile of rows 256-511, columns 256-511, from row 100 and column 200
        np.testing.assert_array_equal(whole.valid, expected)
        image = known_image()[:, *AREA.slices]
        np.testing.assert_array_equal(whole.values[:, expected], image[:, expected])
        scene.read(scene.extent)
        assert len(server.asked) == 12


FORMS = [("WEBP", "alpha"), *((driver, form) for driver in ("PNG", "GTiff") for form in ("alpha", "grey", "palette"))]


@pytest.mark.parametrize(("driver", "form"), FORMS)  # WebP has neither grey nor palettes
def test_forms_of_images(driver: str, form: str, server: MapServer) -> None:
    area = Window(0, 256, 0, 256)
    image = known_image()[:, :256, :256]
    valid = np.ones((256, 256), bool)
    options: dict[str, Any] = {"LOSSLESS": "YES"} if driver == "WEBP" else {}
    if form == "grey":
        content = encoded(image[:1], driver)
        expected = np.repeat(image[:1], 3, axis=0)
    elif form == "alpha":
        valid[:100] = False
        alpha = (valid * 255).astype(np.uint8)[None]
        more = {"photometric": "RGB", "ALPHA": "YES"} if driver == "GTiff" else {}
        content, expected = encoded(np.concatenate([image, alpha]), driver, **options, **more), image
    else:
        content = with_palette(image[0], driver)
        expected = np.stack([image[0], 255 - image[0], np.full_like(image[0], 9)])
    server.answer = lambda *_: (200, content)
    with opened(xyz(server, area)) as scene:
        whole = scene.read(scene.extent)
    np.testing.assert_array_equal(whole.valid, valid)
    np.testing.assert_array_equal(whole.values[:, valid], expected[:, valid])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_images_of_few_bits_reach_from_black_to_white(bits: int, server: MapServer) -> None:
    most = 2**bits - 1
    grey = (np.arange(256 * 256, dtype=np.uint32).reshape(1, 256, 256) % (most + 1)).astype(np.uint8)
    server.answer = lambda *_: (200, encoded(grey, "PNG", NBITS=bits))
    with opened(xyz(server, Window(0, 256, 0, 256))) as scene:
        values = scene.read(scene.extent).values
    np.testing.assert_array_equal(values, np.repeat(np.round(grey / most * 255), 3, axis=0))


def with_palette(indices: np.ndarray, driver: str) -> bytes:
    with suppress_gdal_messages(), MemoryFile() as file:
        with file.open(driver=driver, count=1, height=256, width=256, dtype="uint8") as dataset:
            dataset.write_colormap(1, {n: (n, 255 - n, 9, 255) for n in range(256)})
            dataset.write(indices, 1)
        return bytes(file.read())


def test_values_of_other_types_are_read_when_told(server: MapServer) -> None:
    values = known_image(4)[:, :256, :256].astype(np.uint16) * 40
    server.answer = lambda *_: (200, encoded(values, "GTiff"))
    with opened(xyz(server, Window(0, 256, 0, 256), "&bands=4&dtype=uint16")) as scene:
        np.testing.assert_array_equal(scene.read(scene.extent).values, values)
        assert (scene.dtype, len(scene.bands)) == (np.dtype(np.uint16), 4)


def test_a_login_goes_to_its_server_alone_and_is_told_to_nobody(server: MapServer) -> None:
    login = xyz(server, Window(0, 10, 0, 10)).replace("http://", "http://me:s3cret%40@")
    with opened(login) as scene:
        scene.read(scene.extent)
        assert server.logins == ["me:s3cret@"]
        shown = f"{scene!r}{scene._repr_html_()}{scene.service}{scene.stem}{scene.notes}"
        assert "s3cret" not in shown
    with serving() as other:
        server.redirect = f"{other.address}/t/15/{COL}/{ROW}.png"
        message = refused(login)
        assert "s3cret" not in message
        assert other.asked == []
    server.redirect, server.answer = "", lambda *_: (403, b"")
    assert "s3cret" not in refused(login)
    address = server.address.replace("//", "//me:s3cret@")
    assert "s3cret" not in refused(f"wmts:{address}/none/0/0/0#{bounds_of(0, 9, 0, 9)}")


def test_no_request_is_sent_unless_allowed(server: MapServer) -> None:
    for uri in addresses(server).values():
        with pytest.raises(UsageError, match="--allow-remote"):
            open_scene(uri)
    assert server.asked == []


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("xyz:ftp://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1", "http:// or https:// address is expected"),
        ("xyz:file:///etc/{z}/{x}/{y}#zoom=1&bounds=0,0,1,1", "http:// or https:// address is expected"),
        ("xyz:https://{x}.b/{z}/{y}.png#zoom=1&bounds=0,0,1,1", "{z}, {x} and {y} are expected"),
        ("xyz:https://a.b/{z}/{x}/{y}/{s}.png#zoom=1&bounds=0,0,1,1", "nothing else in braces"),
        ("xyz:https://a.b/{z}/{x}.png#zoom=1&bounds=0,0,1,1", "{z}, {x} and {y} are expected"),
        ("xyz:https://a.b/{z}/{x}/{y}.png", "bounds are missing"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#bounds=0,0,1,1", "zoom is missing after the #. Add zoom=17"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=99&bounds=0,0,1,1", "zoom is '99'"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=1,0,0,1", "west < east"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1", "WEST,SOUTH,EAST,NORTH"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,86,1,87", "beyond latitude 85"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,nan,1,inf", "WEST,SOUTH,EAST,NORTH"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1&tile=300", "256 or 512"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1&tiel=256", "'tiel' is unknown after the #"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&zoom=2&bounds=0,0,1,1", "given twice"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1&missing=yes", "it is error or nodata"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1&dtype=int99", "dtype is 'int99'"),
        ("xyz:https://a.b/{z}/{x}/{y}.png#zoom", "no address"),
        ("xyz:https://a.b:port/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1", "no address"),
        ("wms:https://a.b/wms#pixel=1&bounds=0,0,1,1", "layers are missing"),
        ("wms:https://a.b/wms?layers=a#bounds=0,0,1,1", "pixel is missing"),
        ("wms:https://a.b/wms?layers=a#pixel=0&bounds=0,0,1,1", "pixel is '0'"),
        ("wms:https://a.b/wms?layers=a&crs=EPSG:0#pixel=1&bounds=0,0,1,1", "which is none"),
        ("wms:https://a.b/wms?layers=a&crs=EPSG:4978#pixel=1&bounds=0,0,1,1", "no CRS of maps"),
        ("wms:https://a.b/wms?layers=a&bbox=0,0,1,1#pixel=1&bounds=0,0,1,1", "BBOX cannot be given"),
        ("wms:https://a.b/wms?layers=a&LAYERS=b#pixel=1&bounds=0,0,1,1", "given twice"),
        ("wms:https://a.b/wms?layers=a&version=2#pixel=1&bounds=0,0,1,1", "version is '2'"),
    ],
)
def test_wrong_addresses_are_refused_before_any_request(uri: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        opened(uri)
    assert words in str(error.value)


def test_options_of_files_are_refused(server: MapServer) -> None:
    for options in ({"assets": ("red",)}, {"subdataset": "1"}, {"assume_crs": "EPSG:3857"}, {"alpha": "yes"}):
        with pytest.raises(UsageError, match="a service is not opened with"):
            opened(xyz(server), **options)
    with pytest.raises(SceneError, match="Gpx, the limit is"):
        opened("xyz:https://a.b/{z}/{x}/{y}.png#zoom=22&bounds=-170,-80,170,80")


def test_longitude_comes_first_in_the_box_of_crs84(server: MapServer) -> None:
    place = f"wms:{server.address}/wms?layers=a&version=1.3.0&crs=CRS:84#pixel=0.001&{bounds_of(0, 10, 0, 10)}"
    with opened(place) as scene:
        scene.read(Window(0, 1, 0, 1))
        asked = dict(pair.split("=") for pair in server.asked[-1].partition("?")[2].split("&"))
    assert asked["CRS"] == "CRS:84"
    assert float(asked["BBOX"].split(",")[0]) < 40 < float(asked["BBOX"].split(",")[1])


def test_scenes_of_other_paths_and_parameters_have_other_names_and_a_login_changes_none(server: MapServer) -> None:
    one = xyz(server, Window(0, 10, 0, 10))
    other, login = one.replace("/t/", "/u/"), one.replace("http://", "http://me:pw@")
    wms = f"wms:{server.address}/wms?layers=a&crs=EPSG:3857&time=YEAR#pixel=1&{bounds_of(0, 10, 0, 10)}"
    places = (one, other, login, wms.replace("YEAR", "2019"), wms.replace("YEAR", "2020"))
    names = [opened(place).stem for place in places]
    assert names[0] == names[2] and len(set(names)) == 4  # noqa: PT018


def test_latitude_comes_first_in_the_box_of_wms_1_3_where_the_crs_says_so(server: MapServer) -> None:
    area = bounds_of(0, 10, 0, 10)
    for version, latitude_first in (("1.3.0", True), ("1.1.1", False)):
        with opened(f"wms:{server.address}/wms?layers=a&version={version}&crs=EPSG:4326#pixel=0.001&{area}") as scene:
            scene.read(Window(0, 1, 0, 1))
            asked = dict(pair.split("=") for pair in server.asked[-1].partition("?")[2].split("&"))
            one, two, *_ = (float(number) for number in asked["BBOX"].split(","))
            assert (one > 40, two > 40) == (latitude_first, not latitude_first)
            assert scene.geobox.crs.to_epsg() == 4326


def test_choices_of_a_wmts_are_listed_and_tiles_elsewhere_on_this_machine_are_not_followed(server: MapServer) -> None:
    area = bounds_of(0, 10, 0, 10)
    server.documents["/a.xml"] = capabilities(server, rest=True)
    for words, message in (
        ("", r"level is missing.*14, 15"),
        ("&level=3", r"no level '3'.*14, 15"),
        ("&level=15&layer=x", r"no layer 'x'.*ortho"),
        ("&level=15&matrixset=x", r"no matrixset 'x'.*web"),
    ):
        with pytest.raises(UsageError, match=message):
            opened(f"wmts:{server.address}/a.xml#{area}{words}")
    good = capabilities(server, rest=True)
    for change, message in (
        ((server.address.encode(), b"http://localhost:9"), "is not followed"),
        ((server.address.encode(), b"file:///etc"), "is not followed"),
        ((b"{TileRow}", b"{TileRow}/{other}"), "capabilities are damaged"),
        ((b"<ScaleDenominator>", b"<ScaleDenominator>x"), "capabilities are damaged"),
        ((b'<?xml version="1.0"?>', b"<!DOCTYPE a>"), "no WMTS capabilities"),
    ):
        server.documents["/a.xml"] = good.replace(*change)
        with pytest.raises(SceneError, match=message):
            opened(f"wmts:{server.address}/a.xml#{area}&level=15")
