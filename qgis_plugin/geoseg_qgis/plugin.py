"""The plugin: registers the Processing provider while it is loaded."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsApplication

from .provider import GeosegProvider


class GeosegPlugin:
    """QGIS plugin without windows of its own: everything is in the Processing toolbox.

    Args:
        iface: interface of the QGIS application; None in ``qgis_process``.
    """

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self._provider: GeosegProvider | None = None

    def initProcessing(self) -> None:  # noqa: N802 - called by QGIS
        """Register the provider; ``qgis_process`` calls this alone."""
        if self._provider is None:
            self._provider = GeosegProvider()
            QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:  # noqa: N802 - called by QGIS
        """Register the provider in the application."""
        self.initProcessing()

    def unload(self) -> None:
        """Remove the provider."""
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
