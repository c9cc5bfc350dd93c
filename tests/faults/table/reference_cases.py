"""Cases of labels, references and areas."""

from __future__ import annotations

import sqlite3
import warnings
from functools import partial
from typing import Any

import command_case
import geopandas
import numpy as np
import rasterio
import shapely
from command_case import Ended, Make, Place
from conftest import blobs
from made_inputs import (
    CRS,
    HOUSES,
    both,
    house_map,
    scene,
    served,
    vectors,
    write,
)
from scene_runs import (
    PREDICT,
    predict,
    valid_where,
)

refused = partial(command_case.refused, command=PREDICT)
done = partial(command_case.done, command=PREDICT)


EVALUATE = ("evaluate", "--prediction", "{folder}/codes.tif", "--json", "--reference")


OBJECTS = ("evaluate", "objects", "--prediction", "{folder}/codes.tif", "--class", "1", "--json", "--reference")


VECTORISE = ("vectorise", "{folder}/codes.tif", "--out", "{folder}/map.gpkg")


LINES = [shapely.LineString(house.exterior.coords) for house in HOUSES]


COLLECTIONS = [
    shapely.GeometryCollection([house, shapely.Point(500000, 5399990)]) if n % 2 else house
    for n, house in enumerate(HOUSES)
]


ELSEWHERE = "EPSG:32633"
OGR_VRT = (
    "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>{server}/a.json</SrcDataSource></OGRVRTLayer>"
    "</OGRVRTDataSource>"
)
"""A vector file that is another one's description."""


def number(found: Any, *names: str) -> list[float]:
    """All numbers under a name in a report, wherever it stands."""
    if isinstance(found, dict):
        own = [value for key, value in found.items() if key in names and isinstance(value, int | float)]
        return own + [n for value in found.values() for n in number(value, *names)]
    return [n for value in found for n in number(value, *names)] if isinstance(found, list) else []


def perfect(ended: Ended) -> None:
    """Every intersection over union and F1 of the report is 1."""
    scores = number(ended.report(), "iou", "mean_iou", "f1", "miou")
    assert scores
    assert set(scores) == {1.0}, ended.printed


def four_found(ended: Ended) -> None:
    """Each of the four houses is an object of the reference, and found."""
    report = ended.report()
    assert (report["reference"], report["matched"], report["f1"]) == (4, 4, 1.0)


def noted_in_the_report(ended: Ended) -> None:
    """The report tells of the nodata value of the reference."""
    assert any("nodata" in note for note in ended.report()["notes"]), ended.printed


