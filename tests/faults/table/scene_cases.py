"""Cases of scenes that are no picture, damaged, too large, or would read or fetch something."""

from __future__ import annotations

from functools import partial

import command_case
from command_case import Place
from made_inputs import (
    LAUGHS,
    RAW_VRT,
    both,
    content,
    cut,
    damaged_tile,
    fan,
    header,
    item,
    looping,
    scene,
    served,
    sparse,
    vrt,
    write,
)
from scene_runs import (
    PREDICT,
    SMALL,
    as_without_sidecars,
    noted,
    predict,
)

refused = partial(command_case.refused, command=PREDICT)
done = partial(command_case.done, command=PREDICT)


def sidecars(place: Place) -> None:
    """Write a scene with hostile files beside it."""
    write(place.folder / "input.tif")
    (place.folder / "input.tfw").write_text("9\n0\n0\n-9\n1\n1\n")
    (place.folder / "input.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:3857</SRS><GeoTransform>1,9,0,1,0,-9</GeoTransform></PAMDataset>"
    )
    (place.folder / "input.tif.ovr").write_text(RAW_VRT.format(kind="subClass", source="SourceFilename"))


def bombs_beside(place: Place) -> None:
    """Write a scene with a bomb of entities beside it."""
    write(place.folder / "input.tif")
    (place.folder / "input.tif.aux.xml").write_text(f"{LAUGHS}<PAMDataset><SRS>&a9;</SRS></PAMDataset>")


def linked_in_a_circle(place: Place) -> None:
    """Make a link that leads to itself."""
    (place.folder / "input.tif").symlink_to(place.folder / "input.tif")


FILES = (
    refused("a scene that is missing", lambda _: None, 3, "input.tif", memory=SMALL, quick=True),
    refused(
        "a folder under the name of a scene, without scenes",
        lambda place: (place.folder / "input.tif").mkdir(),
        2,
        "input.tif",
    ),
    refused("an empty file", content(b""), 3, "empty", memory=SMALL),
    refused(
        "a web page saved as a scene",
        content("<html><body>404</body></html>"),
        3,
        "not a GeoTIFF",
        "HTML",
        memory=SMALL,
    ),
    refused(
        "a PNG renamed to .tif", content(b"\x89PNG\r\n\x1a\n" + bytes(90)), 3, "not a GeoTIFF", "PNG", memory=SMALL
    ),
    refused("a link in a circle", linked_in_a_circle, 3, "input.tif"),
    refused("a header that is cut", content(b"II*\x00\x08\x00\x00\x00@"), 3, "input.tif"),
    refused("a download that stopped half way", cut(0.5, compress="lzw"), 3, "input.tif", "rows", quick=True),
    *(
        refused(
            f"damaged {kind} in one tile",
            damaged_tile(compress=kind),
            3,
            "input.tif",
            "columns 32-64",
            command=(*PREDICT, "--block-px", "32", "--tile-px", "32", "--halo-px", "0"),
        )
        for kind in ("deflate", "lzw", "zstd", "jpeg")
    ),
    done("a directory that is followed by itself", looping, "mapped, and noted in the record", noted("looping")),
    refused(
        "a width of 2^31",
        content(header((256, 2**31), (257, 9), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 9), (279, 9))),
        3,
        "input.tif",
        memory=SMALL,
        seconds=40,
    ),
    refused(
        "tiles of 262144 x 262144",
        content(
            header(
                (256, 64),
                (257, 64),
                (258, 8),
                (259, 1),
                (262, 1),
                (277, 1),
                (322, 262144),
                (323, 262144),
                (324, 8),
                (325, 100),
            )
        ),
        3,
        "input.tif",
        memory=SMALL,
        seconds=40,
    ),
    refused(
        "10,000 bands",
        content(
            header(
                (256, 64),
                (257, 64),
                (258, 8),
                (259, 1),
                (262, 1),
                (277, 10000),
                (284, 1),
                (322, 64),
                (323, 64),
                (324, 8),
                (325, 100),
            )
        ),
        3,
        "10000 bands, the limit is",
        memory=SMALL,
        seconds=40,
    ),
    refused(
        "a sparse file of 40 billion pixels",
        sparse(200000),
        3,
        "40 Gpx",
        "--max-mpx",
        memory=SMALL,
        seconds=40,
        quick=True,
    ),
)


