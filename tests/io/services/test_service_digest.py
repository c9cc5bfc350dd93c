"""The digest of a scene of a service, by which a run is known again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from map_server import TILE_PX, MapServer, encoded, serving
from test_tile_services import opened, xyz

from geoseg.core.window import Window


@pytest.fixture
def server() -> Iterator[MapServer]:
    with serving() as served:
        yield served


def digest(place: str) -> str:
    with opened(place) as scene:
        return str(scene.digest())


def test_it_is_of_pixels(server: MapServer) -> None:
    one = digest(xyz(server))
    assert digest(xyz(server)) == one
    server.image = 255 - server.image
    assert digest(xyz(server)) != one


def test_it_is_of_validity(server: MapServer) -> None:
    server.answer = lambda *_: (404, b"")
    empty = digest(xyz(server, more="&missing=nodata"))
    server.answer = lambda *_: (200, encoded(np.zeros((3, TILE_PX, TILE_PX), np.uint8)))
    assert digest(xyz(server, more="&missing=nodata")) != empty


def test_it_is_of_the_place(server: MapServer) -> None:
    """Two areas of equal pixels."""
    server.answer = lambda *_: (200, encoded(np.full((3, TILE_PX, TILE_PX), 7, np.uint8)))
    assert digest(xyz(server, Window(100, 300, 200, 400))) != digest(xyz(server, Window(101, 301, 200, 400)))
