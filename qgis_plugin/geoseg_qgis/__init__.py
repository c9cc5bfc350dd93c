"""QGIS plugin of geoseg: a Processing provider that runs the ``geoseg`` program."""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:  # noqa: N802 - the name that QGIS calls
    """Make the plugin.

    Args:
        iface: interface of the QGIS application; None in ``qgis_process``.
    """
    from .plugin import GeosegPlugin

    return GeosegPlugin(iface)
