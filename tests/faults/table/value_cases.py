"""Cases of scenes that lie, count or are called otherwise than most."""

from __future__ import annotations

import json
from functools import partial

import command_case
import numpy as np
import rasterio
from affine import Affine
from command_case import Ended, Law, Make, Place
from conftest import blobs
from made_inputs import (
    control_points,
    palette,
    rational_polynomials,
    scene,
    write,
)
from scene_runs import (
    COLOURS,
    OPTIONS,
    PREDICT,
    codes,
    hides,
    lies_as_the_scene,
    placed_as_told,
    predict,
    segments,
    valid_where,
)

refused = partial(command_case.refused, command=PREDICT)
done = partial(command_case.done, command=PREDICT)


def placed_by_points(ended: Ended) -> None:
    """The polygons lie on the ground that the control points span."""
    bounds = segments(ended).total_bounds
    np.testing.assert_allclose(bounds, [500000, 5399980, 500025, 5400000], atol=0.01)


def nothing_mapped(ended: Ended) -> None:
    """The outputs are whole and hold nothing."""
    with codes(ended) as made:
        assert not made.dataset_mask().any()
    assert len(segments(ended)) == 0


def degrees(ended: Ended) -> None:
    """Areas of a scene in degrees are those on the ellipsoid."""
    from pyproj import Geod

    frame = segments(ended)
    true = [abs(Geod(ellps="WGS84").geometry_area_perimeter(shape)[0]) for shape in frame.to_crs(4326).geometry]
    np.testing.assert_allclose(frame["area_m2"], true, rtol=2e-3)


def box_on_the_globe(ended: Ended) -> None:
    """The STAC item of a scene across the antimeridian has a bbox whose west is east of its east."""
    degrees(ended)
    (file,) = ended.output().glob("*.stac.json")
    west, south, east, north = json.loads(file.read_text())["bbox"]
    assert south < north
    assert -180 <= east < 0 < west <= 180


def two_outputs(ended: Ended) -> None:
    """Two scenes of one name have outputs of their own."""
    folders = {path.parent for path in ended.place.out.rglob("*_classes.tif")}
    assert len(folders) == 2


def as_named(name: str) -> Law:
    """There are layers of a scene of an odd name, and the project names an existing raster."""

    def holds(ended: Ended) -> None:
        assert (ended.place.folder / name).exists()
        assert len([path for path in ended.place.out.rglob("*_classes.tif") if path.stat().st_size]) == 1
        assert not (ended.place.folder / "owned").exists()

    return holds


def holes(values: np.ndarray, fill: float) -> np.ndarray:
    """Put a value into a corner of all bands."""
    values = values.copy()
    values[:, :10, :20] = fill
    return values


CORNER = np.ones((40, 50), bool)
CORNER[:10, :20] = False


FLOATS = (COLOURS / 255).astype(np.float32)


ALPHA = np.concatenate([COLOURS, np.where(CORNER, 255, 0).astype(np.uint8)[None]])


NIR = np.concatenate([COLOURS, np.where(CORNER, 99, 0).astype(np.uint8)[None]])


TURNED = Affine.translation(500000, 5400000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)


def masked(place: Place) -> None:
    """Write a scene with a mask band inside it."""
    path = write(place.folder / "input.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(CORNER)


def scaled(place: Place) -> None:
    """Write reflectance as whole numbers with scale and offset."""
    path = write(place.folder / "input.tif", (COLOURS.astype(np.uint16) * 40 + 1000), photometric=None)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4,) * 3, (-0.1,) * 3


def described(*names: str, **profile: str) -> Make:
    """Four bands with names."""

    def make(place: Place) -> None:
        path = write(place.folder / "input.tif", NIR, **profile)
        with rasterio.open(path, "r+") as file:
            file.descriptions = names

    return make


def pam_nodata(place: Place) -> None:
    """Write a scene whose nodata stands beside it."""
    write(place.folder / "input.tif", holes(COLOURS, 0))
    bands = "".join(f'<PAMRasterBand band="{n}"><NoDataValue>0</NoDataValue></PAMRasterBand>' for n in (1, 2, 3))
    (place.folder / "input.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")


def one_name_twice(place: Place) -> None:
    """Write two scenes of one name in two folders."""
    for name in "ab":
        write(place.folder / name / "input.tif")


def red_roof(place: Place) -> None:
    """Write reflectance with nodata 0, a hole, and a roof whose green and blue are 0."""
    values = np.maximum(FLOATS, 0.1)
    values[:, ~CORNER] = 0
    values[1:, 20:30, 30:40] = 0
    write(place.folder / "input.tif", values, nodata=0, photometric=None)


