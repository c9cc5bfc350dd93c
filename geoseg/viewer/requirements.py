"""Packages of the extra ``view``, and the message where one is missing. Imports none of them."""

from __future__ import annotations

from typing import Final

from geoseg.errors import UsageError

_PACKAGES: Final = frozenset({"fastapi", "mapbox_vector_tile", "morecantile", "rio_tiler", "starlette", "uvicorn"})


def missing_package(error: ModuleNotFoundError) -> UsageError:
    """Return the message for a package of the extra that is not installed.

    Raises:
        ModuleNotFoundError: the module is of no such package.
    """
    name = (error.name or "").partition(".")[0]
    if name not in _PACKAGES:
        raise error
    return UsageError(f"the map in the browser needs the Python package {name}: pip install 'geoseg[view]'.")
