"""Settings of the plugin: the geoseg program, and the package of an environment that is made."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import QgsApplication

from .environment import bundled_wheel, find_executable

EXECUTABLE = "GEOSEG_EXECUTABLE"
PACKAGE = "GEOSEG_PACKAGE"


def environment_folder() -> Path:
    """Return the folder of the environment that the plugin makes, in the user's QGIS profile."""
    return Path(QgsApplication.qgisSettingsDirPath()) / "geoseg" / "environment"


def executable() -> Path:
    """Return the geoseg program: the setting, or the first that is found.

    Raises:
        EnvironmentMissing: there is none.
    """
    return find_executable(str(ProcessingConfig.getSetting(EXECUTABLE) or ""), environment_folder())


def package() -> str:
    """Return what pip installs: the setting, or the wheel inside the plugin; empty if there is neither."""
    chosen = str(ProcessingConfig.getSetting(PACKAGE) or "").strip()
    wheel = bundled_wheel()
    return chosen or ("" if wheel is None else str(wheel))