def degrees_without_crs(place: Place) -> None:
    """Write houses in degrees to a file that does not tell its CRS."""
    houses = geopandas.GeoDataFrame(geometry=list(geopandas.GeoSeries(HOUSES, crs=CRS).to_crs(4326)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there is no CRS
        houses.to_file(place.folder / "truth.shp")


def masks(place: Place) -> None:
    """Write a map that says building everywhere, and a 0/1 reference whose 0 is tagged as nodata."""
    house_map(place)
    with rasterio.open(place.folder / "codes.tif") as file:
        write(place.folder / "truth.tif", file.read(), nodata=0)
    write(place.folder / "codes.tif", np.ones((1, 40, 50), np.uint8), nodata=255)


def two_layers(place: Place) -> None:
    """Write a GeoPackage of two layers."""
    house_map(place)
    frame = geopandas.GeoDataFrame({"cls": [1] * len(HOUSES)}, geometry=HOUSES, crs=CRS)
    frame.to_file(place.folder / "two.gpkg", layer="area")
    frame.to_file(place.folder / "two.gpkg", layer="houses")


def coloured(place: Place) -> None:
    """Write labels of colours that nothing marks as such."""
    write(place.folder / "codes.tif", blobs((40, 50)) // 64 * 64, photometric="MINISBLACK")


def many_values(place: Place) -> None:
    """Write a class raster with codes that 8 bits do not hold."""
    write(place.folder / "codes.tif", (blobs((40, 50))[:1].astype(np.int32) // 64) * 100 + 111)


def noise(place: Place) -> None:
    """Write a class raster of noise: fifty thousand and more regions."""
    values = np.random.default_rng(0).integers(0, 3, (1, 500, 500)).astype(np.uint8)
    write(place.folder / "codes.tif", values)


def whole_gpkg(ended: Ended) -> None:
    """The polygons of the noise are all there: their areas add up to the raster's."""
    with sqlite3.connect(ended.place.folder / "map.gpkg") as database:
        (table,) = database.execute("select table_name from gpkg_contents where data_type = 'features'").fetchone()
        count, area = database.execute(f'select count(*), sum(area_m2) from "{table}"').fetchone()  # noqa: S608
    assert count > 50_000
    np.testing.assert_allclose(area, 62_500, rtol=0.01)


def area_of_interest(*shapes: object, crs: str = CRS, to: str | None = None) -> Make:
    """A scene and an area."""
    return both(scene(), vectors("aoi.geojson", shapes, crs=crs, to=to))


AOI = shapely.box(500000, 5399990, 500025, 5400000)
"""The upper half of the small scene."""


UPPER = np.zeros((40, 50), bool)
UPPER[:20] = True


WITH_AOI = predict("input.tif", "--aoi", "{folder}/aoi.geojson")


REFERENCES = (
    done(
        "the polygons of the map as its reference",
        both(house_map, vectors("truth.gpkg")),
        "score 1.0",
        perfect,
        command=(*EVALUATE, "{folder}/truth.gpkg"),
    ),
    *(
        done(
            f"the same as {suffix}",
            both(house_map, vectors(f"truth{suffix}", to="EPSG:4326")),
            "score 1.0",
            perfect,
            command=(*EVALUATE, f"{{folder}}/truth{suffix}"),
        )
        for suffix in (".geojson", ".geojsonl", ".kml", ".fgb", ".parquet", ".shp")
    ),
    *(
        refused(
            f"a reference {what}", both(house_map, make), 3, "truth", command=(*EVALUATE, f"{{folder}}/truth{suffix}")
        )
        for what, suffix, make in (
            (
                "in degrees without a CRS",
                ".shp",
                degrees_without_crs,
            ),
            ("in the wrong zone", ".gpkg", vectors("truth.gpkg", crs=ELSEWHERE)),
            ("of an empty layer", ".gpkg", vectors("truth.gpkg", [])),
            ("of lines", ".gpkg", vectors("truth.gpkg", LINES)),
            ("of points", ".gpkg", vectors("truth.gpkg", [house.centroid for house in HOUSES])),
        )
    ),
    done(
        "polygons inside GeometryCollections",
        both(house_map, vectors("truth.geojson", COLLECTIONS)),
        "count: score 1.0",
        perfect,
        command=(*EVALUATE, "{folder}/truth.geojson"),
    ),
    refused(
        "a GeoPackage of two layers",
        two_layers,
        3,
        "houses",
        command=(*EVALUATE, "{folder}/two.gpkg"),
    ),
    done(
        "the same with its layer named",
        two_layers,
        "score 1.0",
        perfect,
        command=(*EVALUATE, "{folder}/two.gpkg:houses"),
    ),
    done(
        "all houses in one MultiPolygon",
        both(house_map, vectors("truth.gpkg", [shapely.MultiPolygon(HOUSES)])),
        "are objects, each",
        four_found,
        command=(*OBJECTS, "{folder}/truth.gpkg"),
    ),
    done(
        "a map of houses everywhere, a 0/1 reference whose 0 is tagged nodata",
        masks,
        "is said aloud",
        noted_in_the_report,
        command=(*EVALUATE, "{folder}/truth.tif"),
    ),
    refused("an address as a reference", house_map, 2, "Download", command=(*EVALUATE, "{server}/a.geojson")),
    refused(
        "a vector file that names another (OGR VRT)",
        both(
            house_map,
            served(OGR_VRT, "truth.gpkg"),
        ),
        3,
        "truth.gpkg",
        command=(*EVALUATE, "{folder}/truth.gpkg"),
    ),
    refused("coloured labels that nothing marks as such", coloured, 3, "codes.tif", "legend", command=VECTORISE),
    refused("class values above 254", many_values, 3, "codes.tif", "legend", command=VECTORISE, quick=True),
    done(
        "a class raster of noise",
        noise,
        "becomes a whole GeoPackage in bounded memory",
        whole_gpkg,
        command=VECTORISE,
        memory=2 * 10**9,
        seconds=120,
    ),
    refused(
        "an output that is the input",
        both(house_map, vectors("map.gpkg")),
        2,
        "map.gpkg",
        command=(
            "evaluate",
            *EVALUATE[1:3],
            "--reference",
            "{folder}/map.gpkg",
            "--out",
            "{folder}/map.gpkg",
            "--overwrite",
        ),
        promise="refused, the input stays",
        holds=lambda ended: len(geopandas.read_file(ended.place.folder / "map.gpkg")) > 0,
    ),
    done("an area of interest", area_of_interest(AOI), "is what is mapped", valid_where(UPPER), command=WITH_AOI),
    done(
        "the same in degrees",
        area_of_interest(AOI, to="EPSG:4326"),
        "is what is mapped",
        valid_where(UPPER),
        command=WITH_AOI,
    ),
    done(
        "the same inside a GeometryCollection",
        area_of_interest(shapely.GeometryCollection([AOI, shapely.Point(500001, 5399999)])),
        "is what is mapped",
        valid_where(UPPER),
        command=WITH_AOI,
    ),
    refused(
        "an area that does not meet the scene",
        area_of_interest(shapely.box(0, 0, 9, 9)),
        3,
        "aoi.geojson",
        command=WITH_AOI,
    ),
    refused(
        "an address as an area",
        scene(),
        2,
        "--allow-remote",
        command=predict("input.tif", "--aoi", "{server}/a.geojson"),
    ),
    refused(
        "the same by `/vsicurl/`",
        scene(),
        2,
        "Download",
        command=predict("input.tif", "--aoi", "/vsicurl/{server}/a.geojson"),
    ),
)


CASES = {"Labels, references and areas": REFERENCES}