GROUND = (
    refused("a scene without a CRS", scene(crs=None), 3, "--assume-crs"),
    done(
        "the same with `--assume-crs`",
        scene(crs=None),
        "is mapped there, and the record says so",
        placed_as_told,
        command=predict("input.tif", "--assume-crs", "EPSG:32632"),
    ),
    refused("a scene that lies by rational polynomials", rational_polynomials, 3, "gdalwarp"),
    done(
        "a scene that lies by ground control points",
        control_points,
        "is mapped, its polygons lie on the ground",
        placed_by_points,
    ),
    *(
        done(
            f"a scene {how}",
            scene(transform=transform),
            "its map has the same transform, its polygons the area of its pixels",
            lies_as_the_scene,
        )
        for how, transform in (
            ("that is turned by 30 degrees", TURNED),
            ("whose rows run north", Affine(0.5, 0, 500000, 0, 0.5, 5400000)),
            ("whose pixels are 0.5 m x 0.45 m", Affine(0.5, 0, 500000, 0, -0.45, 5400000)),
        )
    ),
    *(
        refused(f"a transform {how}", scene(transform=transform), 3, "input.tif", "transform")
        for how, transform in (
            ("of no area", Affine(0.5, 0, 5e5, 0, 0, 5e6)),
            ("that is no number", Affine(float("nan"), 0, 1, 0, -1, 1)),
        )
    ),
    done(
        "a scene in degrees",
        scene(crs="EPSG:4326", transform=Affine(6e-06, 0, 9, 0, -4.5e-06, 48)),
        "areas are those on the ellipsoid",
        degrees,
    ),
    done(
        "a scene across the antimeridian",
        scene(crs="EPSG:32701", transform=Affine(0.5, 0, 182425, 0, -0.5, 7998381)),
        "areas are right, the bbox of its STAC item crosses too",
        box_on_the_globe,
    ),
    done(
        "a grid of a site (LOCAL_CS)",
        scene(crs='LOCAL_CS["site",UNIT["metre",1]]'),
        "is mapped in metres",
        lies_as_the_scene,
    ),
    refused(
        "pixels of 10 m for a model of half a metre",
        scene(transform=Affine(10, 0, 500000.0, 0, -10, 5400000.0)),
        3,
        "input.tif",
        "--gsd-m",
    ),
)


VALUES = (
    refused("fewer bands than the model needs", scene(COLOURS[:1]), 3, "input.tif", "red", quick=True),
    refused(
        "bands called B1 to B4 of an unknown satellite",
        described("B1", "B2", "B3", "B4", photometric="MINISBLACK"),
        3,
        "--bands",
    ),
    done(
        "near infrared of 0, tagged as alpha",
        described("red", "green", "blue", "nir"),
        "is no hole",
        valid_where(np.ones((40, 50), bool)),
    ),
    refused(
        "whole numbers of 16 bits without a known range",
        scene(COLOURS.astype(np.uint16) * 40, photometric=None),
        3,
        "--value-range",
    ),
    refused(
        "negative whole numbers of 16 bits", scene(COLOURS.astype(np.int16) - 99, photometric=None), 3, "--value-range"
    ),
    done("whole numbers with scale and offset", scaled, "are read as reflectance", lies_as_the_scene),
    refused("complex numbers", scene(COLOURS.astype(np.complex64), photometric=None), 3, "complex"),
    refused("indices into a palette", palette, 3, "palette"),
    refused(
        "a value range of no width", scene(), 2, "--value-range", command=predict("input.tif", "--value-range", "5,5")
    ),
    *(
        done(
            f"a corner {how}",
            make,
            "has no class, and nothing else",
            valid_where(CORNER),
            command=predict("input.tif", *more),
        )
        for how, make, more in (
            ("of NaN", scene(holes(FLOATS, float("nan")), photometric=None), ("--value-range", "0,1")),
            ("of infinity", scene(holes(FLOATS, float("inf")), photometric=None), ("--value-range", "0,1")),
            (
                "of nodata NaN",
                scene(holes(FLOATS, float("nan")), photometric=None, nodata=float("nan")),
                ("--value-range", "0,1"),
            ),
            ("of nodata 0", scene(holes(COLOURS, 0), nodata=0), ()),
            ("of nodata told by `--nodata`", scene(holes(COLOURS, 0)), ("--nodata", "0")),
            ("of nodata told by `.aux.xml`", pam_nodata, ()),
            ("hidden by alpha", scene(ALPHA, photometric="RGB", alpha="YES"), ()),
            ("hidden by a mask band", masked, ()),
            ("of nodata 0 in reflectance, beside a pure red roof", red_roof, ("--value-range", "0,1")),
        )
    ),
    done(
        "a scene of nodata alone", scene(COLOURS * 0, nodata=0), "gives whole, empty layers", nothing_mapped, quick=True
    ),
    *(
        done(
            f"a scene of {height} x {width} px",
            scene(blobs((height, width))),
            "gives a map of that size",
            lies_as_the_scene,
        )
        for height, width in ((1, 1), (1, 300), (300, 1), (33, 97))
    ),
)


ODD_NAMES = (
    "a b.tif",
    "-rf.tif",
    "é漢字🗺.tif",
    "100%.tif",
    "a:b.tif",
    "new\nline.tif",
    "$(touch owned);.tif",
    "x" * 250 + ".tif",
    "\x1b[31mred.tif",
)


NAMES = (
    *(
        done(
            f"a scene called `{name.encode('unicode_escape').decode()[:40]}`",
            scene(name=name),
            "is mapped; nothing is run",
            as_named(name),
            command=("predict", *OPTIONS, "--", name if name[0] in "-" else "{folder}/" + name),
        )
        for name in ODD_NAMES
    ),
    done(
        "two scenes of one name",
        one_name_twice,
        "get outputs of their own",
        two_outputs,
        command=("predict", "{folder}/a/input.tif", "{folder}/b/input.tif", *OPTIONS),
    ),
    refused(
        "control characters in the name of a missing scene",
        lambda _: None,
        2,
        "red.tif",
        command=predict("\x1b[31mred.tif"),
        promise="are escaped",
        holds=hides("\x1b"),
    ),
    refused(
        "a password in an address",
        lambda _: None,
        2,
        "--allow-remote",
        command=predict("https://user:s3cret@example.org/a.tif"),
        promise="is not shown",
        holds=hides("s3cret"),
    ),
)


CASES = {"Where a scene lies": GROUND, "What a scene's values mean": VALUES, "Names": NAMES}
