"""Runs of a scene, and the laws of their maps."""

from __future__ import annotations

import geopandas
import numpy as np
import rasterio
from command_case import Ended, Law, final_files
from conftest import blobs
from made_inputs import GRID

OPTIONS = ("--model", "{model}", "--out", "{out}", "--runtime", "torch", "--device", "cpu", "--quiet")


PREDICT = ("predict", "{folder}/input.tif", *OPTIONS)


SMALL = 700 * 10**6
"""Bytes within which a refusal before any reading stays, Python and its libraries included."""


COLOURS = blobs((40, 50))


def predict(name: str = "input.tif", *more: str) -> tuple[str, ...]:
    """Arguments for a scene of another name, or with more options."""
    return ("predict", name if "{" in name or ":" in name else f"{{folder}}/{name}", *OPTIONS, *more)


def codes(ended: Ended, name: str = "input") -> rasterio.DatasetReader:
    """Open the class raster of a scene."""
    return rasterio.open(ended.output(name) / f"{name}_classes.tif")


def segments(ended: Ended) -> geopandas.GeoDataFrame:
    """Read the polygons of a scene."""
    return geopandas.read_file(ended.output() / "input_segments.gpkg", layer="segments")


def valid_where(mask: np.ndarray) -> Law:
    """The map has a class exactly where a mask is set."""

    def holds(ended: Ended) -> None:
        with codes(ended) as file:
            np.testing.assert_array_equal(file.read(1) != file.nodata, mask)
            np.testing.assert_array_equal(file.dataset_mask() > 0, mask)

    return holds


def lies_as_the_scene(ended: Ended) -> None:
    """The map has the grid of the scene; its polygons cover its pixels."""
    with rasterio.open(ended.place.folder / "input.tif") as given, codes(ended) as made:
        assert made.transform == given.transform
        assert made.crs == given.crs
        assert made.shape == given.shape
        pixels = int((made.dataset_mask() > 0).sum())
        determinant = abs(given.transform.determinant)
    frame = segments(ended)
    np.testing.assert_allclose(frame.geometry.area.sum(), pixels * determinant, rtol=1e-9)


def as_without_sidecars(ended: Ended) -> None:
    """The map lies where the file itself says."""
    with codes(ended) as made:
        assert made.transform == GRID
        assert made.crs == "EPSG:32632"
        assert made.shape == (40, 50)


def noted(word: str) -> Law:
    """The record has a note with a word."""

    def holds(ended: Ended) -> None:
        assert any(word in note for note in ended.record()["notes"]), ended.record()["notes"]

    return holds


def placed_as_told(ended: Ended) -> None:
    """The map lies where `--assume-crs` says, and the record says so."""
    as_without_sidecars(ended)
    noted("EPSG:32632 is assumed")(ended)


def leaves_nothing(ended: Ended) -> None:
    """No file has its final name."""
    assert final_files(ended.place.out) == []


def both(*laws: Law) -> Law:
    """All laws hold."""

    def holds(ended: Ended) -> None:
        for law in laws:
            assert law(ended) in {None, True}

    return holds


def hides(word: str) -> Law:
    """Nothing that is shown holds a word."""

    def holds(ended: Ended) -> None:
        assert word not in ended.said + ended.printed

    return holds