HOSTILE = (
    refused(
        "a VRT under the name of a TIFF that shows a file of the system",
        content(RAW_VRT.format(kind="subClass", source="SourceFilename")),
        3,
        "VRT",
        quick=True,
    ),
    refused("a VRT under the name of a TIFF that fetches an address", served(vrt("/vsicurl/{server}/a.tif")), 3, "VRT"),
    refused("a VRT, not allowed", content(vrt("a.tif"), "input.vrt"), 2, "--allow-vrt", command=predict("input.vrt")),
    refused(
        "a VRT of raw bytes, allowed",
        content(RAW_VRT.format(kind="subClass", source="SourceFilename"), "input.vrt"),
        3,
        "input.vrt",
        command=predict("input.vrt", "--allow-vrt"),
    ),
    refused(
        "the same in other letters (`SubClass`, `sourcefilename`)",
        content(RAW_VRT.format(kind="SubClass", source="sourcefilename"), "input.vrt"),
        3,
        "input.vrt",
        command=predict("input.vrt", "--allow-vrt"),
        quick=True,
    ),
    refused(
        "a VRT that fetches an address, allowed",
        served(vrt("/vsicurl/{server}/a.tif"), "input.vrt"),
        3,
        "input.vrt",
        command=predict("input.vrt", "--allow-vrt"),
    ),
    refused(
        "a VRT with a source outside its folder",
        both(
            scene(name="a.tif"),
            lambda place: (place.folder / "b").mkdir(),
            content(vrt("../a.tif", relative=True), "b/input.vrt"),
        ),
        3,
        "input.vrt",
        "--vrt-root",
        command=predict("b/input.vrt", "--allow-vrt"),
    ),
    done(
        "a VRT beside its source, allowed",
        both(scene(), content(vrt("input.tif", relative=True), "input.vrt")),
        "is mapped",
        as_without_sidecars,
        command=predict("input.vrt", "--allow-vrt"),
    ),
    refused(
        "a VRT that is its own source",
        content(vrt("input.vrt", relative=True), "input.vrt"),
        3,
        "input.vrt",
        command=predict("input.vrt", "--allow-vrt"),
        seconds=40,
    ),
    refused(
        "VRTs that lead to two million readings",
        fan,
        3,
        "input.vrt",
        command=predict("input.vrt", "--allow-vrt"),
        seconds=40,
    ),
    refused(
        "a VRT with a bomb of entities",
        content(vrt("a.tif", before=LAUGHS), "input.vrt"),
        3,
        "input.vrt",
        command=predict("input.vrt", "--allow-vrt"),
        memory=SMALL,
        seconds=40,
    ),
    done(
        "a bomb of entities in `.aux.xml`",
        bombs_beside,
        "is left out, the scene is mapped where it lies",
        as_without_sidecars,
        memory=2 * 10**9,
    ),
    done(
        "hostile `.tfw`, `.aux.xml` and `.ovr` beside a scene",
        sidecars,
        "move nothing and are noted",
        as_without_sidecars,
        quick=True,
    ),
    *(
        refused(f"`{address}` as a scene", lambda _: None, 2, cure, command=predict(address))
        for address, cure in (
            ("{server}/a.tif", "--allow-remote"),
            ("/vsicurl/{server}/a.tif", "--allow-remote"),
            ("s3://bucket/a.tif", "--allow-remote"),
            ("/vsizip/{folder}/a.zip/a.tif", "--allow-remote"),
            ("GTIFF_DIR:1:a.tif", "subdataset"),
            ("wmts:{server}/capabilities.xml#bounds=0,0,1,1", "--allow-remote"),
            ("wms:{server}/wms?layers=a#pixel=1&bounds=0,0,1,1", "--allow-remote"),
        )
    ),
    *(
        refused(f"a STAC item whose asset is `{href}`", item(href), code, "item.json", command=predict("item.json"))
        for href, code in (
            ("../../../../../etc/passwd", 3),
            ("file:///etc/passwd", 3),
            ("/etc/passwd", 3),
            ("a\0b.tif", 3),
            ("{server}/a.tif", 3),
            ("http://169.254.169.254/a.tif", 3),
        )
    ),
)


CASES = {"Files that are no scene, damaged or too large": FILES, "Scenes that would read or fetch something": HOSTILE}
