"""The Processing provider: its algorithms, and its settings under Options > Processing > Providers."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms.evaluate import Evaluate
from .algorithms.inspect import Inspect
from .algorithms.make_environment import MakeEnvironment
from .algorithms.objects import Objects
from .algorithms.predict import Predict
from .algorithms.vectorise import Vectorise
from .settings import EXECUTABLE, PACKAGE

_ALGORITHMS = (Predict, Vectorise, Objects, Evaluate, Inspect, MakeEnvironment)
ICON = str(Path(__file__).with_name("icon.svg"))


class GeosegProvider(QgsProcessingProvider):
    """Provider ``geoseg`` of the Processing toolbox."""

    def id(self) -> str:
        """Return the identifier: algorithms are ``geoseg:predict`` and so on."""
        return "geoseg"

    def name(self) -> str:
        """Return the name that the toolbox shows."""
        return "geoseg"

    def longName(self) -> str:  # noqa: N802 - called by QGIS
        """Return the name in full."""
        return "geoseg: imagery into map layers"

    def icon(self) -> QIcon:
        """Return the icon."""
        return QIcon(ICON)

    def svgIconPath(self) -> str:  # noqa: N802 - called by QGIS
        """Return the path of the icon."""
        return ICON

    def load(self) -> bool:
        """Register the settings and the algorithms."""
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        ProcessingConfig.addSetting(
            Setting(self.name(), EXECUTABLE, "geoseg program (empty: found by itself)", "", valuetype=Setting.FILE)
        )
        ProcessingConfig.addSetting(
            Setting(self.name(), PACKAGE, "Package that 'Make environment' installs (empty: the one in the plugin)", "")
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Remove the settings."""
        for name in (EXECUTABLE, PACKAGE):
            ProcessingConfig.removeSetting(name)

    def loadAlgorithms(self) -> None:  # noqa: N802 - called by QGIS
        """Add the algorithms; nothing is run, so that QGIS starts quickly."""
        for algorithm in _ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportedOutputVectorLayerExtensions(self) -> list[str]:  # noqa: N802 - called by QGIS
        """List the vector formats that geoseg writes and QGIS reads, the default first."""
        return ["gpkg", "fgb", "geojson"]

    def defaultVectorFileExtension(self, hasGeometry: bool = True) -> str:  # noqa: N802, N803
        """Return the default vector format."""
        del hasGeometry
        return "gpkg"
