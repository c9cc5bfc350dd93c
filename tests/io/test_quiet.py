"""Warnings are kept away in all threads, and come back after the last."""

from __future__ import annotations

import threading
import warnings

import pytest
from rasterio.errors import NotGeoreferencedWarning

from geoseg.io.files.gdal_messages import suppress_gdal_messages


def _warn() -> None:
    warnings.warn("no transform", NotGeoreferencedWarning, stacklevel=2)


def test_a_thread_that_leaves_takes_nothing_from_one_that_stays() -> None:
    entered, left = threading.Event(), threading.Event()

    def stay() -> None:
        with suppress_gdal_messages():
            entered.set()
            left.wait(10)
            _warn()

    def die(_: object) -> None:
        broken.append(True)

    broken: list[bool] = []
    threading.excepthook, before = die, threading.excepthook
    try:
        with suppress_gdal_messages():
            other = threading.Thread(target=stay)
            other.start()
            assert entered.wait(10)
        left.set()
        other.join(10)
    finally:
        threading.excepthook = before
    assert not broken


def test_warnings_come_back_after_the_last() -> None:
    with suppress_gdal_messages(), suppress_gdal_messages():
        _warn()
    with pytest.warns(NotGeoreferencedWarning):
        _warn()


def test_an_error_inside_leaves_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    with pytest.raises(KeyError), suppress_gdal_messages():
        raise KeyError
    assert list(warnings.filters) == before


def test_other_warnings_are_heard() -> None:
    with suppress_gdal_messages(), pytest.warns(UserWarning, match="listen"):
        warnings.warn("listen", UserWarning, stacklevel=1)
