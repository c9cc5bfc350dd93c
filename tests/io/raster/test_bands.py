"""Bands are named by what the file says, never by a guess."""

from __future__ import annotations

import pytest

from geoseg.io.raster.bands import alpha_bands, band_names, named


@pytest.mark.parametrize(
    ("text", "hint", "name"),
    [
        ("Red", "", "red"),
        ("NIR", "", "nir"),
        ("near infrared", "", "nir"),
        ("Near-Infrared", "", "nir"),
        ("B8", "", None),
        ("B08", "", None),
        ("B4", "", None),
        ("B4", "planet_gee", None),
        ("B4", "WV02_20200518", None),
        ("B08", "T33UVP sentinel-2b sentinel-2-l2a", "nir"),
        ("B8A", "", "nir08"),
        ("B8", "LC08_L1TP_224078_20200518", "pan"),
        ("B4", "LC09_L2SP", "red"),
        ("B4", "LE07_L1TP", "nir"),
        ("SR_B4", "LT05_L2SP", "nir"),
        ("B4", "LM05_L1TP", None),
        ("SR_B4", "LC08_L2SP", "red"),
        ("SR_B4", "", None),
        ("B2", "S2A_MSIL2A_20200831", "blue"),
        ("Sentinel-2 B11", "", "swir16"),
        ("Landsat 8 B10", "", "lwir11"),
        ("B4 (red)", "", "red"),
        ("B4 - Red", "", "red"),
        ("Red (665 nm)", "", "red"),
        ("swir16", "", "swir16"),
        ("SWIR2", "", "swir22"),
        ("Panchromatic", "", "pan"),
        ("VV", "", "vv"),
        ("Band 3", "", None),
        ("Band 3", "S2B_MSIL1C_2020", "green"),
        ("band_3", "", None),
        ("B77", "", None),
        ("redundancy", "", None),
        ("reduced red", "", None),
        ("", "", None),
        (None, "", None),
    ],
)
def test_descriptions(text: str | None, hint: str, name: str | None) -> None:
    assert named(text, hint) == name


def test_each_name_once_and_the_rest_by_number() -> None:
    assert band_names(["gray"], [None]) == ("band_1",)
    assert band_names(["red", "green", "blue", "undefined"], [None] * 4) == ("red", "green", "blue", "band_4")
    assert band_names(["red", "red"], [None, None]) == ("red", "band_2")
    assert band_names(["gray", "undefined"], ["nir", "red"]) == ("nir", "red")
    # A three-band composite is often written as RGB whatever its bands: the words win over the colours.
    assert band_names(["red", "green", "blue"], ["nir", "red", "green"]) == ("nir", "red", "green")
    assert band_names(["nir", "rededge", "swir"], [None] * 3) == ("nir", "rededge", "band_3")
    # Only Sentinel-2 has a B8A, so the numbers beside it are Sentinel-2's.
    assert band_names(["gray"] * 3, ["B04", "B08", "B8A"]) == ("red", "nir", "nir08")
    assert band_names(["gray"] * 4, ["B1", "B2", "B3", "B4"]) == ("band_1", "band_2", "band_3", "band_4")
    assert band_names(["red", "green", "blue"], ["B1", "B2", "B3"]) == ("red", "green", "blue")


RGBA = ("red", "green", "blue", "alpha")


@pytest.mark.parametrize(
    ("description", "auto"),
    [
        (None, (4,)),
        ("", (4,)),
        ("alpha", (4,)),
        ("Alpha band", (4,)),
        ("Band 4", (4,)),
        ("nir", ()),
        ("NIR", ()),
        ("height above ground", ()),
        ("B4", ()),
    ],
)
def test_a_description_knows_better_than_the_tag_that_writers_set(description: str | None, auto: tuple[int]) -> None:
    words = [None, None, None, description]
    assert alpha_bands(RGBA, words) == auto
    assert alpha_bands(RGBA, words, "no") == ()
    assert alpha_bands(RGBA, words, "yes") == (4,)
    assert alpha_bands((*RGBA[:3], "undefined"), words) == ()
    assert alpha_bands((*RGBA[:3], "undefined"), words, "yes") == (4,)
    assert alpha_bands(("gray",), [None], "yes") == ()
