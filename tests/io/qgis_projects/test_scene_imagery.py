"""The imagery of subdatasets, Sentinel-2 products and services lies under the map in the real QGIS, without secrets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_qgis import document, probe, why_no_qgis

from geoseg.io.publish.bundle import Bundle
from geoseg.io.qgis.service_uri import private_part

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from imagery_forms import FILES, IMAGE, SHAPE, mapped, service_of

SERVICES = ("xyz", "tms", "wms", "wmts")
STAY = {"page", "zipped product"}
"""Forms whose names GDAL takes with whole paths only; the others may be moved together with the map."""


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def seen(bundle: Bundle, pictures: Path) -> np.ndarray:
    """What QGIS draws of the imagery alone on the class map's own pixels: (band, y, x)."""
    found = probe(bundle, bundle.directory, pictures, SHAPE)
    (imagery,) = [layer for layer in found["layers"] if layer["group"] == "Imagery"]
    assert imagery["valid"], imagery
    return np.asarray(Image.open(pictures / "imagery_there.png").convert("RGB")).transpose(2, 0, 1).astype(float)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.qgis
@pytest.mark.skipif(bool(why_no_qgis()), reason=why_no_qgis() or "it is there")
def test_subdatasets_and_products_lie_under_the_map(name: str, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "a" / "in").mkdir(parents=True)
    form = FILES[name](tmp_path / "a" / "in")
    bundle = mapped(form, tiny_model, tmp_path / "a" / "out")
    if name not in STAY:
        (tmp_path / "a").rename(tmp_path / "b")
        bundle = replace(bundle, directory=tmp_path / "b" / "out" / bundle.directory.name)
    drawn = seen(bundle, tmp_path / "pictures")
    valid = form.colours.any(axis=0)
    assert np.abs(drawn - form.colours)[:, valid].max() <= 2


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.qgis
@pytest.mark.skipif(bool(why_no_qgis()), reason=why_no_qgis() or "it is there")
def test_services_lie_under_the_map(kind: str, closing: ExitStack, tiny_model: Path, tmp_path: Path) -> None:
    form, server = closing.enter_context(service_of(kind))
    bundle = mapped(form, tiny_model, tmp_path / "out")
    drawn = seen(bundle, tmp_path / "pictures")
    assert np.abs(drawn - IMAGE).max() <= 2
    asked = " ".join(server.asked)
    assert "{" not in asked
    assert "%7B" not in asked
    assert json.loads(bundle.run_record.read_text())["imagery"]["source"] == form.uri


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("xyz:https://a.org/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1", None),
        ("xyz:https://me:pw@a.org/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1", "a login"),
        ("xyz:https://me@a.org/{z}/{x}/{y}.png#zoom=1&bounds=0,0,1,1", "a login"),
        ("xyz:https://a.org/{z}/{x}/{y}.png?v=1#zoom=1&bounds=0,0,1,1", "a parameter that may be a key"),
        ("xyz:https://a.org/{z}/{x}/{y}.png?s3cret#zoom=1&bounds=0,0,1,1", "a parameter that may be a key"),
        ("wms:https://a.org/w?LAYERS=a&Styles=&CRS=EPSG:3857&time=2024&map=m#pixel=1&bounds=0,0,1,1", None),
        ("wms:https://a.org/w?layers=a&token=1#pixel=1&bounds=0,0,1,1", "a parameter that may be a key"),
        ("wms:https://me:pw@a.org/w?layers=a#pixel=1&bounds=0,0,1,1", "a login"),
        ("wmts:https://a.org/w?SERVICE=WMTS&REQUEST=GetCapabilities#bounds=0,0,1,1", None),
        ("wmts:https://a.org/w?SERVICE=WMTS&apikey=1#bounds=0,0,1,1", "a parameter that may be a key"),
    ],
)
def test_what_may_be_a_secret_of_an_address_is_named(uri: str, part: str | None) -> None:
    assert private_part(uri) == part


def test_a_service_with_a_key_has_no_imagery_and_the_run_says_why(
    closing: ExitStack, tiny_model: Path, tmp_path: Path
) -> None:
    form, _ = closing.enter_context(service_of("xyz"))
    bundle = mapped(replace(form, uri=form.uri.replace(".png#", ".png?key=s3cret#")), tiny_model, tmp_path / "out")
    record = json.loads(bundle.run_record.read_text())
    assert record["imagery"] is None
    assert any("no imagery: the address of the service holds a parameter" in note for note in record["notes"])
    assert "wms" not in document(bundle)
    for file in bundle.directory.iterdir():
        assert b"s3cret" not in file.read_bytes(), file
